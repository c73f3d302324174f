"""Rounding exact ratios to minor units."""

from __future__ import annotations

from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.arithmetic.rounding import Rounding, rounded


@given(
    mode=st.sampled_from(Rounding),
    numerator=st.integers(0, 10**6),
    denominator=st.sampled_from([1, 2, 4, 5, 360]),
)
def test_every_mode_rounds_as_the_decimal_module_does(
    mode: Rounding, numerator: int, denominator: int
) -> None:
    exact = Context(prec=60).divide(Decimal(numerator), Decimal(denominator))
    expected = exact.quantize(Decimal(1), rounding=mode.value)
    assert rounded(numerator, denominator, mode) == expected


def test_half_even_leaves_a_half_at_the_even_unit() -> None:
    assert [rounded(n, 2, Rounding.HALF_EVEN) for n in (1, 3, 5)] == [0, 2, 2]
    assert [rounded(n, 2, Rounding.HALF_UP) for n in (1, 3, 5)] == [1, 2, 3]
