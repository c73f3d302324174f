"""A book's journal as the chain hashes it, read in windows of whole batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from tael_ledger.copying import copy_out
from tael_ledger.row_view import RowView, view
from tael_ledger.rows import (
    ACCOUNT,
    BATCH,
    ENTRY,
    LINE,
    RECORD,
    REQUEST,
    Integers,
    Layout,
    day_of,
    days,
)

PAGE = 5000
"""Rows fetched at a time; batches in a window, at most."""
WINDOW = 200_000
"""Rows in a window, about; one batch may have more."""

DIGESTS = Layout(
    "posting_batch", (("batch_number", ">i8"), ("content_digest", "V32"), ("digest", "V32"))
)
"""What of a batch is made from the rest of it."""


@dataclass(frozen=True)
class Place:
    """Where a window begins: what came before it."""

    batch_number: int = 0
    sequence: int = 0


class Written(NamedTuple):
    """A batch as its rows have it."""

    counts: Sequence[int]
    """Of its accounts, records, requests, entries and lines."""
    parts: Sequence[bytes]
    """The bytes of its head and of those."""


@dataclass(frozen=True)
class Window:
    """Some batches with whatever lies between the one before them and their last."""

    batches: RowView
    digests: NDArray[Any]
    accounts: RowView
    records: RowView
    requests: RowView
    entries: RowView
    lines: RowView

    def written(self) -> Iterator[Written]:
        """What each batch wrote, as it is hashed."""
        numbers = self.batches.column("batch_number")
        first, last = (self.batches.column(f"{end}_sequence") for end in ("first", "last"))
        by_number = (self.accounts, self.records, self.requests)
        by_sequence = (self.entries, self.lines)
        tables = (*by_number, *by_sequence)
        spans = [
            *(_spans(rows, "batch_number", numbers, numbers) for rows in by_number),
            *(_spans(rows, "sequence", first, last) for rows in by_sequence),
        ]
        for place in range(len(numbers)):
            own = [(starts[place], max(starts[place], ends[place])) for starts, ends in spans]
            yield Written(
                [end - start for start, end in own],
                [
                    self.batches.cut(place, place + 1),
                    *(rows.cut(*span) for rows, span in zip(tables, own, strict=True)),
                ],
            )


def _spans(
    rows: RowView, column: str, first: Integers, last: Integers
) -> tuple[list[int], list[int]]:
    """The first row and the one after the last of each batch."""
    values = rows.column(column)
    return (
        np.searchsorted(values, first, "left").tolist(),
        np.searchsorted(values, last, "right").tolist(),
    )


def windows(connection: Connection, book_id: str) -> Iterator[Window]:
    """The whole journal in the chain's order. Memory holds one window."""
    reader = _Reader(connection, book_id)
    place = Place()
    while len(batches := reader.batches(place.batch_number)):
        rows = sum(batches.column(name) for name in ("accounts", "records", "requests"))
        total = np.cumsum(rows + batches.column("entries") + batches.column("lines"))
        first = 0
        while first < len(batches):
            before = total[first - 1] if first else 0
            end = max(first + 1, int(np.searchsorted(total, before + WINDOW, "right")))
            window = reader.window(batches, first, end, place)
            yield window
            place = Place(*_ends(window.batches))
            first = end


def window_of(connection: Connection, book_id: str, batch_number: int) -> Window | None:
    """One batch alone; None where it is not there."""
    reader = _Reader(connection, book_id)
    batches = reader.batches(batch_number - 1, 1)
    if not len(batches) or batches.column("batch_number")[0] != batch_number:
        return None
    place = Place(batch_number - 1, int(batches.column("first_sequence")[0]) - 1)
    return reader.window(batches, 0, 1, place)


def _ends(batches: RowView) -> tuple[int, int]:
    return int(batches.heads["batch_number"][-1]), int(batches.heads["last_sequence"][-1])


class _Reader:
    """The tables' rows, in the order in which the chain has them."""

    def __init__(self, connection: Connection, book_id: str) -> None:
        self._connection = connection
        self._book_id = book_id

    def batches(self, after: int, count: int = PAGE) -> RowView:
        """The batches after one."""
        return self._read(BATCH, f"batch_number > {after}", "batch_number", count)

    def window(self, batches: RowView, first: int, end: int, place: Place) -> Window:
        """The batches from one to before another, and what came after a place."""
        own = view(BATCH, self._book_id, bytes(batches.cut(first, end)))
        last_number, last_sequence = _ends(own)
        numbered = f"batch_number > {place.batch_number} AND batch_number <= {last_number}"
        placed = f"sequence > {place.sequence} AND sequence <= {last_sequence}"
        return Window(
            own,
            self._read(DIGESTS, numbered, "batch_number").heads,
            self._read(ACCOUNT, numbered, "batch_number, account_id"),
            self._read(RECORD, numbered, "batch_number, place"),
            self._read(REQUEST, numbered, "batch_number, place"),
            self._read(ENTRY, placed, "sequence"),
            self._lines(own.column("booking_date"), place.sequence, last_sequence),
        )

    def _lines(self, booked: Integers, after: int, last: int) -> RowView:
        """Lines by sequence. Their key begins with the booking date, which never falls along the
        journal: so the two are compared together, and the days name the partitions.
        """
        within = np.clip(booked, days(date.min), days(date.max))
        first_day, last_day = day_of(int(within.min())), day_of(int(within.max()))
        lines = self._read(
            LINE,
            f"booking_date BETWEEN '{first_day}' AND '{last_day}' "
            f"AND (booking_date, sequence) > ('{first_day}', {after}) "
            f"AND (booking_date, sequence) <= ('{last_day}', {last}) "
            f"AND sequence > {after} AND sequence <= {last}",
            "booking_date, sequence, line_number",
        )
        sequences = lines.column("sequence")
        if np.any(sequences[1:] < sequences[:-1]):
            # Somebody moved a line to another day: the chain has it where its sequence says.
            lines = lines.in_order(np.lexsort((lines.column("line_number"), sequences)))
        return lines

    def _read(
        self, layout: Layout, condition: str, order: str, count: int | None = None
    ) -> RowView:
        query = select(layout, self._book_id, condition, order)
        limited = query if count is None else f"{query} LIMIT {count}"
        return view(layout, self._book_id, copy_out(self._connection, limited))


def select(layout: Layout, book_id: str, condition: str, order: str) -> str:
    """The rows of a book for COPY, which takes no parameters."""
    named = book_id.replace("'", "''")
    return (
        f"SELECT {layout.columns} FROM {layout.table} "  # noqa: S608  names of ours, the book's quoted
        f"WHERE book_id = '{named}' AND {condition} ORDER BY {order}"
    )
