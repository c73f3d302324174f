"""Business days of China, with exceptions."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import MetaData

from support import House
from tael_runtime.calendar import BusinessCalendar, read_calendar
from tael_runtime.database import open_database
from tael_runtime.tables import with_floor

CHINA = BusinessCalendar()


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-01-01", False),
        ("2026-01-04", True),  # a Sunday worked for New Year
        ("2026-02-15", False),
        ("2026-02-14", True),  # a Saturday worked for the Spring Festival
        ("2026-10-07", False),
        ("2026-10-08", True),
    ],
)
def test_holidays_and_the_weekends_worked_for_them(day: str, works: bool) -> None:
    assert CHINA.is_business_day(date.fromisoformat(day)) is works


def test_a_year_not_yet_published_has_weekends_alone() -> None:
    assert CHINA.is_business_day(date(2090, 10, 2))
    assert not CHINA.is_business_day(date(2090, 9, 30))


@given(st.dates(date(2024, 1, 1), date(2030, 12, 31)))
def test_shifts_end_on_the_nearest_business_day_and_modified_following_keeps_the_month(
    day: date,
) -> None:
    after, before = CHINA.following(day), CHINA.preceding(day)
    assert CHINA.is_business_day(after)
    assert CHINA.is_business_day(before)
    between = [before + timedelta(days=n) for n in range(1, (after - before).days)]
    assert not any(CHINA.is_business_day(other) for other in between)
    assert CHINA.modified_following(day).month == day.month


def test_the_stores_exceptions_override_the_published_calendar(house: House) -> None:
    database = open_database(house.settings, "risk", "tael_runtime", with_floor(MetaData()))
    house.sql("INSERT INTO calendar_day VALUES ('2026-03-02', false, 'flood')", "risk", write=True)
    with database.read() as transaction:
        calendar = read_calendar(transaction)
    database.close()
    assert calendar.following(date(2026, 3, 2)) == date(2026, 3, 3)
