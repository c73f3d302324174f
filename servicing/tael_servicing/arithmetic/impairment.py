"""Risk classes by days past due, stages and expected credit loss (CAS 22, three stages)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from math import lcm
from operator import mul
from typing import NamedTuple

from tael_servicing.arithmetic.dates import months_after
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
DEFAULTED = 3
"""The stage of what is credit-impaired."""


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
        return DEFAULTED
    return 2 if days_past_due > policy.stage2_dpd else 1


class LossRates(NamedTuple):
    """What is lost of an exposure, as shares over one denominator."""

    by_year: tuple[int, ...]
    """Of what is exposed when each year to come begins; these add up."""
    least: int
    """Of what is exposed today, whatever the years say."""
    denominator: int

    def needed(self, exposures: Sequence[int], priced: int = 0) -> int:
        """The allowance for what is exposed when each year begins, today's first; minor units.

        Years for which no exposure is given have none. `priced`: what the price of a loan that was
        bought allows for already.
        """
        lost = sum(map(mul, self.by_year, exposures))
        floor = self.least * exposures[0]
        beyond = max(max(lost, floor) - priced * self.denominator, 0)
        return rounded(beyond, self.denominator, Rounding.HALF_UP)


def loss_rates(
    policy: ImpairmentPolicy, annual_rate: Decimal, worst: RiskClass, at: int
) -> LossRates:
    """Of a loan of that class and stage: PD x LGD x DF by year (银保监规〔2022〕10号), at least the
    class's floor. The exposure of a year is what is owed when it begins: what is due stays owed, what
    is not is repaid as scheduled.
    """
    return _over_one_denominator(
        _lost_by_year(policy, annual_rate, at), Fraction(policy.floors[worst - 1])
    )


def commitment_rates(policy: ImpairmentPolicy, annual_rate: Decimal, at: int) -> LossRates:
    """Of what may still be drawn of a line whose loans are in that stage: the part of it that is
    drawn before default is lost as a loan is. A line in default is drawn no more.
    """
    drawn = Fraction(policy.credit_conversion) if at < DEFAULTED else Fraction(0)
    by_year = [drawn * share for share in _lost_by_year(policy, annual_rate, at)]
    return _over_one_denominator(by_year, Fraction(0))


def _lost_by_year(policy: ImpairmentPolicy, annual_rate: Decimal, at: int) -> list[Fraction]:
    growth = 1 + Fraction(annual_rate) if policy.discounted and at < DEFAULTED else Fraction(1)
    loss = Fraction(policy.loss_given_default)
    probabilities = enumerate(_default_probabilities(policy, at), 1)
    return [probability * loss / growth**year for year, probability in probabilities]


def _over_one_denominator(by_year: Sequence[Fraction], least: Fraction) -> LossRates:
    whole = lcm(least.denominator, *(share.denominator for share in by_year))
    return LossRates(tuple(int(share * whole) for share in by_year), int(least * whole), whole)


def _default_probabilities(policy: ImpairmentPolicy, at: int) -> Sequence[Fraction]:
    """In each year to come."""
    if at == 1:
        return (Fraction(policy.default_probability_12_months),)
    if at < DEFAULTED:
        return [Fraction(each) for each in policy.default_probability_by_year]
    return (Fraction(1),)


def year_begins(day: date, years: int) -> list[date]:
    """Today and its anniversaries: when each of so many years to come begins."""
    return [months_after(day, 12 * year, day.day) for year in range(years)]
