"""The annual cost of a loan to its borrower."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.disclosure import annual_cost, effective_rate

PLAIN = [88849] * 11 + [88847]


@pytest.mark.parametrize(
    ("received", "payments", "apr", "ear"),
    [
        pytest.param(1_000_000, PLAIN, "0.1200", "0.1268", id="plain"),
        pytest.param(970_000, PLAIN, "0.1783", "0.1936", id="fee of 300 at the start"),
        pytest.param(
            1_000_000, [each + 5000 for each in PLAIN], "0.2253", "0.2501", id="50 a month"
        ),
        pytest.param(
            1_000_000, [91333] * 11 + [91337], "0.1727", "0.1871", id="flat 0.8 % a month"
        ),
    ],
)
def test_the_annual_cost_counts_every_fee_and_the_principal_in_use(
    received: int, payments: list[int], apr: str, ear: str
) -> None:
    cost = annual_cost(received, payments)
    cent = Decimal("0.0001")
    assert (cost.apr.quantize(cent), cost.ear.quantize(cent)) == (Decimal(apr), Decimal(ear))


def test_payments_on_any_dates_give_the_rate_that_discounts_them_by_actual_days() -> None:
    start = date(2026, 1, 15)
    assert effective_rate(1_000_000, start, [(date(2027, 1, 15), 1_120_000)]) == Decimal("0.12")
    monthly = [(months_after(start, month, 15), each) for month, each in enumerate(PLAIN, 1)]
    rate = effective_rate(1_000_000, start, monthly)
    worth = sum(each / (1 + rate) ** (Decimal((day - start).days) / 365) for day, each in monthly)
    assert abs(worth - 1_000_000) < 1


@given(received=st.integers(10_000, 10**9), parts=st.lists(st.integers(1, 100), min_size=1))
def test_payments_that_return_just_what_was_received_cost_nothing(
    received: int, parts: list[int]
) -> None:
    payments = [received * part // sum(parts) for part in parts]
    payments[-1] += received - sum(payments)
    assert annual_cost(received, payments).apr == 0


def test_payments_that_no_rate_explains_are_refused() -> None:
    with pytest.raises(ValueError, match="no rate"):
        annual_cost(1_000_000, [1])
