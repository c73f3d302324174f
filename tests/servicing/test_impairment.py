"""Classes by days past due, stages and expected loss at their boundaries."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicing.stories import ANNUITY, HARD, START

from tael_servicing.arithmetic.events import Disbursed, Repaid, Settled
from tael_servicing.arithmetic.fold import happen, replay
from tael_servicing.arithmetic.impairment import (
    ImpairmentPolicy,
    RiskClass,
    expected_loss,
    risk_class,
    stage,
)
from tael_servicing.arithmetic.loan import Allowance, Loan
from tael_servicing.arithmetic.prepaying import payoff

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


@pytest.mark.parametrize(("days_past_due", "expected"), BOUNDARIES)
def test_a_class_begins_the_day_after_its_limit(days_past_due: int, expected: RiskClass) -> None:
    assert risk_class(POLICY, days_past_due) is expected


@pytest.mark.parametrize(
    ("day", "expected", "allowance"),
    [
        (START, 1, Allowance(stage1=12000)),
        (date(2026, 4, 14), 1, Allowance(stage1=11054)),
        (date(2026, 4, 15), 2, Allowance(stage2=110538)),
        (date(2026, 6, 13), 2, Allowance(stage2=110538)),
        (date(2026, 6, 14), 3, Allowance(stage3=552691)),
    ],
)
def test_the_allowance_follows_the_stage(day: date, expected: int, allowance: Allowance) -> None:
    loan = replay(HARD, SILENT, day).loan
    worst, at = standing(loan)
    assert at == expected
    assert expected_loss(NO_FLOOR, HARD.annual_rate, loan, worst, at) == allowance


def test_an_allowance_is_at_least_the_floor_of_the_class() -> None:
    loan = replay(HARD, SILENT, date(2026, 4, 14)).loan
    found = expected_loss(POLICY, HARD.annual_rate, loan, *standing(loan))
    assert found == Allowance(stage1=18423)
    loan = replay(HARD, SILENT, date(2027, 3, 12)).loan
    assert loan.days_past_due == 362
    found = expected_loss(POLICY, HARD.annual_rate, loan, *standing(loan))
    assert found == Allowance(stage3=921_151)


def test_what_a_line_may_still_lend_is_counted_in_part_until_the_loan_is_bad() -> None:
    loan = replay(ANNUITY, [Disbursed(START, "00", 1_000_000)], START).loan
    rate = ANNUITY.annual_rate
    assert expected_loss(POLICY, rate, loan, RiskClass.NORMAL, 1, 500_000) == (
        Allowance(stage1=(1_000_000 + 50_000) * 12 // 1000)
    )
    assert expected_loss(POLICY, rate, loan, RiskClass.SUBSTANDARD, 3, 500_000) == (
        Allowance(stage3=600_000)
    )


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
    found = expected_loss(policy, terms.annual_rate, loan, RiskClass.SPECIAL_MENTION, 2)
    assert found == Allowance(stage2=int(exact.to_integral_value()))


def test_a_closed_loan_needs_no_allowance() -> None:
    loan = replay(HARD, SILENT, date(2026, 3, 1)).loan
    loan, _ = happen(HARD, loan, Settled(date(2026, 3, 1), "02", payoff(HARD, loan).total))
    assert expected_loss(POLICY, HARD.annual_rate, loan, RiskClass.NORMAL, 1) == Allowance()


@given(st.integers(0, 400), st.integers(0, 400))
def test_more_days_past_due_never_need_less_allowance(first: int, second: int) -> None:
    loan = replay(HARD, SILENT, date(2026, 4, 14)).loan

    def needed(dpd: int) -> int:
        worst = risk_class(POLICY, dpd)
        at = stage(POLICY, worst, dpd, non_accrual=False)
        return sum(expected_loss(POLICY, HARD.annual_rate, loan, worst, at))

    low, high = sorted((first, second))
    assert needed(low) <= needed(high)
