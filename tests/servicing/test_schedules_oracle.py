"""等额本息 against an independent library: numpy-financial's annuity."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy_financial
from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import Method, Terms


@given(
    principal=st.integers(100_000, 100_000_000),
    periods=st.integers(2, 120),
    basis_points=st.integers(1, 3_600),
)
def test_the_instalment_is_the_annuitys_to_the_cent(
    principal: int, periods: int, basis_points: int
) -> None:
    rate = Decimal(basis_points) / 10_000
    terms = Terms(method=Method.EQUAL_INSTALMENT, periods=periods, annual_rate=rate)
    schedule = build_schedule(terms, principal, date(2026, 1, 15))
    annuity = -numpy_financial.pmt(float(rate) / 12, periods, principal)
    assert {row.amount for row in schedule.instalments[:-1]} == {schedule.instalments[0].amount}
    assert abs(schedule.instalments[0].amount - annuity) <= 0.5 + 1e-6 * principal / 1_000
    assert sum(row.principal for row in schedule.instalments) == principal
