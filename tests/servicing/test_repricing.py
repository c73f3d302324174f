"""Floating loans: five modes of taking the prime rate of the day, through the day end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from servicing.bank import Bank, decimal

from support import rid
from tael.servicing.v1 import loan_pb2, product_pb2, rate_pb2, rate_pb2_grpc
from tael_client.values import from_date, money

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


def test_a_prime_rate_known_only_on_its_own_day_holds_from_that_day_on(
    new_bank: Callable[..., Bank],
) -> None:
    start, published = date(2026, 3, 10), date(2026, 3, 20)
    bank = floating(new_bank, product_pb2.REPRICE_MODE_IMMEDIATELY, start=start)
    publish(bank, start, "0.03")
    loan = bank.lend()
    bank.end_days(published)
    publish(bank, published, "0.027")
    bank.end_day()
    steps = bank.loan(loan.loan_id).rates
    assert [(step.since, step.annual_rate.value) for step in steps] == [
        (from_date(start), "0.12"),
        (from_date(published), "0.117"),
    ]
    night = [
        each.amounts["interest"]
        for each in bank.told(loan.loan_id)
        if each.event == "INTEREST_ACCRUED" and each.value_date == from_date(published)
    ]
    assert sum(night) == 325, "10,000.00 × 11.7 % / 360, the night before it was known"
    bank.assert_books_agree()


def test_prime_rates_known_late_are_taken_each_from_its_day_and_a_rate_by_hand_stays(
    new_bank: Callable[..., Bank],
) -> None:
    start = date(2026, 4, 10)
    bank = floating(new_bank, product_pb2.REPRICE_MODE_IMMEDIATELY, start=start)
    publish(bank, start, "0.03")
    loan = bank.lend()
    bank.end_days(date(2026, 5, 25))
    publish(bank, date(2026, 4, 20), "0.026")
    publish(bank, date(2026, 5, 20), "0.025")
    bank.end_day()
    publish(bank, date(2026, 4, 20), "0.0265")
    bank.change("RepriceLoan", loan.loan_id, annual_rate=decimal("0.1"))
    bank.end_days(date(2026, 5, 29))
    steps = bank.loan(loan.loan_id).rates[1:]
    assert [(step.since, step.annual_rate.value) for step in steps] == [
        (from_date(date(2026, 4, 20)), "0.116"),
        (from_date(date(2026, 4, 20)), "0.1165"),
        (from_date(date(2026, 5, 20)), "0.115"),
        (from_date(date(2026, 5, 26)), "0.1"),
    ]
    bank.assert_books_agree()


def test_a_drawdown_bears_the_prime_rate_of_its_own_day_and_the_spread_of_its_line(
    new_bank: Callable[..., Bank],
) -> None:
    granted, published = date(2026, 6, 10), date(2026, 6, 11)
    bank = floating(new_bank, product_pb2.REPRICE_MODE_NEXT_JANUARY, start=granted)
    publish(bank, granted, "0.03")
    line, dearer = bank.grant(), bank.grant(annual_rate=decimal("0.13"))
    assert (line.spread.value, dearer.spread.value) == ("0.09", "0.1")
    publish(bank, published, "0.027")
    bank.end_day()
    quote = loan_pb2.QuoteScheduleRequest(
        product_code=bank.product, principal=money(1_000_000), periods=12
    )
    lent = bank.lend(line.line_id)
    assert lent.annual_rate == bank.loans.QuoteSchedule(quote).annual_rate == decimal("0.117")
    assert bank.lend(dearer.line_id).annual_rate.value == "0.127"
    publish(bank, published, "0.028")
    bank.end_days(date(2026, 6, 13))
    assert bank.loan(lent.loan_id).annual_rate.value == "0.117", "until January"


@pytest.mark.parametrize(
    ("mode", "start"),
    [
        (product_pb2.REPRICE_MODE_MONTHLY, date(2026, 7, 30)),
        (product_pb2.REPRICE_MODE_NEXT_DUE_DATE, date(2026, 8, 30)),
    ],
)
def test_a_prime_rate_known_only_after_a_turn_is_taken_on_that_turn_and_so_is_its_correction(
    new_bank: Callable[..., Bank], mode: int, start: date
) -> None:
    two_days = product_pb2.Frequency(unit=product_pb2.FREQUENCY_UNIT_DAY, every=2)
    bank = floating(
        new_bank, mode, start=start, schedule=product_pb2.ScheduleTerms(frequency=two_days)
    )
    publish(bank, start, "0.03")
    loan = bank.lend()
    turn = start + timedelta(days=2)
    bank.end_days(turn)
    agreed = bank.lend()
    bank.end_day()
    publish(bank, start, "0.027")
    bank.end_day()
    bank.change("RepriceLoan", loan.loan_id, annual_rate=decimal("0.1"))
    publish(bank, start, "0.028")
    bank.end_day()
    steps = bank.loan(loan.loan_id).rates[1:]
    assert [(step.since, step.annual_rate.value) for step in steps][:2] == [
        (from_date(turn), "0.117"),
        (from_date(turn), "0.118"),
    ]
    assert bank.loan(agreed.loan_id).rates[0].annual_rate.value == "0.12", "as signed"
    bank.assert_books_agree()


@pytest.mark.parametrize("pays", [True, False])
def test_a_turn_that_a_late_entry_moves_to_another_due_date_is_taken_there(
    new_bank: Callable[..., Bank], pays: bool
) -> None:
    start = date(2026, 11, 10)
    ten_days = product_pb2.Frequency(unit=product_pb2.FREQUENCY_UNIT_DAY, every=10)
    schedule = product_pb2.ScheduleTerms(frequency=ten_days)
    bank = floating(
        new_bank, product_pb2.REPRICE_MODE_NEXT_DUE_DATE, start=start, schedule=schedule
    )
    publish(bank, start, "0.03")
    bank.fails("card-late", times=60)
    late, in_time = (bank.lend(card="card-late", periods=6).loan_id for _ in range(2))
    bank.end_days(start + timedelta(days=5))
    publish(bank, bank.day, "0.025")
    agreed = {"value_date": from_date(bank.day)}

    def enter(loan_id: str) -> None:
        """The first due date is no turn: it is left out, or its instalment is paid before it."""
        if pays:
            bank.repay(loan_id, 168_617, "CURRENT_INSTALMENT", **agreed)
        else:
            bank.change("RescheduleLoan", loan_id, skip_periods=1, **agreed)

    enter(in_time)
    bank.end_days(start + timedelta(days=12))
    assert len(bank.loan(late).rates) == 2, "taken on the first due date"
    enter(late)
    bank.end_day()
    for turn in (bank.day, start + timedelta(days=20)):
        bank.end_days(turn)
        assert bank.loan(late).rates == bank.loan(in_time).rates
        assert bank.owes(late) == bank.owes(in_time)
    assert bank.loan(late).rates[-1].since == from_date(bank.day)
    bank.assert_books_agree()


def test_a_prime_rate_taken_by_mistake_is_taken_back_and_one_agreed_on_a_turn_stays(
    new_bank: Callable[..., Bank],
) -> None:
    start = date(2026, 10, 10)
    bank = floating(new_bank, product_pb2.REPRICE_MODE_IMMEDIATELY, start=start)
    publish(bank, start, "0.03")
    mistaken, agreed = bank.lend(), bank.lend()
    published = start + timedelta(days=1)
    bank.end_day()
    bank.change("RepriceLoan", agreed.loan_id, annual_rate=decimal("0.1"))
    publish(bank, published, "0.026")
    bank.end_day()
    assert bank.loan(mistaken.loan_id).annual_rate.value == "0.116"
    publish(bank, published, "0.03")
    bank.end_day()
    assert [each.annual_rate.value for each in bank.loan(mistaken.loan_id).rates] == ["0.12"]
    assert [each.annual_rate.value for each in bank.loan(agreed.loan_id).rates] == ["0.12", "0.1"]
    bank.assert_books_agree()
