"""Limits and prices against the worked vectors, and what always holds."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk.applicants import BUSINESS_DATE, shipped

from tael_risk.limits import (
    DatedAmount,
    ExposureCap,
    GradeLimit,
    Limit,
    LimitInputs,
    LimitRules,
    compute_limit,
    present_value,
)
from tael_risk.prices import GradePrice, rate_under_cap

RULES = LimitRules(floor_to=10_000, caps=(), loan_to_value=Decimal("0.7"), factors=())
GRADE_C = GradeLimit(Decimal(4), Decimal("0.50"), {"STANDARD": 10_000_000})
VECTOR = LimitInputs(
    product_min=100_000,
    product_max=20_000_000,
    periods=12,
    monthly_income=1_200_000,
    monthly_due=300_000,
    exposure=0,
    segment="STANDARD",
    annual_rate=Decimal("0.12"),
)


def limit(rules: LimitRules = RULES, **changes: object) -> Limit:
    inputs = replace(VECTOR, **changes)  # type: ignore[arg-type]  the test names real fields
    return compute_limit(rules, GRADE_C, inputs, (), BUSINESS_DATE)


def test_twelve_payments_of_3000_at_12_percent_repay_33765_23() -> None:
    assert round(present_value(300_000, Decimal("0.12"), 12)) == 3_376_523


def test_payments_without_interest_repay_their_sum() -> None:
    assert present_value(300_000, Decimal(0), 12) == 3_600_000


def test_the_worked_limit_is_33700() -> None:
    found = limit()
    assert found.amount == 3_370_000
    assert dict(found.terms) == {
        "product": 20_000_000,
        "income": 4_800_000,
        "debt_to_income": 3_376_523,
        "grade": 10_000_000,
    }


def test_a_cap_counts_what_is_already_granted() -> None:
    cap = ExposureCap("regulator", (DatedAmount(date(2020, 7, 12), 20_000_000, "regulation"),))
    rules = replace(RULES, caps=(cap,))
    assert limit(rules, exposure=18_000_000).amount == 2_000_000
    assert limit(rules, exposure=25_000_000).amount == 0


def test_a_cap_holds_from_its_day_on() -> None:
    cap = ExposureCap(
        "regulator",
        (
            DatedAmount(date(2020, 7, 12), 20_000_000, "old"),
            DatedAmount(date(2025, 3, 14), 30_000_000, "new"),
        ),
    )
    assert cap.amount_on(date(2020, 7, 11)) is None
    assert cap.amount_on(date(2025, 3, 13)) == 20_000_000
    assert cap.amount_on(date(2025, 3, 14)) == 30_000_000


def test_collateral_bounds_the_limit_only_where_there_is_some() -> None:
    assert limit(collateral_value=1_000_000).amount == 700_000


def test_a_segment_the_grade_does_not_name_gets_nothing() -> None:
    assert limit(segment="UNHEARD_OF").amount == 0


def test_less_than_the_product_lends_is_no_limit() -> None:
    assert limit(product_min=3_370_000).amount == 3_370_000
    assert limit(product_min=3_370_001).amount == 0


@given(
    income=st.integers(0, 10**9),
    due=st.integers(0, 10**9),
    periods=st.integers(1, 360),
    rate=st.decimals("0", "0.36", places=4),
)
def test_a_limit_is_a_multiple_of_100_and_within_every_bound(
    income: int, due: int, periods: int, rate: Decimal
) -> None:
    found = limit(monthly_income=income, monthly_due=due, periods=periods, annual_rate=rate)
    assert found.amount % 10_000 == 0
    assert 0 <= found.amount <= max(0, min(amount for _, amount in found.terms))
    more_due = limit(
        monthly_income=income, monthly_due=due + 1_000, periods=periods, annual_rate=rate
    )
    assert more_due.amount <= found.amount


PRICE = shipped().policy.price
GRADE_D = GradePrice(Decimal("0.035"), Decimal("0.16"), Decimal("0.18"))


@pytest.mark.parametrize(
    ("cap", "rate"),
    [
        (None, "0.18"),
        ("0.24", "0.18"),
        ("0.17", "0.17"),
        ("0.16", "0.16"),
        ("0.1599", None),
        ("0.12", None),
    ],
)
def test_a_rate_is_cut_to_the_cap_but_never_below_its_band(
    cap: str | None, rate: str | None
) -> None:
    found = rate_under_cap(PRICE, GRADE_D, Decimal(cap) if cap else None, BUSINESS_DATE)
    assert found == (Decimal(rate) if rate else None)


def test_a_rate_below_the_loans_cost_is_refused() -> None:
    dear = GradePrice(Decimal("0.20"), Decimal("0.10"), Decimal("0.18"))
    assert PRICE.cost(dear.default_probability) == Decimal("0.18")
    assert rate_under_cap(PRICE, dear, None, BUSINESS_DATE) == Decimal("0.18")
    assert rate_under_cap(PRICE, dear, Decimal("0.17"), BUSINESS_DATE) is None
