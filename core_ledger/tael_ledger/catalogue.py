"""What never changes of a book once it is opened, kept in memory: its chart of accounts."""

from __future__ import annotations

import threading

from sqlalchemy import Connection

from tael_ledger import books
from tael_ledger.chart import Chart


class Catalogue:
    """Charts by book; shared by the service's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: dict[str, Chart] = {}

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
