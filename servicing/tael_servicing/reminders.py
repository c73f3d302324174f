"""Whom to remind today: a few days before a due date, on it, and just after."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, and_, or_, select, tuple_

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date
from tael_runtime.paging import text_and_date_key, token
from tael_servicing import books
from tael_servicing.end_of_day.tell import REMIND_AFTER, REMIND_BEFORE
from tael_servicing.tables import RUNNING, instalment, loan_state
from tael_servicing.tables import loan as loans


def reminders(
    connection: Connection, book_id: str, page_token: str, size: int
) -> pb.ListRemindersResponse:
    """A page of the reminders due on the open business date, by loan and due date."""
    day = books.get(connection, book_id).business_date
    unpaid = (
        instalment.c.principal
        - instalment.c.principal_paid
        + instalment.c.interest
        - instalment.c.interest_paid
        + instalment.c.fee
        - instalment.c.fee_paid
    )
    key = tuple_(loans.c.loan_id, instalment.c.due_date)
    query = (
        select(loans.c.loan_id, loans.c.customer_id, instalment.c.due_date, unpaid.label("amount"))
        .join_from(loans, loan_state, loan_state.c.loan_id == loans.c.loan_id)
        .join(instalment, instalment.c.loan_id == loans.c.loan_id)
        .where(
            loan_state.c.book_id == book_id,
            loan_state.c.state.in_(RUNNING),
            _is_due(day),
            unpaid > 0,
            key > tuple_(*text_and_date_key(page_token)),
        )
        .order_by(loans.c.loan_id, instalment.c.due_date)
        .limit(size + 1)
    )
    rows = connection.execute(query).all()
    return pb.ListRemindersResponse(
        date=from_date(day),
        reminders=[_reminder(row, day) for row in rows[:size]],
        next_page_token=(
            token(rows[size - 1].loan_id, str(rows[size - 1].due_date)) if len(rows) > size else ""
        ),
    )


def _is_due(day: date) -> Any:
    """As the day's opening tells it: who is past due is not told of what comes."""
    ahead = [day + timedelta(days=days) for days in REMIND_BEFORE]
    behind = [day - timedelta(days=days) for days in REMIND_AFTER]
    on_time = or_(loan_state.c.oldest_due.is_(None), loan_state.c.oldest_due >= day)
    due, oldest = instalment.c.due_date, loan_state.c.oldest_due
    return or_(
        and_(loan_state.c.next_due.in_(ahead), due == loan_state.c.next_due, on_time),
        and_(oldest <= day, due == day),
        and_(oldest.in_(behind), due == oldest),
    )


def _reminder(row: Any, day: date) -> pb.Reminder:
    return pb.Reminder(
        loan_id=row.loan_id,
        customer_id=row.customer_id,
        days_before=(row.due_date - day).days,
        due_date=from_date(row.due_date),
        amount=row.amount,
    )
