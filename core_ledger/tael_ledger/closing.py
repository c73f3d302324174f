"""Closing the business date, and the trial balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from tael_ledger import books, rules_store
from tael_ledger.accounts import AsOf, until
from tael_ledger.chain import GENESIS
from tael_ledger.reasons import Reason
from tael_ledger.tables import account, closed_day, line, posting_batch
from tael_ledger.tables import book as book_table
from tael_runtime.errors import FailedPrecondition


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


def close_day(transaction: Connection, book_id: str, business_date: date, caller: str) -> ClosedDay:
    """Closes the business date and opens the next day; posting rules of that day come in force.

    Raises NotFound; FailedPrecondition NOT_THE_BUSINESS_DATE for a day that is neither open nor
    closed before.
    """
    book = books.get(transaction, book_id, lock=True)
    before = transaction.execute(
        select(closed_day).where(
            closed_day.c.book_id == book_id, closed_day.c.business_date == business_date
        )
    ).first()
    if before is not None:
        return ClosedDay(before.next_business_date, head(transaction, book_id, before.last_batch))
    if business_date != book.business_date:
        raise FailedPrecondition(
            Reason.NOT_THE_BUSINESS_DATE,
            f"{business_date} is not open; the business date is {book.business_date}",
            book_id,
        )
    next_date = business_date + timedelta(days=1)
    transaction.execute(
        insert(closed_day).values(
            book_id=book_id,
            business_date=business_date,
            next_business_date=next_date,
            last_batch=book.last_batch,
            closed_by=caller,
        )
    )
    transaction.execute(
        update(book_table).where(book_table.c.book_id == book_id).values(business_date=next_date)
    )
    rules_store.put_in_force(transaction, book_id, next_date)
    return ClosedDay(next_date, head(transaction, book_id, book.last_batch))


def head(connection: Connection, book_id: str, batch_number: int) -> Head:
    """The chain as it was after a batch."""
    row = connection.execute(
        select(
            posting_batch.c.last_sequence, posting_batch.c.digest, posting_batch.c.committed_at
        ).where(posting_batch.c.book_id == book_id, posting_batch.c.batch_number == batch_number)
    ).first()
    return Head(row[0], bytes(row[1]), row[2]) if row else Head(0, GENESIS, None)


def trial_balance(
    connection: Connection, book_id: str, booking_date: date | None
) -> dict[str, tuple[int, int]]:
    """(debits, credits) in minor units by GL code, codes never used left out, in order of code."""
    if booking_date is None:
        query = select(
            account.c.gl_code, func.sum(account.c.debits_posted), func.sum(account.c.credits_posted)
        )
    else:
        query = (
            select(account.c.gl_code, func.sum(line.c.debit), func.sum(line.c.credit))
            .join(
                line,
                (line.c.book_id == account.c.book_id) & (line.c.account_id == account.c.account_id),
            )
            .where(until(AsOf(booking_date=booking_date)))
        )
    rows = connection.execute(
        query.where(account.c.book_id == book_id)
        .group_by(account.c.gl_code)
        .order_by(account.c.gl_code)
    )
    return {code: (int(debits), int(credits_)) for code, debits, credits_ in rows}
