"""Rounds of direct debits: prepared on a business date, submitted, and done when all is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_client.values import from_date, from_instant
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_servicing import debits, loan_store
from tael_servicing.books import BookDay
from tael_servicing.debits import OPEN
from tael_servicing.loans import Held
from tael_servicing.paging import pages
from tael_servicing.reasons import Reason
from tael_servicing.tables import RUNNING, debit_batch, direct_debit, loan_state

LOANS_AT_ONCE = 500
ANSWER_SECONDS = 2.0
"""A day end that comes this soon after a batch was submitted gives it the rest of them."""
LOCK = "hashtext('debit_batch'), hashtext(:book)"
"""Held while a book's next round is counted."""


@dataclass(frozen=True)
class DebitBatch:
    """A round on a business date."""

    batch_id: str
    book_id: str
    business_date: date
    round: int
    partial_minimum: int
    state: str
    submitted_at: datetime | None


COLUMNS = [debit_batch.c[name] for name in DebitBatch.__dataclass_fields__]


def prepare_first(transaction: Connection, book_id: str, day: date, due: Sequence[Held]) -> None:
    """Round 1 of a date that opens: all or nothing of what fell due, submitted as it stands."""
    if not any(debits.owed(held) for held in due):
        return
    batch_id = _name(book_id, day, 1)
    transaction.execute(
        insert(debit_batch)
        .values(
            batch_id=batch_id,
            book_id=book_id,
            business_date=day,
            round=1,
            partial_minimum=0,
            state="SUBMITTED",
            submitted_at=func.clock_timestamp(),
        )
        .on_conflict_do_nothing()
    )
    debits.prepare(transaction, batch_id, 1, 0, due)


def prepare_next(transaction: Connection, book: BookDay, minimum: int) -> DebitBatch:
    """The next round of an open day, of whoever owes and may be asked again.

    Raises FailedPrecondition NOTHING_TO_DEBIT.
    """
    transaction.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"), {"book": book.book_id})
    day = book.business_date
    of_the_day = (debit_batch.c.book_id == book.book_id, debit_batch.c.business_date == day)
    last = select(func.coalesce(func.max(debit_batch.c.round), 0)).where(*of_the_day)
    number = transaction.execute(last).scalar_one() + 1
    batch = DebitBatch(
        _name(book.book_id, day, number), book.book_id, day, number, minimum, "PREPARED", None
    )
    transaction.execute(insert(debit_batch).values(vars(batch)))
    made = 0
    for some in pages(_owing(transaction, book.book_id), LOANS_AT_ONCE):
        hopeless = debits.failed_for_good(transaction, some)
        due = loan_store.load(transaction, [loan_id for loan_id in some if loan_id not in hopeless])
        made += debits.prepare(transaction, batch.batch_id, number, minimum, due)
    if not made:
        raise FailedPrecondition(
            Reason.NOTHING_TO_DEBIT,
            f"nothing due on {day} is unpaid that is not under way or failed for good",
            book.book_id,
        )
    return batch


def _owing(transaction: Connection, book_id: str) -> list[str]:
    rows = transaction.execute(
        select(loan_state.c.loan_id)
        .where(
            loan_state.c.book_id == book_id,
            loan_state.c.state.in_(RUNNING),
            loan_state.c.oldest_due.is_not(None),
        )
        .order_by(loan_state.c.loan_id)
    )
    return list(rows.scalars())


def _name(book_id: str, day: date, number: int) -> str:
    return f"{book_id}-{day}-{number}"


def get(transaction: Connection, batch_id: str) -> DebitBatch:
    """One batch. Raises NotFound."""
    query = select(*COLUMNS).where(debit_batch.c.batch_id == batch_id)
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise NotFound("debit batch", batch_id)
    return DebitBatch(*row)


def submit(transaction: Connection, batch: DebitBatch, book: BookDay) -> None:
    """Hands it to the sender; one that is handed over stays so.

    Raises FailedPrecondition NOT_THE_BUSINESS_DATE of a batch whose day is over.
    """
    if batch.state == "SUBMITTED":
        return
    if batch.business_date != book.business_date:
        raise FailedPrecondition(
            Reason.NOT_THE_BUSINESS_DATE,
            f"the batch is of {batch.business_date}; prepare one on {book.business_date}",
            batch.batch_id,
        )
    transaction.execute(
        update(debit_batch)
        .where(debit_batch.c.batch_id == batch.batch_id)
        .values(state="SUBMITTED", submitted_at=func.clock_timestamp())
    )


def cancel_unsubmitted(transaction: Connection, loan_ids: Sequence[str], day: date) -> None:
    """What nobody submitted by the end of its day is not asked any more."""
    waiting = select(debit_batch.c.batch_id).where(debit_batch.c.state == "PREPARED")
    transaction.execute(
        update(direct_debit)
        .where(
            direct_debit.c.loan_id == func.any(list(loan_ids)),
            direct_debit.c.state == "PREPARED",
            direct_debit.c.business_date <= day,
            direct_debit.c.batch_id.in_(waiting),
        )
        .values(state="CANCELLED")
    )


def await_answers(database: Database, book_id: str) -> None:
    """Gives batches that were submitted only now the time that a channel takes to answer.

    In a day of hours this returns at once, whatever the channel does: no result is awaited.
    """
    fresh = func.now() - text(f"interval '{ANSWER_SECONDS} seconds'")
    on_its_way = (
        select(direct_debit.c.payment_id)
        .join_from(direct_debit, debit_batch)
        .where(
            direct_debit.c.book_id == book_id,
            direct_debit.c.state.in_(("PREPARED", "SENDING")),
            debit_batch.c.state == "SUBMITTED",
            debit_batch.c.submitted_at > fresh,
        )
        .limit(1)
    )
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        with database.engine.connect() as connection:
            if connection.execute(on_its_way).first() is None:
                return
        time.sleep(0.02)


def page(
    transaction: Connection, book_id: str, before: tuple[date, int] | None, size: int
) -> list[DebitBatch]:
    """A page of a book's batches, the newest first."""
    key = tuple_(debit_batch.c.business_date, debit_batch.c.round)
    query = select(*COLUMNS).where(debit_batch.c.book_id == book_id)
    if before is not None:
        query = query.where(key < tuple_(*before))
    query = query.order_by(debit_batch.c.business_date.desc(), debit_batch.c.round.desc())
    return [DebitBatch(*row) for row in transaction.execute(query.limit(size))]


def messages(transaction: Connection, batches: Sequence[DebitBatch]) -> list[pb.DebitBatch]:
    """In the contract's words, with what became of their debits."""
    ids = [batch.batch_id for batch in batches]
    rows: dict[str, list[Any]] = {batch_id: [] for batch_id in ids}
    for row in transaction.execute(_totals(direct_debit.c.batch_id == func.any(ids))):
        rows[row.batch_id].append(row)
    return [_message(batch, rows[batch.batch_id]) for batch in batches]


def _totals(which: ColumnElement[bool]) -> Any:
    return (
        select(
            direct_debit.c.batch_id,
            direct_debit.c.state,
            func.count().label("count"),
            func.sum(direct_debit.c.amount).label("asked"),
            func.sum(direct_debit.c.debited).label("debited"),
        )
        .where(which)
        .group_by(direct_debit.c.batch_id, direct_debit.c.state)
        .order_by(direct_debit.c.state)
    )


def _message(batch: DebitBatch, rows: Sequence[Any]) -> pb.DebitBatch:
    over = batch.state == "SUBMITTED" and not any(row.state in OPEN for row in rows)
    told = pb.DebitBatch(
        batch_id=batch.batch_id,
        book_id=batch.book_id,
        business_date=from_date(batch.business_date),
        round=batch.round,
        partial_minimum=batch.partial_minimum,
        state=pb.BatchState.Value(f"BATCH_STATE_{'DONE' if over else batch.state}"),
        totals=[
            pb.DebitTotal(
                state=pb.DebitState.Value(f"DEBIT_STATE_{row.state}"),
                debits=row.count,
                asked=int(row.asked),
                debited=int(row.debited),
            )
            for row in rows
        ],
    )
    if batch.submitted_at is not None:
        told.submitted_at.CopyFrom(from_instant(batch.submitted_at))
    return told
