"""The book's day: servicing's own copy of the business date, and the cut-off of its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects.postgresql import insert

from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael_client import context as call_context
from tael_client.values import to_date
from tael_runtime import work
from tael_runtime.database import Database
from tael_runtime.errors import NotFound, Unavailable
from tael_servicing.reasons import Reason
from tael_servicing.tables import book_day

ResultT = TypeVar("ResultT")

PATIENCE_SECONDS = 10.0

DAY_END = "end_of_day"
"""The kind of run that ends a day."""

LOCK = "hashtext('book_day'), hashtext(:book)"
"""Taken before any row of the book, shared by what books online. Unlike a row's lock it queues: the
cut-off is not kept waiting by those who come after it."""


@dataclass(frozen=True)
class BookDay:
    """Where a book stands."""

    book_id: str
    currency_code: str
    business_date: date
    accrued_to: date
    """Nights before this date are accrued: the business date, but while its day is being ended."""
    closing: bool
    """Its day is being ended: what comes now belongs to the next."""


COLUMNS = [book_day.c[name] for name in BookDay.__dataclass_fields__]


class PastCutOff(Exception):
    """The book is between two days."""


def adopt(
    database: Database, ledger: ledger_pb2_grpc.LedgerServiceStub, book_id: str
) -> ledger_pb2.Book:
    """The ledger's book; its business date becomes servicing's own where the book is new here.

    Passes on the ledger's NOT_FOUND.
    """
    book = ledger.GetBook(ledger_pb2.GetBookRequest(book_id=book_id)).book
    day = to_date(book.business_date)
    with database.begin() as transaction:
        transaction.execute(
            insert(book_day)
            .values(
                book_id=book_id,
                currency_code=book.currency_code,
                business_date=day,
                accrued_to=day,
            )
            .on_conflict_do_nothing()
        )
    return book


def find(transaction: Connection, book_id: str) -> BookDay | None:
    """The book's day as it is, where servicing knows the book."""
    row = transaction.execute(select(*COLUMNS).where(book_day.c.book_id == book_id)).one_or_none()
    return BookDay(**row._asdict()) if row else None


def get(transaction: Connection, book_id: str) -> BookDay:
    """The book's day as it is. Raises NotFound."""
    found = find(transaction, book_id)
    if found is None:
        raise NotFound("book", book_id)
    return found


def hold_open(transaction: Connection, book_id: str) -> BookDay:
    """The book's day, which no one ends before this transaction does.

    Raises PastCutOff while the day is being ended: see `on_an_open_day`.
    """
    transaction.execute(text(f"SELECT pg_advisory_xact_lock_shared({LOCK})"), {"book": book_id})
    found = get(transaction, book_id)
    if found.closing:
        raise PastCutOff
    return found


def on_an_open_day(work: Callable[[], ResultT]) -> ResultT:
    """Runs what books online; past the cut-off it waits for the next day and books on that.

    Raises Unavailable DAY_CLOSING when the next day does not open in time.
    """
    call = call_context.current()
    left = call.seconds_left() if call else None
    end = time.monotonic() + min(PATIENCE_SECONDS, PATIENCE_SECONDS if left is None else left * 0.9)
    while True:
        try:
            return work()
        except PastCutOff:
            if time.monotonic() > end:
                raise Unavailable(
                    Reason.DAY_CLOSING, "the day is being ended; repeat the call"
                ) from None
            time.sleep(0.01)


def day_end_key(book_id: str, day: date | None) -> str:
    """The key of the run that ends a book's day; without a day, what the keys of all begin with."""
    return f"{book_id}:{day or ''}"


def was_ended(transaction: Connection, book_id: str, day: date) -> bool:
    """Whether the end of that day was begun here, ever."""
    return work.find_run(transaction, DAY_END, day_end_key(book_id, day)) is not None


def cut_off(transaction: Connection, book_id: str) -> None:
    """Waits for what books online now; from here on nothing does until the next day is open."""
    transaction.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"), {"book": book_id})
    transaction.execute(update(book_day).where(book_day.c.book_id == book_id).values(closing=True))


def accrued(transaction: Connection, book_id: str, to: date) -> None:
    """The nights before a date are accrued, of every loan of the book."""
    transaction.execute(update(book_day).where(book_day.c.book_id == book_id).values(accrued_to=to))


def move_to(transaction: Connection, book_id: str, day: date) -> None:
    """The next business date; online booking stays shut until `open_up`."""
    transaction.execute(
        update(book_day).where(book_day.c.book_id == book_id).values(business_date=day)
    )


def open_up(transaction: Connection, book_id: str) -> None:
    """Online booking goes on."""
    transaction.execute(update(book_day).where(book_day.c.book_id == book_id).values(closing=False))
