"""Schedules: a balance spread over interest periods."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tael_servicing.arithmetic.dates import Period, periods
from tael_servicing.arithmetic.rounding import rounded, share
from tael_servicing.arithmetic.terms import FirstPeriod, Method, Terms

# Wide enough for the annuity factor of 360 periods to stay exact far below a minor unit.
_WIDE = decimal.Context(prec=50)


@dataclass(frozen=True, slots=True)
class Instalment:
    """One row of a schedule, minor units."""

    period: Period
    principal: int
    interest: int
    balance_after: int

    @property
    def number(self) -> int:
        """1, 2, …."""
        return self.period.number

    @property
    def due_date(self) -> date:
        """The period's end."""
        return self.period.end

    @property
    def amount(self) -> int:
        """Principal and interest."""
        return self.principal + self.interest


@dataclass(frozen=True, slots=True)
class Schedule:
    """Instalments, and the share each was built from.

    The share is what stays fixed from row to row: the whole instalment for 等额本息, the principal
    for 等额本金, nothing otherwise.
    """

    instalments: tuple[Instalment, ...]
    share: int

    @property
    def principal(self) -> int:
        """What is lent."""
        return sum(row.principal for row in self.instalments)

    @property
    def interest(self) -> int:
        """All interest."""
        return sum(row.interest for row in self.instalments)


def build_schedule(terms: Terms, principal: int, start: date) -> Schedule:
    """The schedule of a loan of `principal` minor units, at least 1, disbursed on `start`."""
    return spread(terms, principal, periods(terms, start))


def spread(
    terms: Terms, balance: int, over: Sequence[Period], fixed_share: int | None = None
) -> Schedule:
    """`balance` spread over the periods; ends early where a given share repays it sooner.

    The last row takes the remaining balance.
    """
    assert balance > 0 < len(over), (balance, len(over))
    share_ = _share(terms, balance, over) if fixed_share is None else fixed_share
    rows: list[Instalment] = []
    exact = Fraction(0)
    for period in over:
        factor = interest_factor(terms, period)
        if terms.cumulative_interest:
            before, exact = exact, exact + balance * factor
            interest = share(1, exact, terms.rounding) - share(1, before, terms.rounding)
        else:
            interest = share(balance, factor, terms.rounding)
        principal = _principal(terms, balance, period, interest, share_)
        if period is over[-1] or principal > balance:
            principal = balance
        balance -= principal
        rows.append(Instalment(period, principal, interest, balance))
        if balance == 0:
            break
    return Schedule(tuple(rows), share_)


def interest_factor(terms: Terms, period: Period) -> Fraction:
    """What the balance is multiplied by to give a period's interest, before rounding."""
    return terms.monthly_rate if period.whole else terms.daily_rate * period.days


def _principal(terms: Terms, balance: int, period: Period, interest: int, share_: int) -> int:
    """A row's principal, where it is not the last."""
    match terms.method:
        case Method.EQUAL_INSTALMENT:
            factor = _annuity_factor(terms, period)
            if factor != interest_factor(terms, period):
                interest = share(balance, factor, terms.rounding)
            return max(share_ - interest, 0)
        case Method.EQUAL_PRINCIPAL:
            return share_
        case Method.INTEREST_ONLY | Method.BULLET:
            return 0


def _share(terms: Terms, balance: int, over: Sequence[Period]) -> int:
    match terms.method:
        case Method.EQUAL_INSTALMENT:
            return _level_instalment(terms, balance, over)
        case Method.EQUAL_PRINCIPAL:
            return balance // len(over)
        case Method.INTEREST_ONLY | Method.BULLET:
            return 0


def _annuity_factor(terms: Terms, period: Period) -> Fraction:
    """The factor the level instalment reckons with: odd days do not move it unless EQUAL."""
    if terms.whole_months and terms.first_period is not FirstPeriod.EQUAL:
        return terms.monthly_rate
    return interest_factor(terms, period)


def _level_instalment(terms: Terms, balance: int, over: Sequence[Period]) -> int:
    """A = P ÷ Σ 1/[(1+f₁)…(1+f_k)]; with all f = i this is P·i·(1+i)^n ÷ ((1+i)^n − 1)."""
    discount, total = decimal.Decimal(1), decimal.Decimal(0)
    with decimal.localcontext(_WIDE):
        for period in over:
            factor = _annuity_factor(terms, period)
            discount *= decimal.Decimal(factor.denominator)
            discount /= factor.numerator + factor.denominator
            total += discount
        exact = balance / total
        return int(exact.quantize(decimal.Decimal(1), rounding=terms.rounding.value))


def accrued_by(instalment: Instalment, day: date, terms: Terms) -> int:
    """Interest of the period accrued by the opening of `day`: R(I x k/D).

    Nights before the period give nothing, nights after it no more than the schedule's interest.
    """
    period = instalment.period
    nights = min(max((day - period.start).days, 0), period.days)
    return rounded(instalment.interest * nights, period.days, terms.rounding)
