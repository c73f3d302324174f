"""8b. Others are told of d + 1: reminders of what falls due soon, and loans past due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, case, func, or_, select

from tael.servicing.v1 import event_pb2 as pb
from tael.servicing.v1 import loan_pb2
from tael_servicing import books, events, growth, snapshots
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.loan_days import days_past_due
from tael_servicing.tables import RUNNING, loan, loan_balance, loan_state

REMIND_BEFORE = (3, 1)
"""Days before a due date on which a reminder is due; of the day itself `open_day` tells."""
REMIND_AFTER = (1,)
"""Days past due on which one is due."""


class Tell(LoanStep):
    """Read off the rows of the loans: that a day has gone by changes none of them."""

    name = "tell"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans past due, or with something due soon."""
        days = [closing.next_day + timedelta(days=ahead) for ahead in REMIND_BEFORE]
        rows = transaction.execute(
            select(loan_state.c.loan_id)
            .where(
                loan_state.c.book_id == closing.book_id,
                loan_state.c.state.in_(RUNNING),
                or_(loan_state.c.next_due.in_(days), loan_state.c.oldest_due < closing.next_day),
            )
            .order_by(loan_state.c.loan_id)
        )
        return list(rows.scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Tells of the chunk's loans."""
        del batch
        overdue, reminders = [], []
        for row in _standings(transaction, closing, members(payload)):
            standing = _standing(row)
            if row.dpd > 0:
                overdue.append(standing)
            days_before = -row.dpd if row.dpd > 0 else row.days_before
            if (-days_before in REMIND_AFTER and not row.paused) or days_before in REMIND_BEFORE:
                reminder = pb.RemindersDue.Reminder(loan=standing, days_before=days_before)
                reminders.append(reminder)
        book = books.get(transaction, closing.book_id)
        events.loans_overdue(transaction, book, overdue)
        events.reminders_due(transaction, book, reminders)
        return Summary(loans=len(overdue) + len(reminders))


def _standings(
    transaction: Connection, closing: Closing, loan_ids: Sequence[str]
) -> Sequence[Row[Any]]:
    """How loans stand on the day that opens."""
    past_due = loan_state.c.oldest_due.is_not(None)
    charges = growth.charges_of(loan_state.c.loan_id, closing.next_day)
    query = (
        select(
            loan_state.c.loan_id,
            loan.c.customer_id,
            loan_state.c.state,
            days_past_due(loan_state.c, closing.next_day).label("dpd"),
            func.coalesce(loan_state.c.next_due - closing.next_day, 0).label("days_before"),
            (loan_state.c.amount_due + case((past_due, charges), else_=0)).label("amount_due"),
            snapshots.principal_of(loan_balance).label("principal"),
            loan_state.c.next_due_amount,
            func.coalesce(loan_state.c.paused_until > closing.next_day, False).label("paused"),
        )
        .join_from(loan_state, loan, loan.c.loan_id == loan_state.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loan_state.c.loan_id)
        .where(loan_state.c.loan_id == func.any(list(loan_ids)))
        .order_by(loan_state.c.loan_id)
    )
    return transaction.execute(query).all()


STATES = {name: loan_pb2.LoanState.Value(f"LOAN_STATE_{name}") for name in RUNNING}


def _standing(row: Row[Any]) -> pb.LoanStanding:
    return pb.LoanStanding(
        loan_id=row.loan_id,
        customer_id=row.customer_id,
        state=STATES[row.state],
        dpd=row.dpd,
        amount_past_due=row.amount_due,
        principal=row.principal,
        next_due_amount=row.next_due_amount,
    )
