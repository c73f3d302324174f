"""Reminders that servicing asks for, sent as texts through the gate like everything else.

Queued in the transaction of the event. The sender waits for the window where the gate says so, and
drops a reminder that no hour will make right.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import event_pb2
from tael_client.values import yuan
from tael_collections import cases
from tael_collections.tables import reminder


def wording(due: event_pb2.RemindersDue.Reminder, due_date: date) -> str:
    """What the debtor reads; the loan by its last four characters only."""
    loan = due.loan
    ending = loan.loan_id[-4:]
    if due.days_before < 0:
        return (
            f"【tael】您尾号{ending}的借款已逾期{-due.days_before}天，"
            f"应还{yuan(loan.amount_past_due)}元，请尽快还款。如已还款请忽略。"
        )
    amount = loan.next_due_amount
    if due.days_before == 0 and loan.amount_past_due:
        amount = loan.amount_past_due
    return (
        f"【tael】您尾号{ending}的借款将于{due_date.year}年{due_date.month}月{due_date.day}日到期，"
        f"应还{yuan(amount)}元，请按时还款。如已还款请忽略。"
    )


def queue(
    transaction: Connection, event_id: str, told: event_pb2.RemindersDue, today: date
) -> None:
    """Puts reminders in the queue: good until the due date, or a day once that has passed."""
    cases.lock_debtors(transaction, (due.loan.customer_id for due in told.reminders))
    rows = []
    for due in told.reminders:
        loan, due_date = due.loan, today + timedelta(days=due.days_before)
        rows.append(
            {
                "reminder_id": f"{event_id}:{loan.loan_id}",
                "customer_id": loan.customer_id,
                "book_id": told.book_id,
                "loan_id": loan.loan_id,
                "days_before": due.days_before,
                "text": wording(due, due_date),
                "good_until": max(due_date, today + timedelta(days=1)),
            }
        )
    transaction.execute(insert(reminder).on_conflict_do_nothing(), rows)


def next_waiting(transaction: Connection, now: datetime) -> str | None:
    """The oldest reminder whose time has come."""
    query = (
        select(reminder.c.reminder_id)
        .where(
            reminder.c.state == "QUEUED",
            reminder.c.not_before.is_(None) | (reminder.c.not_before <= now),
        )
        .order_by(reminder.c.reminder_id)
        .limit(1)
    )
    return transaction.execute(query).scalar()


def settle(
    transaction: Connection,
    reminder_id: str,
    state: str,
    contact_id: str | None = None,
    not_before: datetime | None = None,
) -> None:
    """Marks a reminder QUEUED until an instant, SENT or DROPPED."""
    transaction.execute(
        update(reminder)
        .where(reminder.c.reminder_id == reminder_id)
        .values(state=state, contact_id=contact_id, not_before=not_before)
    )
