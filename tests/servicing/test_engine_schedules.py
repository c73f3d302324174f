"""Schedules of every convention, held against figures found apart: by Fractions, by a library."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy_financial
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servicing.lives import START, WEEKENDS, any_terms, principals
from servicing.stories import amounts, half_up, level, repaid

from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Prepaid, Repaid
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.rounding import Rounding
from tael_servicing.arithmetic.schedules import Schedule, accrued_by, build_schedule
from tael_servicing.arithmetic.terms import (
    Annuity,
    Basis,
    DayCount,
    FirstPeriod,
    Frequency,
    Keep,
    Maturity,
    Method,
    MonthEnd,
    Residue,
    Shift,
    Terms,
    Unit,
)

MANY = settings(max_examples=300, deadline=None)


def rows(schedule: Schedule) -> list[tuple[int, int, int]]:
    return [(row.principal, row.interest, row.balance_after) for row in schedule.instalments]


def nights(schedule: Schedule) -> list[int]:
    return [row.period.days for row in schedule.instalments]


@MANY
@given(
    terms=any_terms(), principal=principals, start=st.dates(date(2024, 1, 1), date(2027, 12, 31))
)
def test_every_schedule_repays_the_principal_and_no_row_is_negative(
    terms: Terms, principal: int, start: date
) -> None:
    if terms.first_due is not None:
        terms = replace(terms, first_due=start + (terms.first_due - START))
    schedule = build_schedule(terms, principal, start)
    assert schedule.principal == principal
    assert schedule.instalments[-1].balance_after == 0
    left, day = principal, start
    for row in schedule.instalments:
        assert min(row.principal, row.interest, row.fee, row.accrues) >= 0
        left -= row.principal
        assert row.balance_after == left
        assert row.period.start == day <= row.due_date
        day = row.due_date
    assert sum(row.accrues for row in schedule.instalments) == schedule.interest


@MANY
@given(terms=any_terms(12), principal=principals)
def test_the_nights_of_a_life_sum_to_the_interest_of_its_schedule(
    terms: Terms, principal: int
) -> None:
    schedule = build_schedule(terms, principal, START)
    events: list[LoanEvent] = [Disbursed(START, "000", principal)]
    for number, row in enumerate(schedule.instalments, 1):
        if row.amount:
            events.append(Repaid(row.due_date, f"{number:03}", row.amount))
    end = schedule.instalments[-1].due_date
    loan, posted = replay(terms, events, end, nightly_from=end - timedelta(days=40))
    posted_interest = sum(each.get("interest", 0) for each in amounts(posted, "INTEREST_ACCRUED"))
    trued = sum(each.get("interest", 0) for each in amounts(posted, "INTEREST_TRUED_UP"))
    assert (posted_interest + trued, trued) == (schedule.interest, 0)
    assert loan.closure is not None


@MANY
@given(terms=any_terms(6), principal=principals)
def test_interest_to_a_day_grows_from_nothing_to_the_rows(terms: Terms, principal: int) -> None:
    for row in build_schedule(terms, principal, START).instalments[:3]:
        days = [row.period.start + timedelta(days=n) for n in range(row.period.days + 2)]
        sums = [accrued_by(row, day, terms) for day in days]
        assert sums == sorted(sums)
        assert sums[-1] == row.accrues
        assert sums[0] in (0, row.accrues if not row.period.days else 0)


@given(
    principal=st.integers(100_000, 100_000_000),
    periods=st.integers(2, 120),
    basis_points=st.integers(1, 3_600),
    multiple=st.sampled_from([1, 100]),
    grace=st.integers(0, 1),
)
def test_the_level_instalment_is_the_librarys(
    principal: int, periods: int, basis_points: int, multiple: int, grace: int
) -> None:
    rate = Decimal(basis_points) / 10_000
    terms = Terms(Method.EQUAL_INSTALMENT, periods, rate, multiple=multiple, grace_principal=grace)
    schedule = build_schedule(terms, principal, START)
    annuity = -numpy_financial.pmt(float(rate) / 12, periods - grace, principal)
    assert schedule.share % multiple == 0
    assert abs(schedule.share - annuity) <= multiple / 2 + 1e-6 * principal / 1_000
    first = schedule.instalments[0]
    assert first.principal == (0 if grace else min(schedule.share - first.interest, principal))


def test_an_instalment_of_whole_yuan() -> None:
    terms = Terms(Method.EQUAL_INSTALMENT, 10, Decimal("0.0945"), multiple=100)
    factors = [Fraction("0.0945") / 12] * 10
    share = half_up(level(777_777, factors) / 100) * 100
    schedule = build_schedule(terms, 777_777, START)
    assert share == schedule.share == 81200
    assert rows(schedule) == repaid(777_777, factors, share)


def test_an_instalment_may_be_rounded_otherwise_than_interest() -> None:
    """Up and down to a minor unit, interest half up either way."""
    factors = [Fraction("0.0945") / 12] * 10
    exact = level(777_777, factors)
    for mode, share in ((Rounding.UP, ceil(exact)), (Rounding.DOWN, floor(exact))):
        terms = Terms(Method.EQUAL_INSTALMENT, 10, Decimal("0.0945"), instalment_rounding=mode)
        assert rows(build_schedule(terms, 777_777, START)) == repaid(777_777, factors, share)


def test_flat_interest_on_what_was_lent() -> None:
    terms = Terms(Method.FLAT, 7, Decimal("0.084"), principal_rounding=Rounding.HALF_UP)
    schedule = build_schedule(terms, 250_000, START)
    # 2,500.00 / 7 = 357.142…; 0.7 % of 2,500.00 a month.
    assert [row.principal for row in schedule.instalments] == [35714] * 6 + [35716]
    assert {row.interest for row in schedule.instalments} == {1750}


@pytest.mark.parametrize(
    ("mode", "equal", "last"),
    [(Rounding.DOWN, 14285, 14290), (Rounding.UP, 14286, 14284), (Rounding.HALF_UP, 14286, 14284)],
)
def test_equal_principal_rounded_each_way(mode: Rounding, equal: int, last: int) -> None:
    terms = Terms(Method.EQUAL_PRINCIPAL, 7, Decimal("0.06"), principal_rounding=mode)
    schedule = build_schedule(terms, 100_000, START)
    assert [row.principal for row in schedule.instalments] == [equal] * 6 + [last]


def test_equal_principal_may_take_the_rest_first() -> None:
    terms = Terms(Method.EQUAL_PRINCIPAL, 7, Decimal("0.06"), residue=Residue.FIRST)
    schedule = build_schedule(terms, 100_000, START)
    assert [row.principal for row in schedule.instalments] == [14290] + [14285] * 6


def test_an_agreed_instalment_bears_real_days_over_365_in_a_leap_year_too() -> None:
    terms = Terms(
        Method.EQUAL_INSTALMENT,
        6,
        Decimal("0.1095"),
        basis=Basis.REAL_DAYS,
        day_count=DayCount.ACT_365,
        instalment=60_000,
    )
    schedule = build_schedule(terms, 345_000, date(2027, 12, 20))
    days = [31, 31, 29, 31, 30, 31]
    assert nights(schedule) == days
    # 10.95 % / 365 is 0.03 % a day.
    assert rows(schedule) == repaid(345_000, [Fraction(3 * each, 10_000) for each in days], 60_000)


def test_no_principal_for_two_months_and_no_interest_paid_for_three() -> None:
    terms = Terms(Method.EQUAL_INSTALMENT, 8, Decimal("0.18"), grace_principal=2, grace_interest=3)
    schedule = build_schedule(terms, 600_000, START)
    share = half_up(level(600_000, [Fraction("0.015")] * 6))
    own = [9000, 9000, 9000, half_up((600_000 - (share - 9000)) * Fraction("0.015"))]
    assert [row.principal for row in schedule.instalments[:3]] == [0, 0, share - 9000]
    assert [row.interest for row in schedule.instalments[:4]] == [0, 0, 0, sum(own)]
    assert [row.accrues for row in schedule.instalments[:4]] == own


def test_two_months_are_free_of_interest() -> None:
    terms = Terms(Method.INTEREST_ONLY, 4, Decimal("0.12"), interest_free_periods=2)
    assert [row.interest for row in build_schedule(terms, 90_000, START).instalments] == [
        *(0, 0, 900, 900)
    ]


def test_the_last_instalment_may_be_level_too_and_its_interest_take_the_difference() -> None:
    terms = Terms(
        Method.EQUAL_INSTALMENT, 5, Decimal("0.077"), residue=Residue.LAST_INTEREST, rate_places=6
    )
    rate = Fraction(6417, 1_000_000)  # 0.077 / 12 = 0.0064166…
    # The level instalment goes by the rounded rate of a month too.
    share = half_up(level(432_100, [rate] * 5))
    schedule = build_schedule(terms, 432_100, START)
    assert {row.amount for row in schedule.instalments} == {share}
    expected = repaid(432_100, [rate] * 5, share)
    assert rows(schedule)[:4] == expected[:4]
    last = schedule.instalments[-1]
    assert last.interest == share - expected[-1][0] != expected[-1][1]


def test_the_instalment_moves_by_its_share_of_what_the_last_one_differs() -> None:
    """Found by trying: whole yuan leave the last of these instalments far off, cents even it out."""
    terms = Terms(Method.EQUAL_INSTALMENT, 24, Decimal("0.15"), multiple=100)
    factors = [Fraction("0.0125")] * 24
    share = half_up(level(1_234_500, factors) / 100) * 100
    uneven = repaid(1_234_500, factors, share)
    off = uneven[-1][0] + uneven[-1][1] - share
    assert 2 * abs(off) > 24
    moved = share + (half_up(Fraction(off, 24)) if off > 0 else -half_up(Fraction(-off, 24)))
    schedule = build_schedule(replace(terms, even_out=True), 1_234_500, START)
    assert moved == schedule.share != share
    assert rows(schedule) == repaid(1_234_500, factors, moved)
    last = schedule.instalments[-1].amount
    assert abs(last - moved) < abs(off)


def test_actual_days_over_actual_years_split_at_the_last_night_of_the_year() -> None:
    terms = Terms(
        Method.INTEREST_ONLY,
        2,
        Decimal("0.10"),
        basis=Basis.REAL_DAYS,
        day_count=DayCount.ACT_ACT,
    )
    schedule = build_schedule(terms, 8_000_000, date(2027, 12, 5))
    # 26 nights end in 2027 (6 to 31 December), 5 in 2028, a leap year; then 31 in 2028.
    first = Fraction(8_000_000, 10) * (Fraction(26, 365) + Fraction(5, 366))
    second = Fraction(8_000_000, 10) * Fraction(31, 366)
    assert [row.interest for row in schedule.instalments] == [half_up(first), half_up(second)]


def test_a_day_a_month_does_not_have_is_its_last_or_rolls_to_the_next_first() -> None:
    terms = Terms(Method.EQUAL_INSTALMENT, 5, Decimal("0.12"))
    start = date(2027, 10, 31)

    def due(month_end: MonthEnd) -> list[str]:
        made = build_schedule(replace(terms, month_end=month_end), 500_000, start)
        return [row.due_date.isoformat() for row in made.instalments]

    assert due(MonthEnd.CLAMP) == [
        *("2027-11-30", "2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31")
    ]
    assert due(MonthEnd.ROLL) == [
        *("2027-12-01", "2027-12-31", "2028-01-31", "2028-03-01", "2028-03-31")
    ]


def test_due_dates_move_to_working_days_and_the_interest_days_with_them() -> None:
    terms = Terms(
        Method.INTEREST_ONLY, 3, Decimal("0.12"), basis=Basis.REAL_DAYS, holidays=WEEKENDS
    )
    start = date(2026, 3, 31)
    # 30 April is a Thursday, 31 May a Sunday, 30 June a Tuesday.
    following = build_schedule(replace(terms, shift=Shift.FOLLOWING), 360_000, start)
    assert [row.due_date.day for row in following.instalments] == [30, 1, 30]
    assert [row.interest for row in following.instalments] == [30 * 120, 32 * 120, 29 * 120]
    back = build_schedule(replace(terms, shift=Shift.MODIFIED_FOLLOWING), 360_000, start)
    assert [row.due_date.isoformat() for row in back.instalments] == [
        *("2026-04-30", "2026-05-29", "2026-06-30")
    ]


def test_weeks_and_fifteen_days_count_days_from_the_disbursement() -> None:
    for frequency, days in (
        (Frequency(Unit.WEEK, 2), 14),
        (Frequency(Unit.DAY, 15), 15),
    ):
        terms = Terms(Method.EQUAL_PRINCIPAL, 4, Decimal("0.18"), frequency=frequency)
        schedule = build_schedule(terms, 200_000, START)
        assert nights(schedule) == [days] * 4
        # 18 % / 360 is 0.05 % a day.
        interest = [half_up(Fraction(left * days * 5, 10_000)) for left in (200_000, 150_000)]
        assert [row.interest for row in schedule.instalments[:2]] == interest


def test_quarters_bear_a_quarter_of_the_rate() -> None:
    quarterly = Frequency(Unit.MONTH, 3)
    terms = Terms(Method.EQUAL_INSTALMENT, 4, Decimal("0.10"), frequency=quarterly)
    factors = [Fraction(1, 40)] * 4
    share = half_up(level(1_000_000, factors))
    assert rows(build_schedule(terms, 1_000_000, START)) == repaid(1_000_000, factors, share)


@pytest.mark.parametrize(
    ("annuity", "factor"),
    [
        (Annuity.NOMINAL, Fraction("0.0915") / 12),
        (Annuity.THIRTY_DAYS, Fraction("0.0915") * 30 / 365),
    ],
)
def test_the_instalment_may_be_found_by_another_rate_than_the_interest(
    annuity: Annuity, factor: Fraction
) -> None:
    terms = Terms(
        Method.EQUAL_INSTALMENT,
        9,
        Decimal("0.0915"),
        basis=Basis.REAL_DAYS,
        day_count=DayCount.ACT_365,
        annuity=annuity,
    )
    schedule = build_schedule(terms, 654_321, date(2026, 4, 9))
    share = half_up(level(654_321, [factor] * 9))
    days = [30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert nights(schedule) == days
    factors = [Fraction("0.0915") * each / 365 for each in days]
    assert rows(schedule) == repaid(654_321, factors, share)


def test_the_instalment_found_from_real_days_leaves_the_last_within_a_few_cents() -> None:
    terms = Terms(Method.EQUAL_INSTALMENT, 9, Decimal("0.0915"), basis=Basis.REAL_DAYS)
    schedule = build_schedule(terms, 654_321, date(2026, 4, 9))
    factors = [Fraction("0.0915") * each / 360 for each in nights(schedule)]
    assert schedule.share == half_up(level(654_321, factors))
    assert abs(schedule.instalments[-1].amount - schedule.share) <= 9


def test_an_exact_maturity_and_an_odd_first_period_bear_their_days() -> None:
    terms = Terms(
        Method.INTEREST_ONLY,
        3,
        Decimal("0.12"),
        repay_day=5,
        maturity=Maturity.EXACT,
        first_period=FirstPeriod.ODD_DAYS,
    )
    schedule = build_schedule(terms, 300_000, date(2026, 2, 14))
    assert [row.due_date.isoformat() for row in schedule.instalments] == [
        *("2026-03-05", "2026-04-05", "2026-05-14")
    ]
    # 1.00 a day by 360; 30.00 a whole month.
    assert [row.interest for row in schedule.instalments] == [1900, 3000, 3900]


@pytest.mark.parametrize("mode", FirstPeriod)
@pytest.mark.parametrize(
    ("said", "first_due", "bears"),
    [
        # 1.00 a day by 360; 30.00 a whole month, 15.00 a half.
        ({"repay_day": 10}, date(2026, 2, 15), [2300, 3000, 3000]),
        ({"repay_day": 31}, date(2026, 2, 28), [3000, 3000, 3000]),
        ({"repay_day": 31, "month_end": MonthEnd.ROLL}, date(2026, 3, 1), [3000, 3000, 3000]),
        ({"repay_day": 10, "month_end": MonthEnd.ROLL}, date(2026, 2, 1), [3700, 3000, 3000]),
        ({"repay_day": 10, "month_end": MonthEnd.ROLL}, date(2026, 2, 15), [2300, 3000, 3000]),
        (
            {"frequency": Frequency(Unit.HALF_MONTH, days=(1, 15))},
            *(date(2026, 2, 20), [900, 1500, 1500]),
        ),
    ],
)
def test_a_second_period_is_whole_where_the_first_due_date_is_a_due_day(
    said: dict[str, Any], first_due: date, bears: list[int], mode: FirstPeriod
) -> None:
    terms = Terms(
        Method.INTEREST_ONLY, 4, Decimal("0.12"), first_due=first_due, first_period=mode, **said
    )
    plan = build_schedule(terms, 300_000, date(2026, 1, 20))
    assert plan.instalments[0].due_date == first_due
    assert [row.interest for row in plan.instalments[1:]] == bears


def test_interest_free_days_begin_on_the_first_day() -> None:
    terms = Terms(Method.BULLET, 2, Decimal("0.072"), interest_free_days=30)
    (only,) = build_schedule(terms, 500_000, date(2026, 9, 1)).instalments
    # 61 nights less 30; 1.00 a day.
    assert (only.period.days, only.interest) == (61, 3100)


@pytest.mark.parametrize(
    ("said", "first_due", "factors"),
    [
        ({"frequency": Frequency(Unit.WEEK)}, date(2026, 2, 5), [21, *[7] * 5]),
        (
            {"frequency": Frequency(Unit.WEEK), "first_period": FirstPeriod.EQUAL},
            *(date(2026, 2, 5), [21, *[7] * 5]),
        ),
        ({"frequency": Frequency(Unit.DAY, 10)}, date(2026, 1, 17), [2, *[10] * 5]),
        ({"annuity": Annuity.PERIODS}, date(2026, 3, 10), [54, *[30] * 5]),
    ],
)
def test_an_instalment_found_by_what_each_period_bears_is_the_odd_first_ones_too(
    said: dict[str, Any], first_due: date, factors: list[int]
) -> None:
    """12 %/360 a night; 30 nights' of a whole month."""
    terms = Terms(Method.EQUAL_INSTALMENT, 6, Decimal("0.12"), first_due=first_due, **said)
    bears = [Fraction(days * 12, 36_000) for days in factors]
    share = half_up(level(1_000_000, bears))
    plan = build_schedule(terms, 1_000_000, date(2026, 1, 15))
    assert rows(plan) == repaid(1_000_000, bears, share)
    assert abs(plan.instalments[-1].amount - share) <= len(factors), "but for rounding"


HALVES = Terms(
    Method.INTEREST_ONLY,
    4,
    Decimal("0.12"),
    frequency=Frequency(Unit.HALF_MONTH, days=(1, 15)),
)


@pytest.mark.parametrize(
    ("start", "first_due", "due"),
    [
        ("2026-01-10", None, ["02-01", "02-15", "03-01", "03-15"]),
        ("2026-01-20", None, ["02-15", "03-01", "03-15", "04-01"]),
        ("2026-01-15", None, ["02-01", "02-15", "03-01", "03-15"]),
        ("2026-01-10", "2026-01-20", ["01-20", "02-01", "02-15", "03-01"]),
    ],
)
def test_half_months_fall_due_on_the_days_given_whatever_the_day_of_disbursement(
    start: str, first_due: str | None, due: list[str]
) -> None:
    terms = replace(HALVES, first_due=date.fromisoformat(first_due) if first_due else None)
    plan = build_schedule(terms, 1_000_000, date.fromisoformat(start))
    assert [row.due_date.isoformat()[5:] for row in plan.instalments] == due
    with pytest.raises(ValueError, match="repay_day is one of"):
        replace(HALVES, repay_day=10)


@pytest.mark.parametrize("basis", Basis)
def test_interest_free_days_end_on_their_day_in_whatever_period_it_lies(basis: Basis) -> None:
    """45 days from 15 January end on 1 March: 14 nights of the second month bear 3.33 each."""
    terms = Terms(Method.INTEREST_ONLY, 3, Decimal("0.12"), basis=basis, interest_free_days=45)
    start = date(2026, 1, 15)
    rows = build_schedule(terms, 1_000_000, start).instalments
    third = 10_333 if basis is Basis.REAL_DAYS else 10_000
    assert [row.interest for row in rows] == [0, 4_667, third]
    nights = [accrued_by(rows[1], date(2026, 3, day), terms) for day in (1, 2, 15)]
    assert nights == [0, 333, 4_667]
    half = [Disbursed(start, "0", 1_000_000), Prepaid(start, "1", 500_000, Keep.TERM)]
    loan = replay(terms, half, date(2026, 3, 8)).loan
    assert [row.due[1] for row in loan.rows] == [0, 2_333, third // 2 + third % 2]
    assert payoff(terms, loan).interest_to_date == 1_167


def test_a_day_rate_of_each_basis() -> None:
    day = {
        count: build_schedule(
            Terms(Method.BULLET, 1, Decimal("0.10"), day_count=count), 3_650_000, date(2026, 1, 31)
        ).instalments[0]
        for count in DayCount
    }
    assert all(pairwise(row.due_date == date(2026, 2, 28) for row in day.values()))
    assert {count: row.interest for count, row in day.items()} == {
        DayCount.THIRTY_360: half_up(Fraction(365_000 * 28, 360)),
        DayCount.ACT_360: half_up(Fraction(365_000 * 28, 360)),
        DayCount.ACT_365: 28_000,
        DayCount.ACT_ACT: 28_000,
        DayCount.ACT_ACT_ISDA: 28_000,
        DayCount.ACT_365_ACTUAL: 28_000,
        DayCount.ACT_364: half_up(Fraction(365_000 * 28, 364)),
        DayCount.ACT_366: half_up(Fraction(365_000 * 28, 366)),
        DayCount.THIRTY_365: 28_000,
        DayCount.THIRTY_E_360: half_up(Fraction(365_000 * 28, 360)),
    }
