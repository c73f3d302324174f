"""Statements and balances at any age, entries by any filter: against a list of what was posted."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.ledger_case import LedgerUnderTest
from ledger.posting_case import (
    CASH,
    WALLET,
    account,
    cr,
    dr,
    entry,
    pay_in,
    pay_out,
    post,
    post_columns,
    refused,
    reserve,
)

from support import day
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date, to_date
from tael_ledger.booking_dates import windows

HOT = "6011.01"
FIRST = date(2026, 1, 15)
DAYS = 50
"""Booked: over three months, so over three partitions."""
dates = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@given(dates, dates)
def test_periods_cover_every_day_once_and_end_with_a_month(first: date, last: date) -> None:
    found = list(windows(first, last))
    covered = sum((end - begin).days + 1 for begin, end in found)
    assert covered == max(0, (last - first).days + 1)
    for (_, end), (begin, _) in pairwise(found):
        assert begin == end + timedelta(days=1)
        assert begin.day == 1
    assert len(found) <= 9


@dataclass(frozen=True)
class Posted:
    """A line of the account under test."""

    sequence: int
    booked: date
    worth: date
    debit: int
    credit: int


@dataclass
class History:
    """A book of several months and every line posted on its hot account."""

    book: LedgerUnderTest
    lines: list[Posted]
    last_day: date

    def balance(self, fits: Callable[[Posted], bool]) -> int:
        """On the credit side."""
        return sum(line.credit - line.debit for line in self.lines if fits(line))


@pytest.fixture(scope="module")
def history(new_book: Callable[..., LedgerUnderTest]) -> History:
    """Days of a few lines, days of many, back-dated ones, several lines an entry, red ink."""
    book, dice, lines = new_book(), random.Random(4), []
    today, sequence = FIRST, 0
    for number in range(DAYS):
        text_date = today.isoformat()
        for _ in range(dice.randint(0, 3)):
            sequence += 1
            worth = max(FIRST, today - timedelta(days=dice.choice((0, 0, 1, 9))))
            amounts = [dice.choice((5, 7, -2, 11)) for _ in range(dice.randint(1, 3))]
            post(
                book,
                entry(
                    dr(CASH, sum(amounts) or 1),
                    *(cr(HOT, amount) for amount in amounts),
                    *([] if sum(amounts) else [cr("6051", 1)]),
                    value_date=worth.isoformat(),
                    event=dice.choice(("FEE", "INTEREST")),
                    source=f"src/{number % 7}/{sequence}",
                    metadata={"lot": str(number % 5)} if number % 2 else {},
                ),
            )
            lines += [Posted(sequence, today, worth, 0, amount) for amount in amounts]
        if number % 9 == 0:
            sequence += 1
            many = 700
            post_columns(
                book,
                ([CASH] + [HOT] * many, [many] + [0] * many, [0] + [1] * many),
                value_date=day(text_date),
                event="NIGHT",
            )
            lines += [Posted(sequence, today, today, 0, 1)] * many
        if number < DAYS - 1:
            book.close_day(text_date)
            today += timedelta(days=1)
    return History(book, lines, today)


def pages(history: History, number: str = HOT, **asked: Any) -> Iterator[pb.ListLinesResponse]:
    """Every page of a statement."""
    request = pb.ListLinesRequest(book_id=history.book.book_id, account_number=number, **asked)
    while True:
        answer = history.book.ledger.ListLines(request)
        yield answer
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def some_days(history: History) -> list[date]:
    """Days within, at the edges of and beyond the book's."""
    edges = [FIRST - timedelta(days=3), FIRST, history.last_day, date(2031, 1, 1)]
    return [*edges, date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 17)]


def test_balances_as_of_a_booking_date_add_up_what_was_booked_by_then(history: History) -> None:
    for one in some_days(history):
        found = history.book.balance(HOT, booking_date=from_date(one))
        assert found == history.balance(lambda line, one=one: line.booked <= one)


def test_balances_as_of_a_value_date_add_up_what_is_worth_by_then(history: History) -> None:
    for one in some_days(history):
        found = history.book.balance(HOT, value_date=from_date(one))
        assert found == history.balance(lambda line, one=one: line.worth <= one)


def test_balances_of_many_accounts_come_in_the_order_asked(history: History) -> None:
    numbers = [HOT, "1303.01:LOAN:NEVER", CASH, HOT]
    found = history.book.balance(*numbers, value_date=day("2026-02-10"))
    assert found[0] == found[3] == history.balance(lambda line: line.worth <= date(2026, 2, 10))
    assert found[1] == 0
    assert found[2] != 0


@pytest.mark.parametrize("size", [31, 100, 1000])
def test_a_statement_runs_its_balance_over_pages_from_any_day_to_any(
    history: History, size: int
) -> None:
    days = some_days(history) if size == 1000 else [date(2026, 2, 17)]
    chosen = [None, *days]
    for first in chosen:
        for last in chosen:
            asked: dict[str, Any] = {"page_size": size}
            if first:
                asked["from_booking_date"] = from_date(first)
            if last:
                asked["to_booking_date"] = from_date(last)
            _check_statement(history, first or FIRST, last or history.last_day, asked)


def _check_statement(history: History, first: date, last: date, asked: dict[str, Any]) -> None:
    expected = [line for line in history.lines if first <= line.booked <= last]
    balance = history.balance(lambda line: line.booked < first)
    place = 0
    for page in pages(history, **asked):
        assert page.opening_balance == balance, asked
        for found in page.lines:
            line = expected[place]
            balance += line.credit - line.debit
            place += 1
            assert (found.sequence, found.amount) == (line.sequence, line.debit or line.credit)
            assert to_date(found.booking_date) == line.booked
            assert to_date(found.value_date) == line.worth
            assert found.balance_after == balance
    assert place == len(expected), asked


def test_a_statement_tells_event_and_source(history: History) -> None:
    told = [line for page in pages(history) for line in page.lines]
    by_event = {line.event: line for line in told}
    assert set(by_event) == {"FEE", "INTEREST", "NIGHT"}
    assert by_event["FEE"].source.startswith("src/")


def test_a_page_token_altered_or_of_another_statement_is_refused(history: History) -> None:
    page = next(pages(history, page_size=5))
    (text,) = json.loads(base64.urlsafe_b64decode(page.next_page_token))
    sequence, line_number, debits, credits_, seal = text.split(":")
    richer = ":".join((sequence, line_number, debits, str(int(credits_) + 1), seal))
    for wrong in (richer, "1:1:0:0", "x", ""):
        token = base64.urlsafe_b64encode(json.dumps([wrong]).encode()).decode()
        assert refused(lambda token=token: next(pages(history, page_token=token))) == (
            "INVALID_FIELD"
        )
    token = page.next_page_token
    assert refused(lambda: next(pages(history, CASH, page_token=token))) == "INVALID_FIELD"
    other_days = {"from_booking_date": from_date(history.last_day)}
    assert (
        refused(lambda: next(pages(history, page_token=token, **other_days))) == "INVALID_FIELD"
    ), "its balance is not that of these days"


def test_the_statement_of_an_account_never_opened_is_empty(history: History) -> None:
    (page,) = pages(history, "1303.01:LOAN:NEVER")
    assert (list(page.lines), page.opening_balance) == ([], 0)


def entries(history: History, **asked: Any) -> list[pb.Entry]:
    """Every page of a list of entries."""
    request = pb.ListEntriesRequest(book_id=history.book.book_id, **asked)
    found: list[pb.Entry] = []
    while True:
        answer = history.book.ledger.ListEntries(request)
        found += answer.entries
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


FILTERS: dict[str, tuple[dict[str, Any], Callable[[pb.Entry], bool]]] = {
    "event": ({"event": "FEE"}, lambda one: one.event == "FEE"),
    "source": ({"source_prefix": "src/3/"}, lambda one: one.source.startswith("src/3/")),
    "account": (
        {"account_number": "6051"},
        lambda one: any(line.account_number == "6051" for line in one.lines),
    ),
    "hot account": (
        {"account_number": HOT},
        lambda one: any(line.account_number == HOT for line in one.lines),
    ),
    "metadata": ({"metadata": {"lot": "3"}}, lambda one: one.metadata.get("lot") == "3"),
    "from": (
        {"from_booking_date": day("2026-02-03")},
        lambda one: to_date(one.booking_date) >= date(2026, 2, 3),
    ),
    "to": (
        {"to_booking_date": day("2026-02-20")},
        lambda one: to_date(one.booking_date) <= date(2026, 2, 20),
    ),
}


@pytest.mark.parametrize("size", [3, 1000])
def test_entries_are_found_by_any_two_filters_together(history: History, size: int) -> None:
    everything = entries(history, page_size=1000)
    assert [one.sequence for one in everything] == list(range(1, len(everything) + 1))
    for first, fits_first in FILTERS.values():
        for second, fits_second in FILTERS.values():
            found = entries(history, page_size=size, **{**second, **first})
            fitting = [one for one in everything if fits_first(one)]
            if first.keys() != second.keys():
                fitting = [one for one in fitting if fits_second(one)]
            assert found == fitting, (first, second)


def test_no_entries_are_booked_outside_the_books_days(history: History) -> None:
    assert entries(history, from_booking_date=day("2031-01-01")) == []
    assert entries(history, to_booking_date=day("2025-01-01")) == []
    assert (
        entries(history, from_booking_date=day("2026-02-02"), to_booking_date=day("2026-02-01"))
        == []
    )


def test_entries_of_an_owner_are_those_on_any_of_its_accounts(book: LedgerUnderTest) -> None:
    first, second = "2011.01:CUSTOMER:W1", "2241.03:CUSTOMER:W1"
    assert first == WALLET
    post(book, pay_in(1), pay_in(2, second), pay_in(3, "2011.01:CUSTOMER:W2"))
    post(book, entry(dr(first, 1), cr(second, 1)), pay_out(1, second))
    request = pb.ListEntriesRequest(
        book_id=book.book_id, owner=pb.Owner(owner_type="CUSTOMER", owner_id="W1")
    )
    assert [one.sequence for one in book.ledger.ListEntries(request).entries] == [1, 2, 4, 5]
    request.owner.owner_type = "LOAN"
    assert not book.ledger.ListEntries(request).entries
    request.owner.owner_id = ""
    assert refused(lambda: book.ledger.ListEntries(request)) == "INVALID_FIELD"


def test_a_page_of_large_entries_ends_early_and_loses_none(book: LedgerUnderTest) -> None:
    many = 20_000
    for _ in range(4):
        post_columns(book, ([CASH] + [HOT] * many, [many] + [0] * many, [0] + [1] * many))
    request = pb.ListEntriesRequest(book_id=book.book_id)
    page = book.ledger.ListEntries(request)
    assert [one.sequence for one in page.entries] == [1, 2]
    request.page_token = page.next_page_token
    page = book.ledger.ListEntries(request)
    assert ([one.sequence for one in page.entries], page.next_page_token) == ([3, 4], "")


def test_balances_now_show_what_is_pending_and_those_of_a_day_do_not(
    book: LedgerUnderTest,
) -> None:
    post(book, pay_in(10))
    reserve(book, dr(WALLET, 4), cr(CASH, 4))
    request = pb.GetBalancesRequest(book_id=book.book_id, account_numbers=[WALLET, CASH])
    wallet, cash = book.ledger.GetBalances(request).balances
    assert (wallet.balance, wallet.debits_pending, wallet.credits_pending) == (10, 4, 0)
    assert (cash.debits_pending, cash.credits_pending) == (0, 4)
    request.booking_date.CopyFrom(day("2026-01-15"))
    wallet, _ = book.ledger.GetBalances(request).balances
    assert (wallet.balance, wallet.debits_pending) == (10, 0)
    assert account(book, WALLET).balance == 10
