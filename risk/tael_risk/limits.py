"""Credit limits: the smallest of what product, income, debts, grade and rules allow (§6.5).

Amounts are integers in minor units; a fraction is only ever cut off, never rounded up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Context, Decimal

from tael_risk.conditions import Condition

CUT_OFF = Context(prec=34, rounding=ROUND_DOWN)


@dataclass(frozen=True)
class DatedAmount:
    """An amount from a day on, with where it comes from."""

    effective_from: date
    amount: int
    source: str


@dataclass(frozen=True)
class ExposureCap:
    """The most one customer may owe: a regulator's or the lender's own cap."""

    name: str
    values: tuple[DatedAmount, ...]

    def amount_on(self, day: date) -> int | None:
        """The cap in force on a day; None before the first."""
        in_force = [value for value in self.values if value.effective_from <= day]
        return max(in_force, key=lambda value: value.effective_from).amount if in_force else None


@dataclass(frozen=True)
class RiskFactor:
    """A cut of the limit where a condition holds."""

    code: str
    description: str
    when: Condition
    factor: Decimal


@dataclass(frozen=True)
class LimitRules:
    """The limit's parameters that do not depend on the grade."""

    floor_to: int
    """The limit is cut down to a multiple of this."""
    caps: tuple[ExposureCap, ...]
    loan_to_value: Decimal
    factors: tuple[RiskFactor, ...]


@dataclass(frozen=True)
class GradeLimit:
    """What a grade allows."""

    income_multiple: Decimal
    max_debt_to_income: Decimal
    ceilings: Mapping[str, int]
    """Most by customer segment; a segment not named gets nothing."""


@dataclass(frozen=True)
class LimitInputs:
    """One applicant's figures."""

    product_min: int
    product_max: int
    periods: int
    monthly_income: int
    """0 where not known: nothing is lent against income nobody stated."""
    monthly_due: int
    exposure: int
    """Limits and balances he has with this lender already."""
    segment: str
    annual_rate: Decimal
    collateral_value: int | None = None


@dataclass(frozen=True)
class Limit:
    """A limit and how it came about."""

    amount: int
    """0 where the least the product lends is not reached."""
    terms: tuple[tuple[str, int], ...]
    """Each bound by name, in minor units; the smallest one binds."""
    factor: Decimal
    factor_codes: tuple[str, ...]


def present_value(payment: int, annual_rate: Decimal, periods: int) -> Decimal:
    """What `periods` monthly payments repay at an annual rate: payment · (1 − (1+i)^−n) / i."""
    monthly = CUT_OFF.divide(annual_rate, Decimal(12))
    if not monthly:
        return Decimal(payment * periods)
    discount = CUT_OFF.power(CUT_OFF.add(Decimal(1), monthly), Decimal(-periods))
    annuity = CUT_OFF.divide(CUT_OFF.subtract(Decimal(1), discount), monthly)
    return CUT_OFF.multiply(Decimal(payment), annuity)


def compute_limit(
    rules: LimitRules,
    grade: GradeLimit,
    inputs: LimitInputs,
    factors: tuple[RiskFactor, ...],
    business_date: date,
) -> Limit:
    """floor(min(bounds) × the least of `factors`), those whose condition holds."""
    terms = tuple(_bounds(rules, grade, inputs, business_date).items())
    factor = min((each.factor for each in factors), default=Decimal(1))
    least = max(0, min(amount for _, amount in terms))
    cut = int(CUT_OFF.multiply(Decimal(least), factor))
    amount = cut - cut % rules.floor_to
    return Limit(
        amount=amount if amount > 0 and amount >= inputs.product_min else 0,
        terms=terms,
        factor=factor,
        factor_codes=tuple(each.code for each in factors),
    )


def _bounds(
    rules: LimitRules, grade: GradeLimit, inputs: LimitInputs, business_date: date
) -> dict[str, int]:
    income = Decimal(inputs.monthly_income)
    room = int(CUT_OFF.multiply(income, grade.max_debt_to_income)) - inputs.monthly_due
    bounds = {
        "product": inputs.product_max,
        "income": int(CUT_OFF.multiply(income, grade.income_multiple)),
        "debt_to_income": int(present_value(max(0, room), inputs.annual_rate, inputs.periods)),
        "grade": grade.ceilings.get(inputs.segment, 0),
    }
    for cap in rules.caps:
        amount = cap.amount_on(business_date)
        if amount is not None:
            bounds[cap.name] = amount - inputs.exposure
    if inputs.collateral_value is not None:
        worth = CUT_OFF.multiply(Decimal(inputs.collateral_value), rules.loan_to_value)
        bounds["collateral"] = int(worth)
    return bounds
