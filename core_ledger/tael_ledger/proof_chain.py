"""The chain's part of a proof: batches and sequences without a gap, each digest from its rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tael_ledger import chain
from tael_ledger.books import Book
from tael_ledger.findings import ANCHOR, DIGEST_CHAIN, SEQUENCE, Finding, date_text
from tael_ledger.journal import Anchor
from tael_ledger.journal_stream import Place, Window, Written
from tael_ledger.rows import Integers

TABLES = ("accounts", "records", "requests", "entries", "lines")
"""What a batch says it wrote, in the order in which it is hashed."""


class ChainProof:
    """Follows the links from the first batch on."""

    def __init__(self, anchor: Anchor | None) -> None:
        self._anchor = anchor
        self._anchored = anchor is None
        self._booked = -(2**31)
        self.place = Place()
        self.digest = chain.GENESIS
        self.batches = 0
        self.claims = dict.fromkeys(TABLES, 0)
        """Rows of each table that the batches say they wrote."""

    def check(self, window: Window) -> Iterator[Finding]:
        """The window's batches, in order."""
        after = self.place.sequence
        columns = [window.batches.column(name).tolist() for name in _COLUMNS]
        claims = [window.batches.column(name).tolist() for name in TABLES]
        digests = (window.digests["content_digest"], window.digests["digest"])
        for batch in zip(
            zip(*columns, strict=True),
            zip(*claims, strict=True),
            zip(*(column.tolist() for column in digests), strict=True),
            window.written(),
            strict=True,
        ):
            (number, booked, first, last), claimed, (content, digest), written = batch
            subject = f"batch {number}"
            for message in self._disorder(number, booked, first, last, claimed[3]):
                yield Finding(SEQUENCE, subject, message)
            if wrong := self._wrong(claimed, content, digest, written):
                yield Finding(DIGEST_CHAIN, subject, wrong)
            self._pass(Place(number, last), booked, digest, claimed)
        yield from _gaps(window.entries.column("sequence"), after, self.place.sequence)

    def _disorder(
        self, number: int, booked: int, first: int, last: int, entries: int
    ) -> Iterator[str]:
        if number != self.place.batch_number + 1:
            yield f"batch {self.place.batch_number + 1} should come here"
        if first != self.place.sequence + 1:
            yield f"should begin at entry {self.place.sequence + 1} and begins at {first}"
        if last != first + entries - 1:
            yield f"should end at entry {first + entries - 1} and ends at {last}"
        if booked < self._booked:
            yield f"should not be booked before {date_text(self._booked)} and is on {date_text(booked)}"

    def _wrong(
        self, claimed: tuple[int, ...], content: bytes, digest: bytes, written: Written
    ) -> str:
        """What is wrong with a batch's digests; empty where nothing is."""
        for name, claim, count in zip(TABLES, claimed, written.counts, strict=True):
            if claim != count:
                return f"should have {claim} {name} and has {count}"
        expected = chain.content_digest(written.parts)
        if content != expected:
            return (
                f"its content digest should be {expected.hex()} by its rows and is {content.hex()}"
            )
        link = chain.link(self.digest, content)
        if digest != link:
            return f"its digest should be {link.hex()} and is {digest.hex()}"
        return ""

    def _pass(self, place: Place, booked: int, digest: bytes, claimed: tuple[int, ...]) -> None:
        """From the stored digest on, so that one wrong batch is one finding."""
        self.place, self.digest, self._booked = place, digest, max(booked, self._booked)
        self.batches += 1
        for name, count in zip(TABLES, claimed, strict=True):
            self.claims[name] += count
        if self._anchor == Anchor(place.sequence, digest):
            self._anchored = True

    def end(self, book: Book) -> Iterator[Finding]:
        """That the book stands where its chain ends, and that the anchor was met."""
        stands = (book.last_batch, book.last_sequence, book.digest)
        ends = (self.place.batch_number, self.place.sequence, self.digest)
        if stands != ends:
            yield Finding(DIGEST_CHAIN, "head", f"should be {_head(*ends)} and is {_head(*stands)}")
        if self._anchor is not None and not self._anchored:
            yield Finding(
                ANCHOR,
                f"entry {self._anchor.sequence}",
                f"the chain should pass through {self._anchor.digest.hex()} and does not",
            )


_COLUMNS = ("batch_number", "booking_date", "first_sequence", "last_sequence")


def _head(batch_number: int, sequence: int, digest: bytes) -> str:
    return f"batch {batch_number} entry {sequence} {digest.hex()}"


def _gaps(sequences: Integers, after: int, last: int) -> Iterator[Finding]:
    """Entries that should lie between two places and do not."""
    edges = np.concatenate(([after], sequences, [last + 1]))
    for place in np.flatnonzero(np.diff(edges) > 1).tolist():
        first, end = int(edges[place]) + 1, int(edges[place + 1]) - 1
        if first == end:
            yield Finding(SEQUENCE, f"entry {first}", "should be there and is missing")
        else:
            message = f"should be there like all to entry {end} and are missing"
            yield Finding(SEQUENCE, f"entry {first}", message)
