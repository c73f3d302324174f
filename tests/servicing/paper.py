"""Loans reckoned on paper: fractions, dates and plain loops, from textbooks' conventions and nothing of
ours. Amounts in minor units.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import islice
from math import floor
from typing import NamedTuple

NIGHT = timedelta(days=1)


def rounded(exact: Fraction, mode: str, multiple: int = 1) -> int:
    """To a whole multiple: HALF_UP, HALF_EVEN, UP, DOWN."""
    units = exact / multiple
    below = floor(units)
    rest = units - below
    half = Fraction(1, 2)
    up = {
        "DOWN": False,
        "UP": rest > 0,
        "HALF_UP": rest >= half,
        "HALF_EVEN": rest > half or (rest == half and below % 2 == 1),
    }[mode]
    return (below + up) * multiple


def in_month(year: int, month: int, day: int, *, roll: bool = False) -> date:
    """A day of a month, counted from a year's January; where it lacks it, its last, or the next 1st."""
    years, month = divmod(month - 1, 12)
    last = calendar.monthrange(year + years, month + 1)[1]
    found = date(year + years, month + 1, min(day, last))
    return found + NIGHT if roll and day > last else found


def monthly(start: date, every: int, count: int, *, roll: bool = False) -> list[date]:
    """The day of the month on which a loan began, every so many months."""
    months = [start.month + every * number for number in range(1, count + 1)]
    return [in_month(start.year, month, start.day, roll=roll) for month in months]


def twice_a_month(start: date, days: Sequence[int], count: int) -> list[date]:
    """Two days of each month, those after a day."""
    months = range(start.month, start.month + count + 2)
    found = (in_month(start.year, month, day) for month in months for day in days)
    return list(islice((day for day in found if day > start), count))


def every_so_many_days(start: date, days: int, count: int) -> list[date]:
    """Evenly spaced."""
    return [start + timedelta(days=days * number) for number in range(1, count + 1)]


def of_a_year(day_count: str, start: date, end: date) -> Fraction:
    """How much of a year lies between two days, counted night by night."""
    nights = [start + timedelta(days=number) for number in range((end - start).days)]
    leap = lambda day: 366 if calendar.isleap(day.year) else 365  # noqa: E731  shorter
    if day_count == "ACT_ACT":
        return sum((Fraction(1, leap(night + NIGHT)) for night in nights), Fraction(0))
    if day_count == "ACT_ACT_ISDA":
        return sum((Fraction(1, leap(night)) for night in nights), Fraction(0))
    if day_count == "ACT_365_ACTUAL":
        odd = any((day + NIGHT).timetuple()[1:3] == (2, 29) for day in nights)
        return Fraction(len(nights), 366 if odd else 365)
    kind, _, year = day_count.rpartition("_")
    if kind == "ACT":
        return Fraction(len(nights), int(year))
    first = min(start.day, 30)
    last = min(end.day, 30) if first == 30 or kind == "THIRTY_E" else end.day
    months = (end.year - start.year) * 12 + end.month - start.month
    return Fraction(months * 30 + last - first, int(year))


def annuity(balance: int, factors: Sequence[Fraction]) -> Fraction:
    """P ÷ Σ 1/[(1+f₁)…(1+f_k)]."""
    worth, total = Fraction(1), Fraction(0)
    for factor in factors:
        worth /= 1 + factor
        total += worth
    return balance / total


class Row(NamedTuple):
    """A row of a table of instalments."""

    due_date: date
    principal: int
    interest: int
    balance: int


@dataclass(frozen=True)
class Table:
    """How a table is made: what each period bears, and what stays alike from row to row."""

    due_dates: Sequence[date]
    factors: Sequence[Fraction]
    method: str = "EQUAL_INSTALMENT"
    mode: str = "HALF_UP"
    multiple: int = 1
    principal_mode: str = "DOWN"
    grace_principal: int = 0
    grace_interest: int = 0
    even_out: bool = False

    def rows(self, principal: int) -> list[Row]:
        """The table of a loan."""
        paying = len(self.due_dates) - self.grace_principal
        if self.method != "EQUAL_INSTALMENT":
            equal = rounded(Fraction(principal, paying), self.principal_mode, self.multiple)
            return self._rows(principal, equal)
        exact = annuity(principal, self.factors[self.grace_principal :])
        level = rounded(exact, self.mode, self.multiple)
        made = self._rows(principal, level)
        off = made[-1].principal + made[-1].interest - level
        if not self.even_out or 2 * abs(off) <= len(self.due_dates):
            return made
        step = rounded(Fraction(abs(off), len(self.due_dates)), self.mode)
        other = level + (step if off > 0 else -step)
        moved = self._rows(principal, other)
        better = abs(moved[-1].principal + moved[-1].interest - other) < abs(off)
        return moved if better else made

    def _rows(self, principal: int, alike: int) -> list[Row]:
        rows: list[Row] = []
        balance, carried = principal, 0
        for number, (due_date, factor) in enumerate(zip(self.due_dates, self.factors, strict=True)):
            base = principal if self.method == "FLAT" else balance
            own = rounded(base * factor, self.mode)
            level = self.method == "EQUAL_INSTALMENT"
            part = 0 if number < self.grace_principal else max(alike - own, 0) if level else alike
            last = number == len(self.due_dates) - 1 or part >= balance
            part = min(part, balance) if number < len(self.due_dates) - 1 else balance
            carried += own
            asked = carried if last or number >= self.grace_interest else 0
            carried -= asked
            balance -= part
            rows.append(Row(due_date, part, asked, balance))
            if not balance:
                break
        return rows


@dataclass
class Due:
    """What a period asks, and what was paid of it."""

    principal: int
    interest: int
    principal_paid: int = 0
    interest_paid: int = 0

    def pay(self, amount: int) -> tuple[int, int]:
        """Interest first; what is left, and how much principal was paid."""
        interest = min(amount, self.interest - self.interest_paid)
        principal = min(amount - interest, self.principal - self.principal_paid)
        self.interest_paid += interest
        self.principal_paid += principal
        return amount - interest - principal, principal


@dataclass
class Life:
    """A loan in equal instalments whose interest follows what is really paid, each stretch of one
    balance rounded by itself. What is late goes on bearing interest, which falls due with the running
    instalment; what is early pays `early`: PRINCIPAL at once, the NEXT instalments' principal, or whole
    INSTALMENTS.
    """

    principal: int
    start: date
    due_dates: Sequence[date]
    bears: Callable[[int, date, date], Fraction]
    """A period's number, and two days in it."""
    level: Callable[[int, int], int]
    """The instalment of a balance from a period on."""
    night: Fraction
    """What a night bears once all is due."""
    early: str = "PRINCIPAL"
    keeps_term: bool = True
    balance: int = 0
    period: int = 0
    """The running one."""
    since: date = date.min
    accrued: int = 0
    """Of the running period up to `since`."""
    carried: int = 0
    """Of periods before it whose instalments were paid whole."""
    instalment: int = 0
    next_instalment: int | None = None
    held: int = 0
    due: list[Due] = field(default_factory=list)
    ahead: dict[int, int] = field(default_factory=dict)
    """Principal paid of periods to come."""
    interest_ahead: dict[int, int] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)
    """Periods paid whole."""
    matured: Fraction = Fraction(0)
    """What was borne once all was due; in whole minor units the last instalment asks it."""

    def __post_init__(self) -> None:
        self.balance, self.since = self.principal, self.start
        self.instalment = self.level(0, self.principal)

    @property
    def late(self) -> int:
        """Principal."""
        return sum(each.principal - each.principal_paid for each in self.due)

    @property
    def to_come(self) -> int:
        """Principal that is not yet due."""
        return self.balance - self.late

    @property
    def runs(self) -> bool:
        """Something falls due yet."""
        some_ahead = any(number >= self.period for number in self.ahead)
        return self.period < len(self.due_dates) and (self.to_come > 0 or some_ahead)

    def _cut(self, day: date) -> None:
        """What bore interest up to a day is rounded there."""
        if self.period < len(self.due_dates) and day > self.since:
            borne = self.balance * self.bears(self.period, self.since, day)
            self.accrued += rounded(borne, "HALF_EVEN")
            self.since = day

    def move(self, day: date) -> None:
        """What is due by a day falls due."""
        while self.runs and self.due_dates[self.period] <= day:
            self._cut(self.due_dates[self.period])
            (row, *_), early = self.plan(), self.ahead.pop(self.period, 0)
            earned, asked = self.carried + self.accrued, row.interest
            paid = self.interest_ahead.pop(self.period, 0)
            self.due.append(Due(row.principal, asked, early, paid))
            if self.next_instalment is not None:
                self.instalment, self.next_instalment = self.next_instalment, None
            self.carried, self.accrued = earned - asked, 0
            self.since, self.period = self.due_dates[self.period], self.period + 1
            self.held = self._pay_due(self.held)
        if self.due and not self.runs and day > self.since:
            before = rounded(self.matured, "HALF_EVEN")
            self.matured += self.late * self.night * (day - self.since).days
            self.due[-1].interest += rounded(self.matured, "HALF_EVEN") - before
            self.since = day

    def plan(self, bearing: int | None = None) -> list[Due]:
        """What the periods to come ask; `bearing`: until the next due date, where not the balance."""
        made: list[Due] = []
        left, carried, instalment = self.to_come, self.carried, self.instalment
        for number in range(self.period, len(self.due_dates)):
            begins = self.since if number == self.period else self.due_dates[number - 1]
            base = left
            if number == self.period:
                base = self.balance if bearing is None else bearing
            own = rounded(base * self.bears(number, begins, self.due_dates[number]), "HALF_EVEN")
            interest = carried + own + (self.accrued if number == self.period else 0)
            early, asked = self.ahead.get(number, 0), interest
            if number in self.whole:
                part, asked = 0, self.interest_ahead.get(number, 0)
            elif number == len(self.due_dates) - 1:
                part = left
            else:
                part = min(max(instalment - interest - early, 0), left)
            carried = interest - asked
            left -= part
            made.append(Due(part + early, asked, early, self.interest_ahead.get(number, 0)))
            if number == self.period and self.next_instalment is not None:
                instalment = self.next_instalment
            if not left and not any(later > number for later in self.ahead):
                break
        return made

    def _pay_due(self, amount: int) -> int:
        for each in self.due:
            amount, principal = each.pay(amount)
            self.balance -= principal
        return amount

    def repay(self, day: date, amount: int) -> None:
        """Money comes on a day."""
        self.move(day)
        unpaid_first = 0
        for each in self.due:
            unpaid_first += each.interest - each.interest_paid
            if each.principal > each.principal_paid:
                if amount > unpaid_first:
                    self._cut(day)
                break
        left = self._pay_due(amount)
        if not left or not self.to_come:
            self.held += left
            return
        planned = self.plan()
        self._cut(day)
        pays = {"PRINCIPAL": self._principal, "NEXT": self._next, "INSTALMENTS": self._whole}
        self.held += pays[self.early](left, day, planned)

    def _principal(self, amount: int, day: date, _planned: Sequence[Due]) -> int:
        here = min(amount, self.to_come)
        self.balance -= here
        if self.period and self.due_dates[self.period - 1] == day:
            self.due[-1].principal += here
            self.due[-1].principal_paid += here
            if self.keeps_term and self.to_come:
                self.instalment = self.level(self.period, self.to_come)
            return amount - here
        self.ahead[self.period] = self.ahead.get(self.period, 0) + here
        if self.keeps_term and self.period + 1 < len(self.due_dates):
            running = self.plan()[0]
            left = self.to_come - (running.principal - running.principal_paid)
            self.next_instalment = self.level(self.period + 1, left) if left else None
        return amount - here

    def _next(self, amount: int, _day: date, planned: Sequence[Due]) -> int:
        for number, row in enumerate(planned, self.period):
            here = min(amount, row.principal - row.principal_paid)
            if here:
                self.ahead[number] = self.ahead.get(number, 0) + here
            self.balance -= here
            amount -= here
        return amount

    def _whole(self, amount: int, _day: date, planned: Sequence[Due]) -> int:
        ahead = sum(paid for number, paid in self.interest_ahead.items() if number >= self.period)
        to_date = self.carried + self.accrued - ahead
        for number, row in enumerate(planned, self.period):
            if number in self.whole or not self.to_come:
                continue
            asks = row.principal + row.interest - row.principal_paid - row.interest_paid - to_date
            last = number == len(self.due_dates) - 1
            part = self.to_come if last else min(asks, self.to_come)
            interest = min(amount, to_date)
            principal = min(amount - interest, part)
            self.interest_ahead[number] = self.interest_ahead.get(number, 0) + interest
            self.ahead[number] = self.ahead.get(number, 0) + principal
            self.balance -= principal
            amount -= interest + principal
            if (interest, principal) != (to_date, part):
                break
            self.whole.add(number)
            to_date = 0
        return amount

    def rows(self, day: date) -> list[tuple[date, int, int, int, int]]:
        """Due date, principal, interest, and what was paid of each, were what is late paid today."""
        self.move(day)
        bearing = None
        if self.late and self.period < len(self.due_dates):
            self._cut(day)
            bearing = self.to_come
        made = [*self.due, *(self.plan(bearing) if self.runs else [])]
        told = [
            (due_date, row.principal, row.interest, row.principal_paid, row.interest_paid)
            for due_date, row in zip(self.due_dates, made, strict=False)
        ]
        return [row for row in told if any(row[1:])]
