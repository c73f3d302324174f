"""A lender with debtors in arrears, for tests that reach the outside world."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from collections_support import Lender

from support import House


@pytest.fixture(scope="module")
def lender(open_house: Callable[..., House]) -> Lender:
    """Every service collections needs, running for real, and a book on its first day."""
    return Lender(open_house("simulators", "ledger", "servicing", "origination", "collections"))
