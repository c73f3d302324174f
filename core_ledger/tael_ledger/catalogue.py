"""What never changes once written, kept in memory: a book's chart and each version of its rules."""

from __future__ import annotations

import threading

from sqlalchemy import Connection

from tael_ledger import books, rules_store
from tael_ledger.chart import Chart
from tael_ledger.posting_rules import RuleSet


class Catalogue:
    """Charts and rule sets by book; shared by the service's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: dict[str, Chart] = {}
        self._rules: dict[tuple[str, int], RuleSet] = {}

    def known(self, book_id: str) -> Chart | None:
        """The chart, where it was read before."""
        return self._charts.get(book_id)

    def chart(self, connection: Connection, book_id: str) -> Chart:
        """A book's chart of accounts. Raises NotFound."""
        found = self._charts.get(book_id)
        if found is None:
            found = books.chart(connection, book_id)
            with self._lock:
                self._charts[book_id] = found
        return found

    def rules(self, connection: Connection, book_id: str, version: int) -> RuleSet:
        """An approved version of a book's rules."""
        found = self._rules.get((book_id, version))
        if found is None:
            found = RuleSet(version, rules_store.rules(connection, book_id, version))
            with self._lock:
                self._rules[book_id, version] = found
        return found
