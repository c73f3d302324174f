"""8a. d + 1 opens: what is due becomes due, days past due, non-accrual, debits prepared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, select

from tael.servicing.v1 import event_pb2 as pb
from tael.servicing.v1 import loan_pb2
from tael_servicing import bookings, books, debit_batches, events, lines, loan_store, messages
from tael_servicing.arithmetic.fold import open_apart
from tael_servicing.bookings import Batch
from tael_servicing.enacting import frees, give_back
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.loans import Held
from tael_servicing.tables import loan_state


class OpenDay(LoanStep):
    """Value-dated d + 1, so that a payment of the morning finds what is due."""

    name = "open_day"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans to which the day may bring more than that it is a day later (fold.opens_on)."""
        rows = transaction.execute(
            select(loan_state.c.loan_id)
            .where(
                loan_state.c.book_id == closing.book_id,
                loan_state.c.opens_on <= closing.next_day,
            )
            .order_by(loan_state.c.loan_id)
        )
        return list(rows.scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Opens the chunk's loans."""
        summary, changed, due, fell_due, made = Summary(), [], [], [], []
        opening = [
            (before, open_apart(before.terms, before.loan))
            for before in loan_store.load(transaction, members(payload))
        ]
        moving = [before.contract.line_id for before, step in opening if frees(step.postings)]
        lines.hold(transaction, moving)
        for before, (loan, opened) in opening:
            held = before.now(loan)
            postings = give_back(transaction, held.contract, opened, loan.business_date)
            made += [(held.contract, posting) for posting in postings]
            stirred = loan is not before.loan and loan != before.loan
            if stirred or held.state != before.state:
                changed.append(held)
            if loan.due_count > before.loan.due_count:
                fell_due.append(held)
            if loan.due_count > before.loan.due_count or _due_by_itself(held, closing.day):
                due.append(held)
            events.state_changed(transaction, loan.business_date, before.state, held)
            summary.count(postings)
        loan_store.save(transaction, *changed)
        _tell(transaction, closing, fell_due)
        debit_batches.prepare_first(transaction, closing.book_id, closing.next_day, due)
        bookings.post_many(transaction, batch, made)
        summary.loans = len(changed)
        return summary


def _due_by_itself(held: Held, day: date) -> bool:
    """A down payment or a fee fell due at once on the day that ends: no round asked for it."""
    return any(not row.number and row.due_date == day for row in held.loan.arrears)


def _tell(transaction: Connection, closing: Closing, fell_due: Sequence[Held]) -> None:
    """What fell due, and reminders of what is not paid yet."""
    if not fell_due:
        return
    book = books.get(transaction, closing.book_id)
    told = [
        pb.InstalmentsDue.Due(loan=messages.standing(held), instalment=_newest(held))
        for held in fell_due
    ]
    events.instalments_due(transaction, book, told)
    reminders = [
        pb.RemindersDue.Reminder(loan=each.loan)
        for each, held in zip(told, fell_due, strict=True)
        if held.loan.arrears
    ]
    events.reminders_due(transaction, book, reminders)


def _newest(held: Held) -> loan_pb2.Instalment:
    """The instalment that fell due last."""
    loan, place = held.loan, held.loan.due_count - 1
    return messages.instalment(place + 1, loan.rows[place], loan.instalment_state(place))
