"""What a caller asks of a book, and what the book is asked to take: requests and their plans."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.entry_columns import Drafts
from tael_ledger.journal import RequestKey
from tael_ledger.posting_rules import RuleSet
from tael_ledger.reasons import Reason
from tael_runtime.errors import FailedPrecondition


@dataclass(frozen=True)
class Desk:
    """What a request finds when its turn comes: the locked book, its chart and its rules."""

    transaction: Connection
    book: Book
    chart: Chart
    rules: RuleSet
    reservation_ids: Iterator[int]
    """The next ones; one that is taken and not used is left out for ever."""

    def check_booking_date(self, booking_date: date | None) -> None:
        """Where a caller insists on a booking date. Raises FailedPrecondition DAY_CLOSED, or
        NOT_THE_BUSINESS_DATE where it has not come yet.
        """
        today = self.book.business_date
        if booking_date is None or booking_date == today:
            return
        reason = Reason.DAY_CLOSED if booking_date < today else Reason.NOT_THE_BUSINESS_DATE
        raise FailedPrecondition(reason, f"asked for {booking_date}; the business date is {today}")

    def check_value_date(self, value_date: date, subject: str) -> None:
        """Raises FailedPrecondition VALUE_DATE_IN_FUTURE."""
        if value_date > self.book.business_date:
            raise FailedPrecondition(
                Reason.VALUE_DATE_IN_FUTURE,
                f"{value_date} lies after the business date {self.book.business_date}",
                subject,
            )


class Refusal(NamedTuple):
    """Why one of a request's entries was not posted."""

    entry: int
    """Its place in the request, from 0."""
    reason: str
    message: str


def refusals_text(refusals: Sequence[Refusal]) -> str:
    """Refusals as a request's outcome keeps them."""
    return json.dumps(refusals, ensure_ascii=False, separators=(",", ":"))


def read_refusals(outcome: str) -> list[Refusal]:
    """The inverse of `refusals_text`."""
    return [Refusal(*one) for one in json.loads(outcome)] if outcome else []


class Hold(NamedTuple):
    """A change of what is pending on an account, minor units; negative gives back."""

    account_number: str
    debit: int
    credit: int


@dataclass(frozen=True)
class Record:
    """Something that changes beside the entries, for the chain."""

    kind: str
    """DAY_CLOSED, ACCOUNT_FROZEN, …."""
    subject: str
    content: Mapping[str, Any]
    posts: bool = False
    """The plan's first entry belongs to it: its sequence goes into the content."""

    def text(self, first_sequence: int) -> str:
        """The content as the chain has it: JSON, keys in order."""
        content = {**self.content, "sequence": first_sequence} if self.posts else self.content
        return json.dumps(
            content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
        )


class Written(NamedTuple):
    """Where a plan came to stand."""

    batch_number: int
    first_sequence: int
    """Of its entries; 0 where it made none."""
    last_sequence: int
    """Of the batch."""


@dataclass(frozen=True)
class Plan:
    """What a request wants written, whole or not at all."""

    drafts: Drafts = ()
    places: Sequence[int] | None = None
    """Where given, the drafts stand alone: each may be refused without the others, and these are
    their places in the request."""
    refusals: Sequence[Refusal] = ()
    """Entries refused before they could become drafts."""
    opens: Sequence[str] = ()
    """Numbers of accounts to open though nothing is posted on them."""
    holds: Sequence[Hold] = ()
    records: Sequence[Record] = ()
    outcome: str = ""
    """What else the answer needs, for ever."""
    then: Callable[[Connection, Written], None] | None = None
    """Writes the tables that show what the records say, in the same transaction."""
    guards_changed: bool = False
    """Limits or states of accounts are changed."""
    reservation_id: int = 0
    """The last one that it takes; 0 = none."""
    closing: bool = False
    """Its entries carry a period's income and expense to equity."""


PERIOD_CLOSED = "PERIOD_CLOSED"
YEAR_CLOSED = "YEAR_CLOSED"
OPENING_BALANCE = "OPENING_BALANCE"
RESERVED_EVENTS = frozenset((PERIOD_CLOSED, YEAR_CLOSED, OPENING_BALANCE))
"""Events of entries that only the ledger itself posts."""

ALONE = 1 << 30
"""The weight of a request that shares a transaction with no other."""


@dataclass(frozen=True, kw_only=True)
class PostingRequest(ABC):
    """A request that the group commit executes exactly once."""

    key: RequestKey
    """Its identity."""
    content_hash: bytes
    """SHA-256 of its content."""

    @property
    def excludes(self) -> frozenset[object]:
        """No two requests of one transaction share any of these; itself only, where not overridden."""
        return frozenset((self.key,))

    @property
    def weight(self) -> int:
        """About how many lines it writes; ALONE where it shares a transaction with no other."""
        return ALONE

    @abstractmethod
    def plan(self, desk: Desk) -> Plan:
        """What it writes. Raises what it is refused for."""
