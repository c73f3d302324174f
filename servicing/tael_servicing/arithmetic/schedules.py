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
    interest_from,
    level_instalment,
    nominal,
    plus,
    stretch,
)
from tael_servicing.arithmetic.rounding import Ratio, Rounding, ratio_of, rounded, share
from tael_servicing.arithmetic.terms import (
    Basis,
    Fee,
    FeeAt,
    FeeOn,
    FirstPeriod,
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
    carried: int = 0
    """Interest of earlier periods that falls due with the first one that pays interest."""
    bears: Ratio | None = None
    """What the whole period bears by its rates, where another one came in the midst of it."""
    accrues: int | None = None
    """All its interest, where that stands whatever is paid within it."""


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
    running: Running | None = None,
    early: Sequence[int] = (),
    lent: int | None = None,
    grown: bool = False,
) -> Schedule:
    """`balance` minor units spread over the periods; ends early where a given share repays sooner.

    `early`: principal already paid of each period's row, on top of the balance; a row is never less.
    `lent`: what flat interest, and fees on what was lent, are reckoned on; the balance where not given.
    `grown`: the loan was changed since it began, and what was agreed for its first schedule alone
    (a given instalment) holds no more.
    """
    base = balance if lent is None else lent
    share_ = fixed_share
    if share_ is None:
        bears = running.bears if running else None
        whole, last = balance + sum(early), balloon(terms, base)
        share_ = _share(terms, annual_rate, whole, over, last, bears, grown=grown)
    made = _rows(terms, annual_rate, balance, over, share_, running, early, base)
    if fixed_share is None and terms.even_out and terms.method is Method.EQUAL_INSTALMENT:
        return _evened(terms, annual_rate, balance, over, made, running, early, base)
    return made


def _evened(
    terms: Terms,
    annual_rate: Decimal,
    balance: int,
    over: Sequence[Period],
    made: Schedule,
    running: Running | None,
    early: Sequence[int],
    lent: int,
) -> Schedule:
    """The level instalment moved once by its share of what the last row differs, if that helps.

    It is the balance's, as the instalment is: what principal that is late bears besides moves nothing.
    """
    alone = replace(running, also=0) if running and running.also else running
    count, on_top = len(over), balloon(terms, lent)

    def rows(share_: int, first: Running | None) -> Schedule:
        return _rows(terms, annual_rate, balance, over, share_, first, early, lent)

    def off(plan: Schedule) -> int:
        return _without_fee(plan.instalments[-1]) - plan.share - on_top

    differs = off(made if alone is running else rows(made.share, alone))
    if 2 * abs(differs) <= count:
        return made
    moved = rows(made.share + rounded(differs, count, terms.rounding), alone)
    if abs(off(moved)) >= abs(differs):
        return made
    return moved if alone is running else rows(moved.share, running)


def _without_fee(row: Instalment) -> int:
    return row.principal + row.interest


def balloon(terms: Terms, lent: int) -> int:
    """What the last row repays on top of its part, of `lent` minor units."""
    return share(lent, ratio_of(terms.balloon), terms.rounding) if terms.balloon else 0


def _rows(
    terms: Terms,
    annual_rate: Decimal,
    balance: int,
    over: Sequence[Period],
    share_: int,
    running: Running | None,
    early: Sequence[int],
    lent: int,
) -> Schedule:
    """The rows for a share; the last takes the balance that is left."""
    rows: list[Instalment] = []
    mode, flat, last = terms.rounding, terms.method is Method.FLAT, over[-1]
    by_name = nominal(terms, annual_rate) if terms.by_name else None
    exact: Ratio = (0, 1)
    carried = running.carried if running else 0
    ahead, on_top = sum(early[: len(over)]), balloon(terms, lent)
    for index, period in enumerate(over):
        base = lent if flat else balance
        if running is not None and index == 0:
            since, before = running.since, running.before
            rest = stretch(terms, annual_rate, period, since, period.end)
            accrues = before + rounded((base + running.also) * rest[0], rest[1], mode)
            accrues = accrues if running.accrues is None else running.accrues
        else:
            since, before = interest_from(terms, period), 0
            whole = by_name if period.whole else None
            factor = whole or interest_factor(terms, annual_rate, period)
            if terms.cumulative_interest:
                grown = plus(exact, (base * factor[0], factor[1]))
                accrues = rounded(*grown, mode) - rounded(*exact, mode)
                exact = grown
            else:
                accrues = rounded(base * factor[0], factor[1], mode)
        carried += accrues
        interest = 0 if period.number <= terms.grace_interest and period is not last else carried
        carried -= interest
        paid = early[index] if index < len(early) else 0
        ahead -= paid
        part = share_ if share_ != GIVEN else _given(terms, period)
        principal = _principal(terms, annual_rate, balance, period, accrues, part, paid)
        if period is last or principal > balance:
            principal = balance
            if period is last and _plugs(terms, share_ + on_top - balance - accrues):
                plug = max(share_ + on_top - balance, 0) - accrues
                accrues, interest = accrues + plug, interest + plug
        fee = _fee(terms, lent, balance, principal, interest) if terms.fees else 0
        balance -= principal
        rows.append(
            Instalment(
                period, principal + paid, interest, balance + ahead, fee, accrues, before, since
            )
        )
        if not (balance or ahead or period is last):
            rows[-1] = _closing(rows[-1], carried)
            break
    return Schedule(tuple(rows), share_)


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


def _principal(
    terms: Terms,
    annual_rate: Decimal,
    balance: int,
    period: Period,
    interest: int,
    share_: int,
    early: int,
) -> int:
    """A row's principal beyond what was paid of it early, where it is not the last."""
    if period.number <= terms.grace_principal:
        return 0
    if terms.method is Method.EQUAL_INSTALMENT:
        if terms.basis is Basis.NOMINAL and not period.whole and not _equal(terms):
            factor = nominal(terms, annual_rate)
            interest = rounded(balance * factor[0], factor[1], terms.rounding)
        return max(share_ - interest - early, 0)
    if terms.method in (Method.EQUAL_PRINCIPAL, Method.FLAT):
        first = terms.residue is Residue.FIRST and period.number == terms.grace_principal + 1
        if first:
            return max(balance - share_ * (terms.periods - terms.grace_principal - 1), 0)
        return max(share_ - early, 0)
    return 0


def _equal(terms: Terms) -> bool:
    return terms.first_period is FirstPeriod.EQUAL


def _share(
    terms: Terms,
    annual_rate: Decimal,
    balance: int,
    over: Sequence[Period],
    last: int,
    bears: Ratio | None,
    *,
    grown: bool,
) -> int:
    """What stays fixed from row to row; `last` is what the last row repays on top of it."""
    paying = [period for period in over if period.number > terms.grace_principal] or over[-1:]
    if terms.parts and not grown:
        return GIVEN
    if terms.method is Method.EQUAL_INSTALMENT:
        if terms.instalment and not grown:
            return terms.instalment
        first = bears if paying[0] is over[0] else None
        return level_instalment(terms, annual_rate, balance, paying, first, last)
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
