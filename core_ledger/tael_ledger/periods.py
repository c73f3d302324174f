"""Closing a month: its income and expense go into 4103, and at the year's end 4103 into 4104."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Connection, func, insert, select, text

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.drafts import Draft, net_lines
from tael_ledger.reasons import Reason
from tael_ledger.reports import RESULT, Days
from tael_ledger.requests import (
    PERIOD_CLOSED,
    YEAR_CLOSED,
    Desk,
    Plan,
    PostingRequest,
    Record,
    Written,
)
from tael_ledger.tables import closed_period, gl_day
from tael_runtime.errors import FailedPrecondition

PROFIT_FOR_THE_YEAR = "4103"
APPROPRIATION = "4104"

# What was booked on accounts of some codes over some days, credits less debits, without what earlier
# closes carried. Days that account_day has are not added up again from the lines. A code's accounts lie
# together by number, from itself to its owners' (":" comes before ";"), and each account's lines are
# found by probes of the indexes, whatever the planner believes about the tables.
MOVED = text(
    """
WITH carried AS (
    SELECT line.account_id, sum(line.credit - line.debit) AS net
    FROM entry JOIN line ON line.book_id = :book_id AND line.booking_date = entry.booking_date
        AND line.sequence = entry.sequence AND line.booking_date BETWEEN :first AND :last
    WHERE entry.book_id = :book_id AND entry.sequence = ANY(CAST(:carries AS bigint[]))
    GROUP BY line.account_id
), moved AS (
    SELECT held.number, summed.net + rest.net - coalesce(carried.net, 0) AS net
    FROM unnest(CAST(:codes AS text[])) AS wanted (code)
    CROSS JOIN LATERAL (SELECT account_id, number, summed_through FROM account
        WHERE account.book_id = :book_id AND account.number BETWEEN wanted.code AND wanted.code || ';'
        AND account.gl_code = wanted.code OFFSET 0) AS held
    CROSS JOIN LATERAL (SELECT coalesce(sum(credits - debits), 0) AS net FROM account_day AS day
        WHERE day.book_id = :book_id AND day.account_id = held.account_id
        AND day.booking_date BETWEEN :first AND :last) AS summed
    CROSS JOIN LATERAL (SELECT coalesce(sum(credit - debit), 0) AS net FROM line
        WHERE line.book_id = :book_id AND line.account_id = held.account_id
        AND line.sequence > held.summed_through
        AND line.booking_date BETWEEN :first AND :last) AS rest
    LEFT JOIN carried ON carried.account_id = held.account_id
)
SELECT number, net FROM moved WHERE net <> 0 ORDER BY number
"""
)


@dataclass(frozen=True)
class Period:
    """A calendar month of a book."""

    first_day: date
    last_day: date
    profit: int
    """Income less expense carried, minor units; so far while it is open."""
    sequence: int = 0
    """The entry that carried them; 0 = none."""
    year_end_sequence: int = 0
    """The entry that carried 4103 into 4104; 0 = none."""
    closed_by: str = ""
    batch_number: int = 0
    """Of its close; 0 = open."""


@dataclass(frozen=True)
class PeriodClose(PostingRequest):
    """ClosePeriod as a request of the group commit: nothing shares its transaction, so its entries
    are the next of the book.
    """

    month: Days
    caller: str

    def plan(self, desk: Desk) -> Plan:
        """Carries what was booked in the month on each account of income and expense, worth its last
        day and booked on the open one. Nothing where it was closed before.

        Raises FailedPrecondition NOT_A_PERIOD, PERIOD_STILL_OPEN or EARLIER_PERIOD_OPEN.
        """
        book_id = desk.book.book_id
        closed = _closed(desk.transaction, book_id)
        if any(period.first_day == self.month.first for period in closed):
            return Plan()
        self._check_due(desk.book, closed)
        moved = _moved(desk, closed, result_codes(desk.chart), self.month)
        profit = sum(moved.values())
        carry = self._carry(PERIOD_CLOSED, moved, PROFIT_FOR_THE_YEAR)
        year_end = self._year_end(desk, closed, profit) if self.month.last.month == 12 else []
        following = desk.book.last_sequence + 1
        period = Period(
            self.month.first,
            self.month.last,
            profit,
            following if carry else 0,
            following + len(carry) if year_end else 0,
            self.caller,
        )
        content = {
            "last_day": period.last_day,
            "profit": period.profit,
            "sequence": period.sequence,
            "year_end_sequence": period.year_end_sequence,
            "closed_by": period.closed_by,
        }
        return Plan(
            [*carry, *year_end],
            records=[Record(PERIOD_CLOSED, str(period.first_day), content)],
            then=lambda transaction, written: _insert(transaction, book_id, period, written),
            closing=True,
        )

    def _check_due(self, book: Book, closed: Sequence[Period]) -> None:
        first, last = self.month
        if last < book.first_date:
            raise FailedPrecondition(
                Reason.NOT_A_PERIOD, f"the book opened on {book.first_date}, after {last}"
            )
        if last >= book.business_date:
            raise FailedPrecondition(
                Reason.PERIOD_STILL_OPEN,
                f"{last} is not closed; the business date is {book.business_date}",
            )
        due = closed[-1].last_day + timedelta(days=1) if closed else book.first_date.replace(day=1)
        if first != due:
            raise FailedPrecondition(
                Reason.EARLIER_PERIOD_OPEN, f"{due:%Y-%m} is to be closed before {first:%Y-%m}"
            )

    def _year_end(self, desk: Desk, closed: Sequence[Period], profit: int) -> list[Draft]:
        """4103 as it stands: the months' profits, and what else was booked on it in the year."""
        year = Days(self.month.last.replace(month=1, day=1), self.month.last)
        moved = _moved(desk, closed, [PROFIT_FOR_THE_YEAR], year)
        profit += sum(period.profit for period in closed if period.first_day >= year.first)
        moved[PROFIT_FOR_THE_YEAR] = moved.get(PROFIT_FOR_THE_YEAR, 0) + profit
        return self._carry(YEAR_CLOSED, moved, APPROPRIATION)

    def _carry(self, event: str, moved: Mapping[str, int], into: str) -> list[Draft]:
        """One entry that takes what stands on some accounts (credits less debits) to another; none
        where nothing does.
        """
        sides = {number: (max(net, 0), max(-net, 0)) for number, net in moved.items()}
        total = sum(moved.values())
        lines = net_lines({**sides, into: (max(-total, 0), max(total, 0))})
        return [Draft(event, self.month.last, "", "", lines)] if lines else []


def month_of(day: date) -> Days:
    """A day's calendar month."""
    return Days(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))


def result_codes(chart: Chart) -> list[str]:
    """Codes of income and expense."""
    return [code for code, account in chart.items() if account.account_class in RESULT]


def get(connection: Connection, book_id: str, first_day: date) -> Period | None:
    """A closed period; None while it is open."""
    found = [one for one in _closed(connection, book_id) if one.first_day == first_day]
    return found[0] if found else None


def periods(connection: Connection, book: Book, chart: Chart) -> list[Period]:
    """Months from the book's first to the open one, oldest first."""
    found = _closed(connection, book.book_id)
    first = found[-1].last_day + timedelta(days=1) if found else book.first_date.replace(day=1)
    profits = _profits(connection, book.book_id, chart, first)
    while first <= book.business_date:
        month = month_of(first)
        found.append(Period(*month, profits.get(month.first, 0)))
        first = month.last + timedelta(days=1)
    return found


def _profits(connection: Connection, book_id: str, chart: Chart, first: date) -> dict[date, int]:
    """Income less expense by month from some day on, carried or not."""
    month = func.date_trunc("month", gl_day.c.booking_date)
    rows = connection.execute(
        select(month, func.sum(gl_day.c.credits - gl_day.c.debits))
        .where(
            gl_day.c.book_id == book_id,
            gl_day.c.gl_code.in_(result_codes(chart)),
            gl_day.c.booking_date >= first,
            ~gl_day.c.closing,
        )
        .group_by(month)
    )
    return {start.date(): int(profit) for start, profit in rows}


def _closed(connection: Connection, book_id: str) -> list[Period]:
    """The closed ones, oldest first."""
    table = closed_period
    rows = connection.execute(
        select(
            table.c.first_day,
            table.c.last_day,
            table.c.profit,
            table.c.sequence,
            table.c.year_end_sequence,
            table.c.closed_by,
            table.c.batch_number,
        )
        .where(table.c.book_id == book_id)
        .order_by(table.c.first_day)
    )
    return [Period(*row) for row in rows]


def _moved(
    desk: Desk, closed: Sequence[Period], codes: Sequence[str], days: Days
) -> dict[str, int]:
    """Credits less debits by account number, zeros left out."""
    values = {
        "book_id": desk.book.book_id,
        "codes": codes,
        "carries": [
            one for period in closed for one in (period.sequence, period.year_end_sequence)
        ],
        "first": days.first,
        "last": days.last,
    }
    return {number: int(net) for number, net in desk.transaction.execute(MOVED, values)}


def _insert(transaction: Connection, book_id: str, period: Period, written: Written) -> None:
    values = {**period.__dict__, "batch_number": written.batch_number}
    transaction.execute(insert(closed_period).values(book_id=book_id, **values))
