"""Rounding exact ratios to whole minor units, integers only."""

from __future__ import annotations

import decimal
from decimal import Decimal
from enum import Enum
from functools import lru_cache

Ratio = tuple[int, int]
"""Numerator and denominator of an exact number, the denominator positive."""


class Rounding(Enum):
    """Where an exact amount goes between two minor units; the values are `decimal`'s names."""

    HALF_UP = decimal.ROUND_HALF_UP
    HALF_EVEN = decimal.ROUND_HALF_EVEN
    UP = decimal.ROUND_UP
    DOWN = decimal.ROUND_DOWN


def rounded(numerator: int, denominator: int, mode: Rounding) -> int:
    """numerator / denominator in whole units, the denominator positive.

    Below zero as above it: halves and rests go away from zero, or towards it.
    """
    if numerator < 0:
        return -rounded(-numerator, denominator, mode)
    whole, rest = divmod(numerator, denominator)
    if mode is Rounding.HALF_UP:
        return whole + (2 * rest >= denominator)
    if mode is Rounding.HALF_EVEN:
        return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
    return whole + (mode is Rounding.UP and rest > 0)


def share(amount: int, ratio: Ratio, mode: Rounding) -> int:
    """amount x ratio in whole units: interest on a balance, a fee on a principal."""
    return rounded(amount * ratio[0], ratio[1], mode)


@lru_cache(maxsize=4096)
def ratio_of(number: Decimal) -> Ratio:
    """A decimal as an exact ratio in lowest terms."""
    return number.as_integer_ratio()
