"""The journal as Apache Parquet: a row a line, the columns of the CSV."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.rows import EPOCH, Integers
from tael_ledger.vouchers import Columns, columns

UNIX_DAYS = EPOCH.toordinal() - 719_163
"""From 1970-01-01, which Parquet counts from, to the store's first day."""

TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("booking_date", pa.date32()),
        ("value_date", pa.date32()),
        ("event", TEXT),
        ("line_number", pa.int32()),
        ("account_number", TEXT),
        ("account_name", TEXT),
        ("debit", pa.int64()),
        ("credit", pa.int64()),
        ("currency_code", TEXT),
        ("reversal_of", pa.int64()),
        ("source", TEXT),
        ("narrative", TEXT),
        ("metadata", TEXT),
    ]
)
"""Amounts in minor units; the entry's facts as JSON."""


def parquet(connection: Connection, book: Book, chart: Chart) -> Iterator[bytes]:
    """The file's bytes as they come about: a row group a window of the journal."""
    sink = _Sink()
    with pq.ParquetWriter(sink, SCHEMA) as writer:
        for page in columns(connection, book.book_id):
            if len(page.owners):
                writer.write_table(_table(page, book.currency_code, chart))
                yield sink.taken()
    yield sink.taken()


def _table(page: Columns, currency_code: str, chart: Chart) -> pa.Table:
    entries, owners = page.window.entries, page.owners
    codes = [number.partition(":")[0] for number in page.numbers]
    by_entry = {
        name: _texts(entries.texts(name), owners)
        for name in ("event", "source", "narrative", "metadata")
    }
    values = {
        "sequence": entries.column("sequence")[owners],
        "booking_date": _dates(entries.column("booking_date")[owners]),
        "value_date": _dates(entries.column("value_date")[owners]),
        "line_number": page.line_numbers.astype(np.int32),
        "account_number": _texts(page.numbers, page.accounts),
        "account_name": _texts([chart[code].full_name for code in codes], page.accounts),
        "debit": page.debits,
        "credit": page.credits,
        "currency_code": _texts([currency_code], np.zeros_like(owners)),
        "reversal_of": entries.column("reversal_of")[owners],
        **by_entry,
    }
    return pa.table([pa.array(values[field.name]) for field in SCHEMA], schema=SCHEMA)


def _texts(values: Sequence[str], places: Integers) -> pa.DictionaryArray:
    """Texts named by their place among some values, each value once."""
    known = {value: place for place, value in enumerate(dict.fromkeys(values))}
    own = np.fromiter((known[value] for value in values), dtype=np.int32, count=len(values))
    return pa.DictionaryArray.from_arrays(
        pa.array(own[places]), pa.array(list(known), type=pa.string())
    )


def _dates(days: Integers) -> pa.Array:
    return pa.array((days + UNIX_DAYS).astype(np.int32)).cast(pa.date32())


class _Sink(io.RawIOBase):
    """A file that is read away while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: Any, /) -> int:
        """Takes bytes."""
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
