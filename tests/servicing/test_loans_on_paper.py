"""What other systems and textbooks lend, by product terms alone, against the same loans on paper."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from servicing.bank import Bank
from servicing.paper import Life, Row, Table

from servicing import paper
from support import rid
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import from_date, from_decimal, money, to_date, to_decimal
from tael_servicing.arithmetic.changing import projected
from tael_servicing.arithmetic.disclosure import CostMethod, cost
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Repaid, Settled
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.terms import loan_terms

DAY_COUNTS = [name.removeprefix("DAY_COUNT_") for name in pb.DayCount.keys()[1:]]
MODES = ("HALF_UP", "HALF_EVEN", "UP", "DOWN")
DAYS = st.dates(date(2022, 1, 1), date(2026, 12, 31))
SKIPS = (50_000, 0, 0, 50_000, 50_000)
"""A loan whose debtor pays nothing in two months."""


def product(**said: Any) -> pb.ProductTerms:
    """Terms in JSON, of a loan that nothing is charged on for being late."""
    return ParseDict({"overdue": {"mode": "OVERDUE_MODE_NOTHING"}, **said}, pb.ProductTerms())


def decimal(rate: Fraction) -> Decimal:
    """Of few places."""
    return Decimal(rate.numerator) / rate.denominator


def terms_of(said: pb.ProductTerms, periods: int, rate: Fraction, **choices: Any) -> Terms:
    """As a loan takes them."""
    own = ParseDict(choices, pb.LoanChoices())
    return loan_terms(said, periods, decimal(rate), choices=own)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pb.ProductTerms, Table, date, Fraction, int]:
    """A product, its table on paper, the first day, the rate, the principal."""
    count, start = draw(st.integers(1, 30)), draw(DAYS)
    rate = Fraction(draw(st.integers(0, 3_600)), 10_000)
    unit = draw(st.sampled_from(["MONTH", "MONTH", "HALF_MONTH", "WEEK", "DAY"]))
    every = draw(st.sampled_from({"MONTH": [1, 1, 3, 6], "DAY": [10, 15, 30]}.get(unit, [1, 2])))
    roll, days, repay_day = unit == "MONTH" and draw(st.booleans()), (), 0
    if unit == "HALF_MONTH":
        low = draw(st.integers(1, 15))
        every, days = 1, (low, draw(st.integers(low + 13, 31)))
        start = paper.in_month(start.year, start.month, draw(st.sampled_from(days)))
        repay_day = draw(st.sampled_from([0, *days]))
        due_dates = paper.twice_a_month(start, days, count)
    elif unit == "MONTH":
        due_dates = paper.monthly(start, every, count, roll=roll)
    else:
        due_dates = paper.every_so_many_days(start, every * (7 if unit == "WEEK" else 1), count)
    day_count = draw(st.sampled_from(DAY_COUNTS))
    by_name = {"MONTH": Fraction(every, 12), "HALF_MONTH": Fraction(1, 24)}.get(unit)
    named = by_name is not None and draw(st.booleans())
    factors = [
        rate * (by_name if named and by_name else paper.of_a_year(day_count, begin, end))
        for begin, end in zip([start, *due_dates], due_dates, strict=False)
    ]
    table = Table(
        due_dates,
        factors,
        draw(st.sampled_from(["EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "FLAT"])),
        draw(st.sampled_from(MODES)),
        draw(st.sampled_from([1, 1, 100])),
        draw(st.sampled_from(MODES)),
        grace_principal=(kept := draw(st.integers(0, count - 1))),
        grace_interest=draw(st.integers(0, kept)),
        even_out=draw(st.booleans()),
    )
    level = table.method == "EQUAL_INSTALMENT"
    schedule = {
        "frequency": {"unit": f"FREQUENCY_UNIT_{unit}", "every": every, "days": list(days)},
        "repay_day": repay_day,
        "month_end": "MONTH_END_ROLL" if roll else "MONTH_END_CLAMP",
        "rounding": f"ROUNDING_{table.mode}",
        "principal_rounding": f"ROUNDING_{table.principal_mode}",
        "multiple": table.multiple,
        "grace_principal": table.grace_principal,
        "grace_interest": table.grace_interest,
        "even_out": table.even_out and level,
    }
    said = product(
        method=f"REPAYMENT_METHOD_{table.method}",
        day_count=f"DAY_COUNT_{day_count}",
        interest={"basis": f"INTEREST_BASIS_{'NOMINAL' if named else 'REAL_DAYS'}"},
        schedule=schedule,
    )
    return said, table, start, rate, draw(st.integers(10_000, 100_000_000))


@settings(max_examples=100, deadline=None)
@given(made=tables())
def test_a_schedule_is_the_one_on_paper_to_the_cent(
    made: tuple[pb.ProductTerms, Table, date, Fraction, int],
) -> None:
    said, table, start, rate, principal = made
    terms = terms_of(said, len(table.due_dates), rate)
    rows = build_schedule(terms, principal, start).instalments
    told = [Row(row.due_date, row.principal, row.interest, row.balance_after) for row in rows]
    assert told == table.rows(principal)


def lent(early: str = "INSTALMENTS", *, days: bool = False, **prepayment: Any) -> pb.ProductTerms:
    """Equal instalments that bear interest on what is really owed: by days, or by days of months."""
    interest = {"interest_on": "INTEREST_ON_ACTUAL", "partial_period": "PARTIAL_PERIOD_PRO_RATA"}
    schedule = {"rounding": "ROUNDING_HALF_EVEN"}
    if days:
        interest = {"interest_on": "INTEREST_ON_ACTUAL", "basis": "INTEREST_BASIS_REAL_DAYS"}
        schedule["instalment_basis"] = "INSTALMENT_BASIS_THIRTY_DAYS"
    return product(
        method="REPAYMENT_METHOD_EQUAL_INSTALMENT",
        day_count="DAY_COUNT_ACT_365",
        interest=interest,
        schedule=schedule,
        overdue={"mode": "OVERDUE_MODE_CONTRACT", "after_maturity": True},
        non_accrual={"never": True},
        prepayment=prepayment,
        repayment={"excess": f"EXCESS_RULE_{early}", "no_direct_debit": True},
    )


def on_paper(
    principal: int,
    start: date,
    count: int,
    rate: Fraction,
    early: str = "INSTALMENTS",
    *,
    days: bool = False,
    keeps_term: bool = True,
) -> Life:
    """The life of a loan of such a product."""
    due_dates = paper.monthly(start, 1, count)
    begins = [start, *due_dates]

    def bears(number: int, since: date, until: date) -> Fraction:
        nights = (until - since).days
        if days:
            return rate * Fraction(nights, 365)
        return rate / 12 * Fraction(nights, (begins[number + 1] - begins[number]).days)

    def level(number: int, balance: int) -> int:
        factor = rate * 30 / 365 if days else rate / 12
        return paper.rounded(paper.annuity(balance, [factor] * (count - number)), "HALF_EVEN")

    return Life(principal, start, due_dates, bears, level, rate / 365, early, keeps_term)


def rows_of(terms: Terms, loan: Loan) -> list[tuple[date, int, int, int, int]]:
    """As `Life.rows`."""
    told = [
        (row.due_date, row.due[0], row.due[1], row.paid[0], row.paid[1])
        for row in projected(terms, loan).rows
    ]
    return [row for row in told if any(row[1:])]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_money_early_or_late_leaves_the_plan_that_paper_has(data: st.DataObject) -> None:
    draw, count = data.draw, data.draw(st.integers(2, 7))
    start, rate = draw(DAYS), Fraction(draw(st.sampled_from([400, 700, 945, 2_000])), 10_000)
    early = draw(st.sampled_from(["PRINCIPAL", "NEXT", "INSTALMENTS"]))
    days, keeps_term = draw(st.booleans()), draw(st.booleans())
    rule = "PREPAYMENT_RULE_KEEP_TERM" if keeps_term else "PREPAYMENT_RULE_KEEP_INSTALMENT"
    principal = draw(st.integers(10_000, 1_000_000))
    life = on_paper(principal, start, count, rate, early, days=days, keeps_term=keeps_term)
    happened: list[LoanEvent] = [Disbursed(start, "000", principal)]
    day = start
    for number in range(1, draw(st.integers(2, 6))):
        ahead = [due_date for due_date in life.due_dates if due_date > day]
        when = draw(st.integers(-1, 45))
        day = ahead[0] if when < 0 and ahead else day + timedelta(days=max(when, 0))
        amount = draw(st.sampled_from([life.instalment, draw(st.integers(100, principal))]))
        life.repay(day, amount)
        happened.append(Repaid(day, f"{number:03}", amount))
        if not life.balance:
            break
    terms = terms_of(lent(early, days=days, rule=rule), count, rate)
    loan = replay(terms, happened, day).loan
    assert rows_of(terms, loan) == life.rows(day)
    assert loan.overpayment == life.held


def test_an_instalment_paid_whole_before_its_day_asks_no_more() -> None:
    terms, start, early = terms_of(lent(), 6, Fraction(7, 100)), date(2025, 1, 1), date(2025, 2, 15)
    paid = [Disbursed(start, "0", 600_000), Repaid(date(2025, 2, 1), "1", 102_052)]
    loan = replay(terms, [*paid, Repaid(early, "2", 102_052)], early).loan
    _, second, third, *_ = rows_of(terms, loan)
    # Half of February's nights: 501448 x 0.07/12 x 14/28.
    assert second == (date(2025, 3, 1), 102_052 - 1_463, 1_463, 102_052 - 1_463, 1_463)
    # The other half, on what is left, with March's: 400859 x 0.07/12 x (1/2 + 1).
    assert third == (date(2025, 4, 1), 102_052 - 3_507, 3_507, 0, 0)


def test_a_loan_that_is_settled_early_was_paid_instalment_by_instalment() -> None:
    terms, start, day = terms_of(lent(), 6, Fraction(7, 100)), date(2025, 1, 1), date(2025, 2, 15)
    paid = [Disbursed(start, "0", 600_000), Repaid(date(2025, 2, 1), "1", 102_052)]
    loan = replay(terms, [*paid, Settled(day, "2", 501_448 + 1_463)], day).loan
    assert (loan.overpayment, loan.status.name) == (0, "CLOSED")
    assert [sum(row.due) for row in loan.rows] == [102_052] * 5 + [94_703]
    assert [row.due for row in loan.rows] == [row.paid for row in loan.rows]
    assert [row.due[1] for row in loan.rows] == [3_500, 1_463, 0, 0, 0, 0]


def test_an_agreed_instalment_is_all_that_a_row_asks() -> None:
    said = product(
        method="REPAYMENT_METHOD_EQUAL_INSTALMENT",
        day_count="DAY_COUNT_ACT_365",
        interest={"basis": "INTEREST_BASIS_REAL_DAYS"},
    )
    start, rate = date(2025, 5, 1), Fraction(12, 100)
    terms = terms_of(said, 6, rate, parts=list(SKIPS))
    rows = build_schedule(terms, 250_000, start).instalments
    balance, carried, since = 250_000, 0, start
    for row, agreed in zip(rows[:-1], SKIPS, strict=True):
        carried += paper.rounded(
            balance * rate * Fraction((row.due_date - since).days, 365), "HALF_UP"
        )
        interest, since = min(carried, agreed), row.due_date
        assert (row.interest, row.principal) == (interest, agreed - interest)
        carried, balance = carried - interest, balance - row.principal
    assert rows[-1].principal == balance


def rate_on_paper(received: int, payments: list[int], units: int, part: Fraction) -> float:
    """The rate of a unit period by bisection; the first payment is after so many of them and a part."""
    low, high = 0.0, 1.0
    for _ in range(80):
        rate = (low + high) / 2
        worth = sum(paid / (1 + rate) ** (units + at) for at, paid in enumerate(payments))
        low, high = (rate, high) if worth / (1 + rate * float(part)) > received else (low, rate)
    return low


@pytest.mark.parametrize(
    ("unit", "every", "first", "units", "part", "a_year"),
    [
        ("WEEK", 1, date(2024, 1, 11), 1, Fraction(2, 7), 52),
        ("WEEK", 2, date(2024, 1, 20), 1, Fraction(4, 14), 26),
        ("HALF_MONTH", 1, date(2024, 2, 1), 1, Fraction(14, 15), 24),
        ("DAY", 30, date(2024, 2, 5), 1, Fraction(4, 30), Fraction(365, 30)),
        ("MONTH", 1, date(2024, 2, 12), 1, Fraction(10, 30), 12),
        ("MONTH", 3, date(2024, 5, 12), 1, Fraction(40, 90), 4),
    ],
)
def test_an_annual_rate_by_unit_periods_is_a_periods_times_those_of_a_year(
    unit: str, every: int, first: date, units: int, part: Fraction, a_year: Fraction
) -> None:
    frequency = {"unit": f"FREQUENCY_UNIT_{unit}", "every": every}
    fee = {"name": "Fee", "at": "FEE_AT_DISBURSEMENT", "amount": 3_000, "disclosed": True}
    said = product(
        method="REPAYMENT_METHOD_EQUAL_INSTALMENT", schedule={"frequency": frequency}, fees=[fee]
    )
    due = {"year": first.year, "month": first.month, "day": first.day}
    terms, start = terms_of(said, 10, Fraction(18, 100), first_due_date=due), date(2024, 1, 2)
    schedule = build_schedule(terms, 100_000, start)
    found = cost(terms, schedule, 100_000, start, CostMethod.UNIT_PERIOD).annual
    rate = rate_on_paper(97_000, [row.amount for row in schedule.instalments], units, part)
    assert float(found.apr) == pytest.approx(rate * float(a_year), abs=1e-7)
    assert float(found.ear) == pytest.approx((1 + rate) ** float(a_year) - 1, abs=1e-7)


def publish(bank: Bank, said: pb.ProductTerms, code: str) -> str:
    """A product of loans over six instalments."""
    said.MergeFrom(
        pb.ProductTerms(
            min_periods=6,
            max_periods=6,
            min_principal=10_000,
            max_principal=1_000_000,
            annual_rate=from_decimal(Decimal("0.12")),
        )
    )
    request = pb.PublishProductRequest(
        request_id=rid(), code=code, name=code, terms=said, book_id=bank.book
    )
    bank.products.PublishProduct(request)
    return code


def test_a_loan_that_is_due_on_the_1st_and_the_15th_is_quoted_as_on_paper(bank: Bank) -> None:
    half_month = {"unit": "FREQUENCY_UNIT_HALF_MONTH", "days": [1, 15]}
    said = product(
        method="REPAYMENT_METHOD_EQUAL_INSTALMENT",
        schedule={"frequency": half_month, "repay_day": 1},
        cost_method="COST_METHOD_UNIT_PERIOD",
    )
    start = date(2027, 3, 15)
    quoted = bank.loans.QuoteSchedule(
        loan_pb2.QuoteScheduleRequest(
            product_code=publish(bank, said, "half-months"),
            principal=money(600_000),
            periods=6,
            start_date=from_date(start),
        )
    )
    table = Table(paper.twice_a_month(start, (1, 15), 6), [Fraction(12, 100) / 24] * 6)
    told = [
        Row(to_date(row.due_date), row.principal, row.interest, row.balance_after)
        for row in quoted.instalments
    ]
    assert told == table.rows(600_000)
    assert abs(to_decimal(quoted.disclosure.apr) * 10_000 - 1_200) < 1


def test_instalments_paid_whole_in_advance_are_booked_and_shown_so(bank: Bank) -> None:
    line = bank.grant(product_code=publish(bank, lent(), "whole-instalments"))
    loan_id = bank.lend(line.line_id, principal=money(600_000), periods=6).loan_id
    life = on_paper(600_000, bank.day, 6, Fraction(12, 100))
    bank.end_days(bank.day + timedelta(days=3))
    for amount in (life.instalment + 5_000, life.instalment - 3_000):
        bank.repay(loan_id, amount)
        life.repay(bank.day, amount)
    told = [
        (to_date(row.due_date), row.principal, row.interest, row.principal_paid, row.interest_paid)
        for row in bank.schedule(loan_id)
    ]
    assert told == life.rows(bank.day)
    bank.assert_books_agree()
    bank.end_day()
    request = repayment_pb2.QuotePayoffRequest(loan_id=loan_id)
    owed = bank.repayments.QuotePayoff(request).total.minor_units
    bank.repay(loan_id, owed, "SETTLE")
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    assert all(row.principal == row.principal_paid for row in bank.schedule(loan_id))
    bank.end_day()
    bank.assert_books_agree()
