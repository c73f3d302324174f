"""Prove: everything recomputed from the lines up, batch by batch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from tael_ledger import chain
from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.closing import Head
from tael_ledger.drafts import account_number
from tael_ledger.journal import Anchor
from tael_ledger.journal_stream import PAGE, BatchRows, JournalStream
from tael_ledger.tables import account

ENTRY_BALANCE = "ENTRY_BALANCE"
ACCOUNT_TOTALS = "ACCOUNT_TOTALS"
DIGEST_CHAIN = "DIGEST_CHAIN"
SEQUENCE = "SEQUENCE"
TRIAL_BALANCE = "TRIAL_BALANCE"
ANCHOR = "ANCHOR"


@dataclass(frozen=True)
class Finding:
    """One wrong thing."""

    check: str
    subject: str
    message: str


class Proof:
    """One run over a book. Memory: one batch, and two totals an account."""

    def __init__(self, book: Book, chart: Chart, anchor: Anchor | None) -> None:
        self._book = book
        self._chart = chart
        self._anchor = anchor
        self._anchored = anchor is None
        self._totals: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._batch_number = 0
        self.entries = 0
        self.lines = 0
        self.accounts = 0
        self.batches = 0
        self.findings = 0
        self.head = Head(0, chain.GENESIS, None)

    def run(self, connection: Connection) -> Iterator[Finding]:
        """Yields findings; when it ends, the counts and the head stand."""
        for checks in (self._journal(connection), self._accounts(connection), self._ends()):
            for finding in checks:
                self.findings += 1
                yield finding

    def _journal(self, connection: Connection) -> Iterator[Finding]:
        stream = JournalStream(connection, self._book.book_id)
        for rows in stream.batches():
            yield from self._sequence(rows)
            yield from self._heads_and_lines(rows)
            yield from self._digest(rows)
            self.batches += 1
            self.entries += len(rows.entries)
            self.lines += len(rows.lines)
        for what, row in stream.leftovers():
            yield Finding(DIGEST_CHAIN, what, f"{tuple(row)[:4]} belongs to no batch")

    def _sequence(self, rows: BatchRows) -> Iterator[Finding]:
        batch = rows.batch
        subject = f"batch {batch.batch_number}"
        self._batch_number += 1
        if batch.batch_number != self._batch_number:
            yield Finding(SEQUENCE, subject, f"batch {self._batch_number} should come here")
            self._batch_number = batch.batch_number
        if batch.first_sequence != self.head.sequence + 1:
            yield Finding(
                SEQUENCE,
                subject,
                f"should begin at {self.head.sequence + 1} and begins at {batch.first_sequence}",
            )
        wanted = set(range(batch.first_sequence, batch.last_sequence + 1))
        for sequence in sorted(wanted ^ {row.sequence for row in rows.entries}):
            what = "is missing" if sequence in wanted else "lies outside its batch"
            yield Finding(SEQUENCE, f"entry {sequence}", what)

    def _heads_and_lines(self, rows: BatchRows) -> Iterator[Finding]:
        heads = {row.sequence: row for row in rows.entries}
        differences: dict[tuple[int, bool], int] = defaultdict(int)
        for row in rows.lines:
            totals = self._totals[row.account_id]
            totals[0] += row.debit
            totals[1] += row.credit
            is_memo = self._is_memo(row.gl_code)
            differences[row.sequence, is_memo] += row.debit - row.credit
            head = heads.get(row.sequence)
            if head is None:
                yield Finding(SEQUENCE, f"entry {row.sequence}", "has lines but is not there")
            elif (row.booking_date, row.value_date, row.memo) != (
                head.booking_date,
                head.value_date,
                is_memo,
            ):
                yield Finding(
                    DIGEST_CHAIN,
                    f"entry {row.sequence} line {row.line_number}",
                    "its dates or its memo mark differ from its entry and account",
                )
        for (sequence, is_memo), difference in differences.items():
            if difference:
                yield Finding(ENTRY_BALANCE, f"entry {sequence}", _unbalanced(is_memo, difference))
        for row in rows.entries:
            if row.reversal_of != (row.origin or 0):
                yield Finding(
                    DIGEST_CHAIN,
                    f"entry {row.sequence}",
                    f"reverses entry {row.reversal_of}, recorded as of {row.origin}",
                )

    def _is_memo(self, gl_code: str | None) -> bool:
        gl_account = self._chart.get(gl_code or "")
        return gl_account is not None and gl_account.is_memo

    def _digest(self, rows: BatchRows) -> Iterator[Finding]:
        batch = rows.batch
        expected = chain.link(self.head.digest, _chain_batch(self._book.book_id, rows))
        stored = bytes(batch.digest)
        if stored != expected:
            yield Finding(
                DIGEST_CHAIN,
                f"batch {batch.batch_number}",
                f"its digest should be {expected.hex()} and is {stored.hex()}",
            )
        # From the stored digest on, so that one wrong batch is one finding.
        self.head = Head(batch.last_sequence, stored, batch.committed_at)
        if self._anchor == Anchor(batch.last_sequence, stored):
            self._anchored = True

    def _accounts(self, connection: Connection) -> Iterator[Finding]:
        differences: dict[bool, int] = defaultdict(int)
        query = select(account).where(account.c.book_id == self._book.book_id)
        for row in connection.execute(query, execution_options={"yield_per": PAGE}):
            self.accounts += 1
            debits, credits_ = self._totals.pop(row.account_id, (0, 0))
            differences[self._is_memo(row.gl_code)] += debits - credits_
            if (row.debits_posted, row.credits_posted) != (debits, credits_):
                yield Finding(
                    ACCOUNT_TOTALS,
                    row.number,
                    f"its lines add up to {debits} and {credits_}, "
                    f"its totals are {row.debits_posted} and {row.credits_posted}",
                )
            if row.number != account_number(row.gl_code, row.owner_type, row.owner_id):
                yield Finding(DIGEST_CHAIN, row.number, "its parts differ from its number")
        for account_id in self._totals:
            yield Finding(ACCOUNT_TOTALS, f"account {account_id}", "has lines but is not there")
        for is_memo, difference in differences.items():
            if difference:
                yield Finding(TRIAL_BALANCE, self._book.book_id, _unbalanced(is_memo, difference))

    def _ends(self) -> Iterator[Finding]:
        book = self._book
        if (book.last_sequence, book.digest) != (self.head.sequence, self.head.digest):
            yield Finding(
                DIGEST_CHAIN,
                "head",
                f"the book stands at {book.last_sequence} {book.digest.hex()}, "
                f"its chain at {self.head.sequence} {self.head.digest.hex()}",
            )
        if self._anchor is not None and not self._anchored:
            yield Finding(
                ANCHOR,
                f"entry {self._anchor.sequence}",
                f"the chain does not pass through {self._anchor.digest.hex()}",
            )


def _unbalanced(is_memo: bool, difference: int) -> str:
    where = "off balance" if is_memo else "on balance"
    return f"{where}, debits less credits should be 0 and are {difference}"


def _chain_batch(book_id: str, rows: BatchRows) -> chain.ChainBatch:
    """What the rows say the batch was."""
    counts = Counter(row.sequence for row in rows.lines)
    return chain.ChainBatch(
        book_id=book_id,
        batch_number=rows.batch.batch_number,
        committed_at=rows.batch.committed_at,
        opened=[(row.account_id, row.number) for row in rows.opened],
        requests=[_chain_request(row) for row in rows.requests],
        entries=[_chain_entry(row, counts[row.sequence]) for row in rows.entries],
        lines=np.array(
            [(row.account_id, row.debit, row.credit) for row in rows.lines], dtype=np.int64
        ).reshape(-1, 3),
    )


def _chain_request(row: Row[Any]) -> chain.ChainRequest:
    return chain.ChainRequest(
        row.rpc,
        row.caller,
        row.request_id,
        bytes(row.content_hash),
        row.first_sequence,
        row.entries,
        row.lines,
    )


def _chain_entry(row: Row[Any], lines: int) -> chain.ChainEntry:
    return chain.ChainEntry(
        row.sequence,
        row.event,
        row.value_date,
        row.booking_date,
        row.source,
        row.narrative,
        row.rules_version,
        row.reversal_of,
        lines,
    )
