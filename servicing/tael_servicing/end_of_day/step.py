"""What a step of the day end is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import ClassVar

from sqlalchemy import Connection

from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.desk import Desk
from tael_servicing.paging import pages

LOANS_A_CHUNK = 2000


@dataclass(frozen=True)
class Closing:
    """A day being ended."""

    desk: Desk
    book_id: str
    day: date
    aside: frozenset[str] = frozenset()
    """Loans that are set aside."""

    @property
    def next_day(self) -> date:
        """The day to open."""
        return self.day + timedelta(days=1)


@dataclass
class Summary:
    """What a chunk or a step did."""

    loans: int = 0
    amounts: Counter[str] = field(default_factory=Counter)
    """Minor units by event.amount_type."""

    def count(self, postings: Iterable[Posting]) -> None:
        """Adds what was posted."""
        for posting in postings:
            for name, amount in posting.amounts.items():
                self.amounts[f"{posting.event}.{name}"] += amount

    def add(self, other: Summary) -> None:
        """Adds what another chunk did."""
        self.loans += other.loans
        self.amounts.update(other.amounts)

    def dump(self) -> bytes:
        """As it is kept."""
        return json.dumps({"loans": self.loans, "amounts": dict(self.amounts)}).encode()

    @classmethod
    def total(cls, kept: Iterable[bytes]) -> Summary:
        """What all chunks did, each as it was kept."""
        total = cls()
        for each in kept:
            total.add(cls.parse(each))
        return total

    @classmethod
    def parse(cls, kept: bytes) -> Summary:
        """As it was kept."""
        if not kept:
            return cls()
        found = json.loads(kept)
        return cls(found["loans"], Counter(found["amounts"]))


class Step(ABC):
    """One step: its chunks are frozen when it starts, each is worked once, whole or not at all."""

    name: ClassVar[str]
    needs_all: ClassVar[bool] = False
    """Whether it waits until no loan is set aside."""
    needs_books: ClassVar[bool] = True
    """Whether it waits until the ledger has all that was posted."""
    rehearsed: ClassVar[bool] = True
    """Whether a rehearsal does it: it asks nobody and stands in nobody's way."""

    @property
    def asks_others(self) -> bool:
        """Whether it calls another service: then it begins a transaction of its own."""
        return type(self).prepare is not Step.prepare

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:  # noqa: ARG002  most steps are one chunk
        """The payloads of its chunks."""
        return [b""]

    def prepare(self, closing: Closing, payload: bytes) -> None:  # noqa: B027  most steps call nobody
        """What must be asked of others first: repeatable, and before anything of ours is locked."""

    @abstractmethod
    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """The chunk's effect, its outgoing postings under `batch` included."""

    def finish(self, transaction: Connection, closing: Closing) -> None:  # noqa: B027  most steps leave nothing to say
        """What holds once all its chunks are done."""


class OverLoans(Step):
    """A step over loans: one that it cannot work is set aside, and the others go on."""

    loans_a_chunk: ClassVar[int] = LOANS_A_CHUNK
    """So few that those who work online wait briefly at most for one of them."""

    @abstractmethod
    def takes(self, transaction: Connection, closing: Closing, loan_id: str) -> bool:
        """Whether a loan is one of those it works."""

    def members(self, transaction: Connection, closing: Closing, payload: bytes) -> list[str]:  # noqa: ARG002  most payloads name them
        """The loans of a chunk, in order."""
        return members(payload)


class LoanStep(OverLoans):
    """A step over loans that are listed when it starts."""

    @abstractmethod
    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Those it works, by loan id."""

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """Its members but for those that are set aside."""
        return self.payloads(self.choose(transaction, closing), closing)

    def payloads(self, chosen: Sequence[str], closing: Closing) -> list[bytes]:
        """The chunks of loans, but for those that are set aside."""
        return chunks(sorted(set(chosen) - closing.aside), self.loans_a_chunk)

    def takes(self, transaction: Connection, closing: Closing, loan_id: str) -> bool:
        """Those that are listed."""
        return loan_id in self.choose(transaction, closing)


def chunks(loan_ids: Sequence[str], size: int = LOANS_A_CHUNK) -> list[bytes]:
    """Loans, or lines, as payloads of chunks."""
    return [payload_of(page) for page in pages(loan_ids, size)]


def payload_of(loan_ids: Sequence[str]) -> bytes:
    """The payload of one chunk."""
    return json.dumps(loan_ids).encode()


def members(payload: bytes) -> list[str]:
    """The loans of a chunk."""
    found: list[str] = json.loads(payload)
    return found
