"""The loan ledger (贷款台账) of a closed day as Apache Parquet: a row a loan, amounts in minor units.

The rows are what is kept for ever; the file is made of them, the same bytes each time, in a folder
that every process of servicing should share. Where it is missing it is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv
from sqlalchemy import ColumnElement, Connection, Select, case, literal, select

from tael_runtime.database import copy_out
from tael_runtime.embedded_postgres import sync_folder
from tael_servicing import buckets
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import BALANCES

LOANS_A_GROUP = 50_000
"""Of a row group: bounds the memory that writing takes."""
CHUNK = 256 * 1024
TEXT, INT = pa.string(), pa.int32()
SCHEMA = pa.schema(
    [
        *((name, TEXT) for name in ("loan_id", "customer_id", "line_id", "product_code", "state")),
        *((name, pa.int64()) for name in BALANCES),
        *((name, INT) for name in ("dpd", "worst_dpd")),
        ("bucket", TEXT),
        *((name, INT) for name in ("risk_class", "stage")),
        ("cause", TEXT),
        ("since", pa.date32()),
        ("credit_limit", pa.int64()),
        ("annual_rate", pa.decimal128(9, 6)),
        ("principal", pa.int64()),
        *((name, pa.date32()) for name in ("start_date", "maturity_date", "next_due")),
        *((name, pa.int64()) for name in ("next_due_amount", "overdue_amount")),
    ]
)
"""As in `loan_day`, and the bucket of the days past due by the book's limits of that day."""
REPEATED = ["product_code", "state", "bucket", "cause"]
"""Columns of few values."""


@dataclass
class Written:
    """What was written."""

    loans: int = 0
    size: int = 0
    sha256: bytes = b""
    totals: Counter[str] = field(default_factory=Counter)
    """Sums over all loans by balance, minor units."""


def path_of(folder: Path, book_id: str, day: date) -> Path:
    """Where the file of a day is."""
    return folder / book_id / str(day) / "loan-ledger.parquet"


def write(connection: Connection, ledger: Ledger, path: Path) -> Written:
    """Writes the file, whole or not at all; of processes that do at once, one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            written = _write(connection, ledger, file)
            os.fsync(file.fileno())
        part.rename(path)
        sync_folder(path.parent)
    return written


def read(path: Path) -> Iterator[bytes]:
    """The file in chunks."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(connection: Connection, ledger: Ledger, file: IO[bytes]) -> Written:
    facts = {
        "book_id": ledger.book.book_id,
        "date": str(ledger.day),
        "currency_code": ledger.book.currency_code,
    }
    schema, sink = SCHEMA.with_metadata(facts), _Sink(file)
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED}
    written = Written()
    with pq.ParquetWriter(sink, schema, **options) as writer:
        for table in _groups(connection, ledger):
            writer.write_table(table.replace_schema_metadata(schema.metadata))
            written.loans += table.num_rows
            for name in BALANCES:
                written.totals[name] += pc.sum(table[name]).as_py()
    written.size, written.sha256 = sink.tell(), sink.digest.digest()
    return written


def _groups(connection: Connection, ledger: Ledger) -> Iterator[pa.Table]:
    """The rows by loan, a row group at a time."""
    after, more = "", True
    while more:
        copied = io.BytesIO()
        copy_out(connection, _group(ledger, after), copied)
        if not copied.tell():
            return
        table = csv.read_csv(
            pa.BufferReader(copied.getbuffer()),
            read_options=csv.ReadOptions(column_names=SCHEMA.names, use_threads=False),
            convert_options=csv.ConvertOptions(column_types=SCHEMA, null_values=[""]),
        )
        yield table
        after, more = table["loan_id"][-1].as_py(), table.num_rows == LOANS_A_GROUP


def _group(ledger: Ledger, after: str) -> Select[Any]:
    """The rows that follow a loan's."""
    rows = ledger.rows.c
    columns = [_bucket(ledger) if name == "bucket" else rows[name] for name in SCHEMA.names]
    return select(*columns).where(rows.loan_id > after).order_by(rows.loan_id).limit(LOANS_A_GROUP)


def _bucket(ledger: Ledger) -> ColumnElement[str]:
    """The name of the bucket of a row's days past due."""
    limits = ledger.policy.bucket_limits
    *named, last = [bucket.name for bucket in buckets.buckets(limits)]
    dpd = ledger.rows.c.dpd
    steps = [(dpd <= limit, literal(name)) for limit, name in zip(limits, named, strict=True)]
    return case(*steps, else_=literal(last))


class _Sink(io.RawIOBase):
    """A file that is summed up while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: Any, /) -> int:
        """Takes bytes."""
        part = bytes(data)
        self.digest.update(part)
        self._size += len(part)
        return self._file.write(part)
