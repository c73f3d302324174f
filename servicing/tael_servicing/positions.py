"""Accrual positions: every charge of a loan as a straight line since the loan was last written.

What a line has grown by after n nights is R((carry + n x per_night) / denominator) less what was
posted of it before, R being the product's rounding; what a night posts is what it adds to that. So
no night is written, none is folded, and no rounding drifts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from tael_servicing.arithmetic.day import bears_matured, charges_compound, charges_penalty
from tael_servicing.arithmetic.loan import DAY, Loan, current_accrual
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.arithmetic.rounding import Rounding, rounded
from tael_servicing.arithmetic.terms import Part, Terms
from tael_servicing.arithmetic.vat import EARNED, Vat

ACCRUED = "INTEREST_ACCRUED"


@dataclass(frozen=True, slots=True)
class Position:
    """One line; minor units times denominator for numerators, minor units else."""

    kind: str
    instalment: int
    """Its place in the schedule, from 1."""
    since: date
    """The loan's business date: its lines begin anew whenever it is written."""
    carry: int
    """Below zero where the first nights bear nothing: nothing grows until the numerator is above."""
    per_night: int
    denominator: int
    posted: int
    """What comes first to the numerator and was not posted with it comes with the first night."""
    rounding: str
    """The name of the terms' `Rounding`."""
    on_balance: bool
    earned: int
    """Income of its kind over the loan's life, gross, where its VAT is split off; else 0."""
    vat_numerator: int
    """VAT in a gross amount; 0 where none is split off."""
    vat_denominator: int

    def grown(self, day: date) -> int:
        """Minor units by which the line has grown since its break when a day opens."""
        nights = (day - self.since).days
        if nights <= 0:
            return 0
        exact = max(self.carry + self.per_night * nights, 0)
        return rounded(exact, self.denominator, Rounding[self.rounding]) - self.posted


def positions(terms: Terms, loan: Loan) -> Iterator[Position]:
    """Every line of a loan that grows, as of its business date."""
    if not loan.running:
        return
    if loan.current is not None:
        row = loan.current.instalment
        rest, span = row.accrues - row.before, (row.period.end - row.since).days
        if rest and span:
            nights = (loan.business_date - row.since).days
            posted = current_accrual(terms, loan) - row.before
            place = loan.due_count + 1
            yield _line(terms, loan, Part.INTEREST, place, (rest * nights, rest, span, posted))
    numerator, denominator = loan.charge
    if matured := bears_matured(terms, loan) * numerator:
        asked = sum(row.matured for row in loan.rows)
        line = (loan.matured_exact, matured, denominator, asked)
        yield _line(terms, loan, Part.INTEREST, len(loan.rows), line)
    penalty, compound = charges_penalty(terms), charges_compound(terms, loan)
    for place, owed in enumerate(loan.arrears, loan.settled_count + 1):
        bases = (
            (Part.PENALTY, owed.penalty_exact, owed.principal_unpaid * penalty),
            (Part.COMPOUND, owed.compound_exact, owed.compounds * compound),
        )
        for part, exact, base in bases if owed.overdue and not loan.paused else ():
            if base * numerator:
                line = (exact, base * numerator, denominator, owed.due[part])
                yield _line(terms, loan, part, place, line)


def _line(
    terms: Terms, loan: Loan, part: Part, place: int, line: tuple[int, int, int, int]
) -> Position:
    """`line`: carry, per_night, denominator, posted."""
    taxed = loan.vat if loan.accruing else None
    return Position(
        part.name,
        place,
        loan.business_date,
        *line,
        terms.rounding.name,
        loan.accruing,
        taxed.earned[part] if taxed else 0,
        *(taxed.rate if taxed else (0, 1)),
    )


def night_of(lines: Sequence[Position], night: date) -> Posting | None:
    """What the lines of a loan, which began together, post for a night; None where nothing grows."""
    first = lines[0]
    earned, amounts = [0, 0, 0, 0, 0], dict.fromkeys(EARNED, 0)
    for line in lines:
        earned[Part[line.kind]] = line.earned
    for line in lines:
        stood = line.grown(night)
        earned[Part[line.kind]] += stood
        amounts[line.kind.lower()] += line.grown(night + DAY) - stood
    if not any(amounts.values()):
        return None
    if first.vat_numerator:
        vat = Vat((first.vat_numerator, first.vat_denominator), earned)
        amounts |= vat.split(ACCRUED, amounts)[0]
    moved = {name: amount for name, amount in amounts.items() if amount}
    return Posting(ACCRUED, night, first.on_balance, moved)
