"""Whether an entry stands in the chain: its batch from the rows, and the links from there on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from tael_ledger import chain
from tael_ledger.books import Book
from tael_ledger.journal import Anchor
from tael_ledger.journal_stream import PAGE, Window, window_of
from tael_ledger.tables import posting_batch
from tael_runtime.errors import NotFound

GIVEN = 10_000
"""Content digests an answer has at most."""


@dataclass(frozen=True)
class Inclusion:
    """An entry held against an anchor."""

    anchor: Anchor
    message: str = ""
    """Why it is not included; empty where it is."""
    batch_number: int = 0
    """0 where no batch has it."""
    previous: bytes = b""
    """The digest before its batch."""
    content: bytes = b""
    """The batch's content digest, from its rows."""
    later: Sequence[bytes] = ()
    """Content digests of the batches after it, to the anchor's; none where they are more than GIVEN."""


def verify(connection: Connection, book: Book, sequence: int, anchor: Anchor | None) -> Inclusion:
    """Whether an entry stands in the chain that ends in an anchor, or in the book's head.

    Raises NotFound for an entry that the book never had.
    """
    if sequence > book.last_sequence:
        raise NotFound("entry", f"{book.book_id}/{sequence}")
    wanted = anchor or Anchor(book.last_sequence, book.digest)
    number = _batch_of(connection, book.book_id, sequence)
    if number is None:
        return Inclusion(wanted, f"no batch has entry {sequence}")
    window = window_of(connection, book.book_id, number)
    assert window is not None, f"batch {number} was found"
    previous, content = _previous(connection, book.book_id, number), _content(window)
    found = Inclusion(wanted, "", number, previous, content)
    if sequence not in window.entries.column("sequence"):
        return replace(found, message=f"batch {number} should have entry {sequence} and has not")
    end = _batch_of_anchor(connection, book.book_id, wanted)
    if end is None:
        message = f"no batch ends at entry {wanted.sequence} with {wanted.digest.hex()}"
        return replace(found, message=message)
    if end < number:
        message = f"the anchor is batch {end}, before the entry's batch {number}"
        return replace(found, message=message)
    return _followed(connection, book.book_id, found, end)


def _followed(connection: Connection, book_id: str, found: Inclusion, end: int) -> Inclusion:
    """The links from the entry's batch to the anchor's."""
    digest = chain.link(found.previous, found.content)
    kept: list[bytes] = []
    follows = select(posting_batch.c.content_digest).where(
        posting_batch.c.book_id == book_id,
        posting_batch.c.batch_number > found.batch_number,
        posting_batch.c.batch_number <= end,
    )
    later = connection.execute(
        follows.order_by(posting_batch.c.batch_number), execution_options={"yield_per": PAGE}
    )
    for (stored,) in later:
        content = bytes(stored)
        digest = chain.link(digest, content)
        if len(kept) <= GIVEN:
            kept.append(content)
    given = replace(found, later=kept if len(kept) <= GIVEN else ())
    if digest == found.anchor.digest:
        return given
    return replace(
        given,
        message=f"the links from batch {found.batch_number}, as its rows are, lead to "
        f"{digest.hex()} and should lead to {found.anchor.digest.hex()}",
    )


def _batch_of(connection: Connection, book_id: str, sequence: int) -> int | None:
    """The batch that has an entry: the first that ends at or after it, if it begins there too."""
    row = connection.execute(
        select(posting_batch.c.batch_number, posting_batch.c.first_sequence)
        .where(posting_batch.c.book_id == book_id, posting_batch.c.last_sequence >= sequence)
        .order_by(posting_batch.c.last_sequence, posting_batch.c.batch_number)
        .limit(1)
    ).first()
    return row.batch_number if row is not None and row.first_sequence <= sequence else None


def _batch_of_anchor(connection: Connection, book_id: str, anchor: Anchor) -> int | None:
    """Several batches may end at one sequence: those after the first made no entry."""
    return connection.execute(
        select(posting_batch.c.batch_number)
        .where(
            posting_batch.c.book_id == book_id,
            posting_batch.c.last_sequence == anchor.sequence,
            posting_batch.c.digest == anchor.digest,
        )
        .order_by(posting_batch.c.batch_number.desc())
        .limit(1)
    ).scalar()


def _content(window: Window) -> bytes:
    return chain.content_digest(next(window.written()).parts)


def _previous(connection: Connection, book_id: str, batch_number: int) -> bytes:
    digest = connection.execute(
        select(posting_batch.c.digest).where(
            posting_batch.c.book_id == book_id, posting_batch.c.batch_number == batch_number - 1
        )
    ).scalar()
    return chain.GENESIS if digest is None else bytes(digest)
