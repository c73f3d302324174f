"""The worked examples of consumer lending, to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from servicing.stories import ANNUITY, HARD, START, amounts, owed

from tael_servicing.arithmetic.disclosure import annual_cost
from tael_servicing.arithmetic.events import Disbursed, Prepaid, Repaid, Repriced, Settled
from tael_servicing.arithmetic.fold import advance, happen, replay
from tael_servicing.arithmetic.loan import Closure, Loan
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import (
    Basis,
    DayCount,
    EarlyInterest,
    Fee,
    FeeAt,
    FirstPeriod,
    Keep,
    Method,
    Part,
    Terms,
)

PRINCIPAL = 1_000_000
FREE = replace(ANNUITY, fees=())


def table(loan: Loan) -> list[tuple[int, int, int, int]]:
    """Amount, principal, interest and balance of what is not yet due."""
    rows = [row.instalment for row in loan.rows[loan.due_count :]]
    return [(row.amount, row.principal, row.interest, row.balance_after) for row in rows]


def lent(terms: Terms, principal: int = PRINCIPAL, day: date = START) -> Loan:
    return replay(terms, [Disbursed(day, "0", principal)], day).loan


def test_1_equal_instalments() -> None:
    rows = table(lent(FREE))
    assert rows[0] == (88849, 78849, 10000, 921151)
    assert rows[5] == (88849, 82871, 5978, 514920)
    assert rows[-1] == (88847, 87967, 880, 0)
    assert [amount for amount, *_ in rows] == [88849] * 11 + [88847]
    assert sum(interest for _, _, interest, _ in rows) == 66186


def test_2_equal_principal() -> None:
    rows = table(lent(replace(FREE, method=Method.EQUAL_PRINCIPAL)))
    assert [principal for _, principal, *_ in rows] == [83333] * 11 + [83337]
    assert [interest for _, _, interest, _ in rows] == [
        *(10000, 9167, 8333, 7500, 6667, 5833, 5000, 4167, 3333, 2500, 1667, 833)
    ]
    assert sum(amount for amount, *_ in rows) == 1_065_000


@pytest.mark.parametrize(
    ("day_count", "interest"), [(DayCount.ACT_360, 60333), (DayCount.ACT_365, 59507)]
)
def test_3_interest_with_the_principal(day_count: DayCount, interest: int) -> None:
    terms = replace(FREE, method=Method.BULLET, periods=6, day_count=day_count)
    assert table(lent(terms)) == [(PRINCIPAL + interest, PRINCIPAL, interest, 0)]


@pytest.mark.parametrize(
    ("mode", "on_the_21st", "at_the_end"),
    [
        (EarlyInterest.ON_REPAID, 1_512_000, 1_520_000),
        (EarlyInterest.ALL, 1_516_000, 1_516_000),
    ],
)
def test_4_borrow_and_repay_at_will(mode: EarlyInterest, on_the_21st: int, at_the_end: int) -> None:
    terms = Terms(Method.BULLET, 12, Decimal("0.144"), early_interest=mode)
    first_day, second_day = date(2026, 3, 1), date(2026, 3, 11)
    part_day, last_day = date(2026, 3, 21), date(2026, 4, 10)
    lent_first = Disbursed(first_day, "1", 2_000_000)
    paid = Prepaid(part_day, "2", on_the_21st, Keep.TERM)
    first, posted = replay(terms, [lent_first, paid], part_day)
    assert posted[-1].amounts == {
        "principal_normal": 1_500_000,
        "interest_accrued": on_the_21st - 1_500_000,
    }
    first = advance(terms, first, last_day).loan
    second = replay(terms, [Disbursed(second_day, "1", 1_000_000)], last_day).loan
    assert payoff(terms, second).interest_to_date == 12000
    assert payoff(terms, first).total + payoff(terms, second).total == at_the_end
    for loan in (first, second):
        closed = happen(terms, loan, Settled(last_day, "9", payoff(terms, loan).total)).loan
        assert (closed.closure, owed(terms, closed)) == (Closure.PAID_EARLY, {})
    assert on_the_21st + at_the_end == 3_032_000


@pytest.mark.parametrize(
    ("said", "interest"),
    [
        ({"basis": Basis.REAL_DAYS}, [51667, 46667, 51667, 50000, 51667, 50000]),
        (
            {"basis": Basis.REAL_DAYS, "cumulative_interest": True},
            [51667, 46666, 51667, 50000, 51667, 50000],
        ),
        ({}, [50000] * 6),
    ],
)
def test_5_interest_each_month_and_principal_at_the_end(
    said: dict[str, Any], interest: list[int]
) -> None:
    terms = replace(Terms(Method.INTEREST_ONLY, 6, Decimal("0.06")), **said)
    rows = table(lent(terms, 10_000_000, date(2026, 1, 10)))
    assert [each for _, _, each, _ in rows] == interest
    assert [principal for _, principal, *_ in rows] == [0] * 5 + [10_000_000]


def test_6_an_odd_first_period() -> None:
    terms = replace(FREE, repay_day=10)
    rows = table(lent(terms, day=date(2026, 1, 20)))
    assert rows[0] == (85849, 78849, 7000, 921151)
    assert rows[1] == (88849, 79637, 9212, 841514)
    assert rows[-1] == (88847, 87967, 880, 0)
    assert sum(interest for _, _, interest, _ in rows) == 63186
    equal = replace(terms, first_period=FirstPeriod.EQUAL)
    rows = table(lent(equal, day=date(2026, 1, 20)))
    assert [amount for amount, *_ in rows] == [88585] * 11 + [88582]
    assert sum(interest for _, _, interest, _ in rows) == 63017


def test_7_twenty_days_overdue() -> None:
    day, lent_first = date(2026, 3, 7), Disbursed(START, "0", PRINCIPAL)
    loan = replay(HARD, [lent_first], day).loan
    assert loan.amount_due == 89737
    loan, posted = replay(HARD, [lent_first, Repaid(day, "1", 50000)], date(2026, 3, 14))
    assert amounts(posted, "REPAYMENT_RECEIVED") == [
        {"compound": 100, "penalty": 788, "interest_due": 10000, "principal_overdue": 39112}
    ]
    loan = replay(HARD, [lent_first, Repaid(day, "1", 50000)], date(2026, 3, 20)).loan
    assert loan.arrears[0].unpaid(Part.PENALTY) == 258


PAID_SIX = [
    Disbursed(START, "0", PRINCIPAL),
    *(Repaid(date(2026, month, 15), f"{month}", 88849) for month in range(2, 8)),
]


def test_8_prepayments_and_payoff_after_six_instalments() -> None:
    day = date(2026, 7, 15)

    def prepaid(keep: Keep) -> list[tuple[int, int, int, int]]:
        return table(replay(FREE, [*PAID_SIX, Prepaid(day, "9", 300_000, keep)], day).loan)

    assert prepaid(Keep.TERM) == [
        (37084, 34935, 2149, 179985),
        (37084, 35284, 1800, 144701),
        (37084, 35637, 1447, 109064),
        (37084, 35993, 1091, 73071),
        (37084, 36353, 731, 36718),
        (37085, 36718, 367, 0),
    ]
    assert prepaid(Keep.INSTALMENT) == [
        (88849, 86700, 2149, 128220),
        (88849, 87567, 1282, 40653),
        (41060, 40653, 407, 0),
    ]
    loan = replay(ANNUITY, PAID_SIX, date(2026, 8, 1)).loan
    quote = payoff(ANNUITY, loan)
    assert (quote.interest_to_date, quote.prepayment_fee, quote.total) == (2918, 5149, 522_987)


FLAT = Terms(Method.FLAT, 12, Decimal("0.096"))


@pytest.mark.parametrize(
    ("terms", "apr", "ear"),
    [
        pytest.param(FREE, "0.1200", "0.1268", id="plain"),
        pytest.param(
            replace(FREE, fees=(Fee("at the start", FeeAt.DISBURSEMENT, amount=30000),)),
            "0.1783",
            "0.1936",
            id="300 at the start",
        ),
        pytest.param(
            replace(FREE, fees=(Fee("service", FeeAt.INSTALMENT, amount=5000),)),
            "0.2253",
            "0.2501",
            id="50 a month",
        ),
        pytest.param(FLAT, "0.1727", "0.1871", id="flat 0.8 % a month"),
    ],
)
def test_9_annual_cost(terms: Terms, apr: str, ear: str) -> None:
    at_the_start = sum(fee.amount for fee in terms.fees if fee.at is FeeAt.DISBURSEMENT)
    payments = [row.amount for row in build_schedule(terms, PRINCIPAL, START).instalments]
    cost = annual_cost(PRINCIPAL - at_the_start, payments)
    cent = Decimal("0.0001")
    assert (cost.apr.quantize(cent), cost.ear.quantize(cent)) == (Decimal(apr), Decimal(ear))


def test_9_the_flat_loan_asks_913_33_and_at_the_end_913_37() -> None:
    rows = build_schedule(FLAT, PRINCIPAL, START).instalments
    assert [row.amount for row in rows] == [91333] * 11 + [91337]


def test_10_a_floating_rate_is_set_anew_after_twelve_months() -> None:
    terms = Terms(Method.EQUAL_INSTALMENT, 36, Decimal("0.06"))
    plan = build_schedule(terms, 10_000_000, START).instalments
    assert (plan[0].amount, plan[11].balance_after) == (304219, 6864065)
    day = plan[11].due_date
    paid = [Repaid(row.due_date, f"{row.number:02}", row.amount) for row in plan[:12]]
    lower = Repriced(day, "99", Decimal("0.058"))
    loan = replay(terms, [Disbursed(START, "0", 10_000_000), *paid, lower], day).loan
    rows = table(loan)
    assert rows[0][:3] == (303601, 270425, 33176)
    assert rows[-1][0] == 303608
    kept = replay(
        terms,
        [Disbursed(START, "0", 10_000_000), *paid, replace(lower, keep=Keep.INSTALMENT)],
        day,
    ).loan
    assert {amount for amount, *_ in table(kept)[:-1]} == {304219}
    assert table(kept)[-1][0] < 304219


def test_10_a_rate_change_inside_a_period_splits_it_by_days() -> None:
    terms = Terms(Method.INTEREST_ONLY, 3, Decimal("0.06"))
    start = date(2026, 7, 15)
    lower = Repriced(date(2026, 8, 1), "1", Decimal("0.058"))
    events = [Disbursed(start, "0", 7_000_000), lower]
    loan, posted = replay(terms, events, date(2026, 8, 15))
    assert loan.rows[0].instalment.before == 19833
    assert loan.rows[0].instalment.interest == 35622
    assert sum(each.get("interest", 0) for each in amounts(posted, "INTEREST_DUE")) == 35622
