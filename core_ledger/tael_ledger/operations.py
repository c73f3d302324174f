"""What rpcs ask, as requests of the group commit: a system asks at once, people by a proposal."""

from __future__ import annotations

from typing import TypeAlias

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import messages
from tael_ledger.account_changes import StateChange
from tael_ledger.chart import Chart
from tael_ledger.entry_columns import EntryColumns
from tael_ledger.face import key_of
from tael_ledger.guards import CLOSED, FROZEN, OPEN
from tael_ledger.new_entries import read_columns, read_drafts
from tael_ledger.postings import LINES_LIMIT, PostedEntries, entries_hash
from tael_ledger.recorded_events import RecordedEvents, events_hash
from tael_ledger.reversal import Reversal
from tael_runtime import idempotency
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date

COLUMNS_PAY = 40
"""Lines from which on entries are quicker read in columns than one by one."""

StateRequest: TypeAlias = (
    pb.FreezeAccountRequest | pb.UnfreezeAccountRequest | pb.CloseAccountRequest
)
STATES = {"FreezeAccount": FROZEN, "UnfreezeAccount": OPEN, "CloseAccount": CLOSED}


def recorded_events(request: pb.RecordEventsRequest) -> RecordedEvents:
    """RecordEvents."""
    events = messages.read_events(request.events)
    booking_date = optional_date(request, "booking_date")
    return RecordedEvents(
        events,
        booking_date,
        key=key_of("RecordEvents", request.request_id),
        content_hash=events_hash(events, booking_date),
    )


def lines_of(request: pb.PostEntriesRequest) -> int:
    """How many lines it posts. Raises InvalidArgument where they are too many."""
    lines = sum([len(entry.lines) for entry in request.entries])
    if lines > LINES_LIMIT:
        raise InvalidArgument(
            "entries", f"have {lines} lines; at most {LINES_LIMIT} in one request"
        )
    return lines


def posted_entries(request: pb.PostEntriesRequest, lines: int, chart: Chart) -> PostedEntries:
    """PostEntries of so many lines."""
    many = lines >= COLUMNS_PAY
    entries = request.entries
    drafts = read_columns(request.book_id, entries) if many else read_drafts(entries)
    booking_date = optional_date(request, "booking_date")
    return PostedEntries(
        drafts,
        request.atomic,
        booking_date,
        isinstance(drafts, EntryColumns) and drafts.is_balanced(chart),
        key=key_of("PostEntries", request.request_id),
        content_hash=entries_hash(drafts, atomic=request.atomic, booking_date=booking_date),
    )


def reversal(request: pb.ReverseEntryRequest, line_count: int = 0) -> Reversal:
    """ReverseEntry of an entry of so many lines, where it matters how many."""
    return Reversal(
        request.sequence,
        request.reason,
        request.kind == pb.REVERSAL_KIND_CONTRA,
        optional_date(request, "booking_date"),
        line_count,
        key=key_of("ReverseEntry", request.request_id),
        content_hash=idempotency.content_hash(request),
    )


def state_change(request: StateRequest) -> StateChange:
    """FreezeAccount, UnfreezeAccount or CloseAccount."""
    rpc = type(request).__name__.removesuffix("Request")
    return StateChange(
        request.account_number,
        STATES[rpc],
        request.reason,
        key=key_of(rpc, request.request_id),
        content_hash=idempotency.content_hash(request),
    )
