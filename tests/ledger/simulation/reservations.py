"""The oracle on reservations: made, committed, given back, expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ledger.simulation.drafting import imbalance, line_of
from ledger.simulation.operations import Accepted, Operation
from ledger.simulation.posting import RESERVED_EVENTS
from ledger.simulation.state import Entry, Reservation, State

from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date, to_date

GONE = {
    pb.RESERVATION_STATE_COMMITTED: "RESERVATION_COMMITTED",
    pb.RESERVATION_STATE_RELEASED: "RESERVATION_RELEASED",
    pb.RESERVATION_STATE_EXPIRED: "RESERVATION_EXPIRED",
}


def reservation_message(reservation: Reservation) -> pb.Reservation:
    """A reservation as answers show it."""
    return pb.Reservation(
        reservation_id=reservation.reservation_id,
        state=reservation.state,
        event=reservation.event,
        expires_on=from_date(reservation.expires_on),
        lines=[
            pb.PostingLine(
                account_number=line.number,
                side=pb.SIDE_DEBIT if line.debit else pb.SIDE_CREDIT,
                amount=line.debit or line.credit,
            )
            for line in reservation.lines
        ],
        source=reservation.source,
        narrative=reservation.narrative,
        sequence=reservation.sequence,
    )


def reserve(state: State, operation: Operation) -> Accepted | set[str]:
    """Counts as pending, posts nothing."""
    request: pb.ReserveRequest = operation.parts[0]
    lines = tuple(line_of(line) for line in request.lines)
    reasons = imbalance(state, lines)
    if request.event in RESERVED_EVENTS:
        reasons.add("RESERVED_EVENT")
    if to_date(request.expires_on) < state.business_date:
        reasons.add("EXPIRY_PASSED")
    if any(line.debit + line.credit < 0 for line in lines) or len(
        {line.number for line in lines}
    ) < len(lines):
        reasons.add("INVALID_FIELD")
    reasons |= state.move(lines, pending=1) | state.beyond_limits(lines)
    reservation = Reservation(
        max(state.given_id, 1 + max(state.reservations, default=0)),
        request.event,
        to_date(request.expires_on),
        lines,
        request.source,
        request.narrative,
    )
    state.put(state.reservations, reservation.reservation_id, reservation)
    return reasons or Accepted(pb.ReserveResponse(reservation=reservation_message(reservation)))


def _standing(state: State, reservation_id: int) -> Reservation | set[str]:
    reservation = state.reservations.get(reservation_id)
    if reservation is None:
        return {"RESOURCE_NOT_FOUND"}
    return {GONE[reservation.state]} if reservation.state in GONE else reservation


def commit_reservation(state: State, operation: Operation) -> Accepted | set[str]:
    """Posts what was reserved or a part of it, and gives back the rest."""
    request: pb.CommitReservationRequest = operation.parts[0]
    reservation = _standing(state, request.reservation_id)
    if isinstance(reservation, set):
        return reservation
    lines = tuple(line_of(line) for line in request.lines) or reservation.lines
    reasons = imbalance(state, lines)
    reserved = {line.number: line for line in reservation.lines}
    if len({line.number for line in lines}) < len(lines):
        reasons.add("INVALID_FIELD")
    for line in lines:
        most = reserved.get(line.number)
        if line.debit + line.credit < 0:
            reasons.add("INVALID_FIELD")
        if most is None or line.debit > most.debit or line.credit > most.credit:
            reasons.add("MORE_THAN_RESERVED")
    state.move(reservation.lines, pending=-1)
    worth = to_date(request.value_date) if request.HasField("value_date") else state.business_date
    draft = Entry(reservation.event, worth, lines, reservation.source, reservation.narrative)
    entry, refused = state.post(draft)
    after = replace(reservation, state=pb.RESERVATION_STATE_COMMITTED, sequence=entry.sequence)
    state.put(state.reservations, reservation.reservation_id, after)
    return reasons | refused | state.beyond_limits(lines) or Accepted(
        pb.CommitReservationResponse(entry=state.entry_message(entry))
    )


def release_reservation(state: State, operation: Operation) -> Accepted | set[str]:
    """Gives back what was reserved, on frozen accounts too."""
    request: pb.ReleaseReservationRequest = operation.parts[0]
    reservation = _standing(state, request.reservation_id)
    if isinstance(reservation, set):
        return reservation
    after = give_back(state, reservation, pb.RESERVATION_STATE_RELEASED)
    return Accepted(pb.ReleaseReservationResponse(reservation=reservation_message(after)))


def expire(state: State, closed: date) -> None:
    """Gives back what could be committed until a day that is now closed."""
    for reservation in list(state.reservations.values()):
        if reservation.state not in GONE and reservation.expires_on <= closed:
            give_back(state, reservation, pb.RESERVATION_STATE_EXPIRED)


def give_back(
    state: State, reservation: Reservation, to: pb.ReservationState.ValueType
) -> Reservation:
    """Takes a reservation off its accounts."""
    state.move(reservation.lines, pending=-1)
    after = replace(reservation, state=to)
    state.put(state.reservations, after.reservation_id, after)
    return after
