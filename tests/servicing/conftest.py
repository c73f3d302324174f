"""A bank of its own for each test, in a house the module shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from servicing.bank import Bank

from support import House


@pytest.fixture(scope="module")
def new_bank(open_house: Callable[..., House]) -> Callable[..., Bank]:
    """Opens banks in one running house: `new_bank(grace_days=3)`."""
    house = open_house("simulators", "ledger", "servicing")

    def make(**terms: Any) -> Bank:
        return Bank(house, **terms)

    return make


@pytest.fixture
def bank(new_bank: Callable[..., Bank]) -> Bank:
    """A bank on its first day."""
    return new_bank()
