"""The loan ledger (贷款台账) of a closed day as Apache Parquet: a row a loan, amounts in minor units.

The rows are what is kept for ever; the file is made of them, the same bytes each time, in a folder
that every process of servicing should share. Where it is missing it is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv
from sqlalchemy import ColumnElement, Select, case, func, literal, select

from tael_runtime.database import Database, copy_out
from tael_runtime.embedded_postgres import sync_folder
from tael_servicing import buckets
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import BALANCES, loan

LOANS_A_GROUP = 50_000
"""Of a row group, at most: bounds the memory that writing takes."""
READERS = 2
"""Row groups read at once: reading one costs the store more than writing it costs here."""
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


def write(
    database: Database, ledger: Ledger, path: Path, loans_a_group: int = LOANS_A_GROUP
) -> Written:
    """Writes the file, whole or not at all; of processes that do at once, one after the other.

    The ledger is of a day that was ended: whoever reads it, and when, reads the same rows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            written = _write(_groups(database, ledger, loans_a_group), ledger, file)
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


def _write(groups: Iterator[pa.Table], ledger: Ledger, file: IO[bytes]) -> Written:
    facts = {
        "book_id": ledger.book.book_id,
        "date": str(ledger.day),
        "currency_code": ledger.book.currency_code,
    }
    schema, sink = SCHEMA.with_metadata(facts), _Sink(file)
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": REPEATED}
    written = Written()
    with pq.ParquetWriter(sink, schema, **options) as writer:
        for table in groups:
            writer.write_table(table.replace_schema_metadata(schema.metadata))
            written.loans += table.num_rows
            for name in BALANCES:
                written.totals[name] += pc.sum(table[name]).as_py()
    written.size, written.sha256 = sink.tell(), sink.digest.digest()
    return written


def _groups(database: Database, ledger: Ledger, size: int) -> Iterator[pa.Table]:
    """The rows by loan, a row group at a time; the next are read while one is written."""
    with database.read() as connection:
        edges = list(connection.execute(_edges(ledger, size)).scalars())
    with ThreadPoolExecutor(READERS) as readers:
        ahead: deque[Future[pa.Table | None]] = deque()
        for after, last in zip(["", *edges], [*edges, None], strict=True):
            ahead.append(readers.submit(_read, database, _group(ledger, after, last)))
            if len(ahead) > READERS and (table := ahead.popleft().result()):
                yield table
        for each in ahead:
            if table := each.result():
                yield table


def _edges(ledger: Ledger, size: int) -> Select[str]:
    """The last loan of each group but the last one."""
    own = (
        select(loan.c.loan_id, func.row_number().over(order_by=loan.c.loan_id).label("place"))
        .where(loan.c.book_id == ledger.book.book_id)
        .subquery("own")
    )
    return select(own.c.loan_id).where(own.c.place % size == 0).order_by(own.c.loan_id)


def _group(ledger: Ledger, after: str, last: str | None) -> Select[Any]:
    """The rows of the loans from one to another."""
    rows = ledger.rows.c
    columns = [_bucket(ledger) if name == "bucket" else rows[name] for name in SCHEMA.names]
    query = select(*columns).where(rows.loan_id > after).order_by(rows.loan_id)
    return query if last is None else query.where(rows.loan_id <= last)


def _read(database: Database, query: Select[Any]) -> pa.Table | None:
    """What a query gives; None for nothing."""
    copied = io.BytesIO()
    with database.read() as connection:
        copy_out(connection, query, copied)
    if not copied.tell():
        return None
    return csv.read_csv(
        pa.BufferReader(copied.getbuffer()),
        read_options=csv.ReadOptions(column_names=SCHEMA.names, use_threads=False),
        convert_options=csv.ConvertOptions(column_types=SCHEMA, null_values=[""]),
    )


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
