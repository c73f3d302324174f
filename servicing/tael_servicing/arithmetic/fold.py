"""A loan is the fold of its events: any order of arrival gives the same loan.

The fold takes every event it is given: one that the loan, as another past made it, has no use for
does the nearest thing (a settlement that is not enough repays; a repayment of a closed loan is held
for the customer). What may be asked of a loan today is `checks`' to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from tael_servicing.arithmetic import (
    changing,
    day,
    foreclosing,
    leaving,
    paying,
    prepaying,
    purchased,
)
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Purchased, order, standing
from tael_servicing.arithmetic.loan import DAY, Closure, Loan, Pause
from tael_servicing.arithmetic.postings import Journal, Step
from tael_servicing.arithmetic.terms import Excess, FeeAt, NonAccrual, Part, Terms

Work = Callable[[Terms, Loan, Journal], Any]


def apart(work: Work, terms: Terms, loan: Loan) -> Step:
    """Works on a copy: the loan after it, and what it posts."""
    after, journal = loan.copy(), Journal()
    work(terms, after, journal)
    return Step(after, tuple(journal.postings))


def happen(terms: Terms, loan: Loan, event: LoanEvent) -> Step:
    """The loan after an event dated on its business date, and the postings."""
    assert event.value_date == loan.business_date, (event, loan.business_date)
    return apart(lambda t, own, journal: apply(t, own, journal, event), terms, loan)


def replay(
    terms: Terms, events: Iterable[LoanEvent], as_of: date, nightly_from: date | None = None
) -> Step:
    """The loan as it stands on the business date `as_of`, after everything dated up to it; what was
    taken back did not happen, whenever that became known.

    The first event is its disbursement, or its purchase. The postings are those of the whole life;
    between two events a stretch of nights is one INTEREST_ACCRUED, from `nightly_from` on each night
    its own.
    Raises ValueError without either.
    """
    first, *rest = (each for each in standing(events) if each.value_date <= as_of)
    if not isinstance(first, Disbursed | Purchased):
        raise ValueError(f"a loan begins with its disbursement or purchase, not with {first}")  # noqa: TRY004 - the order is wrong, not a type
    journal = Journal()
    loan = begin(terms, first)
    day.fall_due(loan, journal)
    day.bear_what_is_late(terms, loan, journal)
    for event in rest:
        advance_in_place(terms, loan, journal, event.value_date, nightly_from)
        apply(terms, loan, journal, event)
    advance_in_place(terms, loan, journal, as_of, nightly_from)
    return Step(loan, tuple(journal.postings))


def begin(terms: Terms, event: Disbursed | Purchased) -> Loan:
    """The loan on the day it is paid out, before anything of it falls due, or bought."""
    if isinstance(event, Purchased):
        loan = purchased.begin(terms, event)
    else:
        loan = changing.begin(terms, event.principal, event.value_date)
    loan.last_event = order(event)
    return loan


def advance(terms: Terms, loan: Loan, to: date) -> Step:
    """The loan on a later business date if nothing happens to it until then."""
    return apart(lambda t, own, journal: advance_in_place(t, own, journal, to, None), terms, loan)


def end_day(terms: Terms, loan: Loan) -> Step:
    """One whole day end: closes the business date and opens the next."""
    return advance(terms, loan, loan.business_date + DAY)


def advance_in_place(
    terms: Terms, loan: Loan, journal: Journal, to: date, nightly_from: date | None
) -> None:
    """Day after day up to `to`; nights on which nothing but accrual happens go together."""
    while loan.business_date < to:
        day.transfer_overdue(terms, loan, journal)
        until = _next_break(terms, loan, to)
        if nightly_from is not None and until > nightly_from:
            until = max(nightly_from, loan.business_date + DAY)
        day.accrue(terms, loan, journal, (until - loan.business_date).days)
        open_day(terms, loan, journal)


def open_day(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Opens the business date, and releases what a loan that it closes no longer needs."""
    day.open_day(terms, loan, journal)
    leaving.true_up(terms, loan, journal)
    leaving.release_allowance(loan, journal)


def open_apart(terms: Terms, loan: Loan) -> Step:
    """As `open_day` on a copy; the loan itself, unchanged, where the day brings it nothing."""
    return apart(open_day, terms, loan) if day.stirs(terms, loan) else Step(loan)


def opens_on(terms: Terms, loan: Loan) -> date | None:
    """The next date whose opening may bring the loan more than a day, its status included, if nothing
    happens to it before; None of a loan that does not run.

    What the day end chooses loans by (end_of_day.open_day).
    """
    if not loan.running:
        return None
    until = _next_opening(terms, loan)
    if loan.settled_count < loan.due_count and loan.days_past_due <= 0:
        return min(until, loan.aged_from(loan.rows[loan.settled_count]) + DAY)
    return None if until == date.max else until


def _next_opening(terms: Terms, loan: Loan) -> date:
    """The next date whose opening may change a running loan."""
    today, until = loan.business_date, date.max
    if day.stirs(terms, loan):
        # Money held pays what is due, arrears that are paid end non-accrual, what falls due late is
        # past the limit: at the next opening.
        return today + DAY
    if loan.pause is not None:
        until = loan.pause.until
    if loan.current is not None:
        until = min(until, loan.current.due_date)
    if loan.settled_count < loan.due_count and loan.nonaccrual_since is None:
        oldest = loan.aged_from(loan.rows[loan.settled_count])
        until = min(until, oldest + timedelta(days=terms.nonaccrual_dpd + 1))
    return until


def _next_break(terms: Terms, loan: Loan, to: date) -> date:
    """The next date on which more happens than a night's accrual."""
    if not loan.running:
        return to
    today, until = loan.business_date, min(to, _next_opening(terms, loan))
    grace = timedelta(days=terms.grace_days)
    for row in loan.arrears:
        end = loan.aged_from(row) + grace
        if not row.overdue and today < end < until:
            until = end
    return until


def apply(terms: Terms, loan: Loan, journal: Journal, event: LoanEvent) -> None:
    """Does to the loan what the event says, whatever state it is in."""
    journal.cause = event.event_id
    if not isinstance(event, happened.AllowanceAdjusted):
        # Months end without writing loans anew, and on days that are over: nothing waits for them.
        loan.last_event = order(event)
    if loan.running or isinstance(event, AFTER_THE_END):
        HANDLERS[type(event)](terms, loan, journal, event)
    elif isinstance(event, MONEY):
        leaving.recover(terms, loan, journal, event.amount)
    leaving.true_up(terms, loan, journal)
    leaving.release_allowance(loan, journal)
    journal.cause = ""


def _repaid(terms: Terms, loan: Loan, journal: Journal, event: happened.Repaid) -> None:
    rule = event.excess or terms.excess
    _money(terms, loan, journal, event.amount, rule, "REPAYMENT_RECEIVED")


def _goods(terms: Terms, loan: Loan, journal: Journal, event: happened.GoodsRefunded) -> None:
    """Who returns goods owes no fee for prepaying."""
    _money(_free(terms), loan, journal, event.amount, event.excess, "GOODS_REFUNDED")


def _money(
    terms: Terms, loan: Loan, journal: Journal, amount: int, rule: Excess, event: str
) -> None:
    """What is more than due, and principal at once, is a prepayment where the schedule's balance
    bears the interest.
    """
    if rule is Excess.PRINCIPAL and not terms.on_what_is_paid:
        prepaying.prepay(terms, loan, journal, amount, terms.prepayment, event=event)
    else:
        paying.receive(terms, loan, journal, amount, event=event, excess=rule)


def _free(terms: Terms) -> Terms:
    """The terms without the fees for prepaying."""
    return replace(terms, fees=tuple(f for f in terms.fees if f.at is not FeeAt.PREPAYMENT))


def _guarantor(terms: Terms, loan: Loan, journal: Journal, event: happened.GuarantorPaid) -> None:
    """A guarantor owes no fee for prepaying, and the debtor's own money stays the debtor's."""
    held, loan.overpayment = loan.overpayment, 0
    prepaying.settle(_free(terms), loan, journal, event.amount, event="GUARANTOR_PAID")
    loan.overpayment += held
    if loan.closure is not None:
        loan.closure = Closure.GUARANTOR


def _charged(_terms: Terms, loan: Loan, journal: Journal, event: happened.Charged) -> None:
    changing.ask_at_once(loan, fee=event.amount)
    journal.post("FEE_DUE", loan, fee=event.amount)


def _costs(_terms: Terms, loan: Loan, journal: Journal, event: happened.CostsAdvanced) -> None:
    loan.legal_costs += event.amount
    journal.post("LEGAL_COSTS_ADVANCED", loan, legal_costs=event.amount)


def _waived(terms: Terms, loan: Loan, journal: Journal, event: happened.Waived) -> None:
    parts = {
        Part.INTEREST: event.interest,
        Part.PENALTY: event.penalty,
        Part.COMPOUND: event.compound,
        Part.FEE: event.fee,
        Part.PRINCIPAL: event.principal,
    }
    leaving.waive(terms, loan, journal, parts)


def _accelerated(terms: Terms, loan: Loan, journal: Journal, event: happened.Accelerated) -> None:
    changing.accelerate(terms, loan, journal)
    day.fall_due(loan, journal)
    if event.misused:
        changing.misuse(terms, loan)


def _impaired_interest(
    terms: Terms, loan: Loan, journal: Journal, event: happened.ImpairedInterest
) -> None:
    """Nothing where another past has the loan accrue."""
    if loan.nonaccrual_since is not None and terms.nonaccrual is NonAccrual.STAGE3_NET:
        leaving.accrue_impaired(loan, journal, event.rate, event.deferred)


def _impaired(terms: Terms, loan: Loan, journal: Journal, _event: LoanEvent) -> None:
    if loan.nonaccrual_since is None:
        day.enter_nonaccrual(terms, loan, journal)
    loan.judged = True


def _restored(_terms: Terms, loan: Loan, _journal: Journal, _event: LoanEvent) -> None:
    loan.judged = False


def _paused(_terms: Terms, loan: Loan, _journal: Journal, event: happened.Paused) -> None:
    """One that runs goes on until another day, or ends."""
    begins = loan.pause.begins if loan.pause and loan.paused else loan.business_date
    if not loan.paused or event.until <= loan.business_date:
        day.end_pause(loan)
    if event.until > loan.business_date:
        loan.pause = Pause(begins, event.until)


HANDLERS: dict[type[LoanEvent], Callable[[Terms, Loan, Journal, Any], None]] = {
    happened.Disbursed: lambda t, loan, j, e: changing.add_tranche(t, loan, j, e.principal),
    happened.Repriced: lambda t, loan, j, e: changing.reprice(t, loan, j, e.annual_rate, e.keep),
    happened.Rescheduled: lambda t, loan, j, e: changing.reschedule(t, loan, j, e.plan),
    happened.Charged: _charged,
    happened.CostsAdvanced: _costs,
    happened.Waived: _waived,
    happened.Returned: lambda t, loan, j, e: leaving.take_back(t, loan, j, e.amount),
    happened.Repaid: _repaid,
    happened.GoodsRefunded: _goods,
    happened.GuarantorPaid: _guarantor,
    happened.CurrentPaid: lambda t, loan, j, e: prepaying.pay_current(t, loan, j, e.amount),
    happened.Prepaid: lambda t, loan, j, e: prepaying.prepay(t, loan, j, e.amount, e.keep),
    happened.Settled: lambda t, loan, j, e: prepaying.settle(
        t, loan, j, e.amount, event="REPAYMENT_RECEIVED"
    ),
    happened.Accelerated: _accelerated,
    happened.Impaired: _impaired,
    happened.Restored: _restored,
    happened.Paused: _paused,
    happened.ImpairedInterest: _impaired_interest,
    happened.AllowanceAdjusted: lambda _t, loan, j, e: leaving.adjust_allowance(
        loan, j, e.allowance
    ),
    happened.WrittenOff: lambda t, loan, j, _e: leaving.write_off(t, loan, j),
    happened.Recovered: lambda t, loan, j, e: leaving.recover(t, loan, j, e.amount),
    happened.ClaimWaived: lambda t, loan, j, e: leaving.waive_claim(
        t, loan, j, e.principal, e.interest, e.legal_costs
    ),
    happened.Sold: lambda t, loan, j, e: leaving.sell(t, loan, j, e.price),
    happened.AssetTaken: lambda t, loan, j, e: foreclosing.take_asset(
        t, loan, j, e.fair_value, settles=e.settles
    ),
    happened.Parked: lambda _t, loan, j, e: leaving.park(loan, j, e.amount),
    happened.OverpaymentRefunded: lambda t, loan, j, e: leaving.refund_overpayment(
        t, loan, j, e.amount, e.funds
    ),
}
"""What each event does."""
AFTER_THE_END = (
    happened.Disbursed,
    happened.CostsAdvanced,
    happened.AllowanceAdjusted,
    happened.Recovered,
    happened.ClaimWaived,
    happened.Sold,
    happened.AssetTaken,
    happened.Parked,
    happened.OverpaymentRefunded,
)
"""Events that find a loan closed or written off and mean it, or that moved money all the same."""
MONEY = (
    happened.Returned,
    happened.Repaid,
    happened.GoodsRefunded,
    happened.GuarantorPaid,
    happened.CurrentPaid,
    happened.Prepaid,
    happened.Settled,
)
"""Events that bring money: a loan that is closed or written off takes it too."""
