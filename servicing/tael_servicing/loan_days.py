"""What the loan ledger is read off: facts of each loan, kept on days on which one of them changed.

What follows from a fact and a date is not kept: days past due, the class they give, what lines have
grown by. So a row is so until the loan's next one, and a loan to which nothing happens has no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Integer,
    Select,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.selectable import LateralFromClause

from tael_servicing.tables import (
    BALANCES,
    RUNNING,
    instalment,
    loan_balance,
    loan_class,
    loan_day,
    loan_state,
)

OWING = (*RUNNING, "WRITTEN_OFF")
REMEMBERED = ("risk_class", "stage", "cause", "since")
"""Of a class."""
OF_THE_LOAN = (
    "written_on",
    "aged_from",
    "paused_until",
    "annual_rate",
    "lent",
    "last_due",
    "next_due",
)


def changed(transaction: Connection, book_id: str, day: date) -> list[str]:
    """Loans that have a row on a day, by id: something of them changed since the day before; at a
    month's end, when allowances are set, all that owe.
    """
    state = loan_state.c
    fresh = state.changed_on >= day
    if (day + timedelta(days=1)).month != day.month:
        fresh = or_(fresh, state.state.in_(OWING))
    query = (
        select(state.loan_id)
        .where(state.book_id == book_id, fresh, state.state.not_in(("PAYING", "CANCELLED")))
        .order_by(state.loan_id)
    )
    return list(transaction.execute(query).scalars())


def keep(transaction: Connection, day: date, loan_ids: Sequence[str]) -> int:
    """Keeps the day's rows of some loans; returns how many. The day's last word: it is closing."""
    query = now(day).where(loan_state.c.loan_id == func.any(list(loan_ids)))
    names = [column.name for column in query.selected_columns]
    return transaction.execute(insert(loan_day).from_select(names, query)).rowcount


def now(day: date) -> Select[Any]:
    """The columns of `loan_day` as loans that are paid out stand on a day that is not closed."""
    state = loan_state.c
    owing = state.state.in_(OWING)
    before = _before(day)
    worst = select(_worst_before(before, day)).scalar_subquery()
    owed = select(before.c.state.in_(OWING)).scalar_subquery()
    in_arrears = and_(state.aged_from.is_not(None), state.state.in_(RUNNING))
    return (
        select(
            state.loan_id,
            literal(day, Date).label("date"),
            state.book_id,
            state.state,
            *(loan_balance.c[name] for name in BALANCES),
            *(state[name] for name in OF_THE_LOAN),
            state.next_due_amount,
            case((in_arrears, _unpaid(day)), else_=null()).label("unpaid"),
            func.greatest(days_past_due(state, day), worst).label("worst_dpd"),
            *(loan_class.c[name] for name in REMEMBERED),
            case((owing, False), else_=func.coalesce(owed, True)).label("ended"),
        )
        .join_from(loan_state, loan_balance, loan_balance.c.loan_id == state.loan_id)
        .outerjoin(loan_class, loan_class.c.loan_id == state.loan_id)
        .where(state.state.not_in(("PAYING", "CANCELLED")))
    )


def on(day: date, loan_id: ColumnElement[str]) -> LateralFromClause:
    """The row of a loan that is in force at the end of a day that is closed."""
    return _newest(day, loan_id).lateral()


def _newest(day: date, loan_id: ColumnElement[str]) -> Select[Any]:
    row = loan_day.alias("row")
    of_loan = select(row).where(row.c.loan_id == loan_id, row.c.date <= day)
    return of_loan.order_by(row.c.date.desc()).limit(1)


def _before(day: date) -> Any:
    """The loan's own row, and no other's: of the loan that the statement around it asks about."""
    newest = _newest(day - timedelta(days=1), loan_state.c.loan_id)
    return newest.correlate(loan_state).subquery("before")


def _worst_before(before: Any, day: date) -> ColumnElement[int]:
    """Of the month up to the day before; nothing on its first."""
    if day.day == 1:
        return literal(0)
    kept = case((before.c.date >= day.replace(day=1), before.c.worst_dpd), else_=0)
    return func.greatest(kept, days_past_due(before.c, day - timedelta(days=1)))


def stands(fact: Any, day: date) -> ColumnElement[bool]:
    """Whether the loan ledger of a day has a loan: while it owes or anything stands on its accounts,
    and on the day it ends.
    """
    left = or_(*(fact[name] != 0 for name in BALANCES))
    return or_(fact.state.in_(OWING), left, and_(fact.ended, fact.date == day))


def days_past_due(fact: Any, day: Any) -> ColumnElement[int]:
    """The day less the due date of the oldest unpaid instalment, but for pauses; 0 where nothing is
    past due.
    """
    days = cast(counted(fact, day) - fact.aged_from, Integer)
    return case((fact.state.in_(OWING), func.greatest(func.coalesce(days, 0), 0)), else_=0)


def counted(fact: Any, day: Any) -> ColumnElement[date]:
    """The day up to which what is due has aged on a day: the end of a pause that runs."""
    return func.greatest(cast(day, Date), fact.paused_until)


def _unpaid(day: date) -> ColumnElement[Any]:
    """Due rows that are not paid: those of the day itself are past due from the next day on."""
    principal, interest = (
        instalment.c[name] - instalment.c[f"{name}_paid"] for name in ("principal", "interest")
    )
    row = func.jsonb_build_array(instalment.c.aged_from, principal, interest)
    return (
        select(func.jsonb_agg(aggregate_order_by(row, instalment.c.number)))
        .where(
            instalment.c.loan_id == loan_state.c.loan_id,
            instalment.c.due_date <= day,
            or_(principal > 0, interest > 0),
        )
        .scalar_subquery()
    )
