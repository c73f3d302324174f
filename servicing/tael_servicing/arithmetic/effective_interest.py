"""Origination fees as interest by the effective rate (实际利率法, CAS 22 §§16–17; IFRS 9 B5.4.1).

A fee charged at the start lowers what the loan is worth to principal less fee. The effective rate is
the one at which the payments of the plan are worth that; by it the loan is worth, on any later day,
its payments still to come. What the books carry above that worth is the fee not yet amortised, on a
due date

    principal − Σ payment · (1 + rate)^−periods to it

and between two of them evenly from the one to the other. It starts at the fee and ends at nothing.
Prepaid principal takes its part of it along. At another contract rate the effective rate is found
anew, as if the loan had always borne that (IFRS 9 B5.4.5); a longer plan at the same rate makes the
amortisation wait. Whole periods count alike, others by their days.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.events import Disbursed
from tael_servicing.arithmetic.factors import interest_factor, interest_free_until
from tael_servicing.arithmetic.fold import begin
from tael_servicing.arithmetic.loan import Loan, Owed
from tael_servicing.arithmetic.terms import Method, Terms

_CONTEXT = decimal.Context(prec=34)
_LAST_STEP = Decimal("1e-24")
_MOST_STEPS = 60
_RATE_STEP = Decimal("1e-12")


class Flow(NamedTuple):
    """A payment to come."""

    gap: Decimal
    """Periods since the one before."""
    amount: int
    """Principal and interest, minor units."""


def unamortised(terms: Terms, loan: Loan, fee: int) -> int:
    """What is not yet income of a fee charged at the start, on the loan's business date, minor units.

    `fee`: without its VAT, less than the principal. Nothing once the loan has ended or all of it is
    due.
    """
    current = loan.current
    if not loan.running or current is None or not fee:
        return 0
    with decimal.localcontext(_CONTEXT):
        discount = plan_discount(terms, loan, fee)
        start, end = _around(terms, loan, current, discount)
        part = _elapsed(current.instalment.period, loan.business_date)
        left = (start + (end - start) * part).to_integral_value(decimal.ROUND_HALF_UP)
    return min(max(int(left), 0), fee)


def _around(terms: Terms, loan: Loan, current: Owed, discount: Decimal) -> tuple[Decimal, Decimal]:
    """What is not amortised when the running period begins, of the principal it has now, and when it
    ends.
    """
    later = loan.rows[loan.due_count + 1 :]
    earned_before = sum(row.due[1] - row.instalment.accrues for row in later)
    principal = sum(row.principal_unpaid for row in later)
    end = principal + earned_before - _worth(_flows(terms, later), discount)[0]
    carried = principal + current.principal_unpaid + earned_before
    carried += current.due[1] - current.instalment.accrues
    grown = discount ** -_length(terms, current.instalment.period)
    start = (end - _interest(terms, loan, current) + carried * (grown - 1)) / grown
    return start, end


def _interest(terms: Terms, loan: Loan, current: Owed) -> Decimal:
    """Of the running period, as if its principal had been what it is now from its first day."""
    instalment = current.instalment
    if not instalment.before:
        return Decimal(instalment.accrues)
    period = instalment.period
    free = interest_free_until(terms, loan.begun)
    part = interest_factor(terms, loan.annual_rate, period, free)
    return Decimal(loan.undue_principal * part[0]) / part[1]


def plan_discount(terms: Terms, loan: Loan, fee: int) -> Decimal:
    """1 / (1 + effective rate of a period) of the plan at the rate that holds."""
    plan = begin(
        replace(terms, annual_rate=loan.annual_rate),
        Disbursed(loan.begun, "", loan.principal),
    )
    return effective_discount(loan.principal - fee, _flows(terms, plan.rows))


def month_rate(terms: Terms, loan: Loan, fee: int) -> Decimal:
    """The effective rate of a month, which a credit-impaired loan earns on amortised cost (CAS 22 §39).

    It is the contract's where no fee was charged at the start and all that is owed bears interest.
    """
    with decimal.localcontext(_CONTEXT):
        free = terms.interest_free_periods or terms.interest_free_days
        if not fee and not free and terms.method is not Method.FLAT:
            return (loan.annual_rate / 12).quantize(_RATE_STEP)
        grown = 1 / plan_discount(terms, loan, fee)
        a_month = Decimal(30) / (terms.frequency.unit.days * terms.frequency.every)
        return (grown**a_month - 1).quantize(_RATE_STEP)


def effective_discount(received: int, flows: Sequence[Flow]) -> Decimal:
    """The discount of a period at which the flows are worth what was received.

    Newton's method from 1, where the worth, which grows with the discount and ever faster, is not
    less than that. Raises ValueError where nothing is received or less is paid back.
    """
    if received <= 0 or sum(flow.amount for flow in flows) < received:
        raise ValueError("no effective rate: the fee takes all, or less is paid back than received")
    with decimal.localcontext(_CONTEXT):
        at = Decimal(1)
        for _ in range(_MOST_STEPS):
            worth, slope = _worth(flows, at)
            step = (worth - received) / slope
            at = max(at - step, at / 2)
            if abs(step) < _LAST_STEP:
                break
        return at


def _worth(flows: Sequence[Flow], discount: Decimal) -> tuple[Decimal, Decimal]:
    """Σ amount · v^t, and its derivative by v."""
    powers = {gap: discount**gap for gap in {flow.gap for flow in flows}}
    worth = slope = at = Decimal(0)
    power = Decimal(1)
    for gap, amount in flows:
        at += gap
        power *= powers[gap]
        worth += amount * power
        slope += amount * at * power
    return worth, slope / discount


def _flows(terms: Terms, rows: Iterable[Owed]) -> list[Flow]:
    """What rows still ask beside fees, each a period after the one before."""
    return [
        Flow(_length(terms, row.instalment.period), row.principal_unpaid + row.interest_unpaid)
        for row in rows
    ]


def _length(terms: Terms, period: Period) -> Decimal:
    if period.whole:
        return Decimal(1)
    return Decimal(period.days) / (terms.frequency.unit.days * terms.frequency.every)


def _elapsed(period: Period, day: date) -> Decimal:
    if not period.days:
        return Decimal(1)
    return min(Decimal((day - period.start).days) / period.days, Decimal(1))
