"""Penalty and compound interest: straight lines with an exact carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tael_servicing.arithmetic.rounding import rounded
from tael_servicing.arithmetic.terms import Part, Terms


@dataclass(frozen=True, slots=True)
class Line:
    """What one charge has grown to.

    `numerator` over the denominator of the daily penalty rate is the exact amount, `accrued` its
    rounding as posted so far, `paid` what came in.
    """

    numerator: int = 0
    accrued: int = 0
    paid: int = 0

    @property
    def unpaid(self) -> int:
        """Accrued and not paid."""
        return self.accrued - self.paid

    def carried(self, terms: Terms, base: int, nights: int) -> Line:
        """Grown exactly but not yet posted: the nights of grace that were not kept."""
        grown = self.numerator + base * nights * terms.daily_penalty_rate.numerator
        return Line(grown, self.accrued, self.paid)

    def grown(self, terms: Terms, base: int, nights: int) -> Line:
        """After `nights` on an unchanged base; R(Σ exact), so that no night's rounding is lost."""
        rate = terms.daily_penalty_rate
        numerator = self.numerator + base * nights * rate.numerator
        return Line(numerator, rounded(numerator, rate.denominator, terms.rounding), self.paid)

    def settled_by(self, terms: Terms, amount: int) -> Line:
        """After a payment; one that clears the line takes its fraction of a minor unit with it."""
        assert 0 <= amount <= self.unpaid, (amount, self)
        paid = self.paid + amount
        cleared = paid == self.accrued
        denominator = terms.daily_penalty_rate.denominator
        return Line(self.accrued * denominator if cleared else self.numerator, self.accrued, paid)


@dataclass(frozen=True, slots=True)
class Charges:
    """Penalty on overdue principal and compound on unpaid due contract interest.

    Never on penalty or on compound itself.
    """

    penalty: Line
    compound: Line

    @property
    def unpaid(self) -> Mapping[Part, int]:
        """Accrued and not paid."""
        return {Part.PENALTY: self.penalty.unpaid, Part.COMPOUND: self.compound.unpaid}

    @property
    def paid(self) -> int:
        """What came in on both."""
        return self.penalty.paid + self.compound.paid

    def carried(self, terms: Terms, principal: int, interest: int, nights: int) -> Charges:
        """Both lines carried over nights of grace that were not kept."""
        return Charges(
            self.penalty.carried(terms, principal, nights),
            self.compound.carried(terms, interest * terms.compound_enabled, nights),
        )

    def grown(self, terms: Terms, principal: int, interest: int, nights: int) -> Charges:
        """Both lines grown over `nights` on unchanged bases."""
        return Charges(
            self.penalty.grown(terms, principal, nights),
            self.compound.grown(terms, interest * terms.compound_enabled, nights),
        )

    def paid_with(self, terms: Terms, taken: Mapping[Part, int]) -> Charges:
        """After a payment took these parts."""
        return Charges(
            self.penalty.settled_by(terms, taken.get(Part.PENALTY, 0)),
            self.compound.settled_by(terms, taken.get(Part.COMPOUND, 0)),
        )


NO_CHARGES = Charges(Line(), Line())
