"""Accrual positions: every charge of a loan as a straight line since its last break.

What is owed of a line on a day is R((carry + nights x per_night) / denominator); what a night posts
is that less what was posted before. So no night is folded and no rounding drifts (DESIGN.md §4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from tael_servicing.arithmetic.accrual import Charges
from tael_servicing.arithmetic.loan import Loan, current_accrual
from tael_servicing.arithmetic.terms import Terms

INTEREST, PENALTY, COMPOUND = "INTEREST", "PENALTY", "COMPOUND"
MEMO = 0
"""The instalment number of the one line that runs over all overdue amounts off balance."""


@dataclass(frozen=True, slots=True)
class Position:
    """One line; minor units times denominator for numerators, minor units else."""

    kind: str
    instalment: int
    since: date
    carry: int
    per_night: int
    denominator: int
    posted: int


def positions(terms: Terms, loan: Loan) -> tuple[Position, ...]:
    """Every line of a loan that grows, as of its business date."""
    return (*_interest(terms, loan), *_charges(terms, loan))


def _interest(terms: Terms, loan: Loan) -> Iterator[Position]:
    if not loan.running or loan.current is None:
        return
    row = loan.current.instalment
    if not row.interest:
        return
    yield Position(
        INTEREST,
        row.number,
        row.period.start,
        carry=0,
        per_night=row.interest,
        denominator=row.period.days,
        posted=current_accrual(terms, loan),
    )


def _charges(terms: Terms, loan: Loan) -> Iterator[Position]:
    late = [row for row in loan.arrears if row.overdue] if loan.running else []
    if loan.memo is not None:
        principal = sum(row.principal_unpaid for row in late)
        interest = sum(row.interest_unpaid for row in late)
        yield from _pair(terms, loan, MEMO, loan.memo, (principal, interest))
        return
    for row in late:
        bases = (row.principal_unpaid, row.interest_unpaid)
        yield from _pair(terms, loan, row.instalment.number, row.charges, bases)


def _pair(
    terms: Terms, loan: Loan, instalment: int, charges: Charges, bases: tuple[int, int]
) -> Iterator[Position]:
    principal, interest = bases
    rate = terms.daily_penalty_rate
    for kind, line, base in (
        (PENALTY, charges.penalty, principal),
        (COMPOUND, charges.compound, interest * terms.compound_enabled),
    ):
        per_night = base * rate.numerator
        if per_night:
            yield Position(
                kind,
                instalment,
                loan.business_date,
                line.numerator,
                per_night,
                rate.denominator,
                line.accrued,
            )
