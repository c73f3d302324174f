"""The annual cost of a loan to its borrower (综合融资成本): IRR × 12, effective rate, XIRR.

PBOC notice 2021 no. 3: all cost over the principal actually used, and the method named. What
partners charge counts; what only a breach or a wish of the borrower brings about does not.
"""

from __future__ import annotations

import decimal
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from itertools import chain, count, pairwise
from typing import NamedTuple

from tael_servicing.arithmetic.dates import Period, later, months_after, periods
from tael_servicing.arithmetic.rounding import ratio_of, share
from tael_servicing.arithmetic.schedules import Schedule, row_fee
from tael_servicing.arithmetic.terms import (
    Fee,
    FeeAt,
    FirstPeriod,
    Maturity,
    Method,
    Shift,
    Terms,
    Unit,
)

_CONTEXT = decimal.Context(prec=28)
_LAST_STEP = Decimal("1e-10")
"""A step of Newton's so small leaves an error of its square: below 8 places of a rate."""
_TOLERANCE = Decimal("1e-17")
_MOST_STEPS = 200
_ONE = Decimal(1)
_PERIOD_BOUNDS = (Decimal("0.5"), Decimal(2))
"""Of a period's discount: its rates from −0.5 to 1."""
_DAY_BOUNDS = tuple(
    _CONTEXT.power(1 / (1 + rate), Decimal(1) / 365) for rate in (Decimal(100), Decimal("-0.99"))
)
"""Of a day's discount: annual rates from −0.99 to 100."""
_DAYS_A_MONTH = 30


class Flows(NamedTuple):
    """Payments, the last one first."""

    gaps: Sequence[int]
    """Units of time since the payment before it."""
    amounts: Sequence[Decimal]
    """Minor units."""


class CostMethod(Enum):
    """How the annual cost is found."""

    MONTHLY_IRR = "months count alike"
    UNIT_PERIOD = "odd days of the first period at their part of one, then periods count alike"
    XIRR = "actual days over 365"


@dataclass(frozen=True, slots=True)
class AnnualCost:
    """Annual rates, 0.12 = 12 %, to 8 decimal places."""

    apr: Decimal
    """Monthly rate × 12."""
    ear: Decimal
    """(1 + monthly rate)^12 − 1."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a loan costs where it is paid as agreed."""

    method: CostMethod
    annual: AnnualCost
    xirr: Decimal
    """By actual days over 365, on the real dates."""
    received: int
    """What the borrower has the use of on the first day, minor units."""


def annual_cost(
    received: int, payments: Sequence[int], guess: Decimal = Decimal("0.01")
) -> AnnualCost:
    """The cost of `received` (net of fees charged at the start) against equally spaced payments.

    Raises ValueError where no monthly rate in [−0.5, 1] explains them.
    """
    flows = Flows([1] * len(payments), _newest_first(payments))
    return _monthly_cost(received, flows, guess)


def effective_rate(
    received: int,
    start: date,
    payments: Sequence[tuple[date, int]],
    guess: Decimal = Decimal("0.12"),
) -> Decimal:
    """XIRR: the annual rate by actual days/365 of payments on any dates, oldest first.

    Raises ValueError where no annual rate in [−0.99, 100] explains them.
    """
    amounts = _newest_first([amount for _, amount in payments])
    return _by_days(received, start, [day for day, _ in payments], amounts, guess)


def _newest_first(payments: Sequence[int]) -> list[Decimal]:
    return [*map(Decimal, reversed(payments))]


def _by_days(
    received: int,
    start: date,
    days: Sequence[date],
    amounts: Sequence[Decimal],
    guess: Decimal,
) -> Decimal:
    """As `effective_rate`, the amounts newest first."""
    gaps = [(day - before).days for before, day in pairwise([start, *days])]
    flows = Flows(gaps[::-1], amounts)
    with decimal.localcontext(_CONTEXT):
        first = (1 + guess) ** (_ONE / -365)
        discount = _solve(received, flows, Decimal(0), _DAY_BOUNDS, first)
        return _rate(discount**-365 - 1)


def cost(
    terms: Terms,
    schedule: Schedule,
    principal: int,
    start: date,
    method: CostMethod | None = None,
    *,
    less: int = 0,
) -> Cost:
    """What a loan of `principal` minor units costs a year.

    Where no method is given: months count alike where all periods are months by name, periods do where
    all but the first are; otherwise actual days. `less`: minor units to take off each payment, for the
    cost without what rounding may have added. Raises ValueError where no rate explains its payments.
    """
    at_once = [row for row in schedule.instalments if row.due_date <= start]
    rows = schedule.instalments[len(at_once) :]
    received = principal - sum(upfront(terms, principal).values())
    received -= sum(row.amount for row in at_once)
    days = [row.period.end for row in rows]
    amounts = _newest_first([row.principal + row.interest + row.fee - less for row in rows])
    first = _first_period(terms, start)
    chosen = method or _method(terms, first, [row.period for row in rows])
    if chosen is CostMethod.XIRR:
        xirr = _by_days(received, start, days, amounts, terms.annual_rate)
        return Cost(chosen, of_year(xirr), xirr, received)
    begins, lead, step = _counted(terms, start, first, chosen)
    flows = Flows([*[step] * (len(rows) - 1), begins], amounts)
    found = _cost_of(terms, chosen, received, flows, lead)
    return Cost(chosen, found, _by_days(received, start, days, amounts, found.ear), received)


def running_cost(
    terms: Terms,
    schedule: Schedule,
    start: date,
    received: int,
    payments: Sequence[tuple[date, int]],
    method: CostMethod | None = None,
) -> Cost:
    """What a running loan costs a year, found as `cost` found it when it was signed.

    `schedule`: the one it was signed with, whose due dates count as they did then. `payments`: all of
    its life, oldest first; more that was lent is one below zero. What is paid between due dates is
    shared out between them, as simple interest has it (12 CFR 1026, appendix J). Raises ValueError
    where no rate explains them.
    """
    over = [row.period for row in schedule.instalments if row.due_date > start]
    first, ends = _first_period(terms, start), [period.end for period in over]
    chosen = method or _method(terms, first, over)
    if chosen is CostMethod.XIRR:
        xirr = effective_rate(received, start, payments, terms.annual_rate)
        return Cost(chosen, of_year(xirr), xirr, received)
    begins, lead, step = _counted(terms, start, first, chosen)
    placed: defaultdict[int, Decimal] = defaultdict(Decimal)
    with decimal.localcontext(_CONTEXT):
        at_once, bears = Decimal(received), received * lead
        for day, amount in payments:
            index, end = _next_due(terms, ends, max(day, start))
            before, odd = _back_to(terms, max(day, start), end, chosen)
            at = begins + step * index - before
            if at > 0:
                placed[at] += amount * (1 - odd)
                placed[at - 1] += amount * odd
            else:
                at_once -= amount
                bears -= amount * min(odd, lead)
        lead = bears / at_once
    places = sorted(placed, reverse=True)
    gaps = [after - before for after, before in pairwise([*places, 0])]
    found = _cost_of(terms, chosen, at_once, Flows(gaps, [placed[at] for at in places]), lead)
    return Cost(chosen, found, effective_rate(received, start, payments, found.ear), received)


def _next_due(terms: Terms, ends: Sequence[date], day: date) -> tuple[int, date]:
    """The number, from 0 on, and the date of the first due date that is not before a day; those after
    the last one follow from it.
    """
    more = (_back(terms, ends[-1], -number) for number in count(1))
    return next((index, end) for index, end in enumerate(chain(ends, more)) if end >= day)


def _back_to(terms: Terms, day: date, end: date, method: CostMethod) -> tuple[int, Decimal]:
    """From a due date back to a day: whole units of the method, and the part of one before them."""
    if method is CostMethod.MONTHLY_IRR:
        months, odd = _months_back(day, end)
        return months, Decimal(odd) / _DAYS_A_MONTH
    units, odd = _periods_back(terms, day, end)
    return units, Decimal(odd) / (terms.frequency.unit.days * terms.frequency.every)


def _counted(
    terms: Terms, start: date, first: Period, method: CostMethod
) -> tuple[int, Decimal, int]:
    """How a method counts: units of the first period, the part of one before them, units of a later
    period.
    """
    if method is CostMethod.UNIT_PERIOD:
        units, odd = _periods_before(terms, start, first)
        return units, Decimal(odd) / (terms.frequency.unit.days * terms.frequency.every), 1
    months, odd = _months(terms, start, first)
    months = max(months + (odd >= _DAYS_A_MONTH // 2), 1)
    return months, Decimal(0), terms.frequency.every


def _cost_of(
    terms: Terms, method: CostMethod, received: int | Decimal, flows: Flows, lead: Decimal
) -> AnnualCost:
    if method is CostMethod.UNIT_PERIOD:
        return _unit_cost(terms, received, flows, lead)
    return _monthly_cost(received, flows, terms.annual_rate / 12)


def upfront(terms: Terms, principal: int) -> dict[Fee, int]:
    """What is charged when `principal` is paid out, by fee, minor units."""
    return {
        fee: fee.amount + share(principal, ratio_of(fee.rate), terms.rounding)
        for fee in terms.fees
        if fee.at is FeeAt.DISBURSEMENT
    }


def with_instalments(terms: Terms, schedule: Schedule) -> dict[Fee, int]:
    """What falls due with the instalments over the whole life, by fee, minor units."""
    rows = [row for row in schedule.instalments if row.number]
    lent = sum(row.principal for row in rows)
    return {
        fee: sum(
            row_fee(
                terms, fee, lent, row.balance_after + row.principal, row.principal, row.interest
            )
            for row in rows
        )
        for fee in terms.fees
        if fee.at is FeeAt.INSTALMENT
    }


def _first_period(terms: Terms, start: date) -> Period:
    """By its dates: FULL_MONTH calls a short period whole, and holidays move its end."""
    few = max(terms.grace_principal, terms.grace_interest) + 1
    by_dates = replace(
        terms,
        periods=terms.periods if terms.method is Method.BULLET else few,
        parts=(),
        first_period=FirstPeriod.ODD_DAYS,
        maturity=Maturity.ALIGN,
        shift=Shift.NONE,
    )
    return periods(by_dates, start)[0]


def _method(terms: Terms, first: Period, over: Sequence[Period]) -> CostMethod:
    if terms.frequency.unit is not Unit.MONTH:
        return CostMethod.XIRR
    if terms.method is Method.BULLET:
        return CostMethod.XIRR if terms.first_due else CostMethod.MONTHLY_IRR
    odd_last = terms.maturity is Maturity.EXACT and not over[-1].whole
    if odd_last or not all(period.whole for period in over[1:]):
        return CostMethod.XIRR
    return CostMethod.MONTHLY_IRR if first.whole else CostMethod.UNIT_PERIOD


def _months(terms: Terms, start: date, first: Period) -> tuple[int, int]:
    """Whole months of the first period, counted back from its end, and the odd days before them."""
    if terms.frequency.unit is Unit.MONTH and not terms.first_due:
        if terms.method is Method.BULLET:
            return terms.frequency.every * terms.periods, 0
        if first.whole:
            return terms.frequency.every, 0
    return _months_back(start, first.end)


def _months_back(day: date, end: date) -> tuple[int, int]:
    """Whole months from a day to a later one, counted back from that, and the odd days before them."""
    months = 0
    while months_after(end, -months - 1, end.day) >= day:
        months += 1
    return months, (months_after(end, -months, end.day) - day).days


def _unit_cost(terms: Terms, received: int | Decimal, flows: Flows, lead: Decimal) -> AnnualCost:
    """The rate of a period × the periods of a year: whole periods count alike, counted back from the
    first due date, odd days before them at their part of one (12 CFR 1026, appendix J).
    """
    a_year = Decimal(terms.frequency.unit.a_year) / terms.frequency.every
    with decimal.localcontext(_CONTEXT):
        guess = 1 / (1 + terms.annual_rate / a_year)
        rate = 1 / _solve(received, flows, lead, _PERIOD_BOUNDS, guess) - 1
        return AnnualCost(_rate(rate * a_year), _rate((1 + rate) ** a_year - 1))


def _periods_before(terms: Terms, start: date, first: Period) -> tuple[int, int]:
    """Whole periods in the first one, counted back from its end, and the odd days before them; a month
    among those is 30.
    """
    if terms.frequency.unit is Unit.MONTH:
        return _of_months(terms, *_months(terms, start, first))
    return _periods_back(terms, start, first.end)


def _periods_back(terms: Terms, day: date, end: date) -> tuple[int, int]:
    """As `_months_back` in periods."""
    if terms.frequency.unit is Unit.MONTH:
        return _of_months(terms, *_months_back(day, end))
    units, back = 0, end
    while (before := _back(terms, end, units + 1)) >= day:
        units, back = units + 1, before
    return units, (back - day).days


def _of_months(terms: Terms, months: int, days: int) -> tuple[int, int]:
    """Whole periods, and the days of the months that are left, with more."""
    every = terms.frequency.every
    return months // every, months % every * _DAYS_A_MONTH + days


def _back(terms: Terms, end: date, count: int) -> date:
    return later(terms.frequency, end, -count, end.day, terms.month_end)


def _monthly_cost(received: int | Decimal, flows: Flows, guess: Decimal) -> AnnualCost:
    with decimal.localcontext(_CONTEXT):
        discount = _solve(received, flows, Decimal(0), _PERIOD_BOUNDS, 1 / (1 + guess))
        return _of_month(1 / discount - 1)


def _of_month(rate: Decimal) -> AnnualCost:
    return AnnualCost(_rate(rate * 12), _rate((1 + rate) ** 12 - 1))


def of_year(rate: Decimal) -> AnnualCost:
    """An annual rate by actual days as a monthly one × 12, and as it is."""
    with decimal.localcontext(_CONTEXT):
        return AnnualCost(_rate(((1 + rate) ** (_ONE / 12) - 1) * 12), rate)


def _solve(
    received: int | Decimal,
    flows: Flows,
    lead: Decimal,
    bounds: tuple[Decimal, ...],
    guess: Decimal,
) -> Decimal:
    """The discount v of a unit of time by which Σ amount·v^t = received·(1 + lead·(1/v − 1)).

    Newton's method; where a step leaves what is known to hold the root, or gains too little, halves
    that instead. Raises ValueError where the bounds hold no root.
    """
    low, high = bounds
    at, step = min(max(guess, low), high), high - low
    for _ in range(_MOST_STEPS):
        worth, slope = _worth(flows, at)
        excess = worth - received * (1 + lead * (1 / at - 1))
        slope += received * lead / (at * at)
        low, high = (low, at) if excess > 0 else (at, high)
        wanted = excess / slope if slope else step
        if low <= at - wanted <= high and abs(wanted) * 2 <= abs(step):
            step, at = wanted, at - wanted
            if abs(step) < _LAST_STEP:
                break
        else:
            step, at = at - (low + high) / 2, (low + high) / 2
            if abs(step) < _TOLERANCE:
                break
    if min(at - bounds[0], bounds[1] - at) < _LAST_STEP:
        raise ValueError(
            "no rate explains these payments: fees take too much of what is received, or less is paid"
            " back than that"
        )
    return at


def _worth(flows: Flows, discount: Decimal) -> tuple[Decimal, Decimal]:
    """Σ amount·v^t and its derivative by v."""
    powers = {gap: (discount**gap, gap * discount**gap / discount) for gap in set(flows.gaps)}
    worth = slope = Decimal(0)
    for gap, amount in zip(flows.gaps, flows.amounts, strict=True):
        power, by = powers[gap]
        worth += amount
        slope = slope * power + worth * by
        worth *= power
    return worth, slope


def _rate(exact: Decimal) -> Decimal:
    """To 8 places; nothing is not below zero."""
    return exact.quantize(Decimal("1e-8"), rounding=decimal.ROUND_HALF_UP) + 0
