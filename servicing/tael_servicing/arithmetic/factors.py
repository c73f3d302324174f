"""What a balance bears over the nights of a period, and the level instalment that follows from it."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from tael_servicing.arithmetic.dates import Period, year_fraction
from tael_servicing.arithmetic.rounding import Ratio, Rounding, ratio_of, rounded
from tael_servicing.arithmetic.terms import Annuity, Basis, Partial, Terms

# Wide enough for the annuity factor of 360 periods to stay exact far below a minor unit.
_WIDE = decimal.Context(prec=40)
NOTHING: Ratio = (0, 1)


def interest_factor(terms: Terms, annual_rate: Decimal, period: Period, free_until: date) -> Ratio:
    """What the balance is multiplied by to give a whole row's interest, before rounding."""
    return stretch(terms, annual_rate, period, period.start, period.end, free_until)


def stretch(
    terms: Terms, annual_rate: Decimal, period: Period, start: date, end: date, free_until: date
) -> Ratio:
    """What a balance is multiplied by for the nights from `start` to `end` of a period, of which those
    before `free_until` bear nothing.

    A whole period of a nominal basis bears its name's part of the year; a part of one, what
    `Terms.partial` says.
    """
    if period.number <= terms.interest_free_periods:
        return NOTHING
    start = min(max(start, free_until), end)
    if period.whole and terms.basis is Basis.NOMINAL and terms.frequency.by_name:
        if start == period.start and end == period.end:
            return nominal(terms, annual_rate)
        if terms.partial is Partial.PRO_RATA:
            whole = nominal(terms, annual_rate)
            return whole[0] * (end - start).days, whole[1] * period.days
    rate, year = ratio_of(annual_rate), year_fraction(terms.day_count, start, end)
    return rate[0] * year[0], rate[1] * year[1]


def added_by_cut(terms: Terms, period: Period, interest: int) -> int:
    """Of the interest of a whole period that a change cuts, what its nights by the day count bear more
    than the period by name (31 of them, 31/360 and not a month); minor units, rounded up.
    """
    by_name = period.whole and terms.basis is Basis.NOMINAL and terms.frequency.by_name
    if not by_name or terms.partial is Partial.PRO_RATA:
        return 0
    frequency = terms.frequency
    nights, year = year_fraction(terms.day_count, period.start, period.end)
    more = nights * frequency.unit.a_year - frequency.every * year
    return max(-(-interest * more // (nights * frequency.unit.a_year)), 0)


def interest_free_until(terms: Terms, begun: date) -> date:
    """The first night of a loan that bears interest."""
    return begun + timedelta(days=terms.interest_free_days)


def interest_from(period: Period, free_until: date) -> date:
    """The first night of a period that bears interest."""
    return min(max(period.start, free_until), period.end)


def nominal(terms: Terms, annual_rate: Decimal) -> Ratio:
    """A period's rate by name: annual/12 a month, rounded where the terms say so."""
    frequency = terms.frequency
    return _nominal(annual_rate, frequency.every, frequency.unit.a_year, terms.rate_places)


@lru_cache(maxsize=1024)
def _nominal(annual_rate: Decimal, count: int, a_year: int, places: int) -> Ratio:
    rate = ratio_of(annual_rate)
    if not places:
        return rate[0] * count, rate[1] * a_year
    unit = 10**places
    return rounded(rate[0] * count * unit, rate[1] * a_year, Rounding.HALF_UP), unit


def _annuity_factor(terms: Terms, annual_rate: Decimal) -> Ratio:
    """The factor of every period that the level instalment reckons with."""
    if terms.level_by is Annuity.NOMINAL:
        return nominal(terms, annual_rate)
    rate, frequency = ratio_of(annual_rate), terms.frequency
    return rate[0] * frequency.unit.days * frequency.every, rate[1] * terms.day_count.year


def level_instalment(
    terms: Terms,
    annual_rate: Decimal,
    balance: int,
    over: Sequence[Period],
    free_until: date,
    first: Ratio | None = None,
    last: int = 0,
) -> int:
    """A = (P − L·v_n) ÷ Σ v_k, v_k = 1/[(1+f₁)…(1+f_k)]; with all f = i and no L this is
    P·i·(1+i)^n ÷ ((1+i)^n − 1).

    `first`: f₁ where the first period has more than one rate. `last`: L, what the last row repays on
    top.
    """
    with decimal.localcontext(_WIDE):
        if terms.level_by is Annuity.PERIODS:
            factors = [interest_factor(terms, annual_rate, each, free_until) for each in over]
            total, end = _present([first or factors[0], *factors[1:]])
        else:
            total, end = _uniform(_annuity_factor(terms, annual_rate), len(over))
        exact = max(balance - last * end, Decimal(0)) / (total * terms.multiple)
        rounding = terms.instalment_rounding or terms.rounding
        return int(exact.quantize(Decimal(1), rounding=rounding.value)) * terms.multiple


def _present(factors: Sequence[Ratio]) -> tuple[Decimal, Decimal]:
    """Σ v_k and v_n."""
    discount, total = Decimal(1), Decimal(0)
    for numerator, denominator in factors:
        discount = discount * denominator / (numerator + denominator)
        total += discount
    return total, discount


def _uniform(factor: Ratio, count: int) -> tuple[Decimal, Decimal]:
    """Σ v^k, k = 1 … n, and v^n, v = 1/(1 + i)."""
    numerator, denominator = factor
    if numerator == 0:
        return Decimal(count), Decimal(1)
    discount = Decimal(denominator) / (numerator + denominator)
    last = discount**count
    return (1 - last) * denominator / numerator, last


def plus(one: Ratio, other: Ratio) -> Ratio:
    """The sum of two factors."""
    if one[1] == other[1]:
        return one[0] + other[0], one[1]
    return one[0] * other[1] + other[0] * one[1], one[1] * other[1]
