"""Holds (停催): all contact stops until a day, for a dispute, a complaint or a hardship."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, select

from tael_collections import cases
from tael_collections.cases import DebtCase
from tael_collections.reasons import Reason
from tael_collections.tables import debt_case
from tael_runtime.errors import FailedPrecondition, InvalidArgument


def hold(
    transaction: Connection, case: DebtCase, until: date, reason: str, today: date
) -> DebtCase:
    """Holds a locked open case until a day, exclusive; a later hold replaces an earlier one."""
    if until <= today:
        raise InvalidArgument("until", f"must lie after the business date {today}")
    cases.record(transaction, case.case_id, "HELD", today, f"until {until}: {reason}")
    return cases.change(transaction, case.case_id, hold_until=until, hold_reason=reason)


def release(transaction: Connection, case: DebtCase, why: str, today: date) -> DebtCase:
    """Ends the hold of a locked open case."""
    if case.hold_until is None:
        raise FailedPrecondition(Reason.NOT_ON_HOLD, "the case is not on hold", case.case_id)
    cases.record(transaction, case.case_id, "RELEASED", today, why)
    return cases.change(transaction, case.case_id, hold_until=None, hold_reason="")


def release_ended(transaction: Connection, book_id: str, today: date) -> None:
    """Releases a book's cases whose hold has run out."""
    ended = transaction.execute(
        select(debt_case.c.case_id)
        .where(debt_case.c.book_id == book_id, debt_case.c.hold_until <= today)
        .order_by(debt_case.c.case_id)
    ).scalars()
    for case_id in list(ended):
        case = cases.lock(transaction, case_id)
        release(transaction, case, f"held until {case.hold_until}", today)
