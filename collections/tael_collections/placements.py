"""Placements with outside agencies (委外): for a time, recalled by hand or by the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection, func, insert, select, text, update

from tael_collections import cases
from tael_collections.cases import DebtCase
from tael_collections.reasons import Reason
from tael_collections.tables import agency, debt_case, placement
from tael_runtime.errors import AlreadyExists, FailedPrecondition, NotFound
from tael_runtime.ids import new_id


@dataclass(frozen=True)
class Placement:
    """With whom, and at what rate."""

    agency_id: str
    commission_basis_points: int


def commission_of(cash: int, basis_points: int) -> int:
    """An agency's commission on net cash, minor units, half up."""
    return (cash * basis_points + 5_000) // 10_000


def register(transaction: Connection, name: str, basis_points: int) -> str:
    """Registers an agency: AG1, AG2, …; AlreadyExists AGENCY_EXISTS where the name is taken."""
    transaction.execute(text("SELECT pg_advisory_xact_lock(hashtext('collections:agency'))"))
    taken = select(agency.c.agency_id).where(agency.c.name == name)
    if (there := transaction.execute(taken).scalar()) is not None:
        raise AlreadyExists(Reason.AGENCY_EXISTS, f"{name!r} is agency {there}")
    count = transaction.execute(select(func.count()).select_from(agency)).scalar_one()
    agency_id = f"AG{count + 1}"
    transaction.execute(
        insert(agency).values(agency_id=agency_id, name=name, commission_basis_points=basis_points)
    )
    return agency_id


def current(transaction: Connection, case_id: str) -> Placement | None:
    """A case's placement under way."""
    row = transaction.execute(
        select(placement.c.agency_id, placement.c.commission_basis_points).where(
            placement.c.case_id == case_id, placement.c.recalled_on.is_(None)
        )
    ).one_or_none()
    return Placement(*row) if row else None


def place(
    transaction: Connection, case: DebtCase, agency_id: str, days: int, today: date
) -> DebtCase:
    """Places a locked open case with an agency for a number of days, at the agency's rate now."""
    if case.agency_id:
        raise FailedPrecondition(
            Reason.ALREADY_PLACED, f"the case is with {case.agency_id}", case.case_id
        )
    if case.held_on(today):
        raise FailedPrecondition(
            Reason.ON_HOLD, f"the case is on hold until {case.hold_until}", case.case_id
        )
    rate = transaction.execute(
        select(agency.c.commission_basis_points).where(agency.c.agency_id == agency_id)
    ).scalar()
    if rate is None:
        raise NotFound("agency", agency_id)
    ends_on = today + timedelta(days=days)
    transaction.execute(
        insert(placement).values(
            placement_id=new_id("pl"),
            case_id=case.case_id,
            agency_id=agency_id,
            commission_basis_points=rate,
            placed_on=today,
            ends_on=ends_on,
        )
    )
    note = f"with {agency_id} until {ends_on}, {rate} basis points"
    cases.record(transaction, case.case_id, "PLACED", today, note)
    return cases.change(transaction, case.case_id, agency_id=agency_id)


def recall(transaction: Connection, case: DebtCase, reason: str, today: date) -> DebtCase:
    """Takes a locked case back from its agency."""
    if not case.agency_id:
        raise FailedPrecondition(Reason.NOT_PLACED, "the case is with no agency", case.case_id)
    transaction.execute(
        update(placement)
        .where(placement.c.case_id == case.case_id, placement.c.recalled_on.is_(None))
        .values(recalled_on=today)
    )
    note = f"from {case.agency_id}: {reason}"
    cases.record(transaction, case.case_id, "RECALLED", today, note)
    return cases.change(transaction, case.case_id, agency_id="")


def recall_expired(transaction: Connection, book_id: str, today: date) -> None:
    """Recalls a book's cases whose placement has run out."""
    expired = transaction.execute(
        select(placement.c.case_id)
        .join(debt_case, debt_case.c.case_id == placement.c.case_id)
        .where(
            debt_case.c.book_id == book_id,
            placement.c.recalled_on.is_(None),
            placement.c.ends_on <= today,
        )
        .order_by(placement.c.case_id)
    ).scalars()
    for case_id in list(expired):
        case = cases.lock(transaction, case_id)
        recall(transaction, case, "the placement has run out", today)
