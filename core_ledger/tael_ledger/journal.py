"""The journal: entries with their lines, as posted. Never changed, only read and added to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, TextClause, select, text

from tael_ledger import journal_stream
from tael_ledger.copying import copy_out
from tael_ledger.drafts import Draft, Line, LineColumns
from tael_ledger.row_view import view
from tael_ledger.rows import LINE, array_text
from tael_ledger.tables import entry, posting_batch, posting_request, reversal
from tael_runtime.errors import NotFound

# One probe an entry, into its own partition, and one a line's account, whatever the planner believes.
LINES = text(
    """
SELECT found.sequence, held.number, found.debit, found.credit
FROM unnest(CAST(:dates AS date[]), CAST(:sequences AS bigint[])) AS asked (booking_date, sequence)
CROSS JOIN LATERAL (SELECT sequence, line_number, account_id, debit, credit FROM line
    WHERE line.book_id = :book_id AND line.booking_date = asked.booking_date
    AND line.booking_date BETWEEN :first_day AND :last_day
    AND line.sequence = asked.sequence) AS found
CROSS JOIN LATERAL (SELECT number FROM account WHERE account.book_id = :book_id
    AND account.account_id = found.account_id LIMIT 1) AS held
ORDER BY found.sequence, found.line_number
"""
)
# One text for all, so that many lines make no row each.
NUMBERS = text(
    """
SELECT string_agg(held.number, E'\\n' ORDER BY found.line_number)
FROM line AS found
CROSS JOIN LATERAL (SELECT number FROM account WHERE account.book_id = :book_id
    AND account.account_id = found.account_id LIMIT 1) AS held
WHERE found.book_id = :book_id AND found.booking_date = :booking_date
    AND found.sequence = :sequence
"""
)


TOLD_LINES = 50_000
"""Lines of an entry that an answer tells; only opening balances and their reversals have more, and
come without.
"""


@dataclass(frozen=True)
class RequestKey:
    """Which request it is, within a book."""

    rpc: str
    caller: str
    request_id: str


@dataclass(frozen=True)
class Entry:
    """A voucher. Sequence 0: not posted."""

    book_id: str
    sequence: int
    event: str
    value_date: date
    booking_date: date
    source: str
    narrative: str
    rules_version: int
    reversal_of: int
    lines: Sequence[Line] = ()
    reversed_by: int = 0
    metadata: str = ""
    line_count: int = 0


@dataclass(frozen=True)
class Origin:
    """What posted an entry."""

    request: RequestKey
    committed_at: datetime
    """By the store's clock."""
    outcome: str
    """What else the request's answer needs; of Approve, the proposal."""


@dataclass(frozen=True)
class Anchor:
    """The chain after a posting."""

    sequence: int
    digest: bytes


@dataclass(frozen=True)
class Receipt:
    """What a posting request made, for ever."""

    first_sequence: int
    """0 where every amount was zero."""
    entries: int
    lines: int
    anchor: Anchor
    outcome: str = ""
    """What else the answer needs; JSON or empty."""


def entry_of(book_id: str, sequence: int, booking_date: date, draft: Draft) -> Entry:
    """A draft in its place in the journal."""
    return Entry(
        book_id,
        sequence,
        draft.event,
        draft.value_date,
        booking_date,
        draft.source,
        draft.narrative,
        draft.rules_version,
        draft.reversal_of,
        _told(draft),
        metadata=draft.metadata,
        line_count=draft.line_count,
    )


def _told(draft: Draft) -> Sequence[Line]:
    lines = draft.lines
    if not isinstance(lines, LineColumns):
        return lines
    if draft.line_count > TOLD_LINES:
        return ()
    rows = zip(lines.account_numbers, lines.debits.tolist(), lines.credits.tolist(), strict=True)
    return [Line(*row) for row in rows]


def receipt(connection: Connection, book_id: str, key: RequestKey) -> Receipt:
    """The receipt of a request that was executed."""
    row = connection.execute(
        select(posting_request, posting_batch.c.last_sequence, posting_batch.c.digest)
        .join(
            posting_batch,
            (posting_batch.c.book_id == posting_request.c.book_id)
            & (posting_batch.c.batch_number == posting_request.c.batch_number),
        )
        .where(
            posting_request.c.book_id == book_id,
            posting_request.c.rpc == key.rpc,
            posting_request.c.caller == key.caller,
            posting_request.c.request_id == key.request_id,
        )
    ).one()
    anchor = Anchor(row.last_sequence, bytes(row.digest))
    return Receipt(row.first_sequence, row.entries, row.lines, anchor, row.outcome)


def entries_of(connection: Connection, book_id: str, made: Receipt) -> list[Entry]:
    """The entries of a receipt, as they were when they were made: not yet reversed. Those that have
    more than TOLD_LINES without their lines.
    """
    if not made.entries:
        return []
    last = made.first_sequence + made.entries - 1
    found = heads(connection, book_id, entry.c.sequence.between(made.first_sequence, last))
    return _with_lines(connection, book_id, found, {}, TOLD_LINES)


def get(
    connection: Connection, book_id: str, sequence: int, most_lines: int | None = None
) -> Entry:
    """One entry, as `complete` gives it. Raises NotFound."""
    found = heads(connection, book_id, entry.c.sequence == sequence)
    if not found:
        raise NotFound("entry", f"{book_id}/{sequence}")
    return complete(connection, book_id, found, most_lines)[0]


def origin(connection: Connection, book_id: str, sequence: int) -> Origin:
    """The request that posted an entry that is there: its batch's, among whose entries it is."""
    request, batch = posting_request.c, posting_batch.c
    in_batch = (
        select(batch.batch_number, batch.committed_at)
        .where(batch.book_id == book_id, batch.last_sequence >= sequence)
        .order_by(batch.last_sequence, batch.batch_number)
        .limit(1)
        .subquery()
    )
    row = connection.execute(
        select(
            request.rpc,
            request.caller,
            request.request_id,
            in_batch.c.committed_at,
            request.outcome,
        )
        .join(in_batch, request.batch_number == in_batch.c.batch_number)
        .where(
            request.book_id == book_id,
            request.first_sequence <= sequence,
            request.first_sequence + request.entries > sequence,
        )
    ).one()
    *key, committed_at, outcome = row
    return Origin(RequestKey(*key), committed_at, outcome)


def line_count(connection: Connection, book_id: str, sequence: int) -> int:
    """How many lines an entry has; 0 where there is none."""
    found = heads(connection, book_id, entry.c.sequence == sequence)
    return found[0].line_count if found else 0


def line_columns(connection: Connection, head: Entry) -> LineColumns:
    """An entry's lines in columns, however many."""
    place = f"booking_date = '{head.booking_date}' AND sequence = {head.sequence}"
    query = journal_stream.select(LINE, head.book_id, place, "line_number")
    lines = view(LINE, head.book_id, copy_out(connection, query))
    numbers = connection.execute(
        NUMBERS,
        {
            "book_id": head.book_id,
            "booking_date": head.booking_date,
            "sequence": head.sequence,
        },
    ).scalar_one()
    return LineColumns(numbers.split("\n"), lines.column("debit"), lines.column("credit"))


def complete(
    connection: Connection, book_id: str, found: Sequence[Entry], most_lines: int | None = None
) -> list[Entry]:
    """Entries with what reversed them and with their lines; those that have more than `most_lines`,
    where it is given, without.
    """
    if not found:
        return []
    sequences = [one.sequence for one in found]
    rows = connection.execute(
        select(reversal.c.origin, reversal.c.sequence).where(
            reversal.c.book_id == book_id, reversal.c.origin.in_(sequences)
        )
    )
    reversed_by = {row.origin: row.sequence for row in rows}
    return _with_lines(connection, book_id, found, reversed_by, most_lines)


def heads(
    connection: Connection,
    book_id: str,
    *conditions: ColumnElement[bool] | TextClause,
    size: int | None = None,
) -> list[Entry]:
    """Entries by sequence, without their lines and without what reversed them."""
    query = (
        select(entry)
        .where(entry.c.book_id == book_id, *conditions)
        .order_by(entry.c.sequence)
        .limit(size)
    )
    return [
        Entry(**{**row, "lines": (), "line_count": row["lines"]})
        for row in connection.execute(query).mappings()
    ]


def _with_lines(
    connection: Connection,
    book_id: str,
    found: Sequence[Entry],
    reversed_by: Mapping[int, int],
    most_lines: int | None = None,
) -> list[Entry]:
    told = [one for one in found if most_lines is None or one.line_count <= most_lines]
    lines: dict[int, list[Line]] = {one.sequence: [] for one in found}
    if not told:
        return [replace(one, reversed_by=reversed_by.get(one.sequence, 0)) for one in found]
    dates = [one.booking_date for one in told]
    rows = connection.execute(
        LINES,
        {
            "book_id": book_id,
            "dates": dates,
            "sequences": array_text([one.sequence for one in told]),
            "first_day": min(dates),
            "last_day": max(dates),
        },
    )
    for sequence, number, debit, credit in rows:
        lines[sequence].append(Line(number, debit, credit))
    return [
        replace(one, lines=lines[one.sequence], reversed_by=reversed_by.get(one.sequence, 0))
        for one in found
    ]
