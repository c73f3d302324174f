"""Which stretch of the journal some booking dates are: sequences and dates rise together.

So a filter by date becomes a range of sequences, and a sequence says which partitions matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection, select

from tael_ledger.books import Book
from tael_ledger.tables import closed_day, entry


@dataclass(frozen=True)
class Stretch:
    """Entries after one sequence up to another, booked from one day to another."""

    after: int
    until: int
    first_day: date
    last_day: date

    @property
    def is_empty(self) -> bool:
        """Whether no entry lies in it."""
        return self.after >= self.until


def stretch(
    connection: Connection, book: Book, first_day: date | None, last_day: date | None
) -> Stretch:
    """What was booked from one day to another, both counted; None = from the first, to the last."""
    first = max(first_day or book.first_date, book.first_date)
    last = min(last_day or book.business_date, book.business_date)
    if first > last:
        return Stretch(0, 0, book.first_date, book.first_date)
    until = book.last_sequence if last == book.business_date else _closed(connection, book, last)
    after = 0 if first == book.first_date else _closed(connection, book, first - timedelta(days=1))
    return Stretch(after, until, first, last)


def _closed(connection: Connection, book: Book, day: date) -> int:
    """The last sequence when a day closed; days close one after the other."""
    found = connection.execute(
        select(closed_day.c.last_sequence).where(
            closed_day.c.book_id == book.book_id, closed_day.c.business_date == day
        )
    ).scalar_one()
    return int(found)


def rest(connection: Connection, book_id: str, whole: Stretch, after: int) -> Stretch:
    """What of a stretch comes after an entry."""
    if after <= whole.after:
        return whole
    booked = connection.execute(
        select(entry.c.booking_date).where(entry.c.book_id == book_id, entry.c.sequence == after)
    ).scalar()
    return Stretch(after, whole.until, booked or whole.first_day, whole.last_day)


def windows(first_day: date, last_day: date) -> Iterator[tuple[date, date]]:
    """Cuts days into periods of whole months, as the journal's partitions are: 1 month, 2, 4, ….

    Whoever needs only the first lines after a day looks into few partitions, and whoever finds
    few has soon looked into all.
    """
    months = 1
    while first_day <= last_day:
        end = min(_month_end(first_day, months), last_day)
        yield first_day, end
        first_day, months = end + timedelta(days=1), 2 * months


def _month_end(day: date, months: int) -> date:
    """The last day of a day's month, or of a later one: 1 = its own."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1) - timedelta(days=1)
