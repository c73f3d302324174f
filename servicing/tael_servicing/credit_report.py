"""Loan accounts as the second-generation credit register (二代征信) takes them: record 210.

What a day is reported for follows from the loan ledger of that day and the day before; the codes are
the register's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, or_, select

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date
from tael_runtime.errors import InvalidArgument
from tael_servicing import books, loan_store, snapshots
from tael_servicing.arithmetic.terms import Frequency, Method, Unit
from tael_servicing.loans import Held
from tael_servicing.paging import pages
from tael_servicing.snapshots import OWING
from tael_servicing.tables import (
    credit_line,
    instalment,
    loan_day,
    loan_event,
    repayment,
)
from tael_servicing.tables import loan as loans

RECORDS_A_MESSAGE = 500
REPAY_MODES = {
    Method.EQUAL_INSTALMENT: "11",
    Method.EQUAL_PRINCIPAL: "12",
    Method.BULLET: "21",
    Method.INTEREST_ONLY: "31",
}
OTHER_MODE = "90"
FREQUENCIES = {
    Frequency(Unit.DAY, 1): "01",
    Frequency(Unit.WEEK, 1): "02",
    Frequency(Unit.MONTH, 1): "03",
    Frequency(Unit.MONTH, 3): "04",
}
ONCE, IRREGULAR = "07", "08"
SPECIAL = {
    "Rescheduled": "1",
    "GuarantorPaid": "2",
    "Prepaid": "4",
    "Settled": "5",
    "Waived": "11",
    "Sold": "13",
    "WrittenOff": "15",
}
"""Codes of special transactions by kind of loan event."""
ENDINGS = {"CLOSED_GUARANTOR": "D", "CLOSED_TRANSFERRED": "G"}
"""Repay status of accounts that ended otherwise than settled by the debtor."""
BANDS = ((31, 60), (61, 90), (91, 180))
"""Days past due of overdue principal told apart; more than the last is told by itself."""


@dataclass(frozen=True)
class _Month:
    """What is asked of the store for a page of accounts, by loan."""

    held: dict[str, Held]
    revolving: frozenset[str]
    """Loans drawn under a revolving limit."""
    schedule: dict[str, Row[Any]]
    paid: dict[str, Row[Any]]
    special: dict[str, list[pb.CreditAccountRecord.SpecialTransaction]]


def records(
    connection: Connection, book_id: str, day: date
) -> Iterator[list[pb.CreditAccountRecord]]:
    """The day's records in pages, by loan. Raises InvalidArgument for a day that is not closed."""
    ledger = snapshots.ledger_of(connection, book_id, day)
    if day >= books.get(connection, book_id).business_date:
        raise InvalidArgument("date", "must be a closed day: before the business date")
    rows = connection.execute(_reported(book_id, ledger.day)).all()
    for page in pages(rows, RECORDS_A_MESSAGE):
        month = _month(connection, day, [row.loan_id for row in page])
        yield [_record(row, day, month) for row in page]


def _reported(book_id: str, day: date) -> Any:
    """The accounts to report on that day, with the report point of each."""
    before, earlier = loan_day.alias("before"), loan_day.alias("earlier")
    first = day.replace(day=1)
    month_end = (day + timedelta(days=1)).month != day.month
    owes = loan_day.c.state.in_(OWING)
    owed = or_(before.c.state.in_(OWING), before.c.loan_id.is_(None))
    point = case(
        (and_(~owes, owed), "32" if month_end else "20"),
        (~owes, None),
        (and_(before.c.loan_id.is_(None), loan_day.c.start_date >= first), "10"),
        *(
            [
                (and_(earlier.c.loan_id.is_(None), loan_day.c.start_date < first), "31"),
                (owes, "30"),
            ]
            if month_end
            else []
        ),
        (and_(before.c.dpd > 0, loan_day.c.dpd == 0), "40"),
    ).label("point")

    def on(other: Any, at: date) -> Any:
        return and_(
            other.c.book_id == loan_day.c.book_id,
            other.c.date == at,
            other.c.loan_id == loan_day.c.loan_id,
        )

    return (
        select(loan_day, point)
        .outerjoin(before, on(before, day - timedelta(days=1)))
        .outerjoin(earlier, on(earlier, first - timedelta(days=1)))
        .where(loan_day.c.book_id == book_id, loan_day.c.date == day, point.is_not(None))
        .order_by(loan_day.c.loan_id)
    )


def _month(connection: Connection, day: date, ids: Sequence[str]) -> _Month:
    first = day.replace(day=1)
    held = {each.contract.loan_id: each for each in loan_store.load(connection, ids)}
    revolving = connection.execute(
        select(loans.c.loan_id)
        .join(credit_line, credit_line.c.line_id == loans.c.line_id)
        .where(loans.c.loan_id == func.any(ids), credit_line.c.revolving)
    ).scalars()
    this_month = instalment.c.due_date.between(first, day)
    due = instalment.c.principal + instalment.c.interest
    schedule = _by_loan(
        connection,
        select(
            instalment.c.loan_id,
            func.count().filter(instalment.c.due_date > day).label("remaining"),
            snapshots.total(due, this_month).label("due"),
        )
        .where(instalment.c.loan_id == func.any(ids))
        .group_by(instalment.c.loan_id),
    )
    paid = _by_loan(
        connection,
        select(
            repayment.c.loan_id,
            snapshots.total(repayment.c.amount).label("amount"),
            func.max(repayment.c.value_date).label("last"),
        )
        .where(
            repayment.c.loan_id == func.any(ids),
            repayment.c.value_date.between(first, day),
            ~_reversed(repayment.c.loan_id, repayment.c.event_id),
        )
        .group_by(repayment.c.loan_id),
    )
    return _Month(
        held,
        frozenset(revolving),
        schedule,
        paid,
        _special(connection, first, day, ids),
    )


def _by_loan(connection: Connection, query: Any) -> dict[str, Row[Any]]:
    return {row.loan_id: row for row in connection.execute(query)}


def _reversed(loan_id: Any, event_id: Any) -> Any:
    """Whether an event was taken back."""
    undone = loan_event.alias("undone")
    return (
        select(undone.c.event_id)
        .where(
            undone.c.loan_id == loan_id,
            undone.c.kind == "Reversed",
            undone.c.content["target"].astext == event_id,
        )
        .exists()
    )


def _special(
    connection: Connection, first: date, day: date, ids: Sequence[str]
) -> dict[str, list[pb.CreditAccountRecord.SpecialTransaction]]:
    found: defaultdict[str, list[pb.CreditAccountRecord.SpecialTransaction]] = defaultdict(list)
    rows = connection.execute(
        select(loan_event.c.loan_id, loan_event.c.kind, loan_event.c.value_date)
        .where(
            loan_event.c.loan_id == func.any(ids),
            loan_event.c.kind.in_(SPECIAL),
            loan_event.c.value_date.between(first, day),
            ~_reversed(loan_event.c.loan_id, loan_event.c.event_id),
        )
        .order_by(loan_event.c.loan_id, loan_event.c.value_date, loan_event.c.event_id)
    )
    for row in rows:
        told = pb.CreditAccountRecord.SpecialTransaction(
            code=SPECIAL[row.kind], date=from_date(row.value_date)
        )
        found[row.loan_id].append(told)
    return found


def _record(row: Any, day: date, month: _Month) -> pb.CreditAccountRecord:
    revolving = row.loan_id in month.revolving
    record = pb.CreditAccountRecord(
        base=pb.CreditAccountRecord.Base(
            record_type="210",
            account_type="R4" if revolving else "D1",
            account_id=row.loan_id,
            customer_id=row.customer_id,
            report_date=from_date(day),
            report_point=row.point,
        ),
        basic=_basic(row, month.held[row.loan_id], revolving=revolving),
        performance=_performance(row, day, month),
        special_transactions=month.special.get(row.loan_id, ()),
    )
    if revolving:
        record.limit.credit_limit = row.credit_limit
    return record


def _basic(row: Any, held: Held, *, revolving: bool) -> pb.CreditAccountRecord.Basic:
    contract, terms = held.contract, held.terms
    once = terms.method is Method.BULLET
    return pb.CreditAccountRecord.Basic(
        open_date=from_date(contract.start_date),
        due_date=from_date(row.maturity_date),
        currency_code=contract.currency_code,
        amount=contract.principal,
        repay_mode=REPAY_MODES.get(terms.method, OTHER_MODE),
        repay_frequency=ONCE if once else FREQUENCIES.get(terms.frequency, IRREGULAR),
        terms=1 if once else terms.periods,
        agreement_id=contract.line_id if revolving else "",
    )


def _performance(row: Any, day: date, month: _Month) -> pb.CreditAccountRecord.Performance:
    schedule: Any = month.schedule.get(row.loan_id)
    paid: Any = month.paid.get(row.loan_id)
    due = schedule.due if schedule else 0
    told = pb.CreditAccountRecord.Performance(
        month=from_date(day),
        account_status=_account_status(row),
        balance=sum(getattr(row, name) for name in snapshots.ON_BALANCE)
        + row.written_off_principal,
        five_class=row.risk_class,
        repay_status=repay_status(row.state, row.dpd, row.worst_dpd, due),
        remaining_terms=schedule.remaining if schedule and row.state in OWING else 0,
        due_in_month=due,
    )
    if paid:
        told.paid_in_month = paid.amount
        told.last_paid_on.CopyFrom(from_date(paid.last))
    _tell_overdue(told, row.arrears or (), day)
    return told


def _account_status(row: Any) -> str:
    if row.state == "WRITTEN_OFF":
        return "42"
    if row.state not in OWING:
        return "3"
    return "2" if row.dpd > 0 else "1"


def repay_status(state: str, dpd: int, worst_dpd: int, due_in_month: int) -> str:
    """How the month went: * N M 1-7 B C D G."""
    if state == "WRITTEN_OFF":
        return "B"
    if state not in OWING:
        return ENDINGS.get(state, "C")
    if dpd > 0:
        return str(min((dpd - 1) // 30 + 1, 7))
    if worst_dpd > 0:
        return "M"
    return "N" if due_in_month else "*"


def _tell_overdue(
    told: pb.CreditAccountRecord.Performance, arrears: Sequence[Any], day: date
) -> None:
    """Overdue instalments, and their principal by age."""
    for due_date, principal, interest in arrears:
        days = (day - date.fromisoformat(due_date)).days
        told.overdue_terms += 1
        told.overdue_amount += principal + interest
        for low, high in BANDS:
            if low <= days <= high:
                name = f"overdue_{low}_{high}"
                setattr(told, name, getattr(told, name) + principal)
        if days > BANDS[-1][1]:
            told.overdue_over_180 += principal
