"""Prove: everything recomputed from the lines up, batch by batch, in bounded memory but for totals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain as concatenated
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, select

from tael_ledger import chain
from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.closing import Head
from tael_ledger.journal import Anchor
from tael_ledger.tables import account, entry, line, posting_batch, posting_request

ENTRY_BALANCE = "ENTRY_BALANCE"
ACCOUNT_TOTALS = "ACCOUNT_TOTALS"
DIGEST_CHAIN = "DIGEST_CHAIN"
SEQUENCE = "SEQUENCE"
TRIAL_BALANCE = "TRIAL_BALANCE"
ANCHOR = "ANCHOR"

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """One wrong thing."""

    check: str
    subject: str
    message: str


@dataclass
class Proof:
    """What was read, and what the checks carry from one batch to the next."""

    book: Book
    chart: Chart
    anchor: Anchor | None
    entries: int = 0
    lines: int = 0
    accounts: int = 0
    batches: int = 0
    findings: int = 0
    head: Head = field(default_factory=lambda: Head(0, chain.GENESIS, None))
    _totals: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    _last_sequence: int = 0
    _anchored: bool = False

    def run(self, connection: Connection) -> Iterator[Finding]:
        """Yields findings; when it ends, the counts and the head stand."""
        for finding in concatenated(
            self._journal(connection), self._accounts(connection), self._ends()
        ):
            self.findings += 1
            yield finding

    def _journal(self, connection: Connection) -> Iterator[Finding]:
        own = _Rows(connection, self.book.book_id)
        for batch in own.read(select(posting_batch), posting_batch.c.batch_number):
            entries = own.entries.until("sequence", batch.last_sequence)
            lines = own.lines.until("sequence", batch.last_sequence)
            requests = own.requests.until("batch_number", batch.batch_number)
            opened = own.opened.until("batch_number", batch.batch_number)
            yield from self._sequence(batch, entries)
            yield from self._entry_lines(entries, lines)
            yield from self._digest(batch, opened, requests, entries, lines)
        for rest in (own.entries, own.lines, own.requests, own.opened):
            for row in rest.until("book_id", self.book.book_id):
                yield Finding(DIGEST_CHAIN, str(tuple(row)[:4]), "belongs to no batch")

    def _sequence(self, batch: Row[Any], entries: list[Row[Any]]) -> Iterator[Finding]:
        self.batches += 1
        if batch.batch_number != self.batches:
            yield Finding(
                SEQUENCE, f"batch {batch.batch_number}", f"batch {self.batches} should come here"
            )
            self.batches = batch.batch_number
        if batch.first_sequence != self._last_sequence + 1:
            yield Finding(
                SEQUENCE,
                f"batch {batch.batch_number}",
                f"begins at {batch.first_sequence}, not at {self._last_sequence + 1}",
            )
        found = [row.sequence for row in entries]
        wanted = list(range(batch.first_sequence, batch.last_sequence + 1))
        for sequence in sorted(set(wanted) ^ set(found)):
            what = "is missing" if sequence in wanted else "lies outside its batch"
            yield Finding(SEQUENCE, f"entry {sequence}", what)
        self._last_sequence = batch.last_sequence

    def _entry_lines(self, entries: list[Row[Any]], lines: list[Row[Any]]) -> Iterator[Finding]:
        self.entries += len(entries)
        self.lines += len(lines)
        heads = {row.sequence: row for row in entries}
        sums: dict[tuple[int, bool], int] = defaultdict(int)
        for row in lines:
            totals = self._totals[row.account_id]
            totals[0] += row.debit
            totals[1] += row.credit
            is_memo = row.gl_code is not None and self.chart[row.gl_code].is_memo
            sums[row.sequence, is_memo] += row.debit - row.credit
            head = heads.get(row.sequence)
            copied = (row.booking_date, row.value_date, row.memo)
            if head is None:
                yield Finding(SEQUENCE, f"entry {row.sequence}", "has lines but is not there")
            elif copied != (head.booking_date, head.value_date, is_memo):
                yield Finding(
                    DIGEST_CHAIN,
                    f"entry {row.sequence} line {row.line_number}",
                    "its dates or its memo mark differ from its entry and account",
                )
        for (sequence, is_memo), difference in sums.items():
            if difference:
                where = "off balance" if is_memo else "on balance"
                yield Finding(
                    ENTRY_BALANCE,
                    f"entry {sequence}",
                    f"{where}, debits less credits should be 0 and are {difference}",
                )

    def _digest(
        self,
        batch: Row[Any],
        opened: list[Row[Any]],
        requests: list[Row[Any]],
        entries: list[Row[Any]],
        lines: list[Row[Any]],
    ) -> Iterator[Finding]:
        counts: dict[int, int] = defaultdict(int)
        for row in lines:
            counts[row.sequence] += 1
        rebuilt = chain.ChainBatch(
            book_id=self.book.book_id,
            batch_number=batch.batch_number,
            committed_at=(batch.committed_at - UNIX_EPOCH) // timedelta(microseconds=1),
            opened=[(row.account_id, row.number) for row in opened],
            requests=[
                chain.ChainRequest(
                    row.rpc,
                    row.caller,
                    row.request_id,
                    bytes(row.content_hash),
                    row.first_sequence,
                    row.entries,
                )
                for row in requests
            ],
            entries=[
                chain.ChainEntry(
                    row.sequence,
                    row.event,
                    row.value_date,
                    row.booking_date,
                    row.source,
                    row.narrative,
                    row.rules_version,
                    row.reversal_of,
                    counts[row.sequence],
                )
                for row in entries
            ],
            lines=np.array(
                [(row.account_id, row.debit, row.credit) for row in lines], dtype=np.int64
            ).reshape(-1, 3),
        )
        expected = chain.link(self.head.digest, rebuilt)
        stored = bytes(batch.digest)
        if stored != expected:
            yield Finding(
                DIGEST_CHAIN,
                f"batch {batch.batch_number}",
                f"its digest should be {expected.hex()} and is {stored.hex()}",
            )
        # From the stored digest on, so that one wrong batch is one finding.
        self.head = Head(batch.last_sequence, stored, batch.committed_at)
        if self.anchor == Anchor(batch.last_sequence, stored):
            self._anchored = True

    def _accounts(self, connection: Connection) -> Iterator[Finding]:
        rows = connection.execution_options(yield_per=5000).execute(
            select(account)
            .where(account.c.book_id == self.book.book_id)
            .order_by(account.c.account_id)
        )
        for row in rows:
            self.accounts += 1
            debits, credits_ = self._totals.pop(row.account_id, (0, 0))
            if (row.debits_posted, row.credits_posted) != (debits, credits_):
                yield Finding(
                    ACCOUNT_TOTALS,
                    row.number,
                    f"its lines add up to {debits} and {credits_}, "
                    f"its totals are {row.debits_posted} and {row.credits_posted}",
                )
            if row.number != ":".join(filter(None, (row.gl_code, row.owner_type, row.owner_id))):
                yield Finding(ACCOUNT_TOTALS, row.number, "its parts differ from its number")
            self._sums[self.chart[row.gl_code].is_memo] += debits - credits_
        for account_id in self._totals:
            yield Finding(ACCOUNT_TOTALS, f"account {account_id}", "has lines but is not there")

    _sums: dict[bool, int] = field(default_factory=lambda: defaultdict(int))

    def _ends(self) -> Iterator[Finding]:
        for is_memo, difference in self._sums.items():
            if difference:
                where = "off balance" if is_memo else "on balance"
                yield Finding(
                    TRIAL_BALANCE, where, f"debits less credits should be 0 and are {difference}"
                )
        if (self.book.last_sequence, self.book.digest) != (self.head.sequence, self.head.digest):
            yield Finding(
                DIGEST_CHAIN,
                "head",
                f"the book stands at {self.book.last_sequence} {self.book.digest.hex()}, "
                f"its chain at {self.head.sequence} {self.head.digest.hex()}",
            )
        if self.anchor is not None and not self._anchored:
            yield Finding(
                ANCHOR,
                f"entry {self.anchor.sequence}",
                f"the chain does not pass through {self.anchor.digest.hex()}",
            )


class _Cursor:
    """Rows in order, taken as far as a bound."""

    def __init__(self, rows: Iterator[Row[Any]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def until(self, column: str, bound: Any) -> list[Row[Any]]:
        """The rows whose column is at most the bound."""
        taken = []
        while self._next is not None and getattr(self._next, column) <= bound:
            taken.append(self._next)
            self._next = next(self._rows, None)
        return taken


class _Rows:
    """A book's journal as streams, each in the chain's order."""

    def __init__(self, connection: Connection, book_id: str) -> None:
        self._connection = connection
        self._book_id = book_id
        self.entries = _Cursor(self.read(select(entry), entry.c.sequence))
        self.lines = _Cursor(
            self.read(
                select(line, account.c.gl_code).outerjoin(
                    account,
                    (account.c.book_id == line.c.book_id)
                    & (account.c.account_id == line.c.account_id),
                ),
                line.c.sequence,
                line.c.line_number,
            )
        )
        self.requests = _Cursor(
            self.read(
                select(posting_request),
                posting_request.c.batch_number,
                posting_request.c.rpc,
                posting_request.c.caller,
                posting_request.c.request_id,
            )
        )
        self.opened = _Cursor(
            self.read(select(account), account.c.batch_number, account.c.account_id)
        )

    def read(self, query: Select[Any], *order: Any) -> Iterator[Row[Any]]:
        """Streams a query's rows of the book."""
        table = order[0].table
        ordered = query.where(table.c.book_id == self._book_id).order_by(*order)
        streaming = self._connection.execution_options(yield_per=5000)
        return iter(streaming.execute(ordered))
