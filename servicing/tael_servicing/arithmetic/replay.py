"""A loan is the fold of its events: any order of arrival gives the same loan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from tael_servicing.arithmetic.day import accrue, open_day, transfer_overdue
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, disburse, happen, order
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.terms import Terms


def replay(terms: Terms, events: Iterable[LoanEvent], as_of: date) -> Step:
    """The loan as it stands on the business date `as_of`, after everything dated up to it.

    The first event is its disbursement. The postings are those of the whole life; between two
    events a stretch of nights is one INTEREST_ACCRUED. Raises ValueError without a disbursement,
    FailedPrecondition where an event was not possible.
    """
    first, *rest = sorted((each for each in events if each.value_date <= as_of), key=order)
    if not isinstance(first, Disbursed):
        raise ValueError(f"a loan begins with its disbursement, not with {first}")  # noqa: TRY004 - the order is wrong, not a type
    loan = disburse(terms, first)
    postings: list[Posting] = []
    for event in rest:
        loan, advanced = advance(terms, loan, event.value_date)
        loan, happened = happen(terms, loan, event)
        postings += (*advanced, *happened)
    loan, advanced = advance(terms, loan, as_of)
    return Step(loan, (*postings, *advanced))


def end_day(terms: Terms, loan: Loan) -> Step:
    """One whole day end: closes the business date and opens the next."""
    return advance(terms, loan, loan.business_date + timedelta(days=1))


def advance(terms: Terms, loan: Loan, to: date) -> Step:
    """The loan on a later business date if nothing happens to it until then."""
    assert to >= loan.business_date, (loan.business_date, to)
    postings: list[Posting] = []
    while loan.business_date < to:
        loan, transferred = transfer_overdue(terms, loan)
        loan, accrued = accrue(
            terms, loan, (_next_break(terms, loan, to) - loan.business_date).days
        )
        loan, opened = open_day(terms, loan)
        postings += (*transferred, *accrued, *opened)
    return Step(loan, tuple(postings))


def _next_break(terms: Terms, loan: Loan, to: date) -> date:
    """The next date on which more happens than a night's accrual."""
    if not loan.running:
        return to
    breaks = [to]
    if loan.current is not None:
        breaks.append(loan.current.instalment.due_date)
    grace = timedelta(days=terms.grace_days)
    breaks += [row.instalment.due_date + grace for row in loan.arrears if not row.overdue]
    if loan.accruing and loan.arrears:
        oldest = loan.arrears[0].instalment.due_date
        breaks.append(oldest + timedelta(days=terms.nonaccrual_dpd + 1))
    return min(day for day in breaks if day > loan.business_date)
