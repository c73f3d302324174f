"""Loans that were set aside, worked in the steps they missed once their cause is cured."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import books
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day import set_aside
from tael_servicing.end_of_day.accrue import Accrue
from tael_servicing.end_of_day.set_aside import Aside
from tael_servicing.end_of_day.step import Closing, OverLoans, Step, payload_of


def work(transaction: Connection, closing: Closing, aside: Aside, done: Sequence[Step]) -> None:
    """Does for one loan what the finished steps, from its own on, have done for the others.

    Its postings go under `eod:<book>:<day>:<step>:supplement:<loan>`. Raises what the steps raise:
    the loan then stays set aside.
    """
    if not set_aside.take(transaction, aside):
        return
    names = [step.name for step in done]
    missed = done[names.index(aside.step) :] if aside.step in names else ()
    for step in missed:
        if isinstance(step, OverLoans) and step.takes(transaction, closing, aside.loan_id):
            named = f"eod:{closing.book_id}:{closing.day}:{step.name}:supplement:{aside.loan_id}"
            day = books.get(transaction, closing.book_id).business_date
            batch = Batch(named, closing.book_id, named, day)
            step.work(transaction, closing, payload_of([aside.loan_id]), batch)
        if isinstance(step, Accrue):
            set_aside.accrued(transaction, aside, closing.next_day)
    set_aside.cure(transaction, aside)
