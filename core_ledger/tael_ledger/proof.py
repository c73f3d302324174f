"""Prove: everything recomputed from the lines up, window by window."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.findings import Finding
from tael_ledger.journal import Anchor
from tael_ledger.journal_stream import windows
from tael_ledger.proof_chain import ChainProof
from tael_ledger.proof_entries import check_entries, owners_of
from tael_ledger.proof_records import check_records
from tael_ledger.proof_totals import TotalsProof
from tael_ledger.tables import account


class Proof:
    """One run over a book. Memory: one window, and some columns an account."""

    def __init__(
        self, connection: Connection, book: Book, chart: Chart, anchor: Anchor | None
    ) -> None:
        """The connection's transaction sees one state throughout."""
        self._connection = connection
        self._book = book
        own = select(func.count()).where(account.c.book_id == book.book_id)
        self.accounts: int = connection.execute(own).scalar_one()
        self._totals = TotalsProof(connection, book, chart, self.accounts)
        self.chain = ChainProof(anchor)
        self.entries = 0
        self.lines = 0
        self.findings = 0

    def run(self) -> Iterator[Finding]:
        """Yields findings; when it ends, the counts and the chain's end stand."""
        for finding in self._checks():
            self.findings += 1
            yield finding

    def _checks(self) -> Iterator[Finding]:
        for window in windows(self._connection, self._book.book_id):
            self.entries += len(window.entries)
            self.lines += len(window.lines)
            yield from self.chain.check(window)
            self._totals.open(window)
            owners = owners_of(window)
            yield from check_entries(window, owners, self._totals.memo(window))
            yield from self._totals.add(window, owners)
        yield from self._totals.end()
        yield from check_records(self._connection, self._book, self.chain.claims)
        yield from self.chain.end(self._book)
