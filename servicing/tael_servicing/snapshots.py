"""The loan ledger (贷款台账): each loan on a day, kept when a day is closed, else as it is now."""

from __future__ import annotations

from collections.abc import Sequence
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
    func,
    insert,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from tael_runtime.errors import InvalidArgument, NotFound
from tael_servicing import books, impairment_policies
from tael_servicing.arithmetic.impairment import ImpairmentPolicy
from tael_servicing.books import BookDay
from tael_servicing.growth import OWED
from tael_servicing.tables import (
    BALANCES,
    RUNNING,
    credit_line,
    instalment,
    loan_class,
    loan_day,
    loan_state,
)
from tael_servicing.tables import loan as loans

ON_BALANCE = ("principal_normal", "principal_overdue", "principal_impaired")
WHOLE_BALANCE_DPD = 90
"""Beyond, the supervisor's overdue amount is the whole principal and not what is due of it."""
OWING = (*RUNNING, "WRITTEN_OFF")


@dataclass(frozen=True)
class Ledger:
    """The loan ledger of one day, as something to select from."""

    book: BookDay
    day: date
    policy: ImpairmentPolicy
    rows: FromClause
    """The columns of `loan_day`."""

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
        return Ledger(book, at, policy, standing_rows(policy, book_id, at).subquery("ledger"))
    if not books.was_ended(connection, book_id, at):
        raise NotFound("loan ledger", f"{book_id}/{at}")
    kept = select(loan_day).where(loan_day.c.book_id == book_id, loan_day.c.date == at)
    return Ledger(book, at, policy, kept.subquery("ledger"))


def keep(
    transaction: Connection,
    policy: ImpairmentPolicy,
    book_id: str,
    day: date,
    loan_ids: Sequence[str],
) -> int:
    """Keeps the day's rows of some loans; returns how many. The day's last word: it is closing."""
    query = standing_rows(policy, book_id, day).where(loans.c.loan_id == func.any(list(loan_ids)))
    names = [column.name for column in query.selected_columns]
    return transaction.execute(insert(loan_day).from_select(names, query)).rowcount


def standing_rows(policy: ImpairmentPolicy, book_id: str, day: date) -> Select[Any]:
    """The rows of `loan_day` as the loans stand now, on that day.

    A closed loan has one on the day it closed, and while anything stands on its accounts.
    """
    before = loan_day.alias("before")
    dpd = days_past_due(day)
    by_class, by_stage = standing(policy, dpd)
    same_month = before.c.date >= day.replace(day=1)
    left = or_(*(OWED.c[name] != 0 for name in BALANCES))
    just_closed = or_(before.c.state.in_(OWING), loans.c.start_date == day)
    owes = and_(loan_state.c.oldest_due < day, loan_state.c.state.in_(RUNNING))
    arrears = case((owes, _arrears(day)), else_=null())
    whole = sum_of(OWED, *ON_BALANCE)
    return (
        select(
            loans.c.book_id,
            literal(day, Date).label("date"),
            loans.c.loan_id,
            loans.c.customer_id,
            loans.c.line_id,
            loans.c.product_code,
            loan_state.c.state,
            *(OWED.c[name] for name in BALANCES),
            dpd.label("dpd"),
            func.greatest(dpd, case((same_month, before.c.worst_dpd), else_=0)).label("worst_dpd"),
            by_class.label("risk_class"),
            by_stage.label("stage"),
            func.coalesce(loan_class.c.cause, "").label("cause"),
            loan_class.c.since,
            func.coalesce(credit_line.c.credit_limit, 0).label("credit_limit"),
            loan_state.c.annual_rate,
            loan_state.c.lent.label("principal"),
            loans.c.start_date,
            _last_due().label("maturity_date"),
            loan_state.c.next_due,
            _next_due_amount().label("next_due_amount"),
            case((dpd > WHOLE_BALANCE_DPD, whole), (owes, _principal_due(day)), else_=0).label(
                "overdue_amount"
            ),
            arrears.label("arrears"),
        )
        .join_from(loans, loan_state, loan_state.c.loan_id == loans.c.loan_id)
        .join(OWED, OWED.c.loan_id == loans.c.loan_id)
        .outerjoin(credit_line, credit_line.c.line_id == loans.c.line_id)
        .outerjoin(loan_class, loan_class.c.loan_id == loans.c.loan_id)
        .outerjoin(
            before,
            and_(
                before.c.book_id == loans.c.book_id,
                before.c.date == day - timedelta(days=1),
                before.c.loan_id == loans.c.loan_id,
            ),
        )
        .where(
            loans.c.book_id == book_id,
            loan_state.c.state.not_in(("PAYING", "CANCELLED")),
            or_(loan_state.c.state.in_(OWING), left, just_closed),
        )
    )


def days_past_due(day: date) -> ColumnElement[int]:
    """The day less the due date of the oldest unpaid instalment; 0 where nothing is past due."""
    days = cast(literal(day, Date) - loan_state.c.oldest_due, Integer)
    return case((loan_state.c.state.in_(OWING), func.greatest(func.coalesce(days, 0), 0)), else_=0)


def standing(
    policy: ImpairmentPolicy, dpd: ColumnElement[int]
) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Class and stage: what is remembered of a loan, or worse where days past due say so.

    An approved improvement and a technical lateness stand until the day end judges them again.
    """
    by_days = class_by_days(policy, dpd)
    off_accrual = loan_state.c.state == "NON_ACCRUAL"
    written_off = loan_state.c.state == "WRITTEN_OFF"
    system = func.greatest(by_days, case((off_accrual, 3), else_=1), loan_class.c.risk_class)
    by_class = case(
        (written_off, 5),
        (loan_class.c.cause.in_(("IMPROVED", "TECHNICAL")), loan_class.c.risk_class),
        else_=system,
    )
    by_stage = func.greatest(
        case(
            (or_(written_off, off_accrual, by_class >= 3, by_days >= 3), 3),
            (dpd > policy.stage2_dpd, 2),
            else_=1,
        ),
        loan_class.c.stage,
    )
    return cast(by_class, Integer), cast(by_stage, Integer)


def class_by_days(policy: ImpairmentPolicy, dpd: ColumnElement[int]) -> ColumnElement[int]:
    """The class that days past due alone give."""
    steps = [(dpd > limit, 5 - place) for place, limit in enumerate(reversed(policy.class_limits))]
    return case(*steps, else_=1)


def _unpaid(name: str) -> ColumnElement[int]:
    return instalment.c[name] - instalment.c[f"{name}_paid"]


def _due(day: date) -> ColumnElement[bool]:
    """Instalments of the loan that are past due and not paid."""
    return and_(
        instalment.c.loan_id == loans.c.loan_id,
        instalment.c.due_date < day,
        or_(_unpaid("principal") > 0, _unpaid("interest") > 0),
    )


def _arrears(day: date) -> ColumnElement[Any]:
    row = func.jsonb_build_array(instalment.c.due_date, _unpaid("principal"), _unpaid("interest"))
    oldest_first = func.jsonb_agg(aggregate_order_by(row, instalment.c.number))
    return select(oldest_first).where(_due(day)).scalar_subquery()


def _principal_due(day: date) -> ColumnElement[Any]:
    return select(total(_unpaid("principal"))).where(_due(day)).scalar_subquery()


def _next_due_amount() -> ColumnElement[Any]:
    return (
        select(total(_unpaid("principal") + _unpaid("interest") + _unpaid("fee")))
        .where(
            instalment.c.loan_id == loans.c.loan_id,
            instalment.c.due_date == loan_state.c.next_due,
        )
        .scalar_subquery()
    )


def _last_due() -> ColumnElement[Any]:
    return (
        select(func.max(instalment.c.due_date))
        .where(instalment.c.loan_id == loans.c.loan_id)
        .scalar_subquery()
    )
