"""A decided batch, written set-wise and linked to the chain."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from tael_ledger import chain, rows
from tael_ledger.batch import Accepted, Decided
from tael_ledger.books import Book
from tael_ledger.copying import TableRows, copy_in
from tael_ledger.entry_columns import Drafts, EntryColumns, line_count
from tael_ledger.journal import Anchor, Receipt, RequestKey
from tael_ledger.line_buffer import Exact, Lines, Sums, spread, sums_by
from tael_ledger.prepared import Prepared
from tael_ledger.reasons import Reason
from tael_ledger.registry import Registry
from tael_ledger.requests import Written, refusals_text
from tael_ledger.rows import BatchRow, EntryRow, RecordRow, RequestRow, array_text, days
from tael_ledger.tables import TURNOVER_LIMIT
from tael_runtime.errors import FailedPrecondition

SUMMED_AT = 1000
"""New lines of an account after which they are added up into account_day, …"""
LINES_A_DAY = 8
"""… where they come to so many a day at least since it was last done: a quiet account's would make as
many rows as it has lines. Until …"""
SUMMED_ANYWAY = 4000
"""… there are so many: they are what is read to know the balance of a day."""
SUMMED_LINES = 50_000
"""Lines added up in one transaction, about: the accounts left out are due as before."""

HALF = 2**31
"""Makes a day, as the store counts it, positive: GL code and day share one integer."""

# What is posted and what is pending change together, so that no limit is broken in between. Each move
# brings its book along (OFFSET 0 keeps it there): accounts are found by their whole key or not at all.
WRITE = Prepared(
    "write_batch",
    "text, date, bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], "
    "boolean, text[], integer[], bigint[], bigint[], bigint[], bigint[], bigint[], "
    "bigint, bigint, bigint, integer, integer, integer, integer, integer, timestamptz, bytea, bytea, "
    "bigint",
    f"""
WITH moved AS (
    UPDATE account SET
        debits_posted = debits_posted + move.debits,
        credits_posted = credits_posted + move.credits,
        lines_posted = lines_posted + move.lines,
        debits_pending = account.debits_pending + coalesce(move.debits_held, 0),
        credits_pending = account.credits_pending + coalesce(move.credits_held, 0)
    FROM (SELECT $1 AS book_id, *
          FROM unnest($3, $4, $5, $6, $7, $8)
              AS of (account_id, debits, credits, lines, debits_held, credits_held)
          OFFSET 0) AS move
    WHERE account.book_id = move.book_id AND account.account_id = move.account_id
    RETURNING account.account_id, account.lines_posted - account.lines_summed AS new_lines,
        $2 - account.summed_on AS days
), controlled AS (
    INSERT INTO gl_day (book_id, gl_code, booking_date, value_date, closing, debits, credits, lines)
    SELECT $1, gl_code, $2, date '2000-01-01' + worth, $9, debits, credits, lines
    FROM unnest($10, $11, $12, $13, $14) AS total (gl_code, worth, debits, credits, lines)
    ON CONFLICT (book_id, gl_code, booking_date, value_date, closing) DO UPDATE SET
        debits = gl_day.debits + excluded.debits,
        credits = gl_day.credits + excluded.credits,
        lines = gl_day.lines + excluded.lines
), reversed AS (
    INSERT INTO reversal (book_id, origin, sequence)
    SELECT $1, origin, sequence FROM unnest($15, $16) AS red (origin, sequence)
), linked AS (
    INSERT INTO posting_batch (book_id, batch_number, booking_date, first_sequence, last_sequence,
        accounts, records, requests, entries, lines, committed_at, content_digest, digest)
    VALUES ($1, $17, $2, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)
), headed AS (
    UPDATE book SET accounts_opened = accounts_opened + $20,
        reservations_made = greatest(reservations_made, $28),
        last_batch = $17, last_sequence = $19, digest = $27
    WHERE book_id = $1
)
SELECT count(*), array_agg(account_id) FILTER (WHERE due), array_agg(new_lines) FILTER (WHERE due)
FROM moved, LATERAL (SELECT new_lines >= least({SUMMED_ANYWAY},
    greatest({SUMMED_AT}, {LINES_A_DAY} * days)) AS due) _
""",  # noqa: S608  our own numbers
    probing=True,
)
# The lines that account_day does not have yet, added up by day; then the account says how far it has.
SUM_DAYS = text(
    """
WITH due AS (
    SELECT account_id, summed_through, summed_on FROM account
    WHERE book_id = :book_id AND account_id = ANY(CAST(:ids AS bigint[]))
), summed AS (
    INSERT INTO account_day (book_id, account_id, booking_date, value_date, debits, credits)
    SELECT :book_id, due.account_id, line.booking_date, line.value_date,
           sum(line.debit), sum(line.credit)
    FROM due JOIN line ON line.book_id = :book_id AND line.account_id = due.account_id
        AND line.sequence > due.summed_through AND line.booking_date >= due.summed_on
    GROUP BY due.account_id, line.booking_date, line.value_date
    ON CONFLICT (book_id, account_id, booking_date, value_date) DO UPDATE SET
        debits = account_day.debits + excluded.debits,
        credits = account_day.credits + excluded.credits
)
UPDATE account SET lines_summed = lines_posted, summed_through = :last_sequence,
    summed_on = :booking_date
WHERE book_id = :book_id AND account_id = ANY(CAST(:ids AS bigint[]))
"""
)


@dataclass(frozen=True)
class _Seal:
    """What totals and the link are written with, once the rows are."""

    values: Sequence[Any]
    """WRITE's."""
    moved: int
    """Accounts, of those that were there before."""
    due: Sequence[tuple[int, int]]
    """New accounts that are to be added up by day, and their lines."""
    digest: bytes


@dataclass(frozen=True)
class Made:
    """What a request came to: its receipt and, at its first time, its entries as drafts."""

    receipt: Receipt
    drafts: Drafts


class BatchWriter:
    """Writes one batch to its locked book."""

    def __init__(
        self,
        transaction: Connection,
        book: Book,
        registry: Registry,
        now: datetime,
        decided: Decided,
        meanwhile: Callable[[], None],
    ) -> None:
        """`now`: by the store's clock. `meanwhile` is called while the store has much to do."""
        self._transaction = transaction
        self._book = book
        self._registry = registry
        self._now = now
        self._decided = decided
        self._meanwhile = meanwhile
        self._number = book.last_batch + 1
        self._last_sequence = book.last_sequence + sum(
            len(one.drafts) for one in decided.accepted.values()
        )

    def write(self) -> dict[RequestKey, Made]:
        """Writes all that was accepted, by request. Writes nothing where nothing was."""
        if not self._decided.accepted:
            return {}
        seal = copy_in(self._transaction, self._tables())
        self._add_up(seal)
        self._show()
        anchor = Anchor(self._last_sequence, seal.digest)
        return {key: _made(one, anchor) for key, one in self._decided.accepted.items()}

    def _tables(self) -> Generator[TableRows, None, _Seal]:
        """Its rows: what is much to make comes after what is much to take in."""
        book_id = self._book.book_id
        requests = rows.request_bytes(book_id, self._requests())
        yield rows.REQUEST, requests
        records = [*self._records()]
        record_part = rows.record_bytes(book_id, records)
        yield rows.RECORD, record_part
        entries = b"".join(map(self._entry_bytes, self._decided.accepted.values()))
        yield rows.ENTRY, entries
        lines = self._decided.lines.lines()
        totals = sums_by(lines.account_ids, lines.debits, lines.credits)
        _check_turnover(totals)
        accounts = rows.account_identities(book_id, self._decided.opened)
        yield rows.OPENED, self._opened_bytes(accounts, totals)
        line_part = self._line_bytes(lines)
        yield rows.LINE, line_part
        head = self._head(len(records), len(lines.account_ids))
        account_part = rows.counted(rows.ACCOUNT, accounts)
        parts = (account_part, record_part, requests, entries, line_part)
        content = chain.content_digest((rows.batch_bytes(book_id, head), *parts))
        seal = self._seal(lines, totals, head, content)
        self._meanwhile()
        return seal

    def _head(self, records: int, lines: int) -> BatchRow:
        return BatchRow(
            self._number,
            days(self._book.business_date),
            self._book.last_sequence + 1,
            self._last_sequence,
            len(self._decided.opened),
            records,
            len(self._decided.accepted),
            self._last_sequence - self._book.last_sequence,
            lines,
            rows.microseconds(self._now),
        )

    def _records(self) -> Iterable[RecordRow]:
        place = 0
        for one in self._decided.accepted.values():
            for record in one.plan.records:
                place += 1
                content = record.text(one.first_sequence)
                yield RecordRow(self._number, place, record.kind, record.subject, content)

    def _requests(self) -> Iterable[RequestRow]:
        for place, (key, one) in enumerate(self._decided.accepted.items(), 1):
            yield RequestRow(
                self._number,
                place,
                one.first_sequence,
                len(one.drafts),
                line_count(one.drafts),
                one.request.content_hash,
                key.rpc,
                key.caller,
                key.request_id,
                _outcome(one),
            )

    def _entry_bytes(self, one: Accepted) -> bytes:
        booked, drafts = days(self._book.business_date), one.drafts
        if isinstance(drafts, EntryColumns):
            return drafts.rows.placed(one.first_sequence, booked)
        entries = [
            EntryRow(
                sequence,
                days(draft.value_date),
                booked,
                draft.rules_version,
                draft.reversal_of,
                draft.line_count,
                draft.event,
                draft.source,
                draft.narrative,
                draft.metadata,
            )
            for sequence, draft in enumerate(drafts, one.first_sequence)
        ]
        return rows.entry_bytes(self._book.book_id, entries)

    def _line_bytes(self, lines: Lines) -> bytes:
        filled = rows.LINE.heads(self._book.book_id, len(lines.account_ids))
        filled["booking_date"] = days(self._book.business_date)
        filled["sequence"] = lines.sequences
        filled["line_number"] = lines.numbers
        filled["account_id"] = lines.account_ids
        filled["value_date"] = lines.value_dates
        filled["debit"] = lines.debits
        filled["credit"] = lines.credits
        filled["memo"] = self._registry.memo[self._registry.places(lines.account_ids)]
        return filled.tobytes()

    def _opened_bytes(self, identities: Sequence[bytes], totals: Sums) -> bytes:
        """New accounts, with what the batch posts on them."""
        first_new = int(np.searchsorted(totals.keys, self._book.accounts_opened, side="right"))
        columns = [[0] * len(identities) for _ in range(3)]
        for column, values in zip(columns, totals[1:], strict=True):
            news = (totals.keys[first_new:] - self._book.accounts_opened - 1).tolist()
            for place, value in zip(news, values[first_new:].tolist(), strict=True):
                column[place] = value
        debits, credits_, lines = columns
        opened = days(self._book.business_date)
        fields = rows.with_totals(identities, debits, credits_, lines, opened)
        return rows.counted(rows.OPENED, fields)

    def _seal(self, lines: Lines, totals: Sums, head: BatchRow, content: bytes) -> _Seal:
        moves = self._moves(totals)
        places = self._registry.places(lines.account_ids).astype(np.int64)
        by_code = sums_by((places << 32) + lines.value_dates + HALF, lines.debits, lines.credits)
        red = self._decided.reversals()
        plans = [one.plan for one in self._decided.accepted.values()]
        news = (totals.keys > self._book.accounts_opened) & (totals.counts >= SUMMED_AT)
        digest = chain.link(self._book.digest, content)
        values = (
            self._book.book_id,
            self._book.business_date,
            *(array_text(column) for column in moves),
            self._decided.closing,
            [self._registry.codes[key >> 32] for key in by_code.keys.tolist()],
            array_text((by_code.keys & 0xFFFFFFFF) - HALF),
            array_text(by_code.debits),
            array_text(by_code.credits),
            array_text(by_code.counts),
            array_text([origin for origin, _ in red]),
            array_text([sequence for _, sequence in red]),
            head.batch_number,
            *head[2:-1],
            self._now,
            content,
            digest,
            max(plan.reservation_id for plan in plans),
        )
        due = [*zip(totals.keys[news].tolist(), totals.counts[news].tolist(), strict=True)]
        return _Seal(values, len(moves[0]), due, digest)

    def _add_up(self, seal: _Seal) -> None:
        """Totals of accounts and GL codes, and the link; that every account is found proves every
        line's.
        """
        ((found, due, new_lines),) = WRITE.rows(self._transaction, *seal.values)
        if found != seal.moved:
            raise RuntimeError(f"{seal.moved} accounts were moved and {found} are there")
        self._sum_days([*zip(due or (), new_lines or (), strict=True), *seal.due])

    def _sum_days(self, due: Sequence[tuple[int, int]]) -> None:
        """Adds up by day the new lines of some accounts, so many each, as far as one transaction
        should.
        """
        before = accumulate((lines for _, lines in due), initial=0)
        ids = [
            account_id
            for (account_id, _), lines in zip(due, before, strict=False)
            if lines < SUMMED_LINES
        ]
        if ids:
            self._transaction.execute(
                SUM_DAYS,
                {
                    "book_id": self._book.book_id,
                    "booking_date": self._book.business_date,
                    "last_sequence": self._last_sequence,
                    "ids": array_text(ids),
                },
            )

    def _moves(self, totals: Sums) -> Sequence[Exact]:
        """What changes on accounts that are there: ids, debits, credits, lines, and where something
        is held or given back, debits and credits pending. New ones have their postings already.
        """
        old = totals.keys <= self._book.accounts_opened
        first, *posted = (column[old] for column in totals)
        nothing = np.zeros(0, dtype=np.int64)
        if not self._decided.holds:
            return [first, *posted, nothing, nothing]
        held = sums_by(*np.array(self._decided.holds, dtype=np.int64).T)
        ids = np.union1d(first, held.keys)
        return [
            ids,
            *(spread(ids, first, column) for column in posted),
            spread(ids, held.keys, held.debits),
            spread(ids, held.keys, held.credits),
        ]

    def _show(self) -> None:
        """The tables that show what the records say."""
        for one in self._decided.accepted.values():
            if one.plan.then is not None:
                place = Written(self._number, one.first_sequence, self._last_sequence)
                one.plan.then(self._transaction, place)


def _check_turnover(totals: Sums) -> None:
    """Raises FailedPrecondition ACCOUNT_LIMIT where an account's new lines alone are too much."""
    for column in (totals.debits, totals.credits):
        if np.any((column > TURNOVER_LIMIT) | (column < -TURNOVER_LIMIT)):
            raise FailedPrecondition(
                Reason.ACCOUNT_LIMIT,
                f"an account would turn over more than {TURNOVER_LIMIT} minor units",
            )


def _outcome(one: Accepted) -> str:
    if not one.refusals:
        return one.plan.outcome
    return refusals_text(one.refusals)


def _made(one: Accepted, anchor: Anchor) -> Made:
    entries = len(one.drafts)
    lines = line_count(one.drafts)
    return Made(Receipt(one.first_sequence, entries, lines, anchor, _outcome(one)), one.drafts)
