"""Rounding exact ratios to whole minor units."""

from __future__ import annotations

import decimal
from enum import Enum
from fractions import Fraction


class Rounding(Enum):
    """Where an exact amount goes between two minor units; the values are `decimal`'s names."""

    HALF_UP = decimal.ROUND_HALF_UP
    HALF_EVEN = decimal.ROUND_HALF_EVEN
    UP = decimal.ROUND_UP
    DOWN = decimal.ROUND_DOWN


def rounded(numerator: int, denominator: int, mode: Rounding) -> int:
    """numerator / denominator in whole units; both at least zero, the denominator more."""
    assert numerator >= 0 < denominator, (numerator, denominator)
    whole, rest = divmod(numerator, denominator)
    match mode:
        case Rounding.HALF_UP:
            up = 2 * rest >= denominator
        case Rounding.HALF_EVEN:
            up = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
        case Rounding.UP:
            up = rest > 0
        case Rounding.DOWN:
            up = False
    return whole + up


def share(amount: int, ratio: Fraction, mode: Rounding) -> int:
    """amount x ratio in whole units: interest on a balance, a fee on a principal."""
    return rounded(amount * ratio.numerator, ratio.denominator, mode)
