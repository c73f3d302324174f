"""Entries found by what is known of them, in journal order, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, TextClause, select, text

from tael_ledger import journal
from tael_ledger.booking_dates import Stretch, rest, stretch, windows
from tael_ledger.books import Book
from tael_ledger.journal import Entry
from tael_ledger.rows import array_text
from tael_ledger.tables import account, entry

CANDIDATES = 1_000
"""Lines of an account looked at first; ever more while few of their entries fit."""
CANDIDATES_LIMIT = 16_000

# The first lines of each account; an account's are read in the order of its index.
TOUCHED = text(
    """
SELECT asked.account_id, found.sequence
FROM unnest(CAST(:ids AS bigint[])) AS asked (account_id)
CROSS JOIN LATERAL (SELECT sequence FROM line WHERE line.book_id = :book_id
    AND line.account_id = asked.account_id AND line.sequence > :after AND line.sequence <= :until
    AND line.booking_date BETWEEN :first_day AND :last_day ORDER BY sequence LIMIT :size) AS found
ORDER BY asked.account_id, found.sequence
"""
)
AMONG = text("entry.sequence = ANY(CAST(:sequences AS bigint[]))")
# Beside an account that is asked for, which says where to look: perhaps by another of its lines.
TOUCHES_OWNER = text(
    """
EXISTS (SELECT FROM line JOIN account
    ON account.book_id = line.book_id AND account.account_id = line.account_id
    WHERE line.book_id = entry.book_id AND line.booking_date = entry.booking_date
    AND line.sequence = entry.sequence
    AND account.owner_type = :owner_type AND account.owner_id = :owner_id)
"""
)
# As the partial index has it.
HAS_FACTS = text("entry.metadata <> '' AND entry.metadata::jsonb @> CAST(:facts AS jsonb)")


@dataclass(frozen=True)
class EntryFilter:
    """Which entries; empty matches all, and all that are given must match."""

    event: str = ""
    source_prefix: str = ""
    owner_type: str = ""
    owner_id: str = ""
    account_number: str = ""
    metadata: str = ""
    """Facts as JSON; entries have all of them."""
    from_booking_date: date | None = None
    to_booking_date: date | None = None

    @property
    def names_accounts(self) -> bool:
        """Whether it asks for entries with a line on some accounts."""
        return bool(self.account_number or self.owner_id)


def page(
    connection: Connection, book: Book, wanted: EntryFilter, after: int, size: int
) -> tuple[list[Entry], bool]:
    """At most `size` entries by sequence, after one; and whether there are more."""
    whole = stretch(connection, book, wanted.from_booking_date, wanted.to_booking_date)
    left = rest(connection, book.book_id, whole, after)
    if left.is_empty:
        return [], False
    found = _heads(connection, book.book_id, wanted, left, size + 1)
    fitting = _fitting(found[:size])
    told = journal.complete(connection, book.book_id, found[:fitting], journal.TOLD_LINES)
    return told, len(found) > fitting


def _fitting(found: Sequence[Entry]) -> int:
    """How many of some entries make a page, which tells no more lines than one entry may have."""
    lines = 0
    for count, one in enumerate(found):
        lines += one.line_count if one.line_count <= journal.TOLD_LINES else 0
        if lines > journal.TOLD_LINES:
            return count
    return len(found)


def _heads(
    connection: Connection, book_id: str, wanted: EntryFilter, left: Stretch, size: int
) -> list[Entry]:
    conditions = _conditions(wanted)
    if not wanted.names_accounts:
        between = (entry.c.sequence > left.after, entry.c.sequence <= left.until)
        return journal.heads(connection, book_id, *between, *conditions, size=size)
    found: list[Entry] = []
    for sequences in _touched(connection, book_id, _accounts(connection, book_id, wanted), left):
        among = AMONG.bindparams(sequences=array_text(sequences))
        missing = size - len(found)
        found += journal.heads(connection, book_id, among, *conditions, size=missing)
        if len(found) == size:
            break
    return found


def _conditions(wanted: EntryFilter) -> list[ColumnElement[bool] | TextClause]:
    conditions: list[ColumnElement[bool] | TextClause] = []
    if wanted.event:
        conditions.append(entry.c.event == wanted.event)
    if wanted.source_prefix:
        conditions.append(entry.c.source.startswith(wanted.source_prefix, autoescape=True))
    if wanted.account_number and wanted.owner_id:
        conditions.append(
            TOUCHES_OWNER.bindparams(owner_type=wanted.owner_type, owner_id=wanted.owner_id)
        )
    if wanted.metadata:
        conditions.append(HAS_FACTS.bindparams(facts=wanted.metadata))
    return conditions


def _accounts(connection: Connection, book_id: str, wanted: EntryFilter) -> list[int]:
    """The account that is asked for, else those of the owner that is."""
    query = select(account.c.account_id).where(account.c.book_id == book_id)
    if wanted.account_number:
        query = query.where(account.c.number == wanted.account_number)
    else:
        query = query.where(
            account.c.owner_type == wanted.owner_type, account.c.owner_id == wanted.owner_id
        )
    return list(connection.execute(query).scalars())


def _touched(
    connection: Connection, book_id: str, account_ids: Sequence[int], left: Stretch
) -> Iterator[list[int]]:
    """Sequences of the entries with a line on any of some accounts: ascending, some at a time."""
    after, size = left.after, CANDIDATES
    for first_day, last_day in windows(left.first_day, left.last_day):
        more = True
        while more:
            rows = connection.execute(
                TOUCHED,
                {
                    "book_id": book_id,
                    "ids": account_ids,
                    "after": after,
                    "until": left.until,
                    "first_day": first_day,
                    "last_day": last_day,
                    "size": size,
                },
            )
            by_account = [
                [sequence for _, sequence in lines]
                for _, lines in groupby(rows, key=lambda row: row[0])
            ]
            # Past the last line of an account that may have more, nothing is known.
            cut = [sequences[-1] for sequences in by_account if len(sequences) == size]
            more = bool(cut)
            after = min(cut, default=after)
            known = {sequence for sequences in by_account for sequence in sequences}
            yield sorted(known if not cut else {one for one in known if one <= after})
            size = min(2 * size, CANDIDATES_LIMIT)
