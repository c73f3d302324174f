"""Risk classes by days past due, stages and expected credit loss (CAS 22, three stages)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.loan import Allowance, Loan
from tael_servicing.arithmetic.rounding import Rounding, rounded


class RiskClass(IntEnum):
    """The five classes, best first (商业银行金融资产风险分类办法, 2023)."""

    NORMAL = 1  # 正常
    SPECIAL_MENTION = 2  # 关注
    SUBSTANDARD = 3  # 次级
    DOUBTFUL = 4  # 可疑
    LOSS = 5  # 损失


BAD = RiskClass.SUBSTANDARD
"""The best class that is bad (不良)."""


@dataclass(frozen=True)
class ImpairmentPolicy:
    """The lender's parameters; probabilities, losses and floors as ratios."""

    class_limits: tuple[int, int, int, int] = (0, 90, 270, 360)
    """Days past due above which each worse class begins."""
    stage2_dpd: int = 30
    """Days past due above which credit risk has increased significantly."""
    default_probability_12_months: Decimal = Decimal("0.02")
    """Stage 1."""
    default_probability_by_year: tuple[Decimal, ...] = (Decimal("0.2"),)
    """Stage 2: in each year to come."""
    loss_given_default: Decimal = Decimal("0.6")
    """Of the exposure; stage 3 has defaulted."""
    discounted: bool = False
    """The loss of a year is discounted from its end at the loan's rate."""
    credit_conversion: Decimal = Decimal("0.1")
    """Share of an undrawn commitment that is drawn before default."""
    floors: tuple[Decimal, ...] = (
        Decimal("0.01"),
        Decimal("0.02"),
        Decimal("0.25"),
        Decimal("0.5"),
        Decimal(1),
    )
    """Least allowance by class, of principal (银发〔2002〕98号)."""
    observation_days: int = 365
    """A restructured loan stays at least special mention for so long."""
    min_allowance_ratio: Decimal = Decimal("0.015")
    """Allowance over loans (银监发〔2018〕7号)."""
    min_coverage_ratio: Decimal = Decimal("1.2")
    """Allowance over bad loans (likewise)."""
    bucket_limits: tuple[int, ...] = (0, 30, 60, 90, 120, 150, 180)
    """Last day past due of each bucket but the last."""


def risk_class(policy: ImpairmentPolicy, days_past_due: int) -> RiskClass:
    """The class that days past due alone give a retail loan."""
    return RiskClass(1 + sum(days_past_due > limit for limit in policy.class_limits))


def stage(
    policy: ImpairmentPolicy, worst: RiskClass, days_past_due: int, *, non_accrual: bool
) -> int:
    """1, 2 or 3 by class and days past due: bad or non-accrual is credit-impaired."""
    if non_accrual or max(worst, risk_class(policy, days_past_due)) >= BAD:
        return 3
    return 2 if days_past_due > policy.stage2_dpd else 1


def expected_loss(
    policy: ImpairmentPolicy,
    annual_rate: Decimal,
    loan: Loan,
    worst: RiskClass,
    at: int,
    undrawn: int = 0,
) -> Allowance:
    """The allowance a loan of that class and stage needs, all of it in its stage; minor units.

    Of a loan that was bought, only what is lost beyond what its price allowed for.
    The sum over the years of PD x LGD x EAD x DF (银保监规〔2022〕10号), at least the class's floor.
    The exposure of a year is what is owed when it begins: what is due stays owed, what is not is
    repaid as scheduled. `undrawn` is the commitment this loan answers for.
    """
    if not loan.running:
        return Allowance()
    priced = _exposure(loan, 0) - loan.cost if loan.cost is not None else 0
    growth = 1 + Fraction(annual_rate) if policy.discounted and at < 3 else Fraction(1)
    drawn_later = Fraction(policy.credit_conversion) * undrawn if at < 3 else Fraction(0)
    defaulted = sum(
        (
            probability * (_exposure(loan, year - 1) + drawn_later) / growth**year
            for year, probability in enumerate(_default_probabilities(policy, at), 1)
        ),
        Fraction(0),
    )
    floor = _exposure(loan, 0) * Fraction(policy.floors[worst - 1])
    needed = max(defaulted * Fraction(policy.loss_given_default), floor) - priced
    amounts = [0, 0, 0]
    needed = max(needed, Fraction(0))
    amounts[at - 1] = rounded(needed.numerator, needed.denominator, Rounding.HALF_UP)
    return Allowance(*amounts)


def _default_probabilities(policy: ImpairmentPolicy, at: int) -> Sequence[Fraction]:
    """In each year to come."""
    if at == 1:
        return (Fraction(policy.default_probability_12_months),)
    if at == 2:
        return [Fraction(each) for each in policy.default_probability_by_year]
    return (Fraction(1),)


def _exposure(loan: Loan, years: int) -> int:
    """Principal owed after so many years if what is not yet due is paid when it is."""
    then = months_after(loan.business_date, 12 * years, loan.business_date.day)
    due = loan.rows[loan.settled_count : loan.due_count]
    later = [row for row in loan.rows[loan.due_count :] if row.instalment.due_date >= then]
    return sum(row.principal_unpaid for row in (*due, *later))
