"""Classes by days past due, stages and expected loss at their boundaries."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicing.stories import ANNUITY, HARD, START

from tael_servicing.arithmetic.events import Disbursed, Repaid
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.impairment import (
    ImpairmentPolicy,
    RiskClass,
    commitment_rates,
    loss_rates,
    risk_class,
    stage,
)
from tael_servicing.arithmetic.loan import Loan

POLICY = ImpairmentPolicy()
NO_FLOOR = replace(POLICY, floors=(Decimal(0),) * 5)
SILENT = [Disbursed(START, "00", 1_000_000), Repaid(date(2026, 2, 15), "01", 88849)]
BOUNDARIES = [
    (0, RiskClass.NORMAL),
    (1, RiskClass.SPECIAL_MENTION),
    (90, RiskClass.SPECIAL_MENTION),
    (91, RiskClass.SUBSTANDARD),
    (270, RiskClass.SUBSTANDARD),
    (271, RiskClass.DOUBTFUL),
    (360, RiskClass.DOUBTFUL),
    (361, RiskClass.LOSS),
]


def standing(loan: Loan) -> tuple[RiskClass, int]:
    """Class and stage by days past due alone."""
    worst = risk_class(POLICY, loan.days_past_due)
    non_accrual = loan.nonaccrual_since is not None
    return worst, stage(POLICY, worst, loan.days_past_due, non_accrual=non_accrual)


def owed(loan: Loan) -> int:
    """Principal."""
    return sum(row.principal_unpaid for row in loan.rows)


@pytest.mark.parametrize(("days_past_due", "expected"), BOUNDARIES)
def test_a_class_begins_the_day_after_its_limit(days_past_due: int, expected: RiskClass) -> None:
    assert risk_class(POLICY, days_past_due) is expected


@pytest.mark.parametrize(
    ("day", "expected", "allowance"),
    [
        (START, 1, 12000),
        (date(2026, 4, 14), 1, 11054),
        (date(2026, 4, 15), 2, 110538),
        (date(2026, 6, 13), 2, 110538),
        (date(2026, 6, 14), 3, 552691),
    ],
)
def test_the_allowance_follows_the_stage(day: date, expected: int, allowance: int) -> None:
    loan = replay(HARD, SILENT, day).loan
    worst, at = standing(loan)
    assert at == expected
    needed = loss_rates(NO_FLOOR, HARD.annual_rate, worst, at).needed([owed(loan)])
    assert needed == allowance


def test_an_allowance_is_at_least_the_floor_of_the_class() -> None:
    loan = replay(HARD, SILENT, date(2026, 4, 14)).loan
    assert loss_rates(POLICY, HARD.annual_rate, *standing(loan)).needed([owed(loan)]) == 18423
    loan = replay(HARD, SILENT, date(2027, 3, 12)).loan
    assert loan.days_past_due == 362
    assert loss_rates(POLICY, HARD.annual_rate, *standing(loan)).needed([owed(loan)]) == 921_151


def test_what_a_line_may_still_lend_may_be_lost_in_part_until_its_loans_are_bad() -> None:
    rate = ANNUITY.annual_rate
    # 10 % of 5,000.00 is drawn before default; 2 % x 60 % of that is lost in twelve months.
    assert commitment_rates(POLICY, rate, 1).needed([500_000]) == 600
    # 20 % x 60 % of it over its life, nothing once its loans are credit-impaired.
    assert commitment_rates(POLICY, rate, 2).needed([500_000]) == 6_000
    assert commitment_rates(POLICY, rate, 3).needed([500_000]) == 0


def test_a_commitment_is_exposed_in_the_years_that_begin_before_its_last_day() -> None:
    policy = replace(POLICY, default_probability_by_year=(Decimal("0.1"), Decimal("0.05")))
    rates = commitment_rates(policy, ANNUITY.annual_rate, 2)
    assert rates.needed([500_000]) == 3_000
    assert rates.needed([500_000, 500_000]) == 4_500


def test_a_lifetime_loss_is_summed_over_the_years_on_what_is_owed_when_each_begins() -> None:
    terms = replace(ANNUITY, periods=24)
    loan = replay(terms, [Disbursed(START, "00", 1_000_000)], START).loan
    policy = replace(
        NO_FLOOR, default_probability_by_year=(Decimal("0.1"), Decimal("0.1")), discounted=True
    )
    second_year = sum(
        row.principal_unpaid for row in loan.rows if row.instalment.due_date >= date(2027, 1, 15)
    )
    exact = Decimal("0.06") * (1_000_000 / Decimal("1.12") + second_year / Decimal("1.2544"))
    rates = loss_rates(policy, terms.annual_rate, RiskClass.SPECIAL_MENTION, 2)
    assert rates.needed([1_000_000, second_year]) == exact.to_integral_value()


@given(st.integers(0, 400), st.integers(0, 400))
def test_more_days_past_due_never_need_less_allowance(first: int, second: int) -> None:
    def needed(dpd: int) -> int:
        worst = risk_class(POLICY, dpd)
        at = stage(POLICY, worst, dpd, non_accrual=False)
        return loss_rates(POLICY, HARD.annual_rate, worst, at).needed([921_151])

    low, high = sorted((first, second))
    assert needed(low) <= needed(high)
