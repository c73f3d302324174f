"""A repayment worth an earlier day: the loan is folded again, and the difference is posted.

Any order of arrival gives the loan of the chronological order (DESIGN.md §4): what was posted for
the days since is compared, day by day, with what would have been posted, and only what changed goes
to the ledger, in red ink where it becomes less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from tael_servicing.arithmetic.events import LoanEvent, Repaid, happen, order
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.replay import end_day, replay
from tael_servicing.arithmetic.terms import Terms

Key = tuple[date, str, bool]


def backdated(terms: Terms, events: Sequence[LoanEvent], late: Repaid, as_of: date) -> Step:
    """The loan on `as_of` had the late event come in time, and the adjusting postings.

    Raises FailedPrecondition where a later event was only possible without it.
    """
    before = _walk(terms, events, late.value_date, as_of)
    after = _walk(terms, [*events, late], late.value_date, as_of)
    return Step(after.loan, _difference(before.postings, after.postings))


def _walk(terms: Terms, events: Sequence[LoanEvent], start: date, as_of: date) -> Step:
    """The loan night by night from the opening of `start`, with what it posts from there on."""
    first, *rest = sorted(events, key=order)
    earlier = [first, *(event for event in rest if event.value_date < start)]
    later = [event for event in rest if event.value_date >= start]
    loan: Loan = replay(terms, earlier, start).loan
    postings: list[Posting] = []
    for event in later:
        while loan.business_date < event.value_date:
            loan, nightly = end_day(terms, loan)
            postings += nightly
        loan, happened = happen(terms, loan, event)
        postings += happened
    while loan.business_date < as_of:
        loan, nightly = end_day(terms, loan)
        postings += nightly
    return Step(loan, tuple(postings))


def _difference(before: Sequence[Posting], after: Sequence[Posting]) -> tuple[Posting, ...]:
    change: dict[Key, Counter[str]] = {}
    for sign, postings in ((1, after), (-1, before)):
        for posting in postings:
            key = (posting.value_date, posting.event, posting.accruing)
            amounts = change.setdefault(key, Counter())
            for name, amount in posting.amounts.items():
                amounts[name] += sign * amount
    moved = {key: {n: a for n, a in amounts.items() if a} for key, amounts in change.items()}
    return tuple(
        Posting(event, value_date, accruing, moved[value_date, event, accruing])
        for value_date, event, accruing in sorted(moved)
        if moved[value_date, event, accruing]
    )
