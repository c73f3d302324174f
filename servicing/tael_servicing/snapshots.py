"""The loan ledger (贷款台账): each loan on a day, as was kept of it (loan_days), else as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Integer,
    Select,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from tael_runtime.errors import InvalidArgument, NotFound
from tael_servicing import books, growth, impairment_policies, loan_days
from tael_servicing.arithmetic.impairment import ImpairmentPolicy
from tael_servicing.books import BookDay
from tael_servicing.loan_days import counted, days_past_due
from tael_servicing.tables import (
    BALANCES,
    RUNNING,
    book_day,
    line_movement,
    loan_set_aside,
    loan_state,
)
from tael_servicing.tables import loan as loans

ON_BALANCE = ("principal_normal", "principal_overdue", "principal_impaired")
WHOLE_BALANCE_DPD = 90
"""Beyond, the supervisor's overdue amount is the whole principal and not what is due of it."""


@dataclass(frozen=True)
class Ledger:
    """The loan ledger of one day, as something to select from."""

    book: BookDay
    day: date
    policy: ImpairmentPolicy
    rows: FromClause
    """A row a loan that stands in it."""

    @property
    def principal(self) -> ColumnElement[int]:
        """On balance, minor units."""
        return principal_of(self.rows)

    @property
    def allowance(self) -> ColumnElement[int]:
        """Of all stages, minor units."""
        return sum_of(self.rows, "allowance_stage1", "allowance_stage2", "allowance_stage3")

    @property
    def runs(self) -> ColumnElement[bool]:
        """Whether a row's loan still earns interest."""
        return self.rows.c.state.in_(RUNNING)


def principal_of(rows: FromClause) -> ColumnElement[int]:
    """Principal on balance of a row, minor units."""
    return sum_of(rows, *ON_BALANCE)


def sum_of(rows: FromClause, *names: str) -> ColumnElement[Any]:
    """The sum of some columns of a row."""
    total: ColumnElement[Any] = rows.c[names[0]]
    for name in names[1:]:
        total = total + rows.c[name]
    return total


def total(
    amount: ColumnElement[Any], only: ColumnElement[bool] | None = None
) -> ColumnElement[int]:
    """Summed over rows, or those of them that count, as a whole number: 0 over none."""
    summed = func.sum(amount)
    counted = summed if only is None else summed.filter(only)
    return cast(func.coalesce(counted, 0), BigInteger)


def ledger_of(connection: Connection, book_id: str, day: date | None) -> Ledger:
    """The loan ledger of a day, the open one where none is given.

    Raises InvalidArgument for a day to come, NotFound for one that was never closed here.
    """
    book = books.get(connection, book_id)
    at = day or book.business_date
    if at > book.business_date:
        raise InvalidArgument("date", f"must not lie after the business date, {book.business_date}")
    policy = impairment_policies.in_force(connection, book_id, at).policy
    if at == book.business_date:
        return Ledger(book, at, policy, _open_rows(policy, book_id, at).subquery("ledger"))
    if not books.was_ended(connection, book_id, at):
        raise NotFound("loan ledger", f"{book_id}/{at}")
    return Ledger(book, at, policy, _closed_rows(policy, book_id, at).subquery("ledger"))


def balances_on(connection: Connection, loan_id: str, day: date) -> dict[str, int] | None:
    """What a loan owed by ledger account at the end of a day that was ended; None where it did not
    stand in the loan ledger.
    """
    fact = loan_days.on(day, loans.c.loan_id)
    grew = growth.added(loans.c.loan_id, fact.c.written_on, _opening_after(day), loans, fact)
    query = (
        select(*(amount.label(name) for name, amount in _balances(fact.c, grew.c).items()))
        .select_from(loans.join(fact, true()).join(grew, true()))
        .where(loans.c.loan_id == loan_id, loan_days.stands(fact.c, day))
    )
    found = connection.execute(query).one_or_none()
    return found._asdict() if found else None


def _balances(fact: Any, grew: Any) -> dict[str, ColumnElement[int]]:
    """By name: as they stood when the loan was written, and what its lines have grown by."""
    return {
        name: fact[name] + grew[name] if name in growth.GROWS else fact[name] for name in BALANCES
    }


def _opening_after(day: date) -> ColumnElement[date]:
    return literal(day + timedelta(days=1), Date)


def _open_rows(policy: ImpairmentPolicy, book_id: str, day: date) -> Select[Any]:
    """As the loans stand now, on the business date."""
    fact = loan_days.now(day).where(loan_state.c.book_id == book_id).subquery("fact")
    of = growth.standing(loans).join(fact, fact.c.loan_id == loans.c.loan_id)
    grew = growth.added(
        loans.c.loan_id, fact.c.written_on, growth.ACCRUED_TO, loans, book_day, loan_set_aside, fact
    )
    return (
        _rows(policy, day, fact.c, grew.c)
        .select_from(of.join(grew, true()))
        .where(loans.c.book_id == book_id)
    )


def _closed_rows(policy: ImpairmentPolicy, book_id: str, day: date) -> Select[Any]:
    """As loans stood at the end of a day that was ended."""
    fact = loan_days.on(day, loans.c.loan_id)
    grew = growth.added(loans.c.loan_id, fact.c.written_on, _opening_after(day), loans, fact)
    of = loans.join(fact, true()).join(grew, true())
    return _rows(policy, day, fact.c, grew.c).select_from(of).where(loans.c.book_id == book_id)


def _rows(policy: ImpairmentPolicy, day: date, fact: Any, grew: Any) -> Select[Any]:
    """What follows, on a day, from the facts of `loan_day` and what lines grew by since."""
    dpd = days_past_due(fact, day)
    worst = case((fact.date >= day.replace(day=1), fact.worst_dpd), else_=0)
    by_class, by_stage = standing(policy, dpd, fact.state, fact)
    balances = _balances(fact, grew)
    aged_to = counted(fact, day)
    owes = and_(fact.aged_from < aged_to, fact.state.in_(RUNNING))
    whole = fact.principal_normal + fact.principal_overdue + fact.principal_impaired
    arrears = func.jsonb_path_query_array(
        fact.unpaid, cast(PAST_DUE, JSONPATH), func.jsonb_build_object("day", aged_to)
    )
    return select(
        loans.c.book_id,
        literal(day, Date).label("date"),
        loans.c.loan_id,
        loans.c.customer_id,
        loans.c.line_id,
        loans.c.product_code,
        fact.state,
        *(amount.label(name) for name, amount in balances.items()),
        dpd.label("dpd"),
        aged_to.label("aged_to"),
        func.greatest(dpd, worst).label("worst_dpd"),
        by_class.label("risk_class"),
        by_stage.label("stage"),
        func.coalesce(fact.cause, "").label("cause"),
        fact.since,
        _credit_limit(day).label("credit_limit"),
        fact.annual_rate,
        fact.lent.label("principal"),
        loans.c.start_date,
        fact.last_due.label("maturity_date"),
        fact.next_due,
        fact.next_due_amount,
        case((dpd > WHOLE_BALANCE_DPD, whole), (owes, _principal_of(arrears)), else_=0).label(
            "overdue_amount"
        ),
        case((owes, arrears), else_=null()).label("arrears"),
    ).where(loan_days.stands(fact, day))


PAST_DUE = "strict $[*] ? (@[0] < $day)"
"""Rows whole (a lax path would take them apart); dates as texts sort as dates do."""


def _principal_of(arrears: ColumnElement[Any]) -> ColumnElement[int]:
    each = func.jsonb_array_elements(arrears).table_valued(column("value", JSONB), name="each")
    return select(total(cast(each.c.value[1].astext, BigInteger))).scalar_subquery()


def _credit_limit(day: date) -> ColumnElement[int]:
    """Of the loan's line at the end of the day; 0 where it draws on none."""
    moved = line_movement.c
    last = (
        select(moved.limit_after)
        .where(moved.line_id == loans.c.line_id, moved.date <= day)
        .order_by(moved.number.desc())
        .limit(1)
    )
    return func.coalesce(last.scalar_subquery(), 0)


def standing(
    policy: ImpairmentPolicy, dpd: ColumnElement[int], state: ColumnElement[str], remembered: Any
) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Class and stage: what is remembered of a loan (the columns of `loan_class`), or worse where days
    past due say so.

    An approved improvement and a technical lateness stand until the day end judges them again.
    """
    by_days = class_by_days(policy, dpd)
    off_accrual = state == "NON_ACCRUAL"
    written_off = state == "WRITTEN_OFF"
    system = func.greatest(by_days, case((off_accrual, 3), else_=1), remembered.risk_class)
    by_class = case(
        (written_off, 5),
        (remembered.cause.in_(("IMPROVED", "TECHNICAL")), remembered.risk_class),
        else_=system,
    )
    by_stage = func.greatest(
        case(
            (or_(written_off, off_accrual, by_class >= 3, by_days >= 3), 3),
            (dpd > policy.stage2_dpd, 2),
            else_=1,
        ),
        remembered.stage,
    )
    return cast(by_class, Integer), cast(by_stage, Integer)


def class_by_days(policy: ImpairmentPolicy, dpd: ColumnElement[int]) -> ColumnElement[int]:
    """The class that days past due alone give."""
    steps = [(dpd > limit, 5 - place) for place, limit in enumerate(reversed(policy.class_limits))]
    return case(*steps, else_=1)
