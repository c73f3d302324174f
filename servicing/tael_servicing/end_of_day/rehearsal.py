"""What a day end would do: its steps in one transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition
from tael_servicing import books
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day import STEPS, set_aside
from tael_servicing.end_of_day.set_aside import Aside, Isolation
from tael_servicing.end_of_day.step import Closing, OverLoans, Step, Summary
from tael_servicing.reasons import Reason


@dataclass
class Rehearsal:
    """What it came to."""

    steps: dict[str, Summary] = field(default_factory=dict)
    """By name, in order."""
    aside: list[Aside] = field(default_factory=list)


def rehearse(database: Database, closing: Closing) -> Rehearsal:
    """Ends the day as far as that asks nobody, and takes it back.

    Raises NotFound; FailedPrecondition NOT_THE_BUSINESS_DATE.
    """
    found = Rehearsal()
    with _taken_back(database) as transaction:
        book = books.get(transaction, closing.book_id)
        if book.closing or book.business_date != closing.day:
            due = "being ended" if book.closing else f"due to be ended, not {closing.day}"
            raise FailedPrecondition(
                Reason.NOT_THE_BUSINESS_DATE, f"{book.business_date} is {due}", closing.book_id
            )
        for step in STEPS:
            if step.rehearsed:
                found.steps[step.name] = _rehearse(transaction, closing, step)
        found.aside = set_aside.open_loans(transaction, closing.book_id)
    return found


def _rehearse(transaction: Connection, closing: Closing, step: Step) -> Summary:
    aside = set_aside.open_loans(transaction, closing.book_id)
    missing = frozenset(each.loan_id for each in aside)
    total = Summary()
    for number, payload in enumerate(step.plan(transaction, replace(closing, aside=missing)), 1):
        named = f"rehearsal:{step.name}:{number}"
        day = books.get(transaction, closing.book_id).business_date
        batch = Batch(named, closing.book_id, named, day)
        if isinstance(step, OverLoans):
            loan_ids = step.members(transaction, closing, payload)
            total.add(Isolation(transaction, closing, step, batch).work(loan_ids))
        else:
            total.add(step.work(transaction, closing, payload, batch))
    step.finish(transaction, closing)
    return total


@contextmanager
def _taken_back(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as connection:
        transaction = connection.begin()
        try:
            yield connection
        finally:
            transaction.rollback()
