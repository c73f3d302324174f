"""The rest of a schedule made anew: after money came early or late, a rate or a plan changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise, takewhile

from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.factors import NOTHING, interest_free_until, plus, stretch
from tael_servicing.arithmetic.loan import Loan, Owed, current_accrual
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.rounding import Ratio, rounded
from tael_servicing.arithmetic.schedules import Instalment, Running, Schedule, spread
from tael_servicing.arithmetic.terms import InterestOn, Method, Overdue, Part, Terms


def bearing_also(terms: Terms, loan: Loan) -> int:
    """Principal due and unpaid that goes on bearing contract interest; flat interest asks for no
    balance.
    """
    bears = terms.overdue is Overdue.CONTRACT and terms.method is not Method.FLAT
    return loan.overdue_principal if bears else 0


def bearing(terms: Terms, loan: Loan) -> int:
    """All principal that bears contract interest of the running period."""
    if terms.method is Method.FLAT:
        return lent_in_rows(terms, loan) or 0
    return loan.undue_principal + bearing_also(terms, loan)


def lent_in_rows(terms: Terms, loan: Loan) -> int | None:
    """What flat interest, and fees on what was lent, are reckoned on: all principal that the schedule
    asks beside down payments, without what was prepaid. None where nothing is reckoned on it.
    """
    if not terms.on_what_was_lent:
        return None
    fell_due = [row for row in loan.rows[: loan.due_count] if row.number]
    # A due row asks more than its plan where more was prepaid on the day.
    asked = sum(min(row.due[0], row.instalment.principal) for row in fell_due)
    return asked + sum(row.due[0] for row in loan.rows[loan.due_count :])


def earned(terms: Terms, loan: Loan) -> int:
    """Contract interest of the running period up to the business date, on what bears it.

    Never more than the whole period would cost: paying early is not dearer than waiting.
    """
    current = loan.current
    if current is None:
        return 0
    instalment = current.instalment
    return instalment.before + _since_break(
        terms, loan, loan.undue_principal + bearing_also(terms, loan), loan.business_date
    )


def earned_on(terms: Terms, loan: Loan, principal: int) -> int:
    """Of the interest to date, what a part of the principal not yet due has borne."""
    current = loan.current
    if current is None or not principal:
        return 0
    lent = lent_in_rows(terms, loan)
    if terms.method is Method.FLAT and lent:
        return rounded(current_accrual(terms, loan) * principal, lent, terms.rounding)
    before = current.instalment.before
    if before:
        before = rounded(before * principal, loan.undue_principal, terms.rounding)
    return before + _since_break(terms, loan, principal, loan.business_date)


def _since_break(terms: Terms, loan: Loan, base: int, day: date) -> int:
    assert loan.current is not None
    instalment = loan.current.instalment
    period, since = instalment.period, instalment.since
    if day <= since:
        return 0
    if terms.method is Method.FLAT or terms.interest_on is InterestOn.PERIOD:
        return current_accrual(terms, loan) - instalment.before
    rate = loan.annual_rate
    free = interest_free_until(terms, loan.begun)
    part = stretch(terms, rate, period, since, day, free)
    whole = stretch(terms, rate, period, since, period.end, free)
    if part[0] * whole[1] > whole[0] * part[1]:
        part = whole
    return rounded(base * part[0], part[1], terms.rounding)


def replan(
    terms: Terms,
    loan: Loan,
    journal: Journal,
    *,
    fixed_share: int | None,
    cut: bool,
    over: Sequence[Period] | None = None,
    stands: int = 0,
    interest_paid: int = 0,
    was: int | None = None,
    paid: bool = False,
) -> None:
    """Spreads the principal not yet due over its periods, or over others, from today on.

    `fixed_share`: as it is kept; None finds another. `cut`: what bears interest changes today:
    `stands` is what the running period has earned, and only the rest is reckoned anew; else all of it
    since its last such change is. `interest_paid`: of that
    period's interest, what leaves it with principal that is paid now; `was`: what it had accrued
    before that. `paid`: money that was paid early is why. The difference to what the nights accrued
    is trued up.
    """
    undue = loan.rows[loan.due_count :]
    if not undue:
        return
    before = current_accrual(terms, loan) if was is None else was
    periods = [row.instalment.period for row in undue] if over is None else list(over)
    lent = on_top(undue) if fixed_share is not None else 0
    schedule = _spread(
        terms, loan, undue, periods, fixed_share, lent, cut=cut, stands=stands, paid=paid
    )
    loan.rows[loan.due_count :] = _rows(undue, schedule)
    ask_on_top(loan.rows[loan.due_count], lent)
    loan.share = schedule.share
    change = current_accrual(terms, loan) + interest_paid - before
    if loan.accruing:
        journal.post("INTEREST_TRUED_UP", loan, interest=change)
    else:
        journal.post("INTEREST_ACCRUED", loan, interest=change)


def _spread(
    terms: Terms,
    loan: Loan,
    undue: Sequence[Owed],
    periods: Sequence[Period],
    fixed_share: int | None,
    lent: int,
    *,
    cut: bool,
    stands: int,
    paid: bool,
) -> Schedule:
    first = undue[0].instalment
    also = bearing_also(terms, loan) + lent
    begun = loan.business_date > periods[0].start
    running = _running(terms, loan, first, periods[0], also, cut=cut, stands=stands, paid=paid)
    early = [row.paid[Part.PRINCIPAL] for row in undue][: len(periods)]
    balance = loan.undue_principal - lent
    base = lent_in_rows(terms, loan)
    # Of a loan that bears interest day by day the instalment that the money is for stays as it was.
    its = begun or undue[0].paid_on == loan.business_date
    holds = its and paid and fixed_share is None and cut and terms.on_what_is_paid
    return spread(
        terms,
        loan.annual_rate,
        balance,
        periods,
        fixed_share=fixed_share,
        held=first.share if holds else None,
        running=running,
        carried=loan.deferred,
        early=early,
        closed=paid_whole(undue),
        lent=base,
        begun=loan.begun,
        relief=loan.relief,
        grown=True,
    )


def _running(
    terms: Terms,
    loan: Loan,
    first: Instalment,
    period: Period,
    also: int,
    *,
    cut: bool,
    stands: int,
    paid: bool,
) -> Running | None:
    """The running period as it goes on from today, or from where what bears interest changed last."""
    begun, bears = loan.business_date > period.start, _by_its_rates(terms, loan, period)
    by_period = begun and terms.interest_on is InterestOn.PERIOD
    if by_period and period == first.period and (paid or not cut):
        return Running(first.since, first.before, also, bears, first.accrues)
    if begun and (cut or by_period):
        return Running(loan.business_date, stands, also, bears)
    if also or (begun and first.since > period.start):
        return Running(first.since, first.before, also, bears)
    return None


def _by_its_rates(terms: Terms, loan: Loan, period: Period) -> Ratio | None:
    """What a whole period bears by the rates that came in the midst of it; None where none did."""
    midst = [
        step
        for was, step in pairwise(loan.rates)
        if period.start < step.since < period.end and step.annual_rate != was.annual_rate
    ]
    if not midst:
        return None
    rate = [step.annual_rate for step in loan.rates if step.since <= period.start][-1]
    total, start, free = NOTHING, period.start, interest_free_until(terms, loan.begun)
    for step in midst:
        total = plus(total, stretch(terms, rate, period, start, step.since, free))
        rate, start = step.annual_rate, step.since
    return plus(total, stretch(terms, rate, period, start, period.end, free))


def paid_whole(undue: Sequence[Owed]) -> list[int]:
    """Interest of the first rows, as far as they are paid whole before their due dates."""
    return [
        row.paid[Part.INTEREST] - row.carried for row in takewhile(lambda row: row.closed, undue)
    ]


def on_top(undue: Sequence[Owed]) -> int:
    """Of the running row, what is asked on top of the plan and not paid."""
    return max(min(undue[0].lent, undue[0].principal_unpaid), 0)


def ask_on_top(row: Owed, lent: int) -> None:
    """The running row of a plan made anew asks it still."""
    row.lent = lent
    row.due[Part.PRINCIPAL] += lent


def _rows(undue: Sequence[Owed], schedule: Schedule) -> list[Owed]:
    """The new rows, with what was paid of the old ones and what they carry."""
    rows = [Owed.of(instalment) for instalment in schedule.instalments]
    for row, old in zip(rows, undue, strict=False):
        row.continues(old)
        row.carried = old.carried
        row.due[Part.INTEREST] += old.carried
        row.due[Part.PENALTY], row.due[Part.COMPOUND] = (
            old.due[Part.PENALTY],
            old.due[Part.COMPOUND],
        )
        row.due[Part.FEE] += old.due[Part.FEE] - old.instalment.fee
    _ask_what_was_paid(rows)
    return rows


def _ask_what_was_paid(rows: Sequence[Owed]) -> None:
    """Interest paid before a row asks for it (it is carried, or has become less) is asked with the
    row, and so much less with later ones.
    """
    more = rows[0].paid[Part.INTEREST] - rows[0].due[Part.INTEREST]
    if more > 0:
        _add_interest(rows[0], more)
        for row in rows[1:]:
            here = min(more, row.instalment.interest)
            _add_interest(row, -here)
            more -= here


def _add_interest(row: Owed, amount: int) -> None:
    row.instalment = row.instalment._replace(interest=row.instalment.interest + amount)
    row.due[Part.INTEREST] += amount
