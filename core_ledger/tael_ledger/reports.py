"""What the general ledger says: trial balance and statements, from its totals a GL code and day."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, func, select

from tael_ledger.tables import gl_day


def trial_balance(
    connection: Connection, book_id: str, booking_date: date | None, value_date: date | None
) -> dict[str, tuple[int, int]]:
    """(debits, credits) in minor units by GL code, codes never used left out, in order of code.

    At the end of a booking date, counting what is worth by a value date, now and all where None.
    """
    query = select(gl_day.c.gl_code, func.sum(gl_day.c.debits), func.sum(gl_day.c.credits)).where(
        gl_day.c.book_id == book_id
    )
    if booking_date is not None:
        query = query.where(gl_day.c.booking_date <= booking_date)
    if value_date is not None:
        query = query.where(gl_day.c.value_date <= value_date)
    rows = connection.execute(query.group_by(gl_day.c.gl_code).order_by(gl_day.c.gl_code))
    return {code: (int(debits), int(credits_)) for code, debits, credits_ in rows}
