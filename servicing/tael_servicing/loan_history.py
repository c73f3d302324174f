"""A loan's own events: listed as they became known, and folded again as of an earlier day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, select

from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import from_date
from tael_runtime.errors import InvalidArgument
from tael_servicing import kept, loans
from tael_servicing.arithmetic.events import LoanEvent
from tael_servicing.arithmetic.fold import replay
from tael_servicing.loans import Held
from tael_servicing.tables import loan_event


def as_of(connection: Connection, held: Held, day: date, known_on: date | None) -> Held:
    """The loan as it stood on a day, by what was booked by the end of `known_on`.

    Raises FailedPrecondition LOAN_NOT_OPEN; InvalidArgument for days that the loan has not seen.
    """
    loans.check_paid_out(held)
    first, today = held.contract.start_date, held.loan.business_date
    _check_within("date", day, first, today)
    if known_on:
        _check_within("known_on", known_on, first, today)
    events = known(connection, held.contract.loan_id, known_on or today)
    return held.now(replay(held.terms, events, day).loan)


def _check_within(field: str, day: date, first: date, last: date) -> None:
    if not first <= day <= last:
        raise InvalidArgument(
            field,
            f"is {day}; from {first}, when the loan was paid out, to {last}, the business date, is"
            " right",
        )


def known(connection: Connection, loan_id: str, known_on: date) -> list[LoanEvent]:
    """A loan's events that were booked by the end of a day."""
    event = loan_event.c
    rows = connection.execute(
        select(loan_event)
        .where(event.loan_id == loan_id, event.booked_on <= known_on)
        .order_by(event.event_id)
    )
    return [kept.event_from(row.kind, row.value_date, row.event_id, row.content) for row in rows]


def page(connection: Connection, loan_id: str, after: str, size: int) -> list[pb.LoanHistoryEntry]:
    """A loan's events after an id, in the order in which they became known."""
    event = loan_event.c
    rows = connection.execute(
        select(loan_event)
        .where(event.loan_id == loan_id, event.event_id > after)
        .order_by(event.event_id)
        .limit(size)
    ).all()
    taken_back = _reversals(connection, loan_id)
    return [_entry(row, taken_back.get(row.event_id, "")) for row in rows]


def _reversals(connection: Connection, loan_id: str) -> dict[str, str]:
    """The reversing event by the id of what it took back."""
    rows = connection.execute(
        select(loan_event.c.content["target"].astext.label("target"), loan_event.c.event_id).where(
            loan_event.c.loan_id == loan_id, loan_event.c.kind == "Reversed"
        )
    )
    return {row.target: row.event_id for row in rows}


def _entry(row: Row[Any], reversed_by: str) -> pb.LoanHistoryEntry:
    said = _flat(row.content)
    return pb.LoanHistoryEntry(
        event_id=row.event_id,
        kind=row.kind,
        value_date=from_date(row.value_date),
        booked_on=from_date(row.booked_on),
        reference=row.reference,
        amounts={name: value for name, value in said.items() if _is_amount(name, value)},
        details={
            name: _text(value)
            for name, value in said.items()
            if value is not None and not _is_amount(name, value)
        },
        reversed_by=reversed_by,
    )


COUNTS = frozenset(
    (
        "more_periods",
        "instalments",
        "skip_periods",
        "repay_day",
        "grace_principal",
        "grace_interest",
    )
)
"""Whole numbers of an event that are no amounts."""


def _is_amount(name: str, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and name not in COUNTS


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields, those of its plan or allowance among them."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found.update(_flat(value))
        elif isinstance(value, list):
            found.update({f"{name}_{place}": each for place, each in enumerate(value, 1)})
        else:
            found[name] = value
    return found
