"""Loan prime rates, what follows them, and caps on cost, by date."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tael.servicing.v1 import product_pb2 as pb
from tael_servicing import caps, rates, repricing
from tael_servicing.arithmetic.disclosure import CostMethod, cost
from tael_servicing.arithmetic.events import Disbursed, Prepaid, Repaid
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.prepaying import cost_of
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import Keep, Method, Terms
from tael_servicing.rates import Lpr, NoRateKnown
from tael_servicing.repricing import Turn

LPRS = rates.shipped()


def test_a_loan_prime_rate_holds_from_the_day_it_is_published() -> None:
    assert rates.on(LPRS, date(2025, 5, 19)).one_year == Decimal("0.0310")
    assert rates.on(LPRS, date(2025, 5, 20)).one_year == Decimal("0.0300")
    with pytest.raises(NoRateKnown):
        rates.on(LPRS, date(2019, 8, 19))


@pytest.mark.parametrize(
    ("term", "months", "rate"),
    [
        (pb.LPR_TERM_UNSPECIFIED, 60, "0.0600"),
        (pb.LPR_TERM_UNSPECIFIED, 61, "0.0650"),
        (pb.LPR_TERM_FIVE_YEARS, 12, "0.0650"),
        (pb.LPR_TERM_ONE_YEAR, 360, "0.0600"),
    ],
)
def test_the_term_of_the_loan_chooses_the_rate_it_floats_on(
    term: pb.LprTerm, months: int, rate: str
) -> None:
    terms = pb.ProductTerms(floating_rate=pb.FloatingRate(term=term))
    found = rates.floating(LPRS, terms, Decimal("0.03"), date(2026, 1, 15), months)
    assert found == Decimal(rate)


def test_a_spread_may_lie_below_the_prime_rate() -> None:
    terms = pb.ProductTerms(floating_rate=pb.FloatingRate())
    for spread, rate in (("-0.002", "0.028"), ("-0.04", "0")):
        found = rates.floating(LPRS, terms, Decimal(spread), date(2026, 1, 15), 12)
        assert found == Decimal(rate)


def test_what_was_published_again_unchanged_or_is_to_come_is_no_news() -> None:
    first, last = LPRS[-2:]
    again = replace(last, published=last.published + timedelta(days=31))
    night = again.published
    assert rates.changes([first, last, again], night) == [first, last]
    assert rates.changes([first, last], last.published - timedelta(days=1)) == [first]
    same = [replace(each, one_year=each.one_year.quantize(Decimal("1e-6"))) for each in LPRS]
    assert rates.digest(same) == rates.digest(LPRS)
    assert rates.digest(LPRS[:-1]) != rates.digest(LPRS)


@pytest.mark.parametrize(
    ("mode", "turns"),
    [
        (pb.REPRICE_MODE_NEXT_JANUARY, {date(2026, 1, 1): Turn.ALL}),
        (
            pb.REPRICE_MODE_MONTHLY,
            dict.fromkeys([date(2025, 6, 1), date(2025, 7, 1), date(2026, 1, 1)], Turn.ALL),
        ),
    ],
)
def test_each_mode_reprices_all_loans_on_its_days(
    mode: pb.RepriceMode, turns: dict[date, Turn]
) -> None:
    days = [date(2025, 5, 19), date(2025, 5, 20), date(2025, 6, 1), date(2025, 7, 1)]
    days += [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2)]
    found = {day: repricing.turn(mode, day) for day in days}
    assert {day: whose for day, whose in found.items() if whose is not Turn.NONE} == turns


def test_anniversaries_and_due_dates_are_each_loans_own() -> None:
    day = date(2026, 3, 10)
    assert repricing.turn(pb.REPRICE_MODE_ANNIVERSARY, day) is Turn.ANNIVERSARIES
    assert repricing.turn(pb.REPRICE_MODE_NEXT_DUE_DATE, day) is Turn.DUE
    assert repricing.turn(pb.REPRICE_MODE_IMMEDIATELY, day) is Turn.NONE


@pytest.mark.parametrize(
    ("day", "started_on"),
    [
        (date(2026, 3, 10), [10]),
        (date(2025, 2, 28), [28, 29, 30, 31]),
        (date(2028, 2, 28), [28]),
        (date(2028, 2, 29), [29, 30, 31]),
    ],
)
def test_the_anniversary_of_29_february_is_the_28th_in_a_common_year(
    day: date, started_on: list[int]
) -> None:
    assert repricing.anniversary_days(day) == started_on


def test_a_cap_said_as_a_multiple_follows_the_prime_rate_and_never_rises_above_its_rate() -> None:
    last = caps.shipped()[-1]
    assert last.limit(LPRS, last.effective_from).rate == Decimal("0.12")
    high = [Lpr(date(2026, 1, 1), Decimal("0.09"), Decimal("0.1"))]
    assert last.limit(high, date(2028, 1, 1)).rate == Decimal("0.24")


def test_the_length_of_a_loan_is_told_in_months() -> None:
    def months(unit: pb.FrequencyUnit, every: int, periods: int) -> int:
        frequency = pb.Frequency(unit=unit, every=every)
        terms = pb.ProductTerms(schedule=pb.ScheduleTerms(frequency=frequency))
        return rates.months_of(terms, periods)

    assert months(pb.FREQUENCY_UNIT_MONTH, 3, 4) == 12
    assert months(pb.FREQUENCY_UNIT_DAY, 15, 3) == 2
    assert months(pb.FREQUENCY_UNIT_WEEK, 2, 26) == 13
    assert months(pb.FREQUENCY_UNIT_UNSPECIFIED, 0, 24) == 24


START = date(2026, 3, 2)
TERMS = Terms(Method.EQUAL_INSTALMENT, 6, Decimal("0.12"))


def test_a_fee_added_later_raises_what_the_loan_costs() -> None:
    first = Disbursed(START, "1", 600_000)
    paid = Repaid(date(2026, 4, 2), "2", 103_529)
    loan = replay(TERMS, [first, paid], date(2026, 4, 20)).loan
    lent = [(START, 600_000)]
    without = caps.cost_with_fee(TERMS, loan, lent, [], 0)
    assert abs(without.annual.apr - Decimal("0.12")) < Decimal("0.002")
    # A fee of 1 % of what was lent, over a balance of about 58 % of it and half a year: about 3.4 %.
    dearer = caps.cost_with_fee(TERMS, loan, lent, [], 6_000)
    assert Decimal("0.030") < dearer.annual.apr - without.annual.apr < Decimal("0.040")


def test_what_was_prepaid_counts_in_the_cost_with_a_later_fee() -> None:
    first = Disbursed(START, "1", 600_000)
    day = date(2026, 3, 20)
    before = replay(TERMS, [first], day).loan
    asked = cost_of(TERMS, before, 200_000).total
    loan = replay(TERMS, [first, Prepaid(day, "2", asked, Keep.TERM)], day).loan
    found = caps.cost_with_fee(TERMS, loan, [(START, 600_000)], [(day, asked)], 0)
    assert abs(found.annual.apr - Decimal("0.12")) < Decimal("0.003")


@pytest.mark.parametrize("day", [date(2026, 2, 2), START, date(2026, 4, 20)])
@pytest.mark.parametrize("repay_day", [0, 20])
@pytest.mark.parametrize("method", [None, CostMethod.MONTHLY_IRR, CostMethod.UNIT_PERIOD])
def test_a_running_loan_costs_what_it_did_when_it_was_signed(
    day: date, repay_day: int, method: CostMethod | None
) -> None:
    terms, start = (
        replace(TERMS, annual_rate=Decimal("0.24"), repay_day=repay_day),
        date(2026, 2, 2),
    )
    signed = cost(terms, build_schedule(terms, 600_000, start), 600_000, start, method)
    loan = replay(terms, [Disbursed(start, "1", 600_000)], day).loan
    assert caps.cost_with_fee(terms, loan, [(start, 600_000)], [], 0, method) == signed


def test_a_tranche_on_a_due_date_costs_no_more_than_the_loan_did() -> None:
    """Months count alike; by actual days the same loan would be refused."""
    start = date(2026, 1, 15)
    terms, day = replace(TERMS, annual_rate=Decimal("0.24"), periods=12), date(2026, 2, 15)
    lent = [(start, 600_000), (day, 300_000)]
    events = [Disbursed(on, str(number), lends) for number, (on, lends) in enumerate(lent)]
    loan = replay(terms, events, day).loan
    found = caps.cost_with_fee(terms, loan, lent, [], 0)
    assert (found.method, round(found.annual.apr, 4)) == (CostMethod.MONTHLY_IRR, Decimal("0.24"))
    by_days = caps.cost_with_fee(terms, loan, lent, [], 0, CostMethod.XIRR)
    assert round(by_days.annual.apr, 4) > Decimal("0.24")
