"""Classes, stages and expected loss at their boundaries."""

from __future__ import annotations

from datetime import date

import pytest
from servicing.stories import HARD, START

from tael_servicing.arithmetic.events import Disbursed, Repaid, Settled, happen
from tael_servicing.arithmetic.impairment import (
    ImpairmentPolicy,
    RiskClass,
    expected_loss,
    risk_class,
    stage,
)
from tael_servicing.arithmetic.loan import Allowance
from tael_servicing.arithmetic.prepayment import payoff
from tael_servicing.arithmetic.replay import replay

POLICY = ImpairmentPolicy()
SILENT = [Disbursed(START, "00", 1_000_000), Repaid(date(2026, 2, 15), "01", 88849)]


@pytest.mark.parametrize(
    ("days_past_due", "expected"),
    [
        (0, RiskClass.NORMAL),
        (1, RiskClass.SPECIAL_MENTION),
        (90, RiskClass.SPECIAL_MENTION),
        (91, RiskClass.SUBSTANDARD),
        (270, RiskClass.SUBSTANDARD),
        (271, RiskClass.DOUBTFUL),
        (360, RiskClass.DOUBTFUL),
        (361, RiskClass.LOSS),
    ],
)
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
    assert stage(POLICY, loan) == expected
    assert expected_loss(POLICY, HARD, loan) == allowance


def test_a_closed_loan_needs_no_allowance() -> None:
    loan = replay(HARD, SILENT, date(2026, 3, 1)).loan
    loan, _ = happen(HARD, loan, Settled(date(2026, 3, 1), "02", payoff(HARD, loan).total))
    assert expected_loss(POLICY, HARD, loan) == Allowance()
