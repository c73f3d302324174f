"""A ledger for a module's tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from ledger.ledger_case import FIRST_DAY, LedgerUnderTest

from support import House, day, rid
from tael.ledger.v1 import ledger_pb2 as pb

_numbers = count(1)


@pytest.fixture(scope="module")
def new_book(open_house: Callable[..., House]) -> Callable[..., LedgerUnderTest]:
    """Opens books in one running ledger: `new_book(vat_mode=…)`."""
    house = open_house("ledger")

    def make(**choices: Any) -> LedgerUnderTest:
        under_test = LedgerUnderTest(house, f"book-{next(_numbers)}")
        under_test.ledger.CreateBook(
            pb.CreateBookRequest(
                **{
                    "request_id": rid(),
                    "book_id": under_test.book_id,
                    "legal_entity": "示范银行 Demo Bank",
                    "currency_code": "CNY",
                    "business_date": day(FIRST_DAY),
                    **choices,
                }
            )
        )
        return under_test

    return make


@pytest.fixture
def book(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A fresh book of a bank, VAT NONE, on its first day."""
    return new_book()
