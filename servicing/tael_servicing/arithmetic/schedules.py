"""Schedules: a balance spread over interest periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from tael_servicing.arithmetic.dates import Period, periods
from tael_servicing.arithmetic.factors import (
    interest_factor,
    interest_free_until,
    interest_from,
    level_instalment,
    nominal,
    plus,
    stretch,
)
from tael_servicing.arithmetic.rounding import Ratio, Rounding, ratio_of, rounded, share
from tael_servicing.arithmetic.terms import (
    Annuity,
    Basis,
    Fee,
    FeeAt,
    FeeOn,
    Method,
    Residue,
    Terms,
)

GIVEN = -1
"""The share of a schedule whose rows have parts of their own (`Terms.parts`)."""


class Instalment(NamedTuple):
    """One row of a schedule, minor units."""

    period: Period
    principal: int
    interest: int
    """Falls due with the row; during grace on interest it is carried to a later row."""
    balance_after: int
    """Principal that falls due after it, what is paid of that in advance included."""
    fee: int = 0
    accrues: int = 0
    """Interest of the row's own period."""
    before: int = 0
    """Of it, what had been earned when its rate or balance last changed …"""
    since: date = date.min
    """… on this day; the rest is earned evenly from there to the due date."""
    share: int = 0
    """What it was built from (`Schedule.share`)."""

    @property
    def number(self) -> int:
        """1, 2, …; a down payment is 0."""
        return self.period.number

    @property
    def due_date(self) -> date:
        """The period's end."""
        return self.period.end

    @property
    def amount(self) -> int:
        """Principal, interest and fee."""
        return self.principal + self.interest + self.fee


@dataclass(frozen=True, slots=True)
class Schedule:
    """Instalments, and the share each was built from.

    The share is what stays fixed from row to row: the whole instalment for 等额本息, the principal
    for 等额本金, nothing otherwise; GIVEN where each row has its own.
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

    @property
    def fees(self) -> int:
        """All fees that fall due with the rows."""
        return sum(row.fee for row in self.instalments)


@dataclass(frozen=True, slots=True)
class Running:
    """A first period that is already running when a balance is spread anew."""

    since: date
    before: int
    """Interest earned by then, minor units."""
    also: int = 0
    """Principal that bears interest with the balance: overdue, and still at the contract rate."""
    bears: Ratio | None = None
    """What the whole period bears by its rates, where another one came in the midst of it."""
    accrues: int | None = None
    """All its interest, where that stands whatever is paid within it."""


class Relief(NamedTuple):
    """What a rescheduling put off, beside the terms' own grace: numbers of the last periods …"""

    principal: int = 0
    """… that repay none …"""
    interest: int = 0
    """… and whose interest falls due with the first one after them."""


NO_RELIEF = Relief()


def build_schedule(terms: Terms, principal: int, start: date) -> Schedule:
    """The schedule of a loan of `principal` minor units, at least 1, disbursed on `start`."""
    down = down_payment(terms, principal)
    made = spread(terms, terms.annual_rate, principal - down, periods(terms, start))
    if not down:
        return made
    at_once = Instalment(Period(0, start, start, whole=False), down, 0, principal - down)
    return Schedule((at_once, *made.instalments), made.share)


def down_payment(terms: Terms, principal: int) -> int:
    """What of a disbursement is due on its own day."""
    return share(principal, ratio_of(terms.down_payment), terms.rounding)


def spread(
    terms: Terms,
    annual_rate: Decimal,
    balance: int,
    over: Sequence[Period],
    *,
    fixed_share: int | None = None,
    held: int | None = None,
    running: Running | None = None,
    carried: int = 0,
    early: Sequence[int] = (),
    closed: Sequence[int] = (),
    lent: int | None = None,
    begun: date | None = None,
    relief: Relief = NO_RELIEF,
    grown: bool = False,
) -> Schedule:
    """`balance` minor units spread over the periods; ends early where a given share repays sooner.

    `carried`: interest of earlier periods that falls due with the first one that pays interest.
    `early`: principal already paid of each period's row, on top of the balance; a row is never less.
    `closed`: interest of the first rows, which are paid whole: what more their periods bear is asked
    with the row after them. `held`: the share of the first other row where that stays as large as it
    was, and only the later ones' is found anew. `lent`: what flat interest, and fees on what was lent,
    are reckoned on; the balance where not given. `begun`: when it was paid out, where not on the first
    day of the periods. `relief`: beside the terms' own grace. `grown`: the loan was changed since it
    began, and what was agreed for its first schedule alone (a given instalment) holds no more.
    """
    task = _Task(
        terms,
        annual_rate,
        balance,
        tuple(over),
        running,
        carried,
        tuple(early[: len(over)]),
        tuple(closed),
        balance if lent is None else lent,
        held,
        interest_free_until(terms, begun or over[0].start),
        max(terms.grace_principal, relief.principal),
        max(terms.grace_interest, relief.interest),
        grown,
    )
    made = _rows(task, fixed_share)
    if fixed_share is None and terms.even_out and terms.method is Method.EQUAL_INSTALMENT:
        return _evened(task, made)
    return made


class _Task(NamedTuple):
    """What is to be spread, and over what; as `spread` has it."""

    terms: Terms
    annual_rate: Decimal
    balance: int
    over: tuple[Period, ...]
    running: Running | None
    carried: int
    early: tuple[int, ...]
    closed: tuple[int, ...]
    lent: int
    held: int | None
    free_until: date
    """The first night that bears interest."""
    grace_principal: int
    grace_interest: int
    grown: bool


def _evened(task: _Task, made: Schedule) -> Schedule:
    """The level instalment moved once by its share of what the last row differs, if that helps.

    It is the balance's, as the instalment is: what principal that is late bears besides moves nothing.
    """
    terms, running = task.terms, task.running
    alone = task._replace(running=replace(running, also=0)) if running and running.also else task
    count = len(task.over) - len(task.closed) - (task.held is not None)
    on_top = balloon(terms, task.lent)

    def off(plan: Schedule) -> int:
        return _without_fee(plan.instalments[-1]) - plan.share - on_top

    differs = off(made if alone is task else _rows(alone, made.share))
    if not count or 2 * abs(differs) <= count:
        return made
    moved = _rows(alone, made.share + rounded(differs, count, terms.rounding))
    if abs(off(moved)) >= abs(differs):
        return made
    return moved if alone is task else _rows(task, moved.share)


def _without_fee(row: Instalment) -> int:
    return row.principal + row.interest


def balloon(terms: Terms, lent: int) -> int:
    """What the last row repays on top of its part, of `lent` minor units."""
    return share(lent, ratio_of(terms.balloon), terms.rounding) if terms.balloon else 0


def _rows(task: _Task, share_: int | None) -> Schedule:
    """The rows for a share, or for the one that is found; the last takes the balance that is left."""
    terms, annual_rate, balance, lent = task.terms, task.annual_rate, task.balance, task.lent
    over, running, early, closed = task.over, task.running, task.early, task.closed
    rows: list[Instalment] = []
    flat, last = terms.method is Method.FLAT, over[-1]
    ahead, on_top = sum(early), balloon(terms, lent)
    by_name = nominal(terms, annual_rate) if terms.by_name else None
    exact: Ratio = (0, 1)
    carried = task.carried
    for index, period in enumerate(over):
        since, before = interest_from(period, task.free_until), 0
        if running is not None and index == 0:
            since, before = running.since, running.before
            accrues = _goes_on(task, running, lent if flat else balance)
        else:
            factor = (
                by_name
                if by_name and period.whole
                else interest_factor(terms, annual_rate, period, task.free_until)
            )
            sum_ = plus(exact, ((lent if flat else balance) * factor[0], factor[1]))
            accrues = rounded(*sum_, terms.rounding) - rounded(*exact, terms.rounding)
            exact = sum_ if terms.cumulative_interest else exact
        carried += accrues
        paid = early[index] if index < len(early) else 0
        ahead -= paid
        if index < len(closed):
            part, interest, principal = 0, closed[index], 0
        else:
            if task.held is not None and index == len(closed):
                part = task.held
            else:
                if share_ is None:
                    share_ = _share(task, balance + ahead + paid, index, on_top)
                part = _given(terms, period) if share_ == GIVEN else share_
            interest = _asked(task, period, carried, part)
            within = accrues if task.grace_interest else carried
            whole = part + _residue(task, index, balance + ahead + paid, part)
            principal = _principal(task, period, balance, within, whole, paid)
        carried -= interest
        if period is last or principal > balance:
            principal = balance
            if period is last and _plugs(terms, part + on_top - balance - accrues):
                plug = max(part + on_top - balance, before) - accrues
                accrues, interest = accrues + plug, interest + plug
        fee = _fee(terms, lent, balance, principal, interest) if terms.fees else 0
        balance -= principal
        asks, left = principal + paid, balance + ahead
        rows.append(Instalment(period, asks, interest, left, fee, accrues, before, since, part))
        if not (left or period is last):
            rows[-1] = _closing(rows[-1], carried)
            break
    return Schedule(tuple(rows), part if share_ is None else share_)


def _goes_on(task: _Task, running: Running, base: int) -> int:
    """Interest of the period that is running already, on what bears it from its last break on."""
    if running.accrues is not None:
        return running.accrues
    terms, period = task.terms, task.over[0]
    rest = stretch(terms, task.annual_rate, period, running.since, period.end, task.free_until)
    return running.before + rounded((base + running.also) * rest[0], rest[1], terms.rounding)


def _asked(task: _Task, period: Period, carried: int, part: int) -> int:
    """What a row asks of the interest earned by its due date: none in grace, of an instalment as agreed
    no more than that, otherwise all.
    """
    terms = task.terms
    if period is task.over[-1]:
        return carried
    if period.number <= task.grace_interest:
        return 0
    agreed = terms.parts or terms.instalment
    if agreed and not task.grown and terms.method is Method.EQUAL_INSTALMENT:
        return min(carried, part)
    return carried


def _given(terms: Terms, period: Period) -> int:
    """A row's own part; one more than were agreed has the last."""
    return terms.parts[min(period.number, len(terms.parts)) - 1] if terms.parts else 0


def _closing(row: Instalment, carried: int) -> Instalment:
    """A row that repays the loan sooner takes the interest that was carried past it."""
    if not carried:
        return row
    return row._replace(interest=row.interest + carried)


def _plugs(terms: Terms, differs: int) -> bool:
    """Whether the last row's interest takes what it differs from the others: what rounding leaves,
    never more. The last row of a loan that ends sooner is a small one.
    """
    level = terms.method is Method.EQUAL_INSTALMENT and terms.residue is Residue.LAST_INTEREST
    return level and abs(differs) <= 2 * terms.periods * terms.multiple


def _residue(task: _Task, index: int, balance: int, share_: int) -> int:
    """What rounding leaves of a balance beside equal parts from a row on, where that row takes it."""
    terms, over = task.terms, task.over[index:]
    if terms.residue is not Residue.FIRST or over[0].number != task.grace_principal + 1:
        return 0
    left = balance - share_ * len(over)
    return left if abs(left) < terms.multiple * len(over) else 0


def _principal(
    task: _Task, period: Period, balance: int, interest: int, share_: int, early: int
) -> int:
    """A row's principal beyond what was paid of it early, where it is not the last."""
    terms = task.terms
    if period.number <= task.grace_principal:
        return 0
    if terms.method is Method.EQUAL_INSTALMENT:
        by_name = terms.basis is Basis.NOMINAL and terms.level_by is not Annuity.PERIODS
        if by_name and not period.whole:
            factor = nominal(terms, task.annual_rate)
            interest = rounded(balance * factor[0], factor[1], terms.rounding)
        return max(share_ - interest - early, 0)
    if terms.method in (Method.EQUAL_PRINCIPAL, Method.FLAT):
        return max(share_ - early, 0)
    return 0


def _share(task: _Task, balance: int, index: int, last: int) -> int:
    """What stays fixed from a row on, which begins with `balance`; `last` is what the last row repays
    on top of it.
    """
    terms, over = task.terms, task.over[index:]
    paying = [period for period in over if period.number > task.grace_principal] or over[-1:]
    if terms.parts and not task.grown:
        return GIVEN
    if terms.method is Method.EQUAL_INSTALMENT:
        if terms.instalment and not task.grown:
            return terms.instalment
        first = task.running.bears if task.running and paying[0] is task.over[0] else None
        return level_instalment(
            terms, task.annual_rate, balance, paying, task.free_until, first, last
        )
    if terms.method in (Method.EQUAL_PRINCIPAL, Method.FLAT):
        rest = max(balance - last, 0)
        return _to_multiple(rest, len(paying), terms.multiple, terms.principal_rounding)
    return 0


def _to_multiple(numerator: int, denominator: int, multiple: int, mode: Rounding) -> int:
    return rounded(numerator, denominator * multiple, mode) * multiple


def _fee(terms: Terms, lent: int, balance: int, principal: int, interest: int) -> int:
    """What falls due with a row beside principal and interest."""
    return sum(
        row_fee(terms, fee, lent, balance, principal, interest)
        for fee in terms.fees
        if fee.at is FeeAt.INSTALMENT
    )


def row_fee(terms: Terms, fee: Fee, lent: int, balance: int, principal: int, interest: int) -> int:
    """One fee of a row whose period begins with `balance`, minor units."""
    base = {
        FeeOn.PRINCIPAL: lent,
        FeeOn.BALANCE: balance,
        FeeOn.INSTALMENT: principal + interest,
        FeeOn.INTEREST: interest,
    }[fee.on]
    return fee.amount + share(base, ratio_of(fee.rate), terms.rounding)


def accrued_by(instalment: Instalment, day: date, terms: Terms) -> int:
    """Interest of the row's period earned by the opening of `day`: R(I x k/D) since its last break.

    Nights before the period give nothing, nights after it no more than the schedule's interest.
    """
    end = instalment.period.end
    if day >= end:
        return instalment.accrues
    nights = (day - instalment.since).days
    if nights <= 0:
        return instalment.before
    rest = instalment.accrues - instalment.before
    span = (end - instalment.since).days
    return instalment.before + rounded(rest * nights, span, terms.rounding)
