"""Due dates and interest periods."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from tael_servicing.arithmetic.terms import FirstPeriod, Maturity, Method, Terms


@dataclass(frozen=True, slots=True)
class Period:
    """An interest period: its first day counts, its last, the due date, does not (算头不算尾)."""

    number: int
    start: date
    end: date
    whole: bool
    """Bears a month's interest (rate/12), whatever its length."""

    @property
    def days(self) -> int:
        """Nights from start to end."""
        return (self.end - self.start).days


def months_after(day: date, months: int, anchor: int) -> date:
    """The anchor day of the month that lies `months` after; a shorter month's last day instead."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    month += 1
    return date(year, month, min(anchor, calendar.monthrange(year, month)[1]))


def periods(terms: Terms, start: date) -> tuple[Period, ...]:
    """The loan's interest periods, end to end from the day of disbursement."""
    if terms.method is Method.BULLET:
        return (Period(1, start, months_after(start, terms.periods, start.day), whole=False),)
    anchor = terms.repay_day or start.day
    first = _months_to_first(terms, start, anchor)
    ends = [months_after(start, first + k, anchor) for k in range(terms.periods)]
    aligned = [True] * terms.periods
    aligned[0] = ends[0] == months_after(start, 1, anchor) and start == months_after(
        start, 0, anchor
    )
    if terms.maturity is Maturity.EXACT:
        maturity = months_after(start, terms.periods, start.day)
        aligned[-1] = aligned[-1] and ends[-1] == maturity
        ends[-1] = maturity
    if terms.first_period is FirstPeriod.FULL_MONTH:
        aligned[0] = True
    return tuple(
        Period(number, begin, end, whole=terms.whole_months and aligned[number - 1])
        for number, (begin, end) in enumerate(pairwise([start, *ends]), start=1)
    )


def _months_to_first(terms: Terms, start: date, anchor: int) -> int:
    """Months to the first repay day that lies at least `min_first_days` after disbursement."""
    least = max(terms.min_first_days, 1)
    months = 0
    while (months_after(start, months, anchor) - start).days < least:
        months += 1
    return months
