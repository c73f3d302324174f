"""Loan accounts as the second-generation credit register (二代征信) takes them: record 210.

What a day is reported for follows from the loan ledger of that day and the day before, and from what
was known by its end, so that its records never change; the codes are the register's. A page of records
is a few questions over many rows: only a loan that something happened to since is folded again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    or_,
    select,
)

from tael.servicing.v1 import portfolio_pb2 as pb
from tael.servicing.v1.product_pb2 import LoanChoices, ProductTerms
from tael_client.values import from_date
from tael_servicing import loan_days, loan_history, loan_store, products, snapshots
from tael_servicing.arithmetic.events import standing
from tael_servicing.arithmetic.fold import happen, replay
from tael_servicing.arithmetic.terms import Excess, Frequency, Method, Part, Unit
from tael_servicing.loan_days import OWING
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import (
    credit_line,
    instalment,
    loan_event,
    repayment,
)
from tael_servicing.tables import loan as loans
from tael_servicing.terms import loan_terms

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
    "Repaid": "4",
    "Settled": "5",
    "AssetTaken": "3",
    "Waived": "11",
    "ClaimWaived": "11",
    "Sold": "13",
    "WrittenOff": "15",
}
"""Codes of special transactions by kind of loan event; of repayments those that pay ahead."""
PLANS_NOTHING = ("AllowanceAdjusted", "ImpairedInterest")
"""Kinds of loan event that leave a loan's rows as they are."""
ENDINGS = {
    "CLOSED_NORMAL": "C",
    "CLOSED_EARLY": "C",
    "CLOSED_OVERDUE": "C",
    "CLOSED_GUARANTOR": "D",
    "CLOSED_ASSET": "Z",
    "CLOSED_TRANSFERRED": "G",
    "CLOSED_RETURNED": "G",
}
"""Repay status of accounts that ended: settled, paid by a guarantor, in kind, ended otherwise."""
BANDS = ((31, 60), (61, 90), (91, 180))
"""Days past due of overdue principal told apart; more than the last is told by itself."""


@dataclass(frozen=True)
class _Agreed:
    """What the contract says of how a loan is repaid, in the register's codes."""

    repay_mode: str
    frequency: str
    terms: int
    excess: Excess
    """Where money goes that is more than is due and says nothing of it."""


class _Plan(NamedTuple):
    """A loan's rows as they stood when the day ended."""

    remaining: int
    due: int
    """Principal and interest that fell due in the month, minor units."""


@dataclass(frozen=True)
class _Month:
    """What is asked of the store for a page of accounts, by loan."""

    agreed: dict[str, _Agreed]
    revolving: frozenset[str]
    """Loans drawn under a revolving limit."""
    plans: dict[str, _Plan]
    paid: dict[str, Row[Any]]
    special: dict[str, list[pb.CreditAccountRecord.SpecialTransaction]]


def records(connection: Connection, ledger: Ledger) -> Iterator[list[pb.CreditAccountRecord]]:
    """The records of a closed day in pages, by loan."""
    day, after = ledger.day, ""
    currency = ledger.book.currency_code
    while True:
        reported = _reported(ledger).where(ledger.rows.c.loan_id > after)
        page = connection.execute(reported.limit(RECORDS_A_MESSAGE)).all()
        if page:
            month = _month(connection, day, [row.loan_id for row in page])
            yield [_record(row, day, month, currency) for row in page]
        if len(page) < RECORDS_A_MESSAGE:
            return
        after = page[-1].loan_id


def _reported(ledger: Ledger) -> Select[Any]:
    """The accounts to report on that day, with the report point of each."""
    row, day = ledger.rows.c, ledger.day
    first = day.replace(day=1)
    yesterday, last_month = day - timedelta(days=1), first - timedelta(days=1)
    before, earlier = (loan_days.on(each, row.loan_id) for each in (yesterday, last_month))
    month_end = (day + timedelta(days=1)).month != day.month
    owes = row.state.in_(OWING)
    owed = or_(before.c.state.in_(OWING), before.c.loan_id.is_(None))
    point = case(
        (and_(~owes, owed), "32" if month_end else "20"),
        (~owes, None),
        (and_(before.c.loan_id.is_(None), row.start_date >= first), "10"),
        *(
            [
                (and_(earlier.c.loan_id.is_(None), row.start_date < first), "31"),
                (owes, "30"),
            ]
            if month_end
            else []
        ),
        (and_(loan_days.days_past_due(before.c, yesterday) > 0, row.dpd == 0), "40"),
    ).label("point")
    joined = ledger.rows.outerjoin(before, loan_days.stands(before.c, yesterday)).outerjoin(
        earlier, loan_days.stands(earlier.c, last_month)
    )
    query = select(ledger.rows, point).select_from(joined)
    return query.where(point.is_not(None)).order_by(row.loan_id)


def _month(connection: Connection, day: date, ids: Sequence[str]) -> _Month:
    first = day.replace(day=1)
    revolving = connection.execute(
        select(loans.c.loan_id)
        .join(credit_line, credit_line.c.line_id == loans.c.line_id)
        .where(loans.c.loan_id == func.any(ids), credit_line.c.revolving)
    ).scalars()
    paid = _by_loan(
        connection,
        select(
            repayment.c.loan_id,
            snapshots.total(repayment.c.amount).label("amount"),
            func.max(repayment.c.value_date).label("last"),
        )
        .join(
            loan_event,
            and_(
                loan_event.c.loan_id == repayment.c.loan_id,
                loan_event.c.event_id == repayment.c.event_id,
            ),
        )
        .where(repayment.c.loan_id == func.any(ids), *_known(first, day))
        .group_by(repayment.c.loan_id),
    )
    agreed = _agreed(connection, ids)
    return _Month(
        agreed,
        frozenset(revolving),
        _plans(connection, first, day, ids),
        paid,
        _special(connection, first, day, agreed),
    )


def _agreed(connection: Connection, ids: Sequence[str]) -> dict[str, _Agreed]:
    """By loan; loans of one version with the same choices share it."""
    rows = connection.execute(
        select(
            loans.c.loan_id,
            loans.c.product_code,
            loans.c.product_version,
            loans.c.periods,
            loans.c.choices,
        ).where(loans.c.loan_id == func.any(ids))
    ).all()
    versions = products.terms_of(
        connection, {(row.product_code, row.product_version) for row in rows}
    )
    shared: dict[tuple[Any, ...], _Agreed] = {}
    found = {}
    for row in rows:
        key = (row.product_code, row.product_version, row.periods, bytes(row.choices))
        if key not in shared:
            shared[key] = _repaid(versions[key[:2]], row.periods, key[3])
        found[row.loan_id] = shared[key]
    return found


def _repaid(product: ProductTerms, periods: int, choices: bytes) -> _Agreed:
    terms = loan_terms(product, periods, Decimal(0), choices=LoanChoices.FromString(choices))
    mode = REPAY_MODES.get(terms.method, OTHER_MODE)
    if terms.method is Method.BULLET:
        return _Agreed(mode, ONCE, 1, terms.excess)
    frequency = FREQUENCIES.get(terms.frequency, IRREGULAR)
    return _Agreed(mode, frequency, terms.periods, terms.excess)


def _by_loan(connection: Connection, query: Any) -> dict[str, Row[Any]]:
    return {row.loan_id: row for row in connection.execute(query)}


def _plans(connection: Connection, first: date, day: date, ids: Sequence[str]) -> dict[str, _Plan]:
    """By loan: as the store has them, or folded again where something became known since."""
    due = instalment.c.principal + instalment.c.interest
    rows = connection.execute(
        select(
            instalment.c.loan_id,
            func.count().filter(instalment.c.due_date > day),
            snapshots.total(due, instalment.c.due_date.between(first, day)),
        )
        .where(instalment.c.loan_id == func.any(ids))
        .group_by(instalment.c.loan_id)
    )
    found = {loan_id: _Plan(remaining, asked) for loan_id, remaining, asked in rows}
    since = connection.execute(
        select(loan_event.c.loan_id)
        .distinct()
        .where(
            loan_event.c.loan_id == func.any(ids),
            loan_event.c.booked_on > day,
            loan_event.c.kind.not_in(PLANS_NOTHING),
        )
    )
    for held in loan_store.load(connection, list(since.scalars())):
        then = loan_history.as_of(connection, held, day, day).loan.rows
        found[held.contract.loan_id] = _Plan(
            sum(row.instalment.due_date > day for row in then),
            sum(
                row.due[Part.PRINCIPAL] + row.due[Part.INTEREST]
                for row in then
                if first <= row.instalment.due_date <= day
            ),
        )
    return found


def _known(first: date, day: date) -> tuple[Any, ...]:
    """That an event is worth a day of the month up to `day`, and that by the end of it was known and
    not taken back.
    """
    undone = loan_event.alias("undone")
    taken_back = (
        select(undone.c.event_id)
        .where(
            undone.c.loan_id == loan_event.c.loan_id,
            undone.c.kind == "Reversed",
            undone.c.content["target"].astext == loan_event.c.event_id,
            undone.c.booked_on <= day,
        )
        .exists()
    )
    worth = loan_event.c.value_date.between(first, day)
    return worth, loan_event.c.booked_on <= day, ~taken_back


def _special(
    connection: Connection, first: date, day: date, agreed: Mapping[str, _Agreed]
) -> dict[str, list[pb.CreditAccountRecord.SpecialTransaction]]:
    found: defaultdict[str, list[pb.CreditAccountRecord.SpecialTransaction]] = defaultdict(list)
    rows = connection.execute(
        select(
            loan_event.c.loan_id,
            loan_event.c.event_id,
            loan_event.c.kind,
            loan_event.c.value_date,
            loan_event.c.content["excess"].astext.label("excess"),
        )
        .where(
            loan_event.c.loan_id == func.any(list(agreed)),
            loan_event.c.kind.in_(SPECIAL),
            *_known(first, day),
        )
        .order_by(loan_event.c.loan_id, loan_event.c.value_date, loan_event.c.event_id)
    ).all()
    early = _early(connection, day, rows, agreed)
    for row in rows:
        if row.kind == "Repaid" and (row.loan_id, row.event_id) not in early:
            continue
        told = pb.CreditAccountRecord.SpecialTransaction(
            code=SPECIAL[row.kind], date=from_date(row.value_date)
        )
        found[row.loan_id].append(told)
    return found


def _early(
    connection: Connection, day: date, rows: Sequence[Any], agreed: Mapping[str, _Agreed]
) -> set[tuple[str, str]]:
    """The repayments among events, by loan and id, that paid principal before it was due. Only loans of
    which one said, or has terms that say, what becomes of more than is due are folded.
    """
    may: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        excess = Excess(row.excess) if row.excess else agreed[row.loan_id].excess
        if row.kind == "Repaid" and excess is not Excess.PARK:
            may[row.loan_id].add(row.event_id)
    found = set()
    for held in loan_store.load(connection, list(may)):
        loan_id = held.contract.loan_id
        events = standing(loan_history.known(connection, loan_id, day))
        for index, event in enumerate(events):
            if event.event_id in may[loan_id]:
                before = replay(held.terms, events[:index], event.value_date).loan
                after = happen(held.terms, before, event).loan
                if after.undue_principal < before.undue_principal:
                    found.add((loan_id, event.event_id))
    return found


def _record(row: Any, day: date, month: _Month, currency: str) -> pb.CreditAccountRecord:
    revolving = row.loan_id in month.revolving
    record = pb.CreditAccountRecord(
        base=pb.CreditAccountRecord.Base(
            record_type="210",
            account_type=_account_type(row, revolving=revolving),
            account_id=row.loan_id,
            customer_id=row.customer_id,
            report_date=from_date(day),
            report_point=row.point,
        ),
        basic=_basic(row, month.agreed[row.loan_id], currency, revolving=revolving),
        performance=_performance(row, day, month),
        special_transactions=month.special.get(row.loan_id, ()),
    )
    if revolving:
        record.limit.credit_limit = row.credit_limit
    return record


def _account_type(row: Any, *, revolving: bool) -> str:
    """A claim that was bought draws on no line: it is an account of collection (催收账户)."""
    if not row.line_id:
        return "C1"
    return "R4" if revolving else "D1"


def _basic(
    row: Any, agreed: _Agreed, currency: str, *, revolving: bool
) -> pb.CreditAccountRecord.Basic:
    return pb.CreditAccountRecord.Basic(
        open_date=from_date(row.start_date),
        due_date=from_date(row.maturity_date),
        currency_code=currency,
        amount=row.principal,
        repay_mode=agreed.repay_mode,
        repay_frequency=agreed.frequency,
        terms=agreed.terms,
        agreement_id=row.line_id if revolving else "",
    )


def _performance(row: Any, day: date, month: _Month) -> pb.CreditAccountRecord.Performance:
    plan = month.plans.get(row.loan_id, _Plan(0, 0))
    paid: Any = month.paid.get(row.loan_id)
    told = pb.CreditAccountRecord.Performance(
        month=from_date(day),
        account_status=_account_status(row),
        balance=sum(getattr(row, name) for name in snapshots.ON_BALANCE)
        + row.written_off_principal,
        five_class=row.risk_class,
        repay_status=repay_status(row.state, row.dpd, row.worst_dpd, plan.due),
        remaining_terms=plan.remaining if row.state in OWING else 0,
        due_in_month=plan.due,
    )
    if paid:
        told.paid_in_month = paid.amount
        told.last_paid_on.CopyFrom(from_date(paid.last))
    _tell_overdue(told, row.arrears or (), row.aged_to)
    return told


def _account_status(row: Any) -> str:
    if row.state == "WRITTEN_OFF":
        return "42"
    if row.state not in OWING:
        return "3"
    return "2" if row.dpd > 0 else "1"


def repay_status(state: str, dpd: int, worst_dpd: int, due_in_month: int) -> str:
    """How the month went: * N M 1-7 B C D G Z."""
    if state == "WRITTEN_OFF":
        return "B"
    if state not in OWING:
        return ENDINGS[state]
    if dpd > 0:
        return str(min((dpd - 1) // 30 + 1, 7))
    if worst_dpd > 0:
        return "M"
    return "N" if due_in_month else "*"


def _tell_overdue(
    told: pb.CreditAccountRecord.Performance, arrears: Sequence[Any], aged_to: date
) -> None:
    """Overdue instalments, and their principal by age."""
    for aged_from, principal, interest in arrears:
        days = (aged_to - date.fromisoformat(aged_from)).days
        told.overdue_terms += 1
        told.overdue_amount += principal + interest
        for low, high in BANDS:
            if low <= days <= high:
                name = f"overdue_{low}_{high}"
                setattr(told, name, getattr(told, name) + principal)
        if days > BANDS[-1][1]:
            told.overdue_over_180 += principal
