"""An account's statement: its lines in journal order with the running balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select, tuple_

from tael_ledger.chart import Chart
from tael_ledger.tables import account, entry, line


@dataclass(frozen=True)
class StatementLine:
    """One line; amounts in minor units, balance on the normal side."""

    sequence: int
    line_number: int
    event: str
    value_date: date
    booking_date: date
    debit: int
    credit: int
    balance_after: int
    narrative: str


def page(
    connection: Connection,
    book_id: str,
    chart: Chart,
    number: str,
    after: tuple[int, int],
    size: int,
) -> list[StatementLine]:
    """Lines of an account by (sequence, line number), after one; empty where it was never opened."""
    found = connection.execute(
        select(account.c.account_id, account.c.gl_code).where(
            account.c.book_id == book_id, account.c.number == number
        )
    ).first()
    if found is None:
        return []
    place = tuple_(line.c.sequence, line.c.line_number)
    own = (line.c.book_id == book_id, line.c.account_id == found.account_id)
    before = connection.execute(
        select(
            func.coalesce(func.sum(line.c.debit), 0), func.coalesce(func.sum(line.c.credit), 0)
        ).where(*own, place <= after)
    ).one()
    debits, credits_ = int(before[0]), int(before[1])
    rows = connection.execute(
        select(
            line.c.sequence,
            line.c.line_number,
            entry.c.event,
            line.c.value_date,
            line.c.booking_date,
            line.c.debit,
            line.c.credit,
            entry.c.narrative,
        )
        .join(entry, (entry.c.book_id == line.c.book_id) & (entry.c.sequence == line.c.sequence))
        .where(*own, place > after)
        .order_by(line.c.sequence, line.c.line_number)
        .limit(size)
    )
    gl_account = chart[found.gl_code]
    lines = []
    for row in rows:
        debits += row.debit
        credits_ += row.credit
        balance = gl_account.balance(debits, credits_)
        lines.append(StatementLine(*row[:7], balance, row.narrative))
    return lines
