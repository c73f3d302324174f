"""Schedules to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.arithmetic.dates import months_after, most_more_periods, periods
from tael_servicing.arithmetic.schedules import Schedule, accrued_by, build_schedule, spread
from tael_servicing.arithmetic.terms import (
    Basis,
    DayCount,
    FirstPeriod,
    Frequency,
    Maturity,
    Method,
    Terms,
    Unit,
)

ANNUITY = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.12"))
START = date(2026, 1, 15)


def rows(schedule: Schedule) -> list[tuple[int, int, int]]:
    return [(row.amount, row.interest, row.balance_after) for row in schedule.instalments]


def test_equal_instalments_of_ten_thousand_are_888_49_and_the_last_takes_the_rest() -> None:
    schedule = build_schedule(ANNUITY, 1_000_000, START)
    assert rows(schedule) == [
        (88849, 10000, 921151),
        (88849, 9212, 841514),
        (88849, 8415, 761080),
        (88849, 7611, 679842),
        (88849, 6798, 597791),
        (88849, 5978, 514920),
        (88849, 5149, 431220),
        (88849, 4312, 346683),
        (88849, 3467, 261301),
        (88849, 2613, 175065),
        (88849, 1751, 87967),
        (88847, 880, 0),
    ]
    assert (schedule.principal, schedule.interest) == (1_000_000, 66186)
    assert schedule.instalments[0].due_date == date(2026, 2, 15)
    assert schedule.instalments[-1].due_date == date(2027, 1, 15)


def test_equal_principal_is_rounded_down_and_the_last_takes_the_remainder() -> None:
    schedule = build_schedule(replace(ANNUITY, method=Method.EQUAL_PRINCIPAL), 1_000_000, START)
    assert [row.amount for row in schedule.instalments] == [
        *(93333, 92500, 91666, 90833, 90000, 89166),
        *(88333, 87500, 86666, 85833, 85000, 84170),
    ]
    assert schedule.interest == 65000


def test_a_bullet_loan_pays_interest_by_actual_days_with_the_principal() -> None:
    terms = replace(ANNUITY, method=Method.BULLET, periods=6)
    (only,) = build_schedule(terms, 1_000_000, START).instalments
    assert (only.due_date, only.period.days) == (date(2026, 7, 15), 181)
    assert (only.interest, only.amount) == (60333, 1_060_333)
    (only,) = build_schedule(
        replace(terms, day_count=DayCount.ACT_365), 1_000_000, START
    ).instalments
    assert only.interest == 59507


def test_interest_only_rounds_each_period_or_the_running_sum_or_runs_by_months() -> None:
    by_months = Terms(Method.INTEREST_ONLY, 6, Decimal("0.06"))
    by_days = replace(by_months, basis=Basis.REAL_DAYS)
    cumulative = replace(by_days, cumulative_interest=True)

    def interest(terms: Terms) -> list[int]:
        schedule = build_schedule(terms, 10_000_000, date(2026, 1, 10))
        assert [row.principal for row in schedule.instalments] == [0] * 5 + [10_000_000]
        return [row.interest for row in schedule.instalments]

    assert interest(by_days) == [51667, 46667, 51667, 50000, 51667, 50000]
    assert interest(cumulative) == [51667, 46666, 51667, 50000, 51667, 50000]
    assert interest(by_months) == [50000] * 6


def test_an_odd_first_period_bears_interest_by_days_and_principal_as_standard() -> None:
    terms = replace(ANNUITY, repay_day=10)
    schedule = build_schedule(terms, 1_000_000, date(2026, 1, 20))
    first = schedule.instalments[0]
    assert (first.due_date, first.amount, first.principal, first.interest) == (
        date(2026, 2, 10),
        85849,
        78849,
        7000,
    )
    assert {row.amount for row in schedule.instalments[1:-1]} == {88849}
    assert (schedule.instalments[-1].amount, schedule.interest) == (88847, 63186)


def test_an_odd_first_period_may_leave_all_instalments_equal() -> None:
    terms = replace(ANNUITY, repay_day=10, first_period=FirstPeriod.EQUAL)
    schedule = build_schedule(terms, 1_000_000, date(2026, 1, 20))
    assert [row.amount for row in schedule.instalments] == [88585] * 11 + [88582]
    assert schedule.interest == 63017


def test_an_odd_first_period_may_bear_a_whole_months_interest() -> None:
    terms = replace(ANNUITY, repay_day=10, first_period=FirstPeriod.FULL_MONTH)
    assert build_schedule(terms, 1_000_000, date(2026, 1, 20)).interest == 66186


def test_an_exact_maturity_ends_the_last_period_the_term_after_disbursement() -> None:
    terms = replace(ANNUITY, repay_day=25, maturity=Maturity.EXACT)
    last = periods(terms, date(2026, 1, 20))[-1]
    assert (last.start, last.end, last.whole) == (date(2026, 12, 25), date(2027, 1, 20), False)


def test_the_anchor_day_survives_short_months() -> None:
    due = [each.end for each in periods(replace(ANNUITY, periods=3), date(2026, 1, 31))]
    assert due == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]
    assert months_after(date(2027, 12, 31), 2, 31) == date(2028, 2, 29)


def test_a_repay_day_too_near_is_passed_over_for_the_next_month() -> None:
    terms = replace(ANNUITY, repay_day=25)
    assert periods(terms, date(2026, 1, 10))[0].end == date(2026, 1, 25)
    assert periods(terms, date(2026, 1, 11))[0].end == date(2026, 2, 25)


def test_a_rate_change_spreads_the_balance_over_the_remaining_term_anew() -> None:
    at_600 = Terms(Method.EQUAL_INSTALMENT, 36, Decimal("0.06"))
    before = build_schedule(at_600, 10_000_000, START)
    assert (before.share, before.instalments[11].balance_after) == (304219, 6864065)
    rest = [row.period for row in before.instalments[12:]]
    after = spread(at_600, Decimal("0.058"), 6864065, rest)
    assert after.share == 303601
    assert (after.instalments[0].principal, after.instalments[0].interest) == (270425, 33176)
    assert after.instalments[-1].amount == 303608


def test_thirty_one_nights_of_a_hundred_post_3_23_and_3_22_and_sum_to_a_hundred() -> None:
    first = build_schedule(ANNUITY, 1_000_000, START).instalments[0]
    days = [date.fromordinal(START.toordinal() + night) for night in range(32)]
    nights = [
        accrued_by(first, b, ANNUITY) - accrued_by(first, a, ANNUITY) for a, b in pairwise(days)
    ]
    assert nights[:2] == [323, 322]
    assert (len(nights), sum(nights)) == (31, 10000)
    assert set(nights) == {322, 323}


def test_a_loan_without_interest_is_divided_evenly() -> None:
    schedule = build_schedule(replace(ANNUITY, annual_rate=Decimal(0)), 1_000_000, START)
    assert [row.amount for row in schedule.instalments] == [83333] * 11 + [83337]


any_terms = st.builds(
    Terms,
    method=st.sampled_from(Method),
    periods=st.integers(1, 60),
    annual_rate=st.decimals(0, Decimal("0.36"), places=6),
    day_count=st.sampled_from(DayCount),
    basis=st.sampled_from(Basis),
    cumulative_interest=st.booleans(),
    repay_day=st.integers(0, 31),
    first_period=st.sampled_from(FirstPeriod),
    maturity=st.sampled_from(Maturity),
)
any_day = st.dates(date(2024, 1, 1), date(2030, 12, 31))


@given(terms=any_terms, principal=st.integers(1, 10**9), start=any_day)
def test_every_schedule_repays_the_principal_exactly(
    terms: Terms, principal: int, start: date
) -> None:
    schedule = build_schedule(terms, principal, start)
    assert schedule.principal == principal
    assert schedule.instalments[-1].balance_after == 0
    assert all(row.principal >= 0 <= row.interest for row in schedule.instalments)
    balances = [principal, *(row.balance_after for row in schedule.instalments)]
    for row, (before, after) in zip(schedule.instalments, pairwise(balances), strict=True):
        assert before - row.principal == after


@given(terms=any_terms, principal=st.integers(1, 10**9), start=any_day)
def test_the_nights_of_a_period_sum_to_its_interest(
    terms: Terms, principal: int, start: date
) -> None:
    for row in build_schedule(terms, principal, start).instalments[:3]:
        begin, end = row.period.start.toordinal(), row.period.end.toordinal()
        sums = [accrued_by(row, date.fromordinal(day), terms) for day in range(begin, end + 1)]
        assert (sums[0], sums[-1]) == (0, row.interest)
        assert sums == sorted(sums)


@pytest.mark.parametrize(
    ("unit", "every", "number", "most"),
    [
        (Unit.MONTH, 1, 12, 12),
        (Unit.MONTH, 1, 13, 6),
        (Unit.MONTH, 3, 20, 10),
        (Unit.MONTH, 1, 61, 36),
        (Unit.MONTH, 3, 24, 12),
        (Unit.WEEK, 1, 52, 52),
        (Unit.WEEK, 1, 53, 26),
        (Unit.DAY, 10, 36, 36),
        (Unit.DAY, 10, 37, 18),
        (Unit.DAY, 365, 6, 3),
    ],
)
def test_a_loan_is_extended_by_its_term_by_half_of_it_or_by_three_years(
    unit: Unit, every: int, number: int, most: int
) -> None:
    terms = Terms(
        Method.EQUAL_INSTALMENT, number, Decimal("0.12"), frequency=Frequency(unit, every)
    )
    assert most_more_periods(terms, date(2026, 1, 15)) == most
