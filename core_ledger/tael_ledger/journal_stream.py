"""A book's journal streamed in the chain's order, cut into batches: what a proof reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from tael_ledger.tables import account, entry, line, posting_batch, posting_request, reversal

PAGE = 5000
"""Rows fetched at a time."""


@dataclass(frozen=True)
class BatchRows:
    """A batch's row with the rows that it wrote."""

    batch: Row[Any]
    opened: list[Row[Any]]
    requests: list[Row[Any]]
    entries: list[Row[Any]]
    lines: list[Row[Any]]
    """With `gl_code` of their account; None where that is not there."""


class JournalStream:
    """Reads each table once, all in step; memory holds one batch."""

    def __init__(self, connection: Connection, book_id: str) -> None:
        self._connection = connection
        self._book_id = book_id
        reversed_entries = select(entry, reversal.c.origin).outerjoin(
            reversal,
            (reversal.c.book_id == entry.c.book_id) & (reversal.c.sequence == entry.c.sequence),
        )
        lines = select(line, account.c.gl_code).outerjoin(
            account,
            (account.c.book_id == line.c.book_id) & (account.c.account_id == line.c.account_id),
        )
        request = posting_request.c
        order = (request.batch_number, request.rpc, request.caller, request.request_id)
        self._entries = _Cursor(self._read(reversed_entries, entry.c.sequence))
        self._lines = _Cursor(self._read(lines, line.c.sequence, line.c.line_number))
        self._requests = _Cursor(self._read(select(posting_request), *order))
        self._opened = _Cursor(
            self._read(select(account), account.c.batch_number, account.c.account_id)
        )

    def batches(self) -> Iterator[BatchRows]:
        """Batch by batch."""
        for batch in self._read(select(posting_batch), posting_batch.c.batch_number):
            yield BatchRows(
                batch,
                self._opened.until("batch_number", batch.batch_number),
                self._requests.until("batch_number", batch.batch_number),
                self._entries.until("sequence", batch.last_sequence),
                self._lines.until("sequence", batch.last_sequence),
            )

    def leftovers(self) -> Iterator[tuple[str, Row[Any]]]:
        """(what, row) of rows that no batch wrote; after `batches`."""
        for what, cursor in (
            ("account", self._opened),
            ("request", self._requests),
            ("entry", self._entries),
            ("line", self._lines),
        ):
            for row in cursor.rest():
                yield what, row

    def _read(self, query: Select[Any], *order: Any) -> Iterator[Row[Any]]:
        own = query.where(order[0].table.c.book_id == self._book_id).order_by(*order)
        return iter(self._connection.execute(own, execution_options={"yield_per": PAGE}))


class _Cursor:
    """Rows in order, taken as far as a bound."""

    def __init__(self, rows: Iterator[Row[Any]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def until(self, column: str, bound: int) -> list[Row[Any]]:
        """The rows whose column is at most the bound."""
        taken = []
        while self._next is not None and getattr(self._next, column) <= bound:
            taken.append(self._next)
            self._next = next(self._rows, None)
        return taken

    def rest(self) -> Iterator[Row[Any]]:
        """All that are left."""
        while self._next is not None:
            yield self._next
            self._next = next(self._rows, None)
