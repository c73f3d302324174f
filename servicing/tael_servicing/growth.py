"""What loans' lines have grown by since the loans were last written, over many loans at once.

The store's side of `positions`: the same integers, reckoned set by set.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Integer,
    Join,
    Select,
    Subquery,
    Table,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.selectable import LateralFromClause

from tael_servicing.tables import (
    BALANCES,
    accrual_history,
    accrual_position,
    book_day,
    loan_balance,
    loan_set_aside,
    loan_state,
)

GROWS = {
    "interest_accrued": ("INTEREST", True),
    "penalty": ("PENALTY", True),
    "compound": ("COMPOUND", True),
    "offbalance_interest": ("INTEREST", False),
    "offbalance_penalty": ("PENALTY", False),
    "offbalance_compound": ("COMPOUND", False),
}
"""The balances that lines grow, by their kind and whether they are on balance."""

Number = ColumnElement[int]


def grown(line: FromClause, day: ColumnElement[date]) -> Number:
    """Minor units a line has grown by when a day opens: R((carry + nights x per_night) /
    denominator) less what was posted; nothing before its first night.
    """
    nights: Number = day - line.c.since  # type: ignore[assignment]  # days between two dates
    exact = func.greatest(line.c.carry + line.c.per_night * nights, 0, type_=BigInteger)
    owed = _rounded(exact, line.c.denominator, line.c.rounding)
    return case((nights > 0, owed - line.c.posted), else_=0)


def _rounded(exact: Number, denominator: Number, mode: ColumnElement[str]) -> Number:
    """`arithmetic.rounding.rounded` of what is not below zero."""
    half_up = (exact + denominator // 2) // denominator
    odd_tie = and_(2 * (exact % denominator) == denominator, half_up % 2 == 1)
    return case(
        (mode == "HALF_UP", half_up),
        (mode == "HALF_EVEN", half_up - cast(odd_tie, Integer)),
        (mode == "UP", (exact + denominator - 1) // denominator),
        else_=exact // denominator,
    )


def _whole(total: Any) -> Number:
    return cast(func.coalesce(total, 0), BigInteger)


def charges_of(loan_id: ColumnElement[str], day: date) -> Number:
    """What is due of a loan of `loan_state` has grown by, since it was written, when a day opens: its
    penalty and compound, and interest where nothing runs any more.
    """
    line = accrual_position.c
    grew = func.sum(grown(accrual_position, literal(day, Date)))
    is_due = or_(line.kind != "INTEREST", loan_state.c.next_due.is_(None))
    of_loan = select(_whole(grew)).where(line.loan_id == loan_id, is_due)
    return of_loan.correlate(loan_state).scalar_subquery()


ACCRUED_TO: ColumnElement[date] = func.coalesce(
    loan_set_aside.c.accrued_to, book_day.c.accrued_to, type_=Date
)
"""Nights before this date are accrued of a loan `standing` in its book's day."""


def standing(of: Table) -> Join:
    """Rows of loans with the day their book stands on; one that is set aside may lag behind it."""
    aside = and_(
        loan_set_aside.c.book_id == of.c.book_id,
        loan_set_aside.c.loan_id == of.c.loan_id,
        loan_set_aside.c.cured.is_(False),
    )
    return of.join(book_day, book_day.c.book_id == of.c.book_id).outerjoin(loan_set_aside, aside)


LINES = select(
    accrual_position.c.kind,
    accrual_position.c.on_balance,
    grown(accrual_position, ACCRUED_TO).label("grown"),
)


def _added(lines: Subquery) -> Select[Any]:
    """What LINES of some loans add to each balance that grows."""
    sums: list[Any] = []
    for name, (kind, on_balance) in GROWS.items():
        only = and_(lines.c.kind == kind, lines.c.on_balance.is_(on_balance))
        sums.append(_whole(func.sum(lines.c.grown).filter(only)).label(name))
    return select(*sums)


def added(
    loan_id: ColumnElement[str],
    since: ColumnElement[date],
    day: ColumnElement[date],
    *given: FromClause,
) -> LateralFromClause:
    """What the lines that a loan had from a date on, still or in the past, had added to each balance
    that grows when a later day opened. `given`: what the arguments are columns of.
    """
    of_loan = (
        select(*(lines.c[name] for name in LINE)).where(
            lines.c.loan_id == loan_id, lines.c.since == since
        )
        for lines in (accrual_position, accrual_history)
    )
    line = union_all(*(each.correlate(*given) for each in of_loan)).subquery("line")
    grew = select(line.c.kind, line.c.on_balance, grown(line, day).label("grown"))
    return _added(grew.correlate(*given).subquery("grew")).lateral("added")


LINE = ("kind", "on_balance", "since", "carry", "per_night", "denominator", "posted", "rounding")


def totals(connection: Connection, book_id: str) -> dict[str, int]:
    """What all loans of a book owe by ledger account after the nights that it has accrued."""
    book = {"book": book_id}
    found = connection.execute(STOOD, book).one()._asdict()
    for name, amount in connection.execute(GREW, book).one()._asdict().items():
        found[name] += amount
    return found


STOOD = select(*(_whole(func.sum(loan_balance.c[name])).label(name) for name in BALANCES)).where(
    loan_balance.c.book_id == bindparam("book")
)
GREW = _added(
    LINES.select_from(standing(accrual_position))
    .where(accrual_position.c.book_id == bindparam("book"))
    .subquery("line")
)
