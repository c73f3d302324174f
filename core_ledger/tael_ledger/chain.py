"""The journal's digest chain (docs/ledger-chain.md): canonical bytes of a batch, linked by SHA-256.

Pure. Two primitives: an integer is eight bytes, big-endian, signed; a text is its length in UTF-8
bytes as an integer, then those bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

GENESIS = bytes(32)
"""The digest before the first batch."""

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ChainRequest:
    """A request executed in a batch."""

    rpc: str
    caller: str
    request_id: str
    content_hash: bytes
    """SHA-256 of the request's content, 32 bytes."""
    first_sequence: int
    """0 where it made no entry."""
    entries: int
    lines: int


@dataclass(frozen=True)
class ChainEntry:
    """An entry's head; its lines stand in the batch's lines, in order of the entries."""

    sequence: int
    event: str
    value_date: date
    booking_date: date
    source: str
    narrative: str
    rules_version: int
    reversal_of: int
    lines: int


@dataclass(frozen=True)
class ChainBatch:
    """Everything that one transaction wrote."""

    book_id: str
    batch_number: int
    committed_at: datetime
    """By the store's clock; hashed as microseconds since 1970-01-01T00:00Z."""
    opened: Iterable[tuple[int, str]]
    """(account id, account number) of the accounts it opened, by id."""
    requests: Iterable[ChainRequest]
    """By (rpc, caller, request_id), each compared by its UTF-8 bytes."""
    entries: Iterable[ChainEntry]
    """By sequence."""
    lines: Integers
    """Rows of (account id, debit, credit), shape (n, 3)."""


def link(previous: bytes, batch: ChainBatch) -> bytes:
    """SHA-256(previous digest ‖ canonical bytes of the batch), 32 bytes."""
    digest = hashlib.sha256(previous)
    digest.update(canonical(batch))
    return digest.digest()


def canonical(batch: ChainBatch) -> bytes:
    """The bytes of a batch as docs/ledger-chain.md defines them."""
    instant = (batch.committed_at - UNIX_EPOCH) // timedelta(microseconds=1)
    parts = [_text(batch.book_id), _integers(batch.batch_number, instant)]
    opened = list(batch.opened)
    parts.append(_integers(len(opened)))
    for account_id, number in opened:
        parts += (_integers(account_id), _text(number))
    requests = list(batch.requests)
    parts.append(_integers(len(requests)))
    for request in requests:
        parts += (_text(request.rpc), _text(request.caller), _text(request.request_id))
        parts.append(request.content_hash)
        parts.append(_integers(request.first_sequence, request.entries, request.lines))
    entries = list(batch.entries)
    parts.append(_integers(len(entries)))
    for entry in entries:
        parts += (_integers(entry.sequence), _text(entry.event))
        parts += (_text(entry.value_date.isoformat()), _text(entry.booking_date.isoformat()))
        parts += (_text(entry.source), _text(entry.narrative))
        parts.append(_integers(entry.rules_version, entry.reversal_of, entry.lines))
    parts += (_integers(len(batch.lines)), batch.lines.astype(">i8").tobytes())
    return b"".join(parts)


def _integers(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "big", signed=True) for value in values)


def _text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(8, "big", signed=True) + raw
