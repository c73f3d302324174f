"""Terms, dates and shorthands the loan stories share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.fold import end_day
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.terms import Fee, FeeAt, FeeOn, Method, Terms

ANNUITY = Terms(
    Method.EQUAL_INSTALMENT,
    12,
    Decimal("0.12"),
    fees=(Fee("prepayment", FeeAt.PREPAYMENT, rate=Decimal("0.01"), on=FeeOn.BALANCE),),
)
HARD = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.12"), compound_enabled=True)
START = date(2026, 1, 15)


def amounts(postings: Iterable[Posting], event: str) -> list[Mapping[str, int]]:
    """The amounts of each posting of that event."""
    return [each.amounts for each in postings if each.event == event]


def owed(terms: Terms, loan: Loan) -> dict[str, int]:
    """The balances that are not zero."""
    return {name: value for name, value in asdict(balances(terms, loan)).items() if value}


def night_by_night(terms: Terms, loan: Loan, to: date) -> Step:
    """Day ends, one at a time, up to the opening of `to`."""
    postings: list[Posting] = []
    while loan.business_date < to:
        loan, posted = end_day(terms, loan)
        postings += posted
    return Step(loan, tuple(postings))


def totals(postings: Iterable[Posting]) -> Mapping[tuple[str, str], int]:
    """Amounts summed by event and amount type."""
    sums: Counter[tuple[str, str]] = Counter()
    for each in postings:
        for name, amount in each.amounts.items():
            sums[each.event, name] += amount
    return sums


def day_after(day: date, days: int) -> date:
    """`days` later."""
    return day + timedelta(days=days)


def half_up(exact: Fraction) -> int:
    """Whole minor units."""
    return int(exact + Fraction(1, 2))


def level(principal: int, factors: list[Fraction]) -> Fraction:
    """The exact instalment that these factors, one a period, repay."""
    worth, discount = Fraction(0), Fraction(1)
    for factor in factors:
        discount /= 1 + factor
        worth += discount
    return principal / worth


def repaid(principal: int, factors: list[Fraction], share: int) -> list[tuple[int, int, int]]:
    """(principal, interest, balance) of rows that all pay `share`, the last what is left."""
    rows, balance = [], principal
    for number, factor in enumerate(factors, 1):
        interest = half_up(balance * factor)
        part = balance if number == len(factors) else share - interest
        balance -= part
        rows.append((part, interest, balance))
    return rows
