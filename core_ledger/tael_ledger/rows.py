"""The journal's rows as bytes: what COPY BINARY takes, and what the chain hashes.

One row: the number of its fields as two bytes, then each field as its length in four bytes and its
value, everything big-endian: PostgreSQL's own binary form, so that what is written, what is hashed
and what is read back to be proven are the same bytes (docs/ledger-chain.md). Dates are days since
2000-01-01, instants microseconds since then, texts UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

EPOCH = date(2000, 1, 1)
EPOCH_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """A table of the journal as the chain has it: which columns, in which order.

    The book's id comes first, then columns of fixed width, then texts.
    """

    table: str
    fixed: tuple[tuple[str, str], ...]
    """(column, numpy's big-endian type of its value)."""
    texts: tuple[str, ...] = ()

    then: tuple[str, ...] = ()
    """Columns written with the row that the chain leaves out, because they change."""

    @property
    def columns(self) -> str:
        """For COPY and SELECT."""
        return ", ".join(("book_id", *(name for name, _ in self.fixed), *self.texts, *self.then))

    @property
    def width(self) -> int:
        """How many columns."""
        return 1 + len(self.fixed) + len(self.texts) + len(self.then)

    def head(self, book_id: str) -> np.dtype[np.void]:
        """A row's bytes before its texts, with their lengths, as a structured type."""
        size = len(book_id.encode())
        fields: list[tuple[str, str]] = [
            ("fields", ">i2"),
            ("book_id_size", ">i4"),
            ("book_id", f"S{size}"),
        ]
        for name, kind in self.fixed:
            fields += ((f"{name}_size", ">i4"), (name, kind))
        return np.dtype(fields)

    def place(self, book_id: str, name: str) -> tuple[int, np.dtype[Any]]:
        """Where in a row a column of fixed width lies, and its type."""
        fields = self.head(book_id).fields
        assert fields is not None, "a structured type"
        kind, offset, *_ = fields[name]
        return offset, kind

    def heads(self, book_id: str, count: int) -> NDArray[Any]:
        """`count` rows, everything filled in but the values and the texts."""
        return np.repeat(_empty_row(self, book_id), count)


@lru_cache(maxsize=64)
def _empty_row(layout: Layout, book_id: str) -> NDArray[Any]:
    row = np.zeros(1, dtype=layout.head(book_id))
    row["fields"] = layout.width
    row["book_id_size"] = len(book_id.encode())
    row["book_id"] = book_id.encode()
    for name, kind in layout.fixed:
        row[f"{name}_size"] = np.dtype(kind).itemsize
    return row


ACCOUNT = Layout(
    "account",
    (("account_id", ">i8"), ("batch_number", ">i8")),
    ("number", "gl_code", "owner_type", "owner_id"),
)
OPENED = replace(ACCOUNT, then=("debits_posted", "credits_posted", "lines_posted", "summed_on"))
RECORD = Layout(
    "record", (("batch_number", ">i8"), ("place", ">i4")), ("kind", "subject", "content")
)
REQUEST = Layout(
    "posting_request",
    (
        ("batch_number", ">i8"),
        ("place", ">i4"),
        ("first_sequence", ">i8"),
        ("entries", ">i4"),
        ("lines", ">i8"),
        ("content_hash", "S32"),
    ),
    ("rpc", "caller", "request_id", "outcome"),
)
ENTRY = Layout(
    "entry",
    (
        ("sequence", ">i8"),
        ("value_date", ">i4"),
        ("booking_date", ">i4"),
        ("rules_version", ">i4"),
        ("reversal_of", ">i8"),
        ("lines", ">i4"),
    ),
    ("event", "source", "narrative", "metadata"),
)
LINE = Layout(
    "line",
    (
        ("booking_date", ">i4"),
        ("sequence", ">i8"),
        ("line_number", ">i4"),
        ("account_id", ">i8"),
        ("value_date", ">i4"),
        ("debit", ">i8"),
        ("credit", ">i8"),
        ("memo", "?"),
    ),
)
BATCH = Layout(
    "posting_batch",
    (
        ("batch_number", ">i8"),
        ("booking_date", ">i4"),
        ("first_sequence", ">i8"),
        ("last_sequence", ">i8"),
        ("accounts", ">i4"),
        ("records", ">i4"),
        ("requests", ">i4"),
        ("entries", ">i4"),
        ("lines", ">i4"),
        ("committed_at", ">i8"),
    ),
)
"""Without its digests: they are made from the rest."""


def days(value: date) -> int:
    """A date as the store counts it."""
    return (value - EPOCH).days


def day_of(number: int) -> date:
    """The inverse of `days`."""
    return EPOCH + timedelta(days=number)


def microseconds(value: datetime) -> int:
    """An instant as the store counts it."""
    return (value - EPOCH_INSTANT) // timedelta(microseconds=1)


class AccountRow(NamedTuple):
    """What identifies an account."""

    account_id: int
    batch_number: int
    number: str

    @property
    def parts(self) -> tuple[str, str, str]:
        """(GL code, owner type, owner id); the last two empty for the book's own."""
        gl_code, _, owner = self.number.partition(":")
        owner_type, _, owner_id = owner.partition(":")
        return gl_code, owner_type, owner_id


class RecordRow(NamedTuple):
    """Something that changed beside the entries."""

    batch_number: int
    place: int
    kind: str
    subject: str
    content: str


class RequestRow(NamedTuple):
    """An executed request."""

    batch_number: int
    place: int
    first_sequence: int
    entries: int
    lines: int
    content_hash: bytes
    rpc: str
    caller: str
    request_id: str
    outcome: str


class EntryRow(NamedTuple):
    """An entry's head."""

    sequence: int
    value_date: int
    """Days, as the store counts them."""
    booking_date: int
    rules_version: int
    reversal_of: int
    lines: int
    event: str
    source: str
    narrative: str
    metadata: str


class BatchRow(NamedTuple):
    """A batch without its digests."""

    batch_number: int
    booking_date: int
    first_sequence: int
    last_sequence: int
    accounts: int
    records: int
    requests: int
    entries: int
    lines: int
    committed_at: int
    """Microseconds, as the store counts them."""


_ACCOUNT = Struct(">iqiq")
_TOTALS = Struct(">iqiqiqii")
_RECORD = Struct(">iqii")
_REQUEST = Struct(">iqiiiqiiiqi32s")
_ENTRY = Struct(">iqiiiiiiiqii")
_BATCH = Struct(">iqiiiqiqiiiiiiiiiiiq")


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(4, "big") + raw


def _start(layout: Layout, book_id: str) -> bytes:
    return layout.width.to_bytes(2, "big") + _text(book_id)


def account_identities(book_id: str, rows: Iterable[AccountRow]) -> list[bytes]:
    """The fields of accounts opened, by id; `counted` makes them rows."""
    book, pack = _text(book_id), _ACCOUNT.pack
    fields = []
    for row in rows:
        gl_code, owner_type, owner_id = row.parts
        fixed = book + pack(8, row.account_id, 8, row.batch_number)
        texts = _text(row.number) + _text(gl_code) + _text(owner_type) + _text(owner_id)
        fields.append(fixed + texts)
    return fields


def with_totals(
    identities: Iterable[bytes],
    debits: list[int],
    credits_: list[int],
    lines: list[int],
    opened: int,
) -> list[bytes]:
    """The fields of accounts opened with what is posted on them, and on which day."""
    pack = _TOTALS.pack
    return [
        identity + pack(8, debit, 8, credit, 8, count, 4, opened)
        for identity, debit, credit, count in zip(identities, debits, credits_, lines, strict=True)
    ]


def counted(layout: Layout, fields: Iterable[bytes]) -> bytes:
    """Rows from their fields."""
    start = layout.width.to_bytes(2, "big")
    return b"".join([start + one for one in fields])


def record_bytes(book_id: str, rows: Iterable[RecordRow]) -> bytes:
    """Records, by place."""
    start, pack = _start(RECORD, book_id), _RECORD.pack
    parts: list[bytes] = []
    for batch_number, place, kind, subject, content in rows:
        parts += (start, pack(8, batch_number, 4, place))
        parts += (_text(kind), _text(subject), _text(content))
    return b"".join(parts)


def request_bytes(book_id: str, rows: Iterable[RequestRow]) -> bytes:
    """Requests, by place."""
    start, pack = _start(REQUEST, book_id), _REQUEST.pack
    parts: list[bytes] = []
    for batch, place, first, entries, lines, content, rpc, caller, request_id, outcome in rows:
        parts += (start, pack(8, batch, 4, place, 8, first, 4, entries, 8, lines, 32, content))
        parts += (_text(rpc), _text(caller), _text(request_id), _text(outcome))
    return b"".join(parts)


def entry_bytes(book_id: str, rows: Iterable[EntryRow]) -> bytes:
    """Entries, by sequence."""
    start, pack = _start(ENTRY, book_id), _ENTRY.pack
    parts: list[bytes] = []
    for sequence, worth, booked, rules, origin, lines, event, source, narrative, facts in rows:
        parts += (start, pack(8, sequence, 4, worth, 4, booked, 4, rules, 8, origin, 4, lines))
        parts += (_text(event), _text(source), _text(narrative), _text(facts))
    return b"".join(parts)


def entry_texts(*columns: Sequence[str]) -> list[bytes]:
    """Each entry's texts, from their columns: what comes often is encoded once."""
    known = {value: _text(value) for value in set().union(*columns)}
    return [b"".join([known[value] for value in row]) for row in zip(*columns, strict=True)]


def batch_bytes(book_id: str, row: BatchRow) -> bytes:
    """A batch's head."""
    sizes = (8, 4, 8, 8, 4, 4, 4, 4, 4, 8)
    values = (value for pair in zip(sizes, row, strict=True) for value in pair)
    return _start(BATCH, book_id) + _BATCH.pack(*values)


def array_text(values: Sequence[int] | NDArray[Any]) -> str:
    """Integers as the text of a PostgreSQL array, for a CAST; faster than the driver's adaption."""
    plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return "{" + str(plain)[1:-1] + "}"
