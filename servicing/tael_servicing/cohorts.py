"""Vintages: what was lent in a month, at the end of each month after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Date, cast, func, select

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date
from tael_servicing import snapshots
from tael_servicing.arithmetic.dates import months_after
from tael_servicing.books import BookDay
from tael_servicing.loan_days import OWING, counted
from tael_servicing.ratios import ratio
from tael_servicing.tables import loan as loans
from tael_servicing.tables import loan_day, loan_state

LENT_HERE = loans.c.line_id != ""
"""A loan that was bought is of no cohort: another lender chose its debtor."""


def vintage(
    connection: Connection, book: BookDay, first: date | None, last: date | None
) -> list[pb.Cohort]:
    """The cohorts of the months from one to another, with what became of each."""
    month = cast(func.date_trunc("month", loans.c.start_date), Date).label("month")
    lent = (
        select(month, func.count().label("loans"), snapshots.total(loan_state.c.lent).label("lent"))
        .join(loan_state, loan_state.c.loan_id == loans.c.loan_id)
        .where(
            loans.c.book_id == book.book_id,
            LENT_HERE,
            loan_state.c.state.not_in(("PAYING", "CANCELLED")),
            *((loans.c.start_date >= first.replace(day=1),) if first else ()),
            *((loans.c.start_date < _next_month(min(last, book.business_date)),) if last else ()),
        )
        .group_by("month")
        .order_by("month")
    )
    cohorts = connection.execute(lent).all()
    if not cohorts:
        return []
    ends = list(_month_ends(cohorts[0].month, book.business_date))
    past_due = _past_due(connection, book.book_id, ends)
    return [
        pb.Cohort(
            month=from_date(cohort.month),
            disbursed=cohort.lent,
            loans=cohort.loans,
            points=[
                _point(cohort, number, end, past_due[cohort.month, end])
                for number, end in enumerate(each for each in ends if each >= cohort.month)
            ],
        )
        for cohort in cohorts
    ]


def _past_due(
    connection: Connection, book_id: str, ends: list[date]
) -> defaultdict[tuple[date, date], tuple[int, ...]]:
    """(principal, loans) over 30 and over 90 days past due, by cohort and month end.

    What is left of a written-off claim is past due: it left the balance sheet, not the cohort. At a
    month's end every loan that owes has a row.
    """
    month = cast(func.date_trunc("month", loans.c.start_date), Date)
    principal = snapshots.principal_of(loan_day) + loan_day.c.written_off_principal
    dpd = func.coalesce(counted(loan_day.c, loan_day.c.date) - loan_day.c.aged_from, 0)
    figures: list[Any] = []
    for days in (30, 90):
        late = (dpd > days) | (loan_day.c.state == "WRITTEN_OFF")
        figures.append(snapshots.total(principal, late))
        figures.append(func.count().filter(late))
    query = (
        select(month, loan_day.c.date, *figures)
        .join_from(loan_day, loans, loans.c.loan_id == loan_day.c.loan_id)
        .where(
            LENT_HERE,
            loan_day.c.book_id == book_id,
            loan_day.c.date.in_(ends),
            loan_day.c.state.in_(OWING),
        )
        .group_by(month, loan_day.c.date)
    )
    found: defaultdict[tuple[date, date], tuple[int, ...]] = defaultdict(lambda: (0, 0, 0, 0))
    for row in connection.execute(query):
        found[row[0], row[1]] = tuple(row[2:])
    return found


def _point(cohort: Any, number: int, end: date, figures: tuple[int, ...]) -> pb.VintagePoint:
    over_30, loans_over_30, over_90, loans_over_90 = figures
    return pb.VintagePoint(
        months_on_book=number,
        as_of=from_date(end),
        principal_over_30=over_30,
        principal_over_90=over_90,
        loans_over_30=loans_over_30,
        loans_over_90=loans_over_90,
        share_over_30=ratio(over_30, cohort.lent),
        share_over_90=ratio(over_90, cohort.lent),
        loans_share_over_30=ratio(loans_over_30, cohort.loans),
        loans_share_over_90=ratio(loans_over_90, cohort.loans),
    )


def _next_month(day: date) -> date:
    return months_after(day, 1, 1)


def _month_ends(first: date, business_date: date) -> Iterator[date]:
    """Last days of the months from the first on that are closed."""
    end = _next_month(first) - timedelta(days=1)
    while end < business_date:
        yield end
        end = _next_month(end + timedelta(days=1)) - timedelta(days=1)
