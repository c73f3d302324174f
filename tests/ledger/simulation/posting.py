"""The oracle on everything that posts: events, entries, columns, opening balances, reversals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from google.type import date_pb2
from ledger.simulation.drafting import column_drafts, drafts_of, imbalance, line_of
from ledger.simulation.operations import Accepted, Operation
from ledger.simulation.state import Entry, Line, State

from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import to_date

RESERVED_EVENTS = frozenset({"OPENING_BALANCE", "PERIOD_CLOSED", "YEAR_CLOSED"})


Dated = (
    pb.RecordEventsRequest | pb.EventColumnsHeader | pb.PostEntriesRequest | pb.PostColumnsHeader
)


def booking_reasons(state: State, request: Dated) -> set[str]:
    """Reasons against the booking date asked for, where one is."""
    if not request.HasField("booking_date"):
        return set()
    asked = to_date(request.booking_date)
    if asked < state.business_date:
        return {"DAY_CLOSED"}
    return {"NOT_THE_BUSINESS_DATE"} if asked > state.business_date else set()


def future(state: State, value_date: date_pb2.Date) -> set[str]:
    """The reason against a value date to come."""
    return {"VALUE_DATE_IN_FUTURE"} if to_date(value_date) > state.business_date else set()


def record_events(state: State, operation: Operation) -> Accepted | set[str]:
    """All of them or none."""
    request: pb.RecordEventsRequest = operation.parts[0]
    entries, refused = _record(state, request.events)
    return booking_reasons(state, request) | refused or Accepted(
        pb.RecordEventsResponse(entries=[state.entry_message(entry) for entry in entries])
    )


def preview_events(state: State, request: pb.PreviewEventsRequest) -> list[pb.Entry] | set[str]:
    """What RecordEvents would answer now, its entries without sequences; nothing is posted."""
    mark = state.mark()
    entries, reasons = _record(state, request.events)
    state.back_to(mark)
    told = [state.entry_message(entry) for entry in entries]
    for entry in told:
        entry.sequence = 0
    return reasons or told


def _record(state: State, events: Iterable[pb.BusinessEvent]) -> tuple[list[Entry], set[str]]:
    reasons: set[str] = set()
    drafts: list[Entry] = []
    for event in events:
        reasons |= future(state, event.value_date)
        found = drafts_of(state, event, to_date(event.value_date))
        if isinstance(found, set):
            reasons |= found
        else:
            drafts += found
    entries, refused = _post_all(state, drafts)
    return entries, reasons | refused


def _post_all(state: State, drafts: Iterable[Entry]) -> tuple[list[Entry], set[str]]:
    """Limits hold when all of a request stands, not between its entries."""
    entries: list[Entry] = []
    reasons: set[str] = set()
    for draft in drafts:
        entry, refused = state.post(draft)
        entries.append(entry)
        reasons |= refused
    return entries, reasons | state.beyond_limits(*(entry.lines for entry in entries))


def record_event_columns(state: State, operation: Operation) -> Accepted | set[str]:
    """One compound entry a chunk and step; counts only are answered."""
    header: pb.EventColumnsHeader = operation.parts[0].header
    reasons = booking_reasons(state, header) | future(state, header.value_date)
    drafts: list[Entry] = []
    for part in operation.parts[1:]:
        found = column_drafts(state, header, part.chunk, to_date(header.value_date))
        if isinstance(found, set):
            reasons |= found
        else:
            drafts += found
    entries, refused = _post_all(state, drafts)
    return reasons | refused or Accepted(
        pb.RecordEventColumnsResponse(
            first_sequence=entries[0].sequence if entries else 0,
            entries=len(entries),
            lines=sum(len(entry.lines) for entry in entries),
        )
    )


def post_entries(state: State, operation: Operation) -> Accepted | set[str]:
    """Each for itself; with `atomic`, all or none."""
    request: pb.PostEntriesRequest = operation.parts[0]
    reasons = booking_reasons(state, request)
    drafts = [draft_of(new) for new in request.entries]
    against = [_against(state, draft) for draft in drafts]
    if request.atomic:
        entries, refused = _post_all(state, drafts)
        sequences = [entry.sequence for entry in entries]
        return reasons.union(refused, *against) or Accepted(
            pb.PostEntriesResponse(sequences=sequences)
        )
    return reasons or _post_each(state, drafts, against)


def _post_each(state: State, drafts: Sequence[Entry], against: Sequence[set[str]]) -> Accepted:
    answer = pb.PostEntriesResponse()
    refusals: list[frozenset[str]] = []
    for place, (draft, known) in enumerate(zip(drafts, against, strict=True)):
        mark = state.mark()
        (entry,), refused = _post_all(state, [draft])
        if known | refused:
            state.back_to(mark)
            refusals.append(frozenset(known | refused))
            answer.refusals.add(entry=place)
        answer.sequences.append(0 if known | refused else entry.sequence)
    return Accepted(answer, tuple(refusals))


def draft_of(new: pb.NewEntry) -> Entry:
    """An entry as it was sent."""
    return Entry(
        new.event,
        to_date(new.value_date),
        tuple(line_of(line) for line in new.lines),
        new.source,
        new.narrative,
        metadata=dict(new.metadata),
    )


def _against(state: State, draft: Entry) -> set[str]:
    """The reasons against an entry on named accounts, whatever stands on them."""
    reasons = imbalance(state, draft.lines)
    return reasons | ({"RESERVED_EVENT"} if draft.event in RESERVED_EVENTS else set())


def column_lines(operation: Operation) -> tuple[Line, ...]:
    """The lines of a stream of LineColumns."""
    return tuple(
        Line(number, debit, credit)
        for part in operation.parts[1:]
        for number, debit, credit in zip(
            part.chunk.account_numbers, part.chunk.debits, part.chunk.credits, strict=True
        )
    )


def post_columns(state: State, operation: Operation) -> Accepted | set[str]:
    """One compound entry."""
    header: pb.PostColumnsHeader = operation.parts[0].header
    draft = Entry(
        header.event,
        to_date(header.value_date),
        column_lines(operation),
        header.source,
        header.narrative,
    )
    reasons = booking_reasons(state, header) | _against(state, draft)
    (entry,), refused = _post_all(state, [draft])
    return reasons | refused or Accepted(
        pb.PostColumnsResponse(sequence=entry.sequence, lines=len(entry.lines))
    )


def import_opening_balances(state: State, operation: Operation) -> Accepted | set[str]:
    """One OPENING_BALANCE entry, when the control totals are met."""
    header: pb.OpeningBalancesHeader = operation.parts[0].header
    lines = column_lines(operation)
    reasons = imbalance(state, lines)
    if len({line.number for line in lines}) < len(lines):
        reasons.add("INVALID_FIELD")
    owned = [line.number for line in lines if ":" in line.number and line.number in state.accounts]
    if any(state.accounts[number].debits != state.accounts[number].credits for number in owned):
        reasons.add("ACCOUNT_HAS_BALANCE")
    net: Counter[str] = Counter()
    for line in lines:
        net[line.number.split(":", maxsplit=1)[0]] += line.debit - line.credit
    totals = header.totals
    found = (len(lines), sum(line.debit for line in lines), sum(line.credit for line in lines))
    if found != (totals.accounts, totals.debits, totals.credits) or any(
        net[total.gl_code] != total.net for total in totals.gl_codes
    ):
        reasons.add("CONTROL_TOTAL_MISMATCH")
    draft = Entry("OPENING_BALANCE", to_date(header.value_date), lines, header.source)
    (entry,), refused = _post_all(state, [draft])
    return reasons | refused or Accepted(
        pb.ImportOpeningBalancesResponse(sequence=entry.sequence, accounts=len(lines))
    )


def reverse_entry(state: State, operation: Operation) -> Accepted | set[str]:
    """The origin's lines in red ink, or on the other sides and debits first; worth the origin's day."""
    request: pb.ReverseEntryRequest = operation.parts[0]
    origin = state.entries.get(request.sequence)
    if origin is None:
        return {"RESOURCE_NOT_FOUND"}
    if origin.reversal_of or origin.carries:
        return {"REVERSAL_NOT_REVERSIBLE"}
    if origin.sequence in state.reversals:
        return {"ALREADY_REVERSED"}
    red = [Line(line.number, -line.debit, -line.credit) for line in origin.lines]
    contra = [Line(line.number, line.credit, line.debit) for line in origin.lines]
    contra.sort(key=lambda line: line.debit == 0)
    draft = replace(
        origin,
        lines=tuple(contra if request.kind == pb.REVERSAL_KIND_CONTRA else red),
        narrative=request.reason,
        reversal_of=origin.sequence,
    )
    (entry,), reasons = _post_all(state, [draft])
    return reasons or Accepted(pb.ReverseEntryResponse(entry=state.entry_message(entry)))
