"""What the general ledger says: trial balance, statements, days; from its totals a GL code and day.

Only `gl_day` is read, so a report costs what the book has codes and days, however many accounts and
lines stand behind them. Amounts in minor units.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, text

from tael_ledger.books import Book
from tael_ledger.chart import CREDIT, DEBIT, MEMO, Chart, GlAccount
from tael_ledger.reasons import Reason
from tael_ledger.tables import closed_day, gl_day
from tael_runtime.errors import InvalidArgument

ASSETS = ("ASSET", "CLEARING")
LIABILITIES = ("LIABILITY",)
EQUITY = ("EQUITY",)
INCOME = ("INCOME",)
EXPENSE = ("EXPENSE",)
RESULT = INCOME + EXPENSE
CONTRA = "7999"
"""The other side of every memo account; it says nothing of its own."""


# One probe of the primary key a code: a few days are found among many years'.
DURING = text(
    """
SELECT asked.code, moved.* FROM unnest(CAST(:codes AS text[])) AS asked (code), LATERAL (
    SELECT booking_date, sum(debits), sum(credits), sum(lines) FROM gl_day
    WHERE book_id = :book_id AND gl_code = asked.code AND booking_date BETWEEN :first AND :last
    GROUP BY booking_date
) AS moved ORDER BY moved.booking_date
"""
)
SUMS = (func.sum(gl_day.c.debits), func.sum(gl_day.c.credits), func.sum(gl_day.c.lines))


class Days(NamedTuple):
    """Booking dates, both ends included; any that the calendar has."""

    first: date
    last: date


class Turnover(NamedTuple):
    """What moved on a GL code."""

    debits: int = 0
    credits: int = 0
    lines: int = 0

    def plus(self, other: Turnover) -> Turnover:
        """Both together."""
        return Turnover(
            self.debits + other.debits, self.credits + other.credits, self.lines + other.lines
        )

    def minus(self, other: Turnover) -> Turnover:
        """What this has more."""
        return Turnover(
            self.debits - other.debits, self.credits - other.credits, self.lines - other.lines
        )


@dataclass(frozen=True)
class LedgerDay:
    """One day of one GL code."""

    booking_date: date
    turnover: Turnover
    balance: int
    """At the day's end, on the normal side."""


@dataclass(frozen=True)
class LedgerAccount:
    """One GL code over some days; balances on the normal side."""

    account: GlAccount
    opening_balance: int
    days: Sequence[LedgerDay]
    """Those with a line, oldest first."""
    turnover: Turnover
    closing_balance: int


@dataclass(frozen=True)
class Section:
    """Rows of one kind of a statement, zeros left out."""

    rows: Sequence[tuple[GlAccount, int]]
    total: int


@dataclass(frozen=True)
class BalanceSheet:
    """Assets against liabilities and equity."""

    assets: Section
    liabilities: Section
    equity: Section
    """Without `profit`."""
    profit: int
    """Income less expense not yet carried to equity."""
    memo: Section

    @property
    def liabilities_and_equity(self) -> int:
        """With the profit: equal to the assets, as debits equal credits."""
        return self.liabilities.total + self.equity.total + self.profit


@dataclass(frozen=True)
class IncomeStatement:
    """Income and expense of some days."""

    income: Section
    expense: Section

    @property
    def profit(self) -> int:
        """Income less expense."""
        return self.income.total - self.expense.total


@dataclass(frozen=True)
class DaySummary:
    """A booking date (科目日结单)."""

    rows: Sequence[LedgerAccount]
    entries: int
    closed: bool


def trial_balance(
    connection: Connection, book_id: str, booking_date: date | None, value_date: date | None
) -> dict[str, Turnover]:
    """Turnover by GL code, codes never used left out, in order of code.

    At the end of a booking date, counting what is worth by a value date, now and all where None.
    """
    conditions: list[ColumnElement[bool]] = []
    if booking_date is not None:
        conditions.append(gl_day.c.booking_date <= booking_date)
    if value_date is not None:
        conditions.append(gl_day.c.value_date <= value_date)
    return _turnovers(connection, book_id, *conditions)


def _turnovers(
    connection: Connection, book_id: str, *conditions: ColumnElement[bool]
) -> dict[str, Turnover]:
    rows = connection.execute(
        select(gl_day.c.gl_code, *SUMS)
        .where(gl_day.c.book_id == book_id, *conditions)
        .group_by(gl_day.c.gl_code)
        .order_by(gl_day.c.gl_code)
    )
    return {code: Turnover(*map(int, sums)) for code, *sums in rows}


def general_ledger(
    connection: Connection, book_id: str, chart: Chart, codes: Collection[str], days: Days
) -> list[LedgerAccount]:
    """What some GL codes had before some days and what moved on them, in order of code; codes never
    used by the last of the days are left out.
    """
    before = _turnovers(
        connection, book_id, gl_day.c.gl_code.in_(codes), gl_day.c.booking_date < days.first
    )
    values = {"book_id": book_id, "codes": list(codes), "first": days.first, "last": days.last}
    during: dict[str, list[tuple[date, Turnover]]] = {}
    for code, day, *sums in connection.execute(DURING, values):
        during.setdefault(code, []).append((day, Turnover(*map(int, sums))))
    return [
        _ledger_account(chart[code], before.get(code, Turnover()), during.get(code, ()))
        for code in sorted(before.keys() | during.keys())
    ]


def _ledger_account(
    account: GlAccount, before: Turnover, during: Sequence[tuple[date, Turnover]]
) -> LedgerAccount:
    total = before
    days = []
    for day, turnover in during:
        total = total.plus(turnover)
        days.append(LedgerDay(day, turnover, _balance(account, total)))
    return LedgerAccount(
        account,
        _balance(account, before),
        days,
        total.minus(before),
        _balance(account, total),
    )


def _balance(account: GlAccount, turnover: Turnover) -> int:
    return account.balance(turnover.debits, turnover.credits)


def matching(chart: Chart, gl_code: str) -> list[str]:
    """The codes meant by an exact one, by a prefix that ends in ".", or by "": all.

    Raises InvalidArgument UNKNOWN_GL_CODE where there is none.
    """
    prefix = gl_code.endswith(".") or not gl_code
    codes = [code for code in chart if code == gl_code or (prefix and code.startswith(gl_code))]
    if not codes:
        raise InvalidArgument("gl_code", f"the chart has no {gl_code!r}", Reason.UNKNOWN_GL_CODE)
    return codes


def balance_sheet(chart: Chart, totals: Mapping[str, Turnover]) -> BalanceSheet:
    """The balance sheet that a trial balance comes to."""
    memo = [
        (chart[code], _balance(chart[code], total))
        for code, total in totals.items()
        if chart[code].account_class == MEMO and code != CONTRA
    ]
    return BalanceSheet(
        assets=_section(chart, totals, ASSETS, DEBIT),
        liabilities=_section(chart, totals, LIABILITIES, CREDIT),
        equity=_section(chart, totals, EQUITY, CREDIT),
        profit=_section(chart, totals, RESULT, CREDIT).total,
        memo=_summed(memo),
    )


def income_statement(
    connection: Connection, book_id: str, chart: Chart, days: Days
) -> IncomeStatement:
    """Income and expense booked on some days, whatever period's close carried them."""
    totals = _turnovers(
        connection,
        book_id,
        gl_day.c.booking_date.between(days.first, days.last),
        ~gl_day.c.closing,
    )
    return IncomeStatement(
        income=_section(chart, totals, INCOME, CREDIT),
        expense=_section(chart, totals, EXPENSE, DEBIT),
    )


def _section(
    chart: Chart, totals: Mapping[str, Turnover], classes: Collection[str], side: str
) -> Section:
    """Codes of some classes on the side of their section, whatever the normal side of each."""
    sign = 1 if side == DEBIT else -1
    return _summed(
        (chart[code], sign * (total.debits - total.credits))
        for code, total in totals.items()
        if chart[code].account_class in classes
    )


def _summed(rows: Iterable[tuple[GlAccount, int]]) -> Section:
    kept = [(account, amount) for account, amount in rows if amount]
    return Section(kept, sum(amount for _, amount in kept))


def daily_summary(connection: Connection, book: Book, chart: Chart, day: date) -> DaySummary:
    """A booking date's lines and turnover by GL code; codes that had no line are left out."""
    accounts = general_ledger(connection, book.book_id, chart, list(chart), Days(day, day))
    ends = connection.execute(
        select(closed_day.c.business_date, closed_day.c.last_sequence)
        .where(closed_day.c.book_id == book.book_id, closed_day.c.business_date <= day)
        .order_by(closed_day.c.business_date.desc())
        .limit(2)
    ).all()
    closed = bool(ends) and ends[0].business_date == day
    before = sum(end.last_sequence for end in ends[int(closed) :][:1])
    through = ends[0].last_sequence if closed else book.last_sequence
    return DaySummary(
        [account for account in accounts if account.days],
        through - before if closed or day == book.business_date else 0,
        closed,
    )
