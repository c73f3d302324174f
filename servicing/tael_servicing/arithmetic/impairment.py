"""Risk classes, stages and expected credit loss (CAS 22, three stages; NFRA/PBOC order 2023 no. 1)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

from tael_servicing.arithmetic.loan import Allowance, Loan, Status, balances
from tael_servicing.arithmetic.rounding import share
from tael_servicing.arithmetic.terms import Terms


class RiskClass(IntEnum):
    """The five classes, best first."""

    NORMAL = 1  # 正常
    SPECIAL_MENTION = 2  # 关注
    SUBSTANDARD = 3  # 次级
    DOUBTFUL = 4  # 可疑
    LOSS = 5  # 损失


@dataclass(frozen=True)
class ImpairmentPolicy:
    """The lender's parameters; probabilities and loss given default as ratios."""

    class_limits: tuple[int, int, int, int] = (0, 90, 270, 360)
    """Days past due above which each worse class begins."""
    stage2_dpd: int = 30
    """Days past due above which credit risk has increased significantly."""
    default_probability: tuple[Decimal, Decimal, Decimal] = (
        Decimal("0.02"),
        Decimal("0.20"),
        Decimal(1),
    )
    """Twelve months in stage 1, lifetime in stages 2 and 3."""
    loss_given_default: Decimal = Decimal("0.60")


def risk_class(policy: ImpairmentPolicy, days_past_due: int) -> RiskClass:
    """The class that days past due alone give a retail loan."""
    return RiskClass(1 + sum(days_past_due > limit for limit in policy.class_limits))


def stage(policy: ImpairmentPolicy, loan: Loan) -> int:
    """1, 2 or 3: substandard or non-accrual is credit-impaired."""
    worst = risk_class(policy, loan.days_past_due)
    if loan.status is Status.NON_ACCRUAL or worst >= RiskClass.SUBSTANDARD:
        return 3
    return 2 if loan.days_past_due > policy.stage2_dpd else 1


def expected_loss(policy: ImpairmentPolicy, terms: Terms, loan: Loan) -> Allowance:
    """The allowance a loan needs: principal × PD × LGD, all of it in the loan's stage."""
    held = balances(terms, loan)
    exposure = held.principal_normal + held.principal_overdue + held.principal_impaired
    at = stage(policy, loan)
    ratio = Fraction(policy.default_probability[at - 1]) * Fraction(policy.loss_given_default)
    needed = [0, 0, 0]
    needed[at - 1] = share(exposure, ratio, terms.rounding)
    return Allowance(*needed)
