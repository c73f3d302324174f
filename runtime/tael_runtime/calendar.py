"""Business days: the State Council's holidays, and a table that overrides them (DOMAIN.md §5.6).

Interest never stops on holidays; this is for banking-day shifts, clocks of service levels, duty and
contact bans. A year whose holidays are not published yet has weekends alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType

import chinese_calendar
from sqlalchemy import Connection, select

from tael_runtime.tables import calendar_day

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class BusinessCalendar:
    """China's business days with a lender's own exceptions."""

    exceptions: Mapping[date, bool] = field(default_factory=lambda: MappingProxyType({}))
    """day → whether it is a business day."""

    def is_business_day(self, day: date) -> bool:
        """Whether banks work on a day: weekends made up for included, holidays not."""
        if (exception := self.exceptions.get(day)) is not None:
            return exception
        try:
            return bool(chinese_calendar.is_workday(day))
        except NotImplementedError:  # the year's notice is not in the data
            return day.weekday() < 5

    def following(self, day: date) -> date:
        """The day itself, or the next business day."""
        while not self.is_business_day(day):
            day += ONE_DAY
        return day

    def preceding(self, day: date) -> date:
        """The day itself, or the business day before it."""
        while not self.is_business_day(day):
            day -= ONE_DAY
        return day

    def modified_following(self, day: date) -> date:
        """As following, but never into the next month."""
        shifted = self.following(day)
        return shifted if shifted.month == day.month else self.preceding(day)


def read_calendar(transaction: Connection) -> BusinessCalendar:
    """The calendar with the exceptions in the service's own table."""
    rows = transaction.execute(select(calendar_day.c.day, calendar_day.c.is_business_day))
    return BusinessCalendar({row.day: row.is_business_day for row in rows})
