"""Due dates, interest periods, and how much of a year lies between two days."""

from __future__ import annotations

import calendar
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from tael_servicing.arithmetic.rounding import Ratio
from tael_servicing.arithmetic.terms import (
    DayCount,
    FirstPeriod,
    Frequency,
    Maturity,
    Method,
    MonthEnd,
    Shift,
    Terms,
    Unit,
)

DAY = timedelta(days=1)
BY_MONTHS = (DayCount.THIRTY_360, DayCount.THIRTY_E_360, DayCount.THIRTY_365)


class Period(NamedTuple):
    """An interest period: its first day counts, its last, the due date, does not (算头不算尾)."""

    number: int
    start: date
    end: date
    whole: bool
    """Bears by name what its frequency says, where the terms have a nominal basis."""

    @property
    def days(self) -> int:
        """Nights from start to end."""
        return (self.end - self.start).days


def year_fraction(day_count: DayCount, start: date, end: date) -> Ratio:
    """How much of a year lies between two days.

    ACT/ACT: each night over the days of the year in which it ends, so that the night of New Year's
    Eve is the new year's; by ISDA, in which it begins. 30/360: the bond basis, a 31st is a 30th where
    the first day is one.
    """
    if day_count in BY_MONTHS:
        return _thirty(start, end, european=day_count is DayCount.THIRTY_E_360), day_count.year
    if day_count is DayCount.ACT_ACT:
        return _by_years(start, end)
    if day_count is DayCount.ACT_ACT_ISDA:
        # The night that begins on New Year's Eve is the old year's: as if each ended a day sooner.
        return _by_years(start - DAY, end - DAY) if start.toordinal() > 1 else _by_years(start, end)
    if day_count is DayCount.ACT_365_ACTUAL and _leap_days(end) > _leap_days(start):
        return (end - start).days, 366
    return (end - start).days, day_count.year


def _thirty(start: date, end: date, *, european: bool) -> int:
    """Days between two days where every month has 30."""
    first = min(start.day, 30)
    last = 30 if end.day == 31 and (european or first == 30) else end.day
    return ((end.year - start.year) * 12 + end.month - start.month) * 30 + last - first


def _by_years(start: date, end: date) -> Ratio:
    """Each night over the days of the year in which it ends."""
    common = leap = 0
    for year in range(start.year, end.year + 1):
        # The nights that end in the year: from its last night's eve to its last day.
        begin = max(start, date(year - 1, 12, 31))
        nights = (min(end, date(year, 12, 31)) - begin).days
        if calendar.isleap(year):
            leap += nights
        else:
            common += nights
    return common * 366 + leap * 365, 365 * 366


def _leap_days(day: date) -> int:
    """How many a 29 February there were since 1 AD, the day itself included."""
    this_year = calendar.isleap(day.year) and (day.month, day.day) >= (2, 29)
    return calendar.leapdays(1, day.year) + this_year


def months_after(day: date, months: int, anchor: int, rule: MonthEnd = MonthEnd.CLAMP) -> date:
    """The anchor day of the month that lies `months` after; where that month has no such day, what
    the rule says.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    month += 1
    if anchor > 28:
        last = calendar.monthrange(year, month)[1]
        if anchor > last:
            if rule is MonthEnd.ROLL:
                return date(year, month, last) + DAY
            anchor = last
    return date(year, month, anchor)


def later(frequency: Frequency, start: date, count: int, anchor: int, rule: MonthEnd) -> date:
    """The day so many periods after another; months keep their anchor day."""
    if frequency.unit is Unit.MONTH:
        return months_after(start, count * frequency.every, anchor, rule)
    if frequency.unit is Unit.HALF_MONTH:
        days = half_month_days(frequency, anchor)
        passed = sum(months_after(start, 0, day, rule) <= start for day in days)
        months, which = divmod(passed - 1 + count * frequency.every, 2)
        return months_after(start, months, days[which], rule)
    return start + timedelta(days=frequency.unit.days * frequency.every * count)


def half_month_days(frequency: Frequency, anchor: int) -> tuple[int, int]:
    """The two due days of a month, the lower one first: as given where the anchor is one of them, or
    the anchor and 15 days from it.
    """
    if anchor in frequency.days:
        return frequency.days[0], frequency.days[1]
    return (anchor, anchor + 15) if anchor <= 15 else (anchor - 15, anchor)


SHORT_MONTHS, MIDDLE_MONTHS, LONG_EXTENSION_MONTHS = 12, 60, 36
"""Up to a year a loan is short, up to five years of middle length (贷款通则 §8, §12)."""


def most_more_periods(terms: Terms, start: date) -> int:
    """By how many periods the law lets a loan from `start` be extended in all: a short one by its term,
    one of middle length by half of it, a long one by three years (贷款通则 §12).
    """
    frequency, rule = terms.frequency, terms.month_end
    end = later(frequency, start, terms.periods, start.day, rule)
    if end <= months_after(start, SHORT_MONTHS, start.day):
        return terms.periods
    if end <= months_after(start, MIDDLE_MONTHS, start.day):
        return terms.periods // 2
    last = months_after(end, LONG_EXTENSION_MONTHS, end.day)
    numbers = itertools.count()
    return next(n for n in numbers if later(frequency, end, n + 1, end.day, rule) > last)


def latest_end(terms: Terms, start: date) -> date:
    """The last day on which a loan from `start` may end, extended by as much as the law lets it be."""
    end = periods(terms, start)[-1].end
    return later(terms.frequency, end, most_more_periods(terms, start), end.day, terms.month_end)


def periods(terms: Terms, start: date) -> tuple[Period, ...]:
    """The loan's interest periods, end to end from the day of disbursement."""
    if terms.method is Method.BULLET:
        end = later(terms.frequency, start, terms.periods, start.day, terms.month_end)
        return (Period(1, start, shifted(terms, terms.first_due or end), whole=False),)
    months = terms.frequency.by_name
    anchor = _anchor(terms, start)
    ends = list(itertools.islice(due_dates(terms, start), terms.periods))
    # A first period is whole where it begins on its own due day, one period before its end.
    on_due_day = not months or start in _due_days(terms, start, anchor)
    aligned = on_due_day and ends[0] == later(terms.frequency, start, 1, anchor, terms.month_end)
    whole = [aligned or terms.first_period is FirstPeriod.FULL_MONTH] + [True] * (len(ends) - 1)
    # A second one is whole where the first due date, as agreed, is one of the due days.
    if len(ends) > 1 and months:
        whole[1] = _regular(terms, ends[0], anchor)
    if terms.maturity is Maturity.EXACT:
        maturity = later(terms.frequency, start, terms.periods, start.day, terms.month_end)
        while len(ends) > 1 and ends[-2] >= maturity:
            ends.pop()
        whole = whole[: len(ends)]
        whole[-1] = whole[-1] and ends[-1] == maturity
        ends[-1] = maturity
    return chained(terms, start, ends, whole)


def _anchor(terms: Terms, start: date) -> int:
    """The day of the month that due days are found from: the repay day, or the day of the first due
    date or of disbursement; of half months, one of the days given.
    """
    repay_day = terms.repay_day if terms.frequency.by_name else 0
    anchor = repay_day or (terms.first_due or start).day
    days = terms.frequency.days
    return anchor if not days or anchor in days else days[0]


def chained(
    terms: Terms, start: date, ends: list[date], whole: list[bool], first_number: int = 1
) -> tuple[Period, ...]:
    """Periods end to end, each due date moved to a working day where the terms say so."""
    moved = ends if terms.shift is Shift.NONE else [shifted(terms, end) for end in ends]
    return tuple(map(Period, itertools.count(first_number), [start, *moved], moved, whole))


def due_dates(terms: Terms, start: date) -> Iterator[date]:
    """Due dates of a loan from `start`, without end, each found from the first and not from the one
    before; none moved.
    """
    frequency, rule = terms.frequency, terms.month_end
    anchor = _anchor(terms, start)
    first = _first_due(terms, start, anchor)
    # A first due date that rolled over belongs to the month it rolled from.
    by_month = frequency.unit is Unit.MONTH and first.day != anchor
    rolled = by_month and months_after(first - DAY, 0, anchor, rule) == first
    seed = first - DAY if rolled else first
    as_agreed = terms.first_due is not None and first.day != anchor and not rolled
    yield first if as_agreed else later(frequency, seed, 0, anchor, rule)
    for count in itertools.count(1):
        yield later(frequency, seed, count, anchor, rule)


def due_dates_after(terms: Terms, start: date, end: date, due_day: int = 0) -> Iterator[date]:
    """The due dates that follow one of a loan from `start`, on working days: those of its terms, or of
    another due day, where it is one of them; else so many periods after it.
    """
    frequency, rule = terms.frequency, terms.month_end
    if due_day:
        dates = due_dates(replace(terms, repay_day=due_day, first_due=None), start)
    elif terms.method is Method.BULLET or terms.maturity is Maturity.EXACT:
        dates = (later(frequency, start, k, start.day, rule) for k in itertools.count(1))
    else:
        dates = due_dates(terms, start)
    before, moved = start, (shifted(terms, day) for day in dates)
    for day in moved:
        if day > end:
            break
        before = day
    if before == end:
        return itertools.chain([day], moved)
    on_it = due_day and later(frequency, end, 0, due_day, rule) == end
    anchor = due_day if on_it else end.day
    return (shifted(terms, later(frequency, end, k, anchor, rule)) for k in itertools.count(1))


def shifted(terms: Terms, day: date) -> date:
    """The due date on a working day, where the terms move it."""
    if terms.shift is Shift.NONE:
        return day
    moved = day
    while moved in terms.holidays:
        moved += DAY
    if terms.shift is Shift.MODIFIED_FOLLOWING and moved.month != day.month:
        moved = day
        while moved in terms.holidays:
            moved -= DAY
    return moved


def _first_due(terms: Terms, start: date, anchor: int) -> date:
    """As agreed, or the first repay day that lies at least `min_first_days` after disbursement."""
    if terms.first_due is not None:
        return terms.first_due
    frequency, rule = terms.frequency, terms.month_end
    if not frequency.by_name:
        return later(frequency, start, 1, anchor, rule)
    if frequency.unit is Unit.HALF_MONTH:
        return _first_half_month(terms, start, anchor)
    least = max(terms.min_first_days, 1)
    months = 0
    while (months_after(start, months, anchor, rule) - start).days < least:
        months += 1
    # The first repay day after the disbursement closes the first period of a longer frequency too.
    return months_after(start, months + frequency.every - 1, anchor, rule)


def _due_days(terms: Terms, day: date, anchor: int) -> list[date]:
    """The due days of a day's month."""
    half = terms.frequency.unit is Unit.HALF_MONTH
    days = half_month_days(terms.frequency, anchor) if half else (anchor,)
    return [months_after(day, 0, each, terms.month_end) for each in days]


def _regular(terms: Terms, day: date, anchor: int) -> bool:
    """A due day, or one that rolled over from the month before."""
    rolled = terms.month_end is MonthEnd.ROLL and day in _due_days(terms, day - DAY, anchor)
    return rolled or day in _due_days(terms, day, anchor)


def _first_half_month(terms: Terms, start: date, anchor: int) -> date:
    """The one that closes a half month begun on a due day; else the first of the days that lies at
    least `min_first_days` after disbursement, and as many further as the frequency says.
    """
    frequency, rule = terms.frequency, terms.month_end
    if start in _due_days(terms, start, anchor):
        return later(frequency, start, 1, anchor, rule)
    least = start + timedelta(days=max(terms.min_first_days, 1))
    months = (months_after(start, count, 1) for count in itertools.count())
    days = (day for month in months for day in _due_days(terms, month, anchor))
    first = next(day for day in days if day >= least)
    return later(replace(frequency, every=1), first, frequency.every - 1, first.day, rule)
