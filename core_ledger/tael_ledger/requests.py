"""What may be posted: events, columns of events, reversals. Each makes its entries in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from sqlalchemy import Connection

from tael_ledger import journal
from tael_ledger.books import Book
from tael_ledger.drafts import Draft, Event, Line, drafts_of
from tael_ledger.journal import RequestKey
from tael_ledger.posting_rules import RuleSet
from tael_ledger.reasons import Reason
from tael_runtime.errors import FailedPrecondition


@dataclass(frozen=True)
class Desk:
    """What a request finds when its turn comes: the locked book and its rules."""

    transaction: Connection
    book: Book
    rules: RuleSet

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


class PostingRequest(Protocol):
    """A request that the group commit executes exactly once."""

    @property
    def key(self) -> RequestKey:
        """Its identity."""
        ...

    @property
    def content_hash(self) -> bytes:
        """SHA-256 of its content."""
        ...

    @property
    def excludes(self) -> frozenset[object]:
        """No two requests of one transaction share any of these."""
        ...

    def drafts(self, desk: Desk) -> Sequence[Draft]:
        """The entries it makes. Raises what it is refused for."""
        ...


@dataclass(frozen=True)
class RecordedEvents:
    """RecordEvents: all of the events or none."""

    key: RequestKey
    content_hash: bytes
    events: Sequence[Event]
    booking_date: date | None = None

    @property
    def excludes(self) -> frozenset[object]:
        """Itself only."""
        return frozenset((self.key,))

    def drafts(self, desk: Desk) -> list[Draft]:
        """Through the posting rules in force."""
        desk.check_booking_date(self.booking_date)
        for place, event in enumerate(self.events):
            desk.check_value_date(event.value_date, f"events[{place}]")
        return drafts_of(self.events, desk.rules, desk.book.terms)


@dataclass(frozen=True)
class Reversal:
    """ReverseEntry: red ink (红字冲销), once."""

    key: RequestKey
    content_hash: bytes
    sequence: int
    reason: str

    @property
    def excludes(self) -> frozenset[object]:
        """Itself, and any other reversal of the same entry."""
        return frozenset((self.key, self.sequence))

    def drafts(self, desk: Desk) -> list[Draft]:
        """The origin's accounts and sides with negative amounts.

        Raises NotFound; FailedPrecondition ALREADY_REVERSED or REVERSAL_NOT_REVERSIBLE.
        """
        book_id = desk.book.book_id
        origin = journal.get(desk.transaction, book_id, self.sequence)
        if origin.reversed_by:
            raise FailedPrecondition(
                Reason.ALREADY_REVERSED,
                f"entry {self.sequence} was reversed by entry {origin.reversed_by}",
            )
        if origin.reversal_of:
            raise FailedPrecondition(
                Reason.REVERSAL_NOT_REVERSIBLE,
                f"entry {self.sequence} reverses entry {origin.reversal_of}",
            )
        lines = [Line(line.account_number, -line.debit, -line.credit) for line in origin.lines]
        red = Draft(
            origin.event,
            origin.value_date,
            origin.source,
            self.reason,
            lines,
            origin.rules_version,
            reversal_of=origin.sequence,
        )
        return [red]
