"""Floating loans: five modes of taking the prime rate of the day, through the day end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from servicing.bank import Bank, decimal

from support import rid
from tael.servicing.v1 import product_pb2, rate_pb2, rate_pb2_grpc
from tael_client.values import from_date

START = date(2026, 1, 15)


def floating(new_bank: Callable[..., Bank], mode: int, **more: Any) -> Bank:
    """A bank whose loans float 900 basis points over the one-year prime rate."""
    return new_bank(
        annual_rate=None,
        floating_rate=product_pb2.FloatingRate(
            term=product_pb2.LPR_TERM_ONE_YEAR, spread_bp=900, reprice=mode
        ),
        **more,
    )


def publish(bank: Bank, day: date, one_year: str) -> None:
    rates = bank.house.client("servicing", rate_pb2_grpc.RateServiceStub)
    rates.PublishLpr(
        rate_pb2.PublishLprRequest(
            request_id=rid(),
            lpr=rate_pb2.Lpr(
                published=from_date(day), one_year=decimal(one_year), five_years=decimal("0.035")
            ),
        )
    )


@pytest.mark.parametrize(
    ("mode", "taken"),
    [
        (product_pb2.REPRICE_MODE_IMMEDIATELY, date(2026, 1, 20)),
        (product_pb2.REPRICE_MODE_MONTHLY, date(2026, 2, 1)),
        (product_pb2.REPRICE_MODE_NEXT_DUE_DATE, date(2026, 2, 15)),
    ],
)
def test_a_floating_loan_takes_the_rate_of_the_day_when_its_mode_says(
    new_bank: Callable[..., Bank], mode: int, taken: date
) -> None:
    bank = floating(new_bank, mode)
    loan = bank.lend()
    assert loan.annual_rate.value == "0.12"
    publish(bank, date(2026, 1, 20), "0.029")
    bank.end_days(taken)
    assert bank.loan(loan.loan_id).annual_rate.value == "0.119"
    bank.assert_books_agree()
