"""RecordEvents: business events booked through the posting rules, all of them or none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from tael_ledger.drafts import Draft, Event, drafts_of
from tael_ledger.requests import Desk, Plan, PostingRequest


def drafts_at(desk: Desk, events: Sequence[Event]) -> list[Draft]:
    """What events would post at a desk, through the posting rules in force.

    Raises FailedPrecondition VALUE_DATE_IN_FUTURE, and what `drafts_of` does.
    """
    for place, event in enumerate(events):
        desk.check_value_date(event.value_date, f"events[{place}]")
    return drafts_of(events, desk.rules, desk.book.terms)


@dataclass(frozen=True)
class RecordedEvents(PostingRequest):
    """RecordEvents as a request of the group commit."""

    events: Sequence[Event]
    booking_date: date | None = None

    @property
    def weight(self) -> int:
        """Some four lines an event."""
        return 4 * len(self.events)

    def plan(self, desk: Desk) -> Plan:
        """All of the events. Raises what `drafts_at` does; DAY_CLOSED and NOT_THE_BUSINESS_DATE."""
        desk.check_booking_date(self.booking_date)
        return Plan(drafts_at(desk, self.events))


def events_hash(events: Sequence[Event], booking_date: date | None) -> bytes:
    """SHA-256 of what RecordEvents asks for, from the values and not from the message's bytes."""
    content = [
        (
            event.event,
            event.value_date.toordinal(),
            event.product,
            event.accrual_status,
            sorted(event.owners.items()),
            event.amounts,
            event.source,
            event.narrative,
            event.metadata,
        )
        for event in events
    ]
    return hashlib.sha256(
        json.dumps((str(booking_date), content), separators=(",", ":")).encode()
    ).digest()
