"""Two-phase posting: an entry reserved, then committed, released or expired, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from tael_ledger.drafts import Draft, Line
from tael_ledger.postings import check_balanced, check_event
from tael_ledger.reasons import Reason
from tael_ledger.requests import Desk, Hold, Plan, PostingRequest, Record
from tael_ledger.tables import reservation, reservation_line
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound

PENDING, COMMITTED, RELEASED, EXPIRED = "PENDING", "COMMITTED", "RELEASED", "EXPIRED"
RESERVED = "RESERVED"
FEW_LINES = 16
"""What a reservation usually has, at most; a hundred are possible."""
ENDED = {
    COMMITTED: (Reason.RESERVATION_COMMITTED, "RESERVATION_COMMITTED"),
    RELEASED: (Reason.RESERVATION_RELEASED, "RESERVATION_RELEASED"),
    EXPIRED: (Reason.RESERVATION_EXPIRED, "RESERVATION_EXPIRED"),
}
"""Why a reservation in this state takes no other end, and the kind of its record."""


@dataclass(frozen=True)
class Reservation:
    """An entry reserved. Amounts in minor units, positive."""

    reservation_id: int
    event: str
    expires_on: date
    """The last business date on which it can be committed."""
    source: str
    narrative: str
    lines: Sequence[Line]
    state: str = PENDING
    sequence: int = 0
    """The entry that posted it; 0 = none."""

    def held(self) -> list[Hold]:
        """What it makes pending."""
        return [Hold(*line) for line in self.lines]

    def released(self) -> list[Hold]:
        """The opposite."""
        return [Hold(number, -debit, -credit) for number, debit, credit in self.lines]

    def ended(self, state: str, *, posts: bool = False) -> Record:
        """The record of its end."""
        return Record(ENDED[state][1], str(self.reservation_id), {}, posts)

    def check_pending(self) -> None:
        """Raises FailedPrecondition RESERVATION_COMMITTED, _RELEASED or _EXPIRED."""
        if self.state != PENDING:
            raise FailedPrecondition(
                ENDED[self.state][0],
                f"reservation {self.reservation_id} was {self.state.lower()} before",
                str(self.reservation_id),
            )


def get(connection: Connection, book_id: str, reservation_id: int) -> Reservation:
    """One reservation. Raises NotFound."""
    found = _read(connection, book_id, reservation.c.reservation_id == reservation_id)
    if not found:
        raise NotFound("reservation", f"{book_id}/{reservation_id}")
    return found[0]


def page(
    connection: Connection, book_id: str, account_number: str, state: str, after: int, size: int
) -> list[Reservation]:
    """Reservations by id, after one; empty filters match all."""
    conditions: list[ColumnElement[bool]] = [reservation.c.reservation_id > after]
    if state:
        conditions.append(reservation.c.state == state)
    if account_number:
        held = select(reservation_line.c.reservation_id).where(
            reservation_line.c.book_id == book_id,
            reservation_line.c.account_number == account_number,
        )
        conditions.append(reservation.c.reservation_id.in_(held))
    return _read(connection, book_id, *conditions, size=size)


def expiring(connection: Connection, book_id: str, business_date: date) -> list[Reservation]:
    """Those that the close of a day gives back."""
    pending = (reservation.c.state == PENDING, reservation.c.expires_on <= business_date)
    return _read(connection, book_id, *pending)


def end(
    transaction: Connection,
    book_id: str,
    reservation_ids: Sequence[int],
    state: str,
    sequence: int = 0,
) -> None:
    """Writes the end of reservations."""
    if reservation_ids:
        transaction.execute(
            update(reservation)
            .where(
                reservation.c.book_id == book_id,
                reservation.c.reservation_id.in_(reservation_ids),
                reservation.c.state == PENDING,
            )
            .values(state=state, sequence=sequence)
        )


def _read(
    connection: Connection,
    book_id: str,
    *conditions: ColumnElement[bool],
    size: int | None = None,
) -> list[Reservation]:
    rows = connection.execute(
        select(reservation)
        .where(reservation.c.book_id == book_id, *conditions)
        .order_by(reservation.c.reservation_id)
        .limit(size)
    ).all()
    lines: dict[int, list[Line]] = {row.reservation_id: [] for row in rows}
    for row in connection.execute(
        select(reservation_line)
        .where(
            reservation_line.c.book_id == book_id,
            reservation_line.c.reservation_id.in_(list(lines)),
        )
        .order_by(reservation_line.c.reservation_id, reservation_line.c.line_number)
    ):
        lines[row.reservation_id].append(Line(row.account_number, row.debit, row.credit))
    return [_reservation(row, lines[row.reservation_id]) for row in rows]


def _reservation(row: Row[Any], lines: Sequence[Line]) -> Reservation:
    return Reservation(
        row.reservation_id,
        row.event,
        row.expires_on,
        row.source,
        row.narrative,
        lines,
        row.state,
        row.sequence,
    )


@dataclass(frozen=True)
class Reserving(PostingRequest):
    """Reserve as a request of the group commit."""

    wanted: Reservation
    """Without its id, which the book gives."""
    booking_date: date | None = None

    @property
    def weight(self) -> int:
        """Its lines."""
        return len(self.wanted.lines)

    def plan(self, desk: Desk) -> Plan:
        """Holds the lines' amounts as pending.

        Raises what PostEntries does; InvalidArgument for a line that comes twice or is not positive;
        FailedPrecondition EXPIRY_PASSED.
        """
        desk.check_booking_date(self.booking_date)
        wanted = self.wanted
        check_event("event", wanted.event)
        check_balanced("lines", wanted.lines, desk.chart)
        _check_lines(wanted.lines)
        if wanted.expires_on < desk.book.business_date:
            raise FailedPrecondition(
                Reason.EXPIRY_PASSED,
                f"{wanted.expires_on} is closed; the business date is {desk.book.business_date}",
            )
        made = replace(wanted, reservation_id=next(desk.reservation_ids))
        content = {
            "event": made.event,
            "expires_on": made.expires_on,
            "source": made.source,
            "narrative": made.narrative,
            "lines": made.lines,
        }
        return Plan(
            holds=made.held(),
            records=[Record(RESERVED, str(made.reservation_id), content)],
            outcome=str(made.reservation_id),
            then=lambda transaction, _: _insert(transaction, desk.book.book_id, made),
            reservation_id=made.reservation_id,
        )


def _check_lines(lines: Sequence[Line]) -> None:
    seen: set[str] = set()
    for place, line in enumerate(lines):
        if line.debit + line.credit < 0:
            raise InvalidArgument(f"lines[{place}].amount", "a reserved amount is positive")
        if line.account_number in seen:
            raise InvalidArgument(
                f"lines[{place}].account_number", f"{line.account_number!r} comes twice"
            )
        seen.add(line.account_number)


def _insert(transaction: Connection, book_id: str, made: Reservation) -> None:
    transaction.execute(
        insert(reservation).values(
            book_id=book_id,
            reservation_id=made.reservation_id,
            event=made.event,
            expires_on=made.expires_on,
            source=made.source,
            narrative=made.narrative,
        )
    )
    transaction.execute(
        insert(reservation_line),
        [
            {
                "book_id": book_id,
                "reservation_id": made.reservation_id,
                "line_number": place,
                "account_number": number,
                "debit": debit,
                "credit": credit,
            }
            for place, (number, debit, credit) in enumerate(made.lines, 1)
        ],
    )


@dataclass(frozen=True)
class Committing(PostingRequest):
    """CommitReservation as a request of the group commit."""

    reservation_id: int
    lines: Sequence[Line]
    """What to post; all of it where empty."""
    value_date: date | None
    booking_date: date | None = None

    @property
    def weight(self) -> int:
        """Its lines, about: how many it reserved is not known here."""
        return len(self.lines) or FEW_LINES

    @property
    def excludes(self) -> frozenset[object]:
        """Itself, and another end of the same reservation."""
        return frozenset((self.key, (RESERVED, self.reservation_id)))

    def plan(self, desk: Desk) -> Plan:
        """Gives back what is pending and posts what is asked of it.

        Raises NotFound; FailedPrecondition MORE_THAN_RESERVED, and what `check_pending` and
        PostEntries do.
        """
        desk.check_booking_date(self.booking_date)
        book_id = desk.book.book_id
        held = get(desk.transaction, book_id, self.reservation_id)
        held.check_pending()
        lines = self.lines or held.lines
        check_balanced("lines", lines, desk.chart)
        _check_part(lines, {line.account_number: line for line in held.lines})
        worth = self.value_date or desk.book.business_date
        desk.check_value_date(worth, "value_date")
        draft = Draft(held.event, worth, held.source, held.narrative, lines)
        return Plan(
            [draft],
            holds=held.released(),
            records=[held.ended(COMMITTED, posts=True)],
            then=lambda transaction, written: end(
                transaction, book_id, [held.reservation_id], COMMITTED, written.first_sequence
            ),
        )


def _check_part(lines: Sequence[Line], reserved: Mapping[str, Line]) -> None:
    """Raises FailedPrecondition MORE_THAN_RESERVED."""
    _check_lines(lines)
    for place, line in enumerate(lines):
        whole = reserved.get(line.account_number)
        if whole is None or line.debit > whole.debit or line.credit > whole.credit:
            raise FailedPrecondition(
                Reason.MORE_THAN_RESERVED,
                f"lines[{place}]: {line.account_number} has "
                f"{(whole.debit or whole.credit) if whole else 0} reserved on that side",
                line.account_number,
            )


@dataclass(frozen=True)
class Releasing(PostingRequest):
    """ReleaseReservation as a request of the group commit."""

    reservation_id: int

    @property
    def weight(self) -> int:
        """Its lines, about: how many it reserved is not known here."""
        return FEW_LINES

    @property
    def excludes(self) -> frozenset[object]:
        """Itself, and another end of the same reservation."""
        return frozenset((self.key, (RESERVED, self.reservation_id)))

    def plan(self, desk: Desk) -> Plan:
        """Gives back what is pending. Raises NotFound, and what `check_pending` does."""
        book_id = desk.book.book_id
        held = get(desk.transaction, book_id, self.reservation_id)
        held.check_pending()
        return Plan(
            holds=held.released(),
            records=[held.ended(RELEASED)],
            then=lambda transaction, _: end(transaction, book_id, [held.reservation_id], RELEASED),
        )
