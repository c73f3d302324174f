"""Cases: one open case a debtor and book, with its loans and its history.

Locks are taken in one order everywhere: the pool by those who change many cases, debtor, case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_collections import promises
from tael_collections.arrears import CaseLoan
from tael_collections.buckets import Bucket
from tael_collections.case_status import StatusFacts, status_of
from tael_collections.parameters import Parameters
from tael_collections.reasons import Reason
from tael_collections.tables import (
    case_history,
    case_loan,
    debt_case,
    debtor,
    promise,
    write_off,
)
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.idempotency import current_caller


@dataclass(frozen=True)
class DebtCase:
    """A case as it stands; amounts in minor units of its currency."""

    case_id: str
    customer_id: str
    book_id: str
    currency: str
    status: str
    bucket: Bucket
    amount_past_due: int
    contacted: bool
    collector: str
    agency_id: str
    hold_until: date | None
    hold_reason: str
    opened_on: date
    closed_on: date | None
    limitation_date: date

    def held_on(self, day: date) -> bool:
        """Whether all contact is stopped on a business date."""
        return self.hold_until is not None and day < self.hold_until


def from_row(row: RowMapping) -> DebtCase:
    """A case from its row."""
    return DebtCase(**{**row, "bucket": Bucket(row["bucket"])})


def get(transaction: Connection, case_id: str) -> DebtCase:
    """A case; NotFound where there is none."""
    row = transaction.execute(select(debt_case).where(debt_case.c.case_id == case_id)).one_or_none()
    if row is None:
        raise NotFound("case", case_id)
    return from_row(row._mapping)  # noqa: SLF001  SQLAlchemy's public name


def lock(transaction: Connection, case_id: str) -> DebtCase:
    """A case with its debtor's row and its own locked."""
    lock_debtor(transaction, get(transaction, case_id).customer_id)
    transaction.execute(
        select(debt_case.c.case_id).where(debt_case.c.case_id == case_id).with_for_update()
    )
    return get(transaction, case_id)


def lock_open(transaction: Connection, case_id: str) -> DebtCase:
    """As lock; FailedPrecondition CASE_CLOSED where the case is closed."""
    case = lock(transaction, case_id)
    if case.closed_on is not None:
        raise FailedPrecondition(
            Reason.CASE_CLOSED, f"the case was closed on {case.closed_on}", case_id
        )
    return case


def lock_debtor(transaction: Connection, customer_id: str) -> None:
    """Locks a debtor's row, making it where there is none."""
    lock_debtors(transaction, [customer_id])


def lock_debtors(transaction: Connection, customer_ids: Iterable[str]) -> None:
    """Locks debtors' rows, in one order, making those that are not there."""
    ids = sorted(set(customer_ids))
    rows = [{"customer_id": each} for each in ids]
    transaction.execute(upsert(debtor).values(rows).on_conflict_do_nothing())
    transaction.execute(
        select(debtor.c.customer_id)
        .where(debtor.c.customer_id.in_(ids))
        .order_by(debtor.c.customer_id)
        .with_for_update()
    )


def lock_pool(transaction: Connection) -> None:
    """Locks out others who change many cases at once: assignment and the end of a day."""
    transaction.execute(text("SELECT pg_advisory_xact_lock(hashtext('collections:pool'))"))


def find_open(transaction: Connection, customer_id: str, book_id: str) -> DebtCase | None:
    """A debtor's open case in a book."""
    row = transaction.execute(
        select(debt_case).where(
            debt_case.c.customer_id == customer_id,
            debt_case.c.book_id == book_id,
            debt_case.c.closed_on.is_(None),
        )
    ).one_or_none()
    return from_row(row._mapping) if row else None  # noqa: SLF001  SQLAlchemy's public name


def loans(transaction: Connection, case_id: str) -> list[CaseLoan]:
    """A case's loans, by loan_id."""
    return loans_of(transaction, [case_id])[case_id]


def loans_of(transaction: Connection, case_ids: Sequence[str]) -> dict[str, list[CaseLoan]]:
    """The loans of several cases, by loan_id in each."""
    found: dict[str, list[CaseLoan]] = {case_id: [] for case_id in case_ids}
    rows = transaction.execute(
        select(case_loan).where(case_loan.c.case_id.in_(case_ids)).order_by(case_loan.c.loan_id)
    )
    for row in rows:
        found[row.case_id].append(
            CaseLoan(row.loan_id, row.dpd, row.amount_past_due, row.principal, row.written_off)
        )
    return found


def change(transaction: Connection, case_id: str, **values: Any) -> DebtCase:
    """Writes facts of a case and tells its status anew from all of them."""
    if values:
        transaction.execute(
            update(debt_case).where(debt_case.c.case_id == case_id).values(**values)
        )
    case = get(transaction, case_id)
    status = status_of(_facts(transaction, case))
    transaction.execute(
        update(debt_case).where(debt_case.c.case_id == case_id).values(status=status)
    )
    return get(transaction, case_id)


def close(transaction: Connection, case_id: str, day: date) -> DebtCase:
    """Closes a case; its status goes with the date, as the store demands."""
    transaction.execute(
        update(debt_case)
        .where(debt_case.c.case_id == case_id)
        .values(
            status="CLOSED",
            closed_on=day,
            bucket=Bucket.M0,
            amount_past_due=0,
            agency_id="",
            hold_until=None,
            hold_reason="",
        )
    )
    return get(transaction, case_id)


def _facts(transaction: Connection, case: DebtCase) -> StatusFacts:
    newest_judged = (
        select(promise.c.state)
        .where(promise.c.case_id == case.case_id, promise.c.state != promises.OPEN)
        .order_by(promise.c.judged_on.desc(), promise.c.promise_id.desc())
        .limit(1)
    )
    return StatusFacts(
        closed=case.closed_on is not None,
        written_off=_any(transaction, case_loan.c.case_id == case.case_id, case_loan.c.written_off),
        write_off_pending=_any(
            transaction,
            write_off.c.case_id == case.case_id,
            write_off.c.state.in_(("PROPOSED", "APPROVED")),
        ),
        placed=bool(case.agency_id),
        promise_open=_any(
            transaction, promise.c.case_id == case.case_id, promise.c.state == promises.OPEN
        ),
        promise_broken=transaction.execute(newest_judged).scalar() == promises.BROKEN,
        contacted=case.contacted,
        assigned=bool(case.collector),
    )


def _any(transaction: Connection, *conditions: Any) -> bool:
    return bool(transaction.execute(select(exists().where(*conditions))).scalar())


def record(transaction: Connection, case_id: str, kind: str, day: date, note: str) -> None:
    """Appends to a case's history, by the caller of the rpc under way or the system."""
    transaction.execute(
        insert(case_history).values(
            case_id=case_id, kind=kind, date=day, actor=current_caller(), note=note
        )
    )


def demand_proven(
    transaction: Connection, case: DebtCase, day: date, parameters: Parameters
) -> None:
    """A demand reached the debtor, or the debtor promised: the limitation runs anew (民法典 §195)."""
    transaction.execute(
        update(debt_case)
        .where(debt_case.c.case_id == case.case_id)
        .values(limitation_date=limitation_from(day, parameters))
    )


def limitation_from(day: date, parameters: Parameters) -> date:
    """The limitation of action that runs from a day; 29 February ends on 28 February."""
    year = day.year + parameters.on("limitation.years", day).number
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, month=3, day=1) - timedelta(days=1)
