"""Another past: the loan is folded again, and the difference is posted.

Any order of arrival gives the loan of the chronological order. What was posted for the days since is
compared, day by day and cause by cause, with what would have been posted, and only what changed goes
to the ledger, in red ink where it becomes less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from tael_servicing.arithmetic.events import LoanEvent, Reversed
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.terms import Terms


def refolded(terms: Terms, known: Sequence[LoanEvent], late: LoanEvent, as_of: date) -> Step:
    """The loan on `as_of` had the late event come in time, and the adjusting postings."""
    since = late.value_date
    if isinstance(late, Reversed):
        since = min(
            since, *(each.value_date for each in known if each.event_id == late.target), since
        )
    before = replay(terms, known, as_of, nightly_from=since)
    after = replay(terms, [*known, late], as_of, nightly_from=since)
    return Step(after.loan, difference(before.postings, after.postings))


def difference(before: Sequence[Posting], after: Sequence[Posting]) -> tuple[Posting, ...]:
    """What turns one past's postings into the other's, by value date, event, status and cause."""
    change: dict[tuple[date, str, bool, str], Counter[str]] = {}
    for sign, postings in ((1, after), (-1, before)):
        for posting in postings:
            key = (posting.value_date, posting.event, posting.accruing, posting.cause)
            amounts = change.setdefault(key, Counter())
            for name, amount in posting.amounts.items():
                amounts[name] += sign * amount
    moved = {key: {n: a for n, a in amounts.items() if a} for key, amounts in change.items()}
    return tuple(
        Posting(event, value_date, accruing, moved[value_date, event, accruing, cause], cause)
        for value_date, event, accruing, cause in sorted(moved)
        if moved[value_date, event, accruing, cause]
    )
