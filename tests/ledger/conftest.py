"""A ledger for a module's tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from ledger.ledger_case import LedgerUnderTest

from support import House

_numbers = count(1)


@pytest.fixture(scope="module")
def new_book(open_house: Callable[..., House]) -> Callable[..., LedgerUnderTest]:
    """Opens books in one running ledger: `new_book(vat_mode=…)`."""
    house = open_house("ledger")

    def make(**choices: Any) -> LedgerUnderTest:
        return LedgerUnderTest.opened(house, f"book-{next(_numbers)}", **choices)

    return make


@pytest.fixture
def book(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A fresh book of a bank, VAT NONE, on its first day."""
    return new_book()
