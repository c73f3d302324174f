"""Closing the business date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from tael_ledger import books, reservations, rules_store
from tael_ledger.books import Book
from tael_ledger.chain import GENESIS
from tael_ledger.reasons import Reason
from tael_ledger.requests import Desk, Plan, PostingRequest, Record, Written
from tael_ledger.reservations import Reservation
from tael_ledger.tables import book as book_table
from tael_ledger.tables import closed_day, posting_batch
from tael_runtime.errors import FailedPrecondition

DAY_CLOSED = "DAY_CLOSED"


@dataclass(frozen=True)
class Head:
    """The chain's newest link at some moment; sequence 0 and no instant while there is none."""

    sequence: int
    digest: bytes
    committed_at: datetime | None


@dataclass(frozen=True)
class ClosedDay:
    """What closing a day answers, for ever."""

    next_business_date: date
    head: Head


@dataclass(frozen=True)
class DayClose(PostingRequest):
    """CloseDay as a request of the group commit: nothing shares its transaction."""

    business_date: date
    caller: str

    def plan(self, desk: Desk) -> Plan:
        """Closes the business date, releases what was reserved until it, and opens the next day with
        the posting rules of that day. Nothing where it was closed before.

        Raises FailedPrecondition NOT_THE_BUSINESS_DATE for a day neither open nor closed.
        """
        book = desk.book
        if closed(desk.transaction, book.book_id, self.business_date) is not None:
            return Plan()
        if self.business_date != book.business_date:
            raise FailedPrecondition(
                Reason.NOT_THE_BUSINESS_DATE,
                f"{self.business_date} is not open; the business date is {book.business_date}",
                book.book_id,
            )
        next_date = self.business_date + timedelta(days=1)
        expired = reservations.expiring(desk.transaction, book.book_id, self.business_date)
        content = {
            "next_business_date": next_date,
            "closed_by": self.caller,
            "last_sequence": book.last_sequence,
        }
        return Plan(
            holds=[hold for one in expired for hold in one.released()],
            records=[
                *(one.ended(reservations.EXPIRED) for one in expired),
                Record(DAY_CLOSED, str(self.business_date), content),
            ],
            then=lambda transaction, written: self._show(transaction, book, expired, written),
        )

    def _show(
        self,
        transaction: Connection,
        book: Book,
        expired: Sequence[Reservation],
        written: Written,
    ) -> None:
        reservations.end(
            transaction,
            book.book_id,
            [one.reservation_id for one in expired],
            reservations.EXPIRED,
        )
        next_date = self.business_date + timedelta(days=1)
        transaction.execute(
            insert(closed_day).values(
                book_id=book.book_id,
                business_date=self.business_date,
                next_business_date=next_date,
                last_batch=written.batch_number,
                last_sequence=written.last_sequence,
                closed_by=self.caller,
            )
        )
        transaction.execute(
            update(book_table)
            .where(book_table.c.book_id == book.book_id)
            .values(business_date=next_date)
        )
        rules_store.put_in_force(transaction, book.book_id, next_date)
        books.open_months(transaction, next_date)


def closed(connection: Connection, book_id: str, business_date: date) -> ClosedDay | None:
    """What closing a day answered; None while it is not closed."""
    row = connection.execute(
        select(closed_day).where(
            closed_day.c.book_id == book_id, closed_day.c.business_date == business_date
        )
    ).first()
    if row is None:
        return None
    return ClosedDay(row.next_business_date, head(connection, book_id, row.last_batch))


def head(connection: Connection, book_id: str, batch_number: int) -> Head:
    """The chain as it was after a batch."""
    row = connection.execute(
        select(
            posting_batch.c.last_sequence, posting_batch.c.digest, posting_batch.c.committed_at
        ).where(posting_batch.c.book_id == book_id, posting_batch.c.batch_number == batch_number)
    ).first()
    return Head(row[0], bytes(row[1]), row[2]) if row else Head(0, GENESIS, None)
