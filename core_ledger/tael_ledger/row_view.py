"""Rows as `rows` has their bytes, read in columns. Pure.

A row's texts make its length vary, so the rows are found by the bytes that each begins with, and
what was found is held against the lengths that the rows themselves give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tael_ledger.rows import Integers, Layout

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class RowView:
    """Rows of one layout, in the order in which they lie."""

    layout: Layout
    raw: bytes
    starts: Integers
    """Where each row begins; the end of all after them."""
    heads: NDArray[Any]
    """The rows without their texts, as `Layout.head` gives the type."""
    offsets: Sequence[Integers]
    """Where each text lies, in the layout's order."""
    lengths: Sequence[Integers]
    """How many bytes it has."""

    def __len__(self) -> int:
        return len(self.heads)

    def column(self, name: str) -> Integers:
        """A column of integers or of marks."""
        return self.heads[name].astype(np.int64)

    def cut(self, first: int, end: int) -> bytes:
        """The bytes of some rows."""
        return self.raw[self.starts[first] : self.starts[end]]

    def texts(self, name: str) -> list[str]:
        """A column of texts."""
        place, raw = self.layout.texts.index(name), self.raw
        starts = self.offsets[place].tolist()
        ends = (self.offsets[place] + self.lengths[place]).tolist()
        return [raw[start:end].decode() for start, end in zip(starts, ends, strict=True)]

    def short_texts(self, name: str, width: int) -> NDArray[np.bytes_]:
        """A column of texts that have no more bytes than `width`; longer ones are cut."""
        place = self.layout.texts.index(name)
        reach = np.arange(width)
        at = np.minimum(self.offsets[place][:, None] + reach, max(len(self.raw) - 1, 0))
        found = (
            np.frombuffer(self.raw, np.uint8)[at] if len(self) else np.zeros((0, width), np.uint8)
        )
        found = np.where(reach < self.lengths[place][:, None], found, 0).astype(np.uint8)
        return found.view(f"S{width}").reshape(-1)

    def is_text(self, name: str, value: str) -> NDArray[np.bool_]:
        """Which rows have a text."""
        place, wanted = self.layout.texts.index(name), value.encode()
        same: NDArray[np.bool_] = self.lengths[place] == len(wanted)
        rows = np.flatnonzero(same)
        at = self.offsets[place][rows, None] + np.arange(len(wanted))
        found = np.frombuffer(self.raw, np.uint8)[at]
        same[rows] = np.all(found == np.frombuffer(wanted, np.uint8), axis=1)
        return same

    def in_order(self, order: Integers) -> RowView:
        """Rows without texts, in another order."""
        assert not self.layout.texts, "rows of one length"
        heads = self.heads[order]
        return RowView(self.layout, heads.tobytes(), self.starts, heads, (), ())


def view(layout: Layout, book_id: str, raw: bytes) -> RowView:
    """The rows of one book that some bytes hold. Raises ValueError where they hold other than rows."""
    head = layout.head(book_id)
    if not layout.texts:
        heads = np.frombuffer(raw, head)
        starts = np.arange(len(heads) + 1, dtype=np.int64) * head.itemsize
        return RowView(layout, raw, starts, heads, (), ())
    found = _sought(layout, book_id, raw) if raw else _NONE
    parts = _texts(layout, head.itemsize, raw, found)
    if parts is None:
        # What begins a row stands inside another one too: a book's short name will do that.
        found = _walked(layout, head.itemsize, raw)
        parts = _texts(layout, head.itemsize, raw, found)
    if parts is None:
        raise ValueError(f"{len(raw)} bytes that are no rows of {layout.table}")
    starts = np.append(found, len(raw))
    at = found[:, None] + np.arange(head.itemsize)
    heads = np.frombuffer(raw, np.uint8)[at].view(head).reshape(-1)
    return RowView(layout, raw, starts, heads, *parts)


_NONE: Integers = np.zeros(0, dtype=np.int64)


def _sought(layout: Layout, book_id: str, raw: bytes) -> Integers:
    """Where a row's first bytes stand, which all rows have in common."""
    common = 2 + 4 + len(book_id.encode()) + (4 if layout.fixed else 0)
    prefix = re.escape(layout.heads(book_id, 1).tobytes()[:common])
    return np.fromiter((found.start() for found in re.finditer(prefix, raw)), dtype=np.int64)


def _walked(layout: Layout, size: int, raw: bytes) -> Integers:
    """Where rows begin, one after the other."""
    starts, at = [], 0
    while at < len(raw):
        starts.append(at)
        at += size
        for _ in layout.texts:
            at += 4 + int.from_bytes(raw[at : at + 4], "big")
    return np.array(starts, dtype=np.int64)


def _texts(
    layout: Layout, size: int, raw: bytes, starts: Integers
) -> tuple[list[Integers], list[Integers]] | None:
    """Where the rows' texts lie and their lengths; None where the rows do not follow one another."""
    data: Bytes = np.frombuffer(raw, np.uint8)
    at = starts + size
    offsets, lengths = [], []
    for _ in layout.texts:
        if len(at) and (at.min() < 0 or at.max() + 4 > len(raw)):
            return None
        length = np.zeros(len(at), dtype=np.int64)
        for byte in range(4):
            length = length << 8 | data[at + byte]
        offsets.append(at + 4)
        lengths.append(length)
        at = at + 4 + length
    follows = np.array_equal(at, np.append(starts[1:], len(raw)) if len(starts) else at)
    begins = starts[0] == 0 if len(starts) else not raw
    return (offsets, lengths) if follows and begins else None
