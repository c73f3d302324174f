"""The totals' part of a proof: accounts, their days and the general ledger, added up from the lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.copying import copy_out
from tael_ledger.day_totals import DayKey, DayTotal, DayTotals, differences
from tael_ledger.findings import (
    ACCOUNT_TOTALS,
    CONTROL_TOTALS,
    TRIAL_BALANCE,
    Finding,
    date_text,
    unbalanced,
)
from tael_ledger.journal_stream import PAGE, Window, select
from tael_ledger.line_buffer import exact
from tael_ledger.requests import PERIOD_CLOSED, YEAR_CLOSED
from tael_ledger.row_view import view
from tael_ledger.rows import Integers, Layout, days

CODE_WIDTH = 16
"""Bytes of a GL code, at most."""
CHUNK = 200_000
"""Accounts compared at a time."""
FOREVER = days(date.max) + 1

TOTALS = Layout(
    "account",
    (
        ("account_id", ">i8"),
        ("debits_posted", ">i8"),
        ("credits_posted", ">i8"),
        ("lines_posted", ">i8"),
        ("lines_summed", ">i8"),
        ("summed_through", ">i8"),
    ),
)
# Accounts whose lines are added up by day, or look it.
SUMMED = text(
    "SELECT account_id, summed_through FROM account "
    "WHERE book_id = :book_id AND summed_through <> 0 "
    "UNION SELECT account_id, 0 FROM (SELECT DISTINCT account_id FROM account_day "
    "WHERE book_id = :book_id) AS listed ORDER BY account_id, summed_through"
)
ACCOUNT_DAYS = text(
    "SELECT booking_date, account_id, value_date, debits, credits, 0 FROM account_day "
    "WHERE book_id = :book_id ORDER BY booking_date"
)
GL_DAYS = text(
    "SELECT booking_date, gl_code, closing, value_date, debits, credits, lines FROM gl_day "
    "WHERE book_id = :book_id ORDER BY booking_date"
)
CONTROL = text(
    """
SELECT coalesce(held.gl_code, total.gl_code) AS gl_code,
       coalesce(held.debits, 0), coalesce(held.credits, 0),
       coalesce(total.debits, 0), coalesce(total.credits, 0)
FROM (SELECT gl_code, sum(debits_posted) AS debits, sum(credits_posted) AS credits
      FROM account WHERE book_id = :book_id GROUP BY gl_code) AS held
FULL JOIN (SELECT gl_code, sum(debits) AS debits, sum(credits) AS credits
           FROM gl_day WHERE book_id = :book_id GROUP BY gl_code) AS total USING (gl_code)
WHERE (coalesce(held.debits, 0), coalesce(held.credits, 0))
    <> (coalesce(total.debits, 0), coalesce(total.credits, 0))
ORDER BY 1
"""
)
NUMBERS = text(
    "SELECT account_id, number FROM account "
    "WHERE book_id = :book_id AND account_id = ANY(CAST(:ids AS bigint[]))"
)


class TotalsProof:
    """Adds lines up, and holds what the store has of them against it. Memory: some columns an
    account, and the totals of the booking date under way.
    """

    def __init__(self, connection: Connection, book: Book, chart: Chart, accounts: int) -> None:
        """`accounts`: how many the store has; their ids should run from 1 to there."""
        self._connection = connection
        self._own = {"book_id": book.book_id}
        self._book_id = book.book_id
        self._codes = np.array([code.encode() for code in chart], dtype=f"S{CODE_WIDTH}")
        self._names = [*chart, "no code of the chart"]
        self._memo = np.array([*(one.is_memo for one in chart.values()), False], dtype=bool)
        self._places = np.full(accounts + 1, len(chart), dtype=np.int16)
        self._totals = np.zeros((4, accounts + 1), dtype=np.int64)
        self._strange: set[int] = set()
        through = dict(self._rows(SUMMED).all())
        self._summed = np.array(sorted(through), dtype=np.int64)
        self._through = np.zeros(accounts + 1, dtype=np.int64)
        known = self._known(self._summed)
        self._through[self._summed[known]] = np.array(
            [through[one] for one in self._summed[known].tolist()], dtype=np.int64
        )
        self._account_days = DayTotals()
        self._gl_days = DayTotals()
        self._stored_account_days = _Days(self._rows(ACCOUNT_DAYS), self._account_day)
        self._stored_gl_days = _Days(self._rows(GL_DAYS), self._gl_day)

    def _rows(self, query: Any) -> Any:
        return self._connection.execute(query, self._own, execution_options={"yield_per": PAGE})

    def _known(self, account_ids: Integers) -> NDArray[np.bool_]:
        return (account_ids > 0) & (account_ids < len(self._places))

    def open(self, window: Window) -> None:
        """Learns the GL codes of accounts that the window opened."""
        ids = window.accounts.column("account_id")
        codes = window.accounts.short_texts("gl_code", CODE_WIDTH)
        known = self._known(ids)
        self._places[ids[known]] = self._places_of(codes[known])

    def _places_of(self, codes: NDArray[np.bytes_]) -> Integers:
        places = np.searchsorted(self._codes, codes)
        found = self._codes[np.minimum(places, len(self._codes) - 1)] == codes
        return np.where(found, places, len(self._codes))

    def memo(self, window: Window) -> NDArray[np.bool_]:
        """Whether each line's account is off balance."""
        ids = window.lines.column("account_id")
        return self._memo[self._places[np.where(self._known(ids), ids, 0)]]

    def add(self, window: Window, owners: Integers) -> Iterator[Finding]:
        """Counts the window's lines in; what is finished by them is compared."""
        lines = window.lines
        if not len(lines):
            return
        ids, sequences = lines.column("account_id"), lines.column("sequence")
        booked, worth = lines.column("booking_date"), lines.column("value_date")
        debits, credits_ = lines.column("debit"), lines.column("credit")
        known = self._known(ids)
        self._strange.update(ids[~known].tolist())
        ids = np.where(known, ids, 0)
        summed = sequences <= self._through[ids]
        columns = (debits, credits_, np.ones_like(ids), summed.astype(np.int64))
        for total, amounts in zip(self._totals, columns, strict=True):
            np.add.at(total, ids, amounts)
        if summed.any():
            ranks = np.searchsorted(self._summed, ids[summed])
            self._account_days.add(
                ranks, booked[summed], worth[summed], debits[summed], credits_[summed]
            )
        closing = window.entries.is_text("event", PERIOD_CLOSED)
        closing |= window.entries.is_text("event", YEAR_CLOSED)
        marks = np.append(closing, False)[owners]
        groups = self._places[ids].astype(np.int64) * 2 + marks
        self._gl_days.add(groups, booked, worth, debits, credits_)
        yield from self._compare_days(int(booked.max()))

    def _compare_days(self, before: int) -> Iterator[Finding]:
        """The totals of the booking dates before one."""
        # Their rows do not count lines.
        finished = {
            key: total._replace(lines=0)
            for key, total in self._account_days.finished(before).items()
        }
        for key, should, is_ in differences(finished, self._stored_account_days.before(before)):
            account = self._numbers([int(self._summed[key.group])])[0]
            yield Finding(ACCOUNT_TOTALS, account, _day_message(key, should, is_))
        finished = self._gl_days.finished(before)
        for key, should, is_ in differences(finished, self._stored_gl_days.before(before)):
            code = self._names[key.group // 2]
            closing = ", carried at a close" if key.group % 2 else ""
            message = _day_message(key, should, is_)
            yield Finding(CONTROL_TOTALS, code, f"{message}{closing}")

    def _account_day(self, row: Any) -> DayKey:
        booked, account_id, worth = row[:3]
        rank = int(np.searchsorted(self._summed, account_id))
        return DayKey(days(booked), rank, days(worth))

    def _gl_day(self, row: Any) -> DayKey:
        booked, code, closing, worth = row[:4]
        place = int(self._places_of(np.array([code.encode()], dtype=f"S{CODE_WIDTH}"))[0])
        return DayKey(days(booked), place * 2 + closing, days(worth))

    def end(self) -> Iterator[Finding]:
        """What can be compared when all lines are counted."""
        yield from self._compare_days(FOREVER)
        for first in range(0, len(self._places), CHUNK):
            yield from self._compare_accounts(first, min(first + CHUNK, len(self._places)))
        for account_id in sorted(self._strange):
            yield Finding(ACCOUNT_TOTALS, f"account {account_id}", "has lines and should be there")
        for code, *totals in self._rows(CONTROL):
            should, is_ = (f"{totals[at]} and {totals[at + 1]}" for at in (0, 2))
            message = f"should be {should}, like its accounts, and is {is_}"
            yield Finding(CONTROL_TOTALS, code, message)
        yield from self._trial_balance()

    def _compare_accounts(self, first: int, end: int) -> Iterator[Finding]:
        span = f"account_id >= {first} AND account_id < {end}"
        query = select(TOTALS, self._book_id, span, "account_id")
        stored = view(TOTALS, self._book_id, copy_out(self._connection, query))
        ids = stored.column("account_id")
        found = np.zeros((4, end - first), dtype=np.int64)
        names = ("debits_posted", "credits_posted", "lines_posted", "lines_summed")
        for row, name in enumerate(names):
            found[row, ids - first] = stored.column(name)
        wrong = np.flatnonzero((found != self._totals[:, first:end]).any(axis=0))
        wrong = wrong[wrong + first != 0]
        numbers = self._numbers((wrong + first).tolist())
        for place, number in zip(wrong.tolist(), numbers, strict=True):
            should, is_ = self._totals[:, first + place].tolist(), found[:, place].tolist()
            yield Finding(
                ACCOUNT_TOTALS, number, f"should be {_totals(should)} and is {_totals(is_)}"
            )

    def _trial_balance(self) -> Iterator[Finding]:
        debits, credits_ = self._totals[0], self._totals[1]
        memo = self._memo[self._places]
        for is_memo in (False, True):
            nets = exact((debits - credits_)[memo == is_memo])
            if difference := int(nets.sum()):
                yield Finding(TRIAL_BALANCE, self._book_id, unbalanced(is_memo, difference))

    def _numbers(self, account_ids: list[int]) -> list[str]:
        """Numbers of accounts, for people."""
        if not account_ids:
            return []
        own = {**self._own, "ids": account_ids}
        rows = self._connection.execute(NUMBERS, own).all()
        found = {row.account_id: row.number for row in rows}
        return [found.get(one, f"account {one}") for one in account_ids]


class _Days:
    """Rows of stored totals in the order of their booking dates, taken date by date."""

    def __init__(self, rows: Any, key: Any) -> None:
        self._rows = iter(rows)
        self._key = key
        self._next = next(self._rows, None)

    def before(self, booked: int) -> dict[DayKey, DayTotal]:
        """Those of the dates before one that were not taken yet."""
        taken = {}
        while self._next is not None and days(self._next[0]) < booked:
            taken[self._key(self._next)] = DayTotal(*self._next[-3:])
            self._next = next(self._rows, None)
        return taken


def _day_message(key: DayKey, should: DayTotal | None, is_: DayTotal | None) -> str:
    booked, worth = date_text(key.booked), date_text(key.worth)
    return f"booked {booked} worth {worth}: should be {_day(should)} and is {_day(is_)}"


def _day(total: DayTotal | None) -> str:
    return f"{total.debits} and {total.credits}" if total else "not there"


def _totals(values: list[int]) -> str:
    debits, credits_, lines, summed = values
    return f"{debits} and {credits_} in {lines} lines, {summed} of them added up by day"
