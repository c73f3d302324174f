"""Accrual positions: every charge of a loan as a straight line since its last break.

What is owed of a line on a day is R((carry + nights x per_night) / denominator); what a night posts
is that less what was posted before. So no night is folded and no rounding drifts (DESIGN.md §4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from tael_servicing.arithmetic.day import charges_compound, charges_penalty
from tael_servicing.arithmetic.loan import Loan, current_accrual
from tael_servicing.arithmetic.terms import Part, Terms

INTEREST, PENALTY, COMPOUND = "INTEREST", "PENALTY", "COMPOUND"


@dataclass(frozen=True, slots=True)
class Position:
    """One line; minor units times denominator for numerators, minor units else."""

    kind: str
    instalment: int
    """Its place in the schedule, from 1."""
    since: date
    carry: int
    per_night: int
    denominator: int
    posted: int
    rounding: str
    """The name of the terms' `Rounding`."""


def positions(terms: Terms, loan: Loan) -> Iterator[Position]:
    """Every line of a loan that grows, as of its business date."""
    if not loan.running:
        return
    mode = terms.rounding.name
    if loan.current is not None:
        row = loan.current.instalment
        rest, span = row.accrues - row.before, (row.period.end - row.since).days
        if rest and span:
            carry, posted = row.before * span, current_accrual(terms, loan)
            place = loan.due_count + 1
            yield Position(INTEREST, place, row.since, carry, rest, span, posted, mode)
    numerator, denominator = loan.charge
    penalty, compound = charges_penalty(terms), charges_compound(terms, loan)
    for place, owed in enumerate(loan.arrears, loan.settled_count + 1):
        bases = (
            (PENALTY, Part.PENALTY, owed.penalty_exact, owed.principal_unpaid * penalty),
            (COMPOUND, Part.COMPOUND, owed.compound_exact, owed.interest_unpaid * compound),
        )
        for kind, part, exact, base in bases if owed.overdue else ():
            per_night = base * numerator
            if per_night:
                posted = owed.due[part]
                yield Position(
                    kind, place, loan.business_date, exact, per_night, denominator, posted, mode
                )
