"""The business date of each book, as servicing's events tell it; never the wall clock."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from tael_collections.reasons import Reason
from tael_collections.tables import business_day
from tael_runtime.errors import FailedPrecondition


def business_date(transaction: Connection, book_id: str) -> date:
    """The open day of a book; FailedPrecondition NO_BUSINESS_DATE before the first event."""
    query = select(business_day.c.business_date).where(business_day.c.book_id == book_id)
    day: date | None = transaction.execute(query).scalar()
    if day is None:
        raise FailedPrecondition(
            Reason.NO_BUSINESS_DATE, f"no event of book {book_id!r} has arrived yet"
        )
    return day


def advance(transaction: Connection, book_id: str, day: date) -> None:
    """Moves a book's business date forward, never back."""
    row = insert(business_day).values(book_id=book_id, business_date=day)
    transaction.execute(
        row.on_conflict_do_update(
            index_elements=[business_day.c.book_id],
            set_={
                "business_date": func.greatest(
                    business_day.c.business_date, row.excluded.business_date
                )
            },
        )
    )
