"""Reads on a large book: balances as of dates, statement pages, the trial balance.

One account has a line from each of a million entries, spread over booking days and value dates; the
book has a million accounts besides. Baselines are the naive sums in SQL over the same rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from random import Random
from statistics import median
from typing import Annotated, Any

import typer

from bench.house import BOOK, FIRST_DAY, Ledger, Store, timed
from bench.load import percentile
from bench.postings import COLUMN_LIMIT, INCOME, entries_request, event_columns, request_id
from bench.report import Figure, milliseconds, say, show
from tael.ledger.v1.accounting_pb2 import TrialBalanceRequest
from tael.ledger.v1.ledger_pb2 import GetBalancesRequest, ListLinesRequest
from tael_client.values import from_date

BALANCE_TARGET = 0.005
PAGE_TARGET = 0.010
TRIAL_TARGET = 1.0
BACK_DATED = 5
"""Value dates of a day's entries reach so many days back."""

NAIVE_BALANCE = """
SELECT sum(l.debit), sum(l.credit) FROM line AS l
JOIN account AS a ON a.book_id = l.book_id AND a.account_id = l.account_id
WHERE a.book_id = %s AND a.number = %s AND l.{dated} <= %s
"""
NAIVE_PAGE = """
SELECT * FROM (
    SELECT e.sequence, e.event, e.value_date, e.booking_date, e.source, l.debit, l.credit,
           sum(l.credit - l.debit) OVER (ORDER BY l.sequence, l.line_number) AS balance_after
    FROM line AS l JOIN entry AS e ON e.book_id = l.book_id AND e.sequence = l.sequence
    JOIN account AS a ON a.book_id = l.book_id AND a.account_id = l.account_id
    WHERE a.book_id = %s AND a.number = %s
) AS statement WHERE booking_date >= %s ORDER BY sequence LIMIT 100
"""
NAIVE_TRIAL = """
SELECT gl_code, sum(debits_posted), sum(credits_posted) FROM account
WHERE book_id = %s GROUP BY gl_code
"""
NAIVE_TRIAL_AS_OF = """
SELECT a.gl_code, sum(l.debit), sum(l.credit) FROM line AS l
JOIN account AS a ON a.book_id = l.book_id AND a.account_id = l.account_id
WHERE l.book_id = %s AND l.{dated} <= %s GROUP BY a.gl_code
"""


@dataclass
class Read:
    """One kind of read, and what it is held against."""

    name: str
    target: float
    """Seconds, of the median."""
    days: Sequence[date]
    """It is done as of any of these."""
    call: Callable[[date], object]
    naive: str
    values: Callable[[date], tuple[Any, ...]]
    seconds: list[float] = field(default_factory=list)
    naive_seconds: list[float] = field(default_factory=list)

    def round(self, cursor: Any, random: Random, times: int) -> None:
        """Reads so many times as of random days, and once the naive way."""
        for day in random.choices(self.days, k=times):
            self.seconds.append(timed(partial(self.call, day)))
        self.naive_seconds.append(timed(lambda: self._naive(cursor, random.choice(self.days))))

    def forget(self) -> None:
        """Makes the rounds so far a warm-up."""
        self.seconds.clear()
        self.naive_seconds.clear()

    def _naive(self, cursor: Any, day: date) -> None:
        cursor.execute(self.naive, self.values(day))
        cursor.fetchall()

    def figure(self) -> Figure:
        """A row of the table."""
        found, naive = median(self.seconds), median(self.naive_seconds)
        p99 = milliseconds(percentile(self.seconds, 0.99))
        return Figure(
            self.name,
            f"{milliseconds(found)}, p99 {p99}",
            f"{milliseconds(naive)} naive SQL",
            found / naive,
            f"median ≤ {milliseconds(self.target)}",
            found <= self.target,
        )


def of_account(day: date) -> tuple[Any, ...]:
    """Values of a statement about the account as of a day."""
    return BOOK, INCOME, day


def balances(ledger: Ledger, days: Sequence[date]) -> list[Read]:
    """Balances of the account as of dates of both kinds."""

    def read(field_name: str) -> Callable[[date], object]:
        def call(day: date) -> object:
            request = GetBalancesRequest(book_id=BOOK, account_numbers=[INCOME])
            getattr(request, field_name).CopyFrom(from_date(day))
            return ledger.journal.GetBalances(request)

        return call

    return [
        Read(
            f"balance as of a {dated.replace('_', ' ')}",
            BALANCE_TARGET,
            days,
            read(dated),
            NAIVE_BALANCE.format(dated=dated),
            of_account,
        )
        for dated in ("booking_date", "value_date")
    ]


def pages(ledger: Ledger, days: Sequence[date]) -> list[Read]:
    """Statement pages of the account: from a date early, midway and late, and the page after."""
    tokens: dict[date, str] = {}

    def first(day: date) -> Any:
        answer = ledger.journal.ListLines(_page(day))
        tokens[day] = answer.next_page_token
        return answer

    def second(day: date) -> Any:
        return ledger.journal.ListLines(_page(day, tokens[day]))

    tenth = max(1, len(days) // 10)
    found = []
    for name, start in (("early", 0), ("midway", len(days) // 2), ("late", len(days) - 2 * tenth)):
        some = days[start : start + tenth]
        for day in some:
            first(day)
        for page, call in (("page", first), ("page after it", second)):
            title = f"statement of 100 lines, {name}: {page}"
            found.append(Read(title, PAGE_TARGET, some, call, NAIVE_PAGE, of_account))
    return found


def _page(day: date, token: str = "") -> ListLinesRequest:
    return ListLinesRequest(
        book_id=BOOK,
        account_number=INCOME,
        page_size=100,
        from_booking_date=from_date(day),
        page_token=token,
    )


def trial_balances(ledger: Ledger, days: Sequence[date]) -> list[Read]:
    """The trial balance now and as of dates of both kinds."""

    def read(field_name: str) -> Callable[[date], object]:
        def call(day: date) -> object:
            request = TrialBalanceRequest(book_id=BOOK)
            if field_name:
                getattr(request, field_name).CopyFrom(from_date(day))
            return ledger.accounting.TrialBalance(request)

        return call

    now = Read("trial balance now", TRIAL_TARGET, days, read(""), NAIVE_TRIAL, lambda _: (BOOK,))
    return [
        now,
        *(
            Read(
                f"trial balance as of a {dated.replace('_', ' ')}",
                TRIAL_TARGET,
                days,
                read(dated),
                NAIVE_TRIAL_AS_OF.format(dated=dated),
                lambda day: (BOOK, day),
            )
            for dated in ("booking_date", "value_date")
        ),
    ]


def fill(ledger: Ledger, lines: int, accounts: int, days: Sequence[date]) -> None:
    """The book: its accounts on the first day, the account's lines over all days."""
    for start in range(0, accounts, COLUMN_LIMIT):
        some = range(start, min(start + COLUMN_LIMIT, accounts))
        ledger.journal.RecordEventColumns(iter(event_columns(some, FIRST_DAY)))
    say(f"{accounts:,} accounts opened")
    size = lines // (len(days) * BACK_DATED)
    with ThreadPoolExecutor(BACK_DATED) as callers:
        for day in days:
            requests = [
                entries_request(range(size), day - timedelta(days=back), request_id())
                for back in range(BACK_DATED)
            ]
            answers = callers.map(ledger.journal.PostEntries, requests)
            assert not any(answer.refusals for answer in answers)
            ledger.close_day(day)
            if (day - FIRST_DAY).days % 20 == 19:
                say(f"{day} closed")


def main(
    lines: Annotated[int, typer.Option(min=100, help="Of the one account.")] = 1_000_000,
    accounts: Annotated[int, typer.Option(min=1, help="Of the book besides.")] = 1_000_000,
    days: Annotated[int, typer.Option(min=20, help="Booking days the lines spread over.")] = 100,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    reads: Annotated[int, typer.Option(min=1, help="Of one kind, in a round.")] = 20,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Reads on a large book against naive sums."""
    lines, accounts, days = (50_000, 50_000, 20) if quick else (lines, accounts, days)
    calendar = [FIRST_DAY + timedelta(days=number) for number in range(days)]
    with Store() as store:
        ledger = store.ledger("reads")
        fill(ledger, lines, accounts, calendar)
        ledger.rows("VACUUM ANALYZE")
        measured = [
            *balances(ledger, calendar),
            *pages(ledger, calendar),
            *trial_balances(ledger, calendar),
        ]
        random = Random(lines)
        with closing(ledger.connect()) as connection, connection.cursor() as cursor:
            for number in range(-1, rounds):
                for read in measured:
                    read.round(cursor, random, reads)
                    if number < 0:
                        read.forget()
                say(f"round {number + 1} of {rounds}")
    figures = [read.figure() for read in measured]
    notes = [f"{lines:,} lines on one account over {days} days; {accounts:,} accounts besides"]
    sys.exit(show("Reads", figures, notes, quick=quick))


if __name__ == "__main__":
    typer.run(main)
