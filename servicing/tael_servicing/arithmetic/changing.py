"""What changes a loan's plan: a rate, a tranche, another schedule, acceleration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import chain, count, dropwhile, islice, pairwise, takewhile
from math import lcm
from typing import NamedTuple

from tael_servicing.arithmetic.dates import (
    DAY,
    Period,
    chained,
    due_dates_after,
    later,
    latest_end,
    shifted,
)
from tael_servicing.arithmetic.loan import Loan, Owed, RateStep, charge_rate, current_accrual
from tael_servicing.arithmetic.paying import matured_falls_due
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.replanning import (
    ask_on_top,
    bearing,
    bearing_also,
    earned,
    lent_in_rows,
    on_top,
    paid_whole,
    replan,
)
from tael_servicing.arithmetic.schedules import (
    Instalment,
    Relief,
    Running,
    balloon,
    build_schedule,
    down_payment,
    spread,
)
from tael_servicing.arithmetic.terms import InterestOn, Keep, Method, Part, Terms
from tael_servicing.arithmetic.vat import Vat


def begin(terms: Terms, principal: int, day: date) -> Loan:
    """The loan on the day it is paid out."""
    schedule = build_schedule(terms, principal, day)
    return Loan(
        business_date=day,
        principal=principal,
        rows=[Owed.of(instalment) for instalment in schedule.instalments],
        share=schedule.share,
        rates=[RateStep(day, terms.annual_rate)],
        charge=charge_rate(terms, terms.annual_rate),
        vat=vat_of(terms),
    )


def vat_of(terms: Terms) -> Vat | None:
    """What is split off of income: rate ÷ (1 + rate) of the gross."""
    if not terms.vat_rate:
        return None
    numerator, denominator = terms.vat_rate.as_integer_ratio()
    return Vat((numerator, denominator + numerator))


def add_tranche(terms: Terms, loan: Loan, journal: Journal, principal: int) -> None:
    """More is paid out: what is not yet due, and the tranche, over the periods that are left.

    Another past may have matured or closed the loan, which then runs on for one period more, or
    written it off, which then takes the tranche along.
    """
    loan.principal += principal
    if loan.cost is not None:
        loan.cost += principal
    if loan.claim is not None:
        lend_on_a_claim(loan, journal, principal)
        return
    if loan.current is None or loan.closure is not None:
        reopen(loan)
        _append_period(terms, loan)
    if loan.nonaccrual_since is not None:
        # The payout stands as normal: it joins what is impaired.
        journal.post("NON_ACCRUAL_ENTERED", loan, principal_normal=principal)
    down = down_payment(terms, principal)
    stands = earned(terms, loan)
    if loan.due_count and loan.rows[loan.due_count - 1].due_date == loan.business_date:
        row = loan.own(loan.due_count - 1)
        left = row.instalment.balance_after + principal
        row.instalment = row.instalment._replace(balance_after=left)
    loan.rows[-1].due[Part.PRINCIPAL] += principal - down
    if down:
        ask_at_once(loan, principal=down)
    replan(terms, loan, journal, fixed_share=None, cut=True, stands=stands)


def lend_on_a_claim(loan: Loan, journal: Journal, principal: int) -> None:
    """What is lent on a loan that is written off joins its claim."""
    assert loan.claim is not None
    journal.post("NON_ACCRUAL_ENTERED", loan, principal_normal=principal)
    journal.post("LOAN_WRITTEN_OFF", loan, allowance_top_up=principal, principal=principal)
    loan.claim = loan.claim._replace(principal=loan.claim.principal + principal)


def reopen(loan: Loan) -> None:
    """A closed loan runs on; what it was let off or sold does not come back."""
    if loan.closure is None:
        return
    loan.closure = loan.nonaccrual_since = loan.recognised = loan.cost = None
    loan.deferred, loan.matured_accrued, loan.judged = 0, 0, False
    for row in loan.rows[loan.settled_count :]:
        row.due = row.paid.copy()
    loan.due_count = loan.settled_count = len(loan.rows)


def ask_at_once(loan: Loan, *, principal: int = 0, fee: int = 0) -> None:
    """A row of its own, without a number of the schedule, that is due today: a down payment, a fee."""
    today = Period(0, loan.business_date, loan.business_date, whole=False)
    row = Owed.of(Instalment(today, principal, 0, loan.undue_principal, fee))
    loan.rows.insert(loan.due_count, row)
    loan.due_count += 1


def reprice(terms: Terms, loan: Loan, journal: Journal, annual_rate: Decimal, keep: Keep) -> None:
    """Another rate from this night on: the running period is split by its days at both rates, and
    the instalment found anew over the term that is left, or kept.
    """
    if loan.current is None:
        return
    stands, beyond = earned(terms, loan), _beyond(terms, loan)
    cut = annual_rate != loan.annual_rate
    loan.rates.append(RateStep(loan.business_date, annual_rate))
    _rescale_charges(terms, loan)
    periods = [row.instalment.period for row in loan.rows[loan.due_count :]]
    replanned = _Replanned(loan.due_count, stands, current_accrual(terms, loan), beyond, cut)
    _keep(terms, loan, journal, keep, periods, replanned)


def _rescale_charges(terms: Terms, loan: Loan) -> None:
    """To the rate that holds; exact penalties keep their fraction, over a common denominator."""
    rate = charge_rate(terms, loan.annual_rate, misused=loan.misused)
    common = lcm(loan.charge[1], rate[1])
    factor = common // loan.charge[1]
    for row in loan.rows[loan.settled_count : loan.due_count]:
        row.penalty_exact *= factor
        row.compound_exact *= factor
    loan.matured_exact *= factor
    loan.charge = (rate[0] * (common // rate[1]), common)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rest of a loan is to be paid."""

    from_due: date | None = None
    """Instalments due before it stay as they are; the running one is the first to change where not
    given."""
    more_periods: int = 0
    """Added at the end (展期)."""
    instalments: int = 0
    """So many change, and the last of them ends the loan sooner; 0 = all that are left."""
    skip_periods: int = 0
    """Due dates left out from the first changed one on, and added at the end: a holiday."""
    repay_day: int = 0
    """Another due day (1–31), from the first changed instalment on; 0 = as it is."""
    due_dates: tuple[date, ...] = ()
    """Of the changed instalments, as agreed; those after them follow from the last of these."""
    grace_principal: int = 0
    """Periods from the first changed one on that repay no principal."""
    grace_interest: int = 0
    """Periods from the first changed one on whose interest falls due with the first after them."""
    annual_rate: Decimal | None = None
    """Another rate from today on."""
    re_age: bool = False
    """Arrears join the plan: their principal is spread with the rest, their interest and charges
    fall due with the next instalment."""
    keep: Keep = Keep.TERM


def reschedule(terms: Terms, loan: Loan, journal: Journal, plan: Plan) -> None:
    """Another plan for what is not yet due, and with `re_age` for the arrears."""
    stands, beyond = earned(terms, loan), _beyond(terms, loan)
    rate, bore = loan.annual_rate, bearing(terms, loan)
    if plan.annual_rate is not None:
        loan.rates.append(RateStep(loan.business_date, plan.annual_rate))
        _rescale_charges(terms, loan)
    if loan.current is None:
        _append_period(terms, loan)
    if plan.re_age:
        _re_age(loan, journal)
    if plan.annual_rate is not None and plan.from_due is not None:
        # The instalments that stay as they are bear it too.
        replan(terms, loan, journal, fixed_share=loan.share, cut=True, stands=stands)
    first = _first_changed(loan, plan)
    _end_sooner(loan, first, plan.instalments)
    over = _periods(terms, loan, first, plan)
    before = over[0].number - 1
    loan.relief = Relief(
        max(loan.relief.principal, before + plan.grace_principal if plan.grace_principal else 0),
        max(loan.relief.interest, before + plan.grace_interest if plan.grace_interest else 0),
    )
    keep = Keep.TERM if plan.grace_principal else plan.keep
    cut = (loan.annual_rate, bearing(terms, loan)) != (rate, bore)
    replanned = _Replanned(first, stands, current_accrual(terms, loan), beyond, cut)
    _keep(terms, loan, journal, keep, over, replanned)
    loan.restructured = loan.business_date


def _end_sooner(loan: Loan, first: int, count: int) -> None:
    """So many rows from one on are left, and no fewer than are paid already; the last of them takes
    what the others ask, and what was paid of them.
    """
    changed = loan.rows[first:]
    count = max(count, sum(row.closed for row in changed) + 1) if count else len(changed)
    for row in changed[count:]:
        last = changed[count - 1]
        last.due = [here + more for here, more in zip(last.due, row.due, strict=True)]
        last.paid = [here + more for here, more in zip(last.paid, row.paid, strict=True)]
    loan.rows[first:] = changed[:count]


def _first_changed(loan: Loan, plan: Plan) -> int:
    if plan.from_due is None:
        return loan.due_count
    ahead = range(loan.due_count, len(loan.rows))
    return next((i for i in ahead if loan.rows[i].due_date >= plan.from_due), len(loan.rows) - 1)


def _periods(terms: Terms, loan: Loan, first: int, plan: Plan) -> list[Period]:
    """The periods from a row on, with some left out, some added and another due day; none falls due
    before tomorrow. One that is as it was bears what it did; a bullet's last one is the longer for
    those that are added.
    """
    old = [row.instalment.period for row in loan.rows[first:]]
    count = len(old) + plan.more_periods
    begins = max(old[0].start, loan.business_date)
    if terms.frequency.by_name:
        agreed = plan.due_dates[-1].day if plan.due_dates else 0
        loan.due_day = plan.repay_day or agreed or loan.due_day
    if plan.due_dates:
        return _as_agreed(terms, old[0], begins, plan.due_dates, count)
    dates = islice(_dates(terms, loan, old, plan.repay_day, begins), plan.skip_periods, None)
    ends = list(islice(dates, count))
    if terms.method is Method.BULLET:
        ends[len(old) - 1 :] = [ends[-1]._replace(whole=False)]
    made, start = [], old[0].start
    if ends[0].day != old[0].end:
        ends[0] = _End(ends[0].day, _is_whole(terms, start, ends[0].day))
    for number, (end, whole) in enumerate(ends, old[0].number):
        made.append(Period(number, start, end, whole))
        start = end
    return made


class _End(NamedTuple):
    """Of a period."""

    day: date
    whole: bool
    """It is, where it begins with the one before."""


def _dates(
    terms: Terms, loan: Loan, old: Sequence[Period], repay_day: int, begins: date
) -> Iterator[_End]:
    """Where periods end from the first of the old ones on, without end."""
    if repay_day and terms.frequency.by_name:
        numbers = (
            later(terms.frequency, old[0].end, k, repay_day, terms.month_end) for k in count()
        )
        moved = (shifted(terms, day) for day in numbers)
        return (_End(day, whole=True) for day in dropwhile(lambda day: day <= begins, moved))
    after = due_dates_after(terms, loan.begun, old[-1].end, loan.due_day)
    return chain(
        (_End(period.end, period.whole) for period in old),
        (_End(day, whole=True) for day in after),
    )


def _as_agreed(
    terms: Terms, first: Period, begins: date, agreed: Sequence[date], count: int
) -> list[Period]:
    """Periods that end on the days agreed, and where those give out by the frequency. A day that
    another past finds passed already is left out.
    """
    ends = [day for day in agreed[:count] if day > begins] or [begins + DAY]
    last, anchor = ends[-1], ends[-1].day
    for index in range(1, count - len(ends) + 1):
        end = later(terms.frequency, last, index, anchor, terms.month_end)
        ends.append(max(shifted(terms, end), ends[-1]))
    return [
        Period(first.number + index, start, end, _is_whole(terms, start, end))
        for index, (start, end) in enumerate(pairwise([first.start, *ends]))
    ]


def _is_whole(terms: Terms, start: date, end: date) -> bool:
    """One period by its frequency lies between the days, both of them its due days; a bullet's is of
    days.
    """
    anchor = max(start.day, end.day)
    due = [later(terms.frequency, start, count, anchor, terms.month_end) for count in (0, 1)]
    return terms.method is not Method.BULLET and due == [start, end]


class _Replanned(NamedTuple):
    """From where on rows are spread anew, and of the running period …"""

    first: int
    stands: int
    """… what it has earned …"""
    was: int
    """… and had accrued before the change."""
    beyond: int
    """What the last row asked more than its equal part then."""
    cut: bool
    """Rate or balance changed: what was earned stands, and only the rest is reckoned anew."""


def _keep(
    terms: Terms,
    loan: Loan,
    journal: Journal,
    keep: Keep,
    over: Sequence[Period],
    replanned: _Replanned,
) -> None:
    """Spreads what is left over the periods in an instalment that is found anew; or in the one that is
    kept, and over as many periods as it takes: where those that the law allows are too few (贷款通则
    §12), it is found anew.
    """
    if keep is Keep.INSTALMENT:
        rounding = 2 * terms.periods * terms.multiple
        for periods in (over, [*over, *_allowed_after(terms, loan, over[-1])]):
            tried = loan.copy()
            _spread_anew(terms, tried, Journal(), periods, loan.share, replanned)
            if _beyond(terms, tried) <= max(replanned.beyond, 0) + rounding:
                _spread_anew(terms, loan, journal, periods, loan.share, replanned)
                return
    _spread_anew(terms, loan, journal, over, None, replanned)


def _allowed_after(terms: Terms, loan: Loan, last: Period) -> Sequence[Period]:
    """The periods that follow one, as far as the law lets the loan be extended."""
    latest = latest_end(terms, loan.begun)
    after = due_dates_after(terms, loan.begun, last.end, loan.due_day)
    ends = list(takewhile(lambda end: end <= latest, after))
    return chained(terms, last.end, ends, [True] * len(ends), last.number + 1)


def _beyond(terms: Terms, loan: Loan) -> int:
    """What the last row asks more than the level instalment and what was agreed for it."""
    if terms.method is not Method.EQUAL_INSTALMENT or terms.parts or terms.instalment:
        return 0
    last = loan.rows[-1]
    agreed = balloon(terms, lent_in_rows(terms, loan) or 0)
    return last.principal_unpaid + last.instalment.accrues - agreed - loan.share


def _spread_anew(
    terms: Terms,
    loan: Loan,
    journal: Journal,
    over: Sequence[Period],
    fixed_share: int | None,
    replanned: _Replanned,
) -> None:
    if replanned.first > loan.due_count:
        _respread(terms, loan, replanned.first, over, fixed_share)
        return
    replan(
        terms,
        loan,
        journal,
        fixed_share=fixed_share,
        cut=replanned.cut,
        over=over,
        stands=replanned.stands,
        was=replanned.was,
    )


def _respread(
    terms: Terms, loan: Loan, first: int, over: Sequence[Period], fixed_share: int | None
) -> None:
    """Rows from one that has not begun on; interest that the rows before it earn and do not ask is
    carried into them.
    """
    rows = loan.rows[first:]
    balance = sum(row.principal_unpaid for row in rows)
    before = [row.instalment for row in loan.rows[loan.due_count : first]]
    carried = loan.deferred + sum(row.accrues - row.interest for row in before)
    early = [row.paid[Part.PRINCIPAL] for row in rows]
    made = spread(
        terms,
        loan.annual_rate,
        balance,
        over,
        fixed_share=fixed_share,
        carried=carried,
        early=early,
        closed=paid_whole(rows),
        lent=lent_in_rows(terms, loan),
        begun=loan.begun,
        relief=loan.relief,
        grown=True,
    )
    fresh = [Owed.of(instalment) for instalment in made.instalments]
    for row, old in zip(fresh, rows, strict=False):
        row.continues(old)
    loan.rows[first:] = fresh
    loan.share = made.share


def _append_period(terms: Terms, loan: Loan) -> None:
    """A matured loan gets a period that runs from today, for a plan to begin with."""
    last = max(row.number for row in loan.rows)
    end = later(terms.frequency, loan.business_date, 1, loan.business_date.day, terms.month_end)
    period = Period(last + 1, loan.business_date, end, whole=False)
    loan.rows.append(Owed.of(Instalment(period, 0, 0, 0, since=loan.business_date)))


def _re_age(loan: Loan, journal: Journal) -> None:
    """Arrears leave the due rows: overdue principal is normal again (LOAN_RESCHEDULED)."""
    current = loan.current
    assert current is not None
    matured_falls_due(loan, journal)
    overdue = sum(row.principal_unpaid for row in loan.arrears if row.overdue)
    for row in loan.arrears:
        loan.rows[-1].due[Part.PRINCIPAL] += row.principal_unpaid
        current.due[Part.INTEREST] += row.interest_unpaid
        current.carried += row.interest_unpaid
        for part in (Part.PENALTY, Part.COMPOUND, Part.FEE):
            current.due[part] += row.unpaid(part)
        row.due = row.paid.copy()
    loan.settled_count = loan.due_count
    if loan.accruing:
        journal.post("LOAN_RESCHEDULED", loan, principal_overdue=overdue)


def misuse(terms: Terms, loan: Loan) -> None:
    """From this night on the penalty of misused funds is charged where it is the heavier."""
    loan.misused = True
    _rescale_charges(terms, loan)


def accelerate(terms: Terms, loan: Loan, journal: Journal) -> None:
    """All principal, and the interest on it to date, falls due today."""
    current = loan.current
    if current is None:
        return
    was, to_date = current_accrual(terms, loan), earned(terms, loan)
    event = "INTEREST_TRUED_UP" if loan.accruing else "INTEREST_ACCRUED"
    journal.post(event, loan, interest=to_date - was)
    period = current.instalment.period
    early = sum(row.paid[Part.PRINCIPAL] for row in loan.rows[loan.due_count :])
    today = Period(period.number, period.start, loan.business_date, whole=False)
    last = Instalment(
        today,
        loan.undue_principal + early,
        to_date + loan.deferred,
        0,
        current.instalment.fee if loan.business_date > period.start else 0,
        to_date,
        to_date,
        loan.business_date,
    )
    row = Owed.of(last)
    row.continues(current)
    row.paid[Part.PRINCIPAL], row.paid[Part.INTEREST] = early, loan.interest_ahead
    row.carried = current.carried
    row.due[Part.INTEREST] += current.carried
    row.due[Part.PENALTY], row.due[Part.COMPOUND] = current.due[2], current.due[3]
    row.due[Part.FEE] += current.due[Part.FEE] - current.instalment.fee
    loan.rows[loan.due_count :] = [row]


def projected(terms: Terms, loan: Loan) -> Loan:
    """The loan with the schedule that holds if what is overdue is paid today.

    Where overdue principal bears contract interest, the plan of the days to come depends on when it
    is paid; the running period is cut today, and both parts are rounded.
    """
    current = loan.current
    if not bearing_also(terms, loan) or current is None:
        return loan
    shown = loan.copy()
    old = shown.rows[shown.due_count :]
    periods = [row.instalment.period for row in old]
    lent = on_top(old)
    made = spread(
        terms,
        shown.annual_rate,
        shown.undue_principal - lent,
        periods,
        fixed_share=shown.share,
        running=_cut_today(terms, shown, current.instalment, lent),
        carried=shown.deferred,
        early=[row.paid[Part.PRINCIPAL] for row in old],
        closed=paid_whole(old),
        lent=lent_in_rows(terms, loan),
        begun=loan.begun,
        relief=loan.relief,
    )
    fresh = [Owed.of(instalment) for instalment in made.instalments]
    for row, was in zip(fresh, old, strict=False):
        row.continues(was)
    ask_on_top(fresh[0], lent)
    shown.rows[shown.due_count :] = fresh
    return shown


def _cut_today(terms: Terms, loan: Loan, first: Instalment, lent: int) -> Running | None:
    if loan.business_date == first.period.start:
        return None
    stands = first.accrues if terms.interest_on is InterestOn.PERIOD else None
    to_date = earned(terms, loan)
    return Running(loan.business_date, to_date, lent, accrues=stands)
