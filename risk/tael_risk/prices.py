"""Prices: a grade's annual rate, under the cost cap and over the cost of the loan (§6.5)."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class DatedRate:
    """An annual rate from a day on, with where it comes from."""

    effective_from: date
    rate: Decimal
    source: str


@dataclass(frozen=True)
class PriceRules:
    """What a loan costs the lender, as annual rates, and what it may cost the borrower."""

    funding: Decimal
    operations: Decimal
    loss_given_default: Decimal
    capital: Decimal
    cost_caps: tuple[DatedRate, ...]
    """The most all-in cost a loan may have, by date."""

    def cap_on(self, day: date) -> Decimal | None:
        """The cap in force on a day; None before the first."""
        in_force = [cap for cap in self.cost_caps if cap.effective_from <= day]
        return max(in_force, key=lambda cap: cap.effective_from).rate if in_force else None

    def cost(self, default_probability: Decimal) -> Decimal:
        """funding + operations + PD × LGD + capital, a year."""
        loss = default_probability * self.loss_given_default
        return self.funding + self.operations + loss + self.capital


@dataclass(frozen=True)
class GradePrice:
    """A grade's rate and the band it may move in, annual."""

    default_probability: Decimal
    """Of 12 months."""
    lowest_rate: Decimal
    rate: Decimal


def rate_under_cap(
    rules: PriceRules, grade: GradePrice, cost_cap: Decimal | None, business_date: date
) -> Decimal | None:
    """The grade's annual rate, cut to the lowest cap that applies.

    None where the cap lies below the grade's band or below the loan's cost: such a loan is refused,
    never priced at a loss or above the cap.
    """
    caps = [cap for cap in (cost_cap, rules.cap_on(business_date)) if cap is not None]
    rate = min([grade.rate, *caps])
    least = max(grade.lowest_rate, rules.cost(grade.default_probability))
    return rate if rate >= least else None
