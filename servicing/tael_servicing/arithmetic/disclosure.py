"""The annual cost of a loan to its borrower (综合融资成本): IRR × 12, effective rate, XIRR.

PBOC notice 2021 no. 3: all cost over the principal actually used, and the method named.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

_CONTEXT = decimal.Context(prec=34)
_TOLERANCE = Decimal("1e-14")


@dataclass(frozen=True, slots=True)
class AnnualCost:
    """Annual rates, 0.12 = 12 %, to 8 decimal places."""

    apr: Decimal
    """Monthly IRR × 12."""
    ear: Decimal
    """(1 + monthly IRR)^12 − 1."""


def annual_cost(received: int, payments: Sequence[int]) -> AnnualCost:
    """The cost of `received` (net of fees charged at the start) against equally spaced payments.

    Raises ValueError where no monthly rate in [−0.5, 1] explains them.
    """
    with decimal.localcontext(_CONTEXT):
        monthly = _bisect(
            lambda rate: _present(payments, 1 / (1 + rate)) - received, Decimal("-0.5"), Decimal(1)
        )
        return AnnualCost(_rate(monthly * 12), _rate((1 + monthly) ** 12 - 1))


def effective_rate(received: int, start: date, payments: Sequence[tuple[date, int]]) -> Decimal:
    """XIRR: the annual rate by actual days/365 of payments on any dates, oldest first.

    Raises ValueError where no annual rate in [−0.99, 100] explains them.
    """
    days = [(day - start).days for day, _ in payments]
    gaps = [later - earlier for earlier, later in zip([0, *days[:-1]], days, strict=True)]

    def excess(growth: Decimal) -> Decimal:
        worth = Decimal(0)
        for gap, (_, amount) in zip(reversed(gaps), reversed(payments), strict=True):
            worth = (worth + amount) / growth**gap
        return worth - received

    with decimal.localcontext(_CONTEXT):
        year = Decimal(1) / 365
        low, high = Decimal("0.01") ** year, Decimal(101) ** year
        return _rate(_bisect(excess, low, high) ** 365 - 1)


def _present(payments: Sequence[int], discount: Decimal) -> Decimal:
    worth = Decimal(0)
    for amount in reversed(payments):
        worth = (worth + amount) * discount
    return worth


def _bisect(excess: Callable[[Decimal], Decimal], low: Decimal, high: Decimal) -> Decimal:
    """Where a falling function passes zero."""
    if excess(low) < 0 or excess(high) > 0:
        raise ValueError("no rate within the bounds explains these payments")
    while high - low > _TOLERANCE:
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def _rate(exact: Decimal) -> Decimal:
    return exact.quantize(Decimal("1e-8"), rounding=decimal.ROUND_HALF_UP)
