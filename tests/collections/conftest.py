"""A lender with debtors in arrears, for tests that reach the outside world."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from collections_support import Lender

from support import House


@pytest.fixture(scope="module")
def lender(open_house: Callable[..., House]) -> Lender:
    """Every service collections needs, collections as a process that can be killed, and a book."""
    house = open_house("simulators", "ledger", "servicing", "origination")
    return Lender(house.spawn("collections"))
