"""Paying before it is due: the whole loan, a part of it, or the running instalment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tael_servicing.arithmetic.balances import by_account
from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.loan import Closure, Loan, Owed, current_accrual
from tael_servicing.arithmetic.paying import (
    close_if_repaid,
    most_principal,
    pay_ahead,
    pay_arrears,
    post_money,
    prepayment_fee,
    principal_of_whole,
)
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.replanning import earned, earned_on, replan
from tael_servicing.arithmetic.schedules import Instalment
from tael_servicing.arithmetic.terms import (
    EarlyInterest,
    Excess,
    Keep,
    Part,
    Terms,
    Until,
)


@dataclass(slots=True)
class Payoff:
    """What settles a loan on its business date, minor units."""

    principal_due: int
    interest_due: int
    penalty: int
    compound: int
    fees: int
    """Due, and of the running period."""
    legal_costs: int
    principal_undue: int
    interest_to_date: int
    """Of the running period, with what was carried into it; not yet paid."""
    prepayment_fee: int
    overpayment: int
    """Held for the customer: it pays its part."""

    @property
    def gross(self) -> int:
        """All that is owed."""
        due = self.principal_due + self.interest_due + self.penalty + self.compound
        ahead = self.principal_undue + self.interest_to_date + self.prepayment_fee
        return due + self.fees + self.legal_costs + ahead

    @property
    def total(self) -> int:
        """What to pay."""
        return max(self.gross - self.overpayment, 0)


def payoff(terms: Terms, loan: Loan) -> Payoff:
    """The payoff of a running loan today; advance the loan first to quote a later date."""
    due = {part: sum(row.unpaid(part) for row in loan.arrears) for part in Part}
    undue, current = loan.undue_principal, loan.current
    interest = fee = 0
    if current is not None:
        whole = terms.interest_until is Until.DUE_DATE and _begun(loan, current)
        interest = _interest_until(terms, loan, current, whole=whole)
        due[Part.PENALTY] += current.unpaid(Part.PENALTY)
        due[Part.COMPOUND] += current.unpaid(Part.COMPOUND)
        fee = _running_fee(loan, current)
    return Payoff(
        principal_due=due[Part.PRINCIPAL],
        interest_due=due[Part.INTEREST],
        penalty=due[Part.PENALTY],
        compound=due[Part.COMPOUND],
        fees=due[Part.FEE] + fee,
        legal_costs=loan.legal_costs,
        principal_undue=undue,
        interest_to_date=interest,
        prepayment_fee=prepayment_fee(terms, loan, undue),
        overpayment=loan.overpayment,
    )


def _interest_until(terms: Terms, loan: Loan, current: Owed, *, whole: bool) -> int:
    """Of the running instalment: earned to date or in its whole period, carried included, not paid."""
    to_date = current.instalment.accrues if whole else earned(terms, loan)
    return loan.deferred + to_date + current.carried - loan.interest_ahead


def _begun(loan: Loan, row: Owed) -> bool:
    return loan.business_date > row.instalment.period.start


def _running_fee(loan: Loan, current: Owed) -> int:
    """The running period's own fee once it has begun, and what was asked before."""
    return current.unpaid(Part.FEE) if _begun(loan, current) else _fee_asked(current)


def _fee_asked(current: Owed) -> int:
    """Of the running row's fee, what was due before and joined it: it is income already (FEE_DUE)."""
    return current.unpaid(Part.FEE) - current.instalment.fee


def settle(terms: Terms, loan: Loan, journal: Journal, amount: int, *, event: str) -> None:
    """Pays the loan off out of `amount` and what is held for the customer; more is held for them.

    Less pays what is due, and then principal.
    """
    quote = payoff(terms, loan)
    money = amount + loan.overpayment
    if money < quote.gross:
        prepay(terms, loan, journal, amount, terms.prepayment, event=event)
        return
    held = loan.overpayment
    loan.overpayment = 0
    _, accounts = pay_arrears(terms, loan, journal, quote.gross)
    current = loan.current
    if current is not None:
        _true_up(terms, loan, journal, current, quote.interest_to_date)
        for name, value in _ahead(loan, current, quote).items():
            accounts[name] = accounts.get(name, 0) + value
        if terms.excess is Excess.INSTALMENTS:
            _paid_whole(loan, current, quote)
        else:
            _last_row(loan, current, quote)
    loan.deferred = 0
    loan.overpayment = money - quote.gross
    accounts["prepayment_fee"] = quote.prepayment_fee
    post_money(loan, journal, event, accounts, loan.overpayment - held)
    close_if_repaid(loan)
    if quote.principal_undue and loan.closure is not None:
        loan.closure = Closure.PAID_EARLY


def _true_up(
    terms: Terms, loan: Loan, journal: Journal, current: Owed, interest_to_date: int
) -> None:
    """Interest to date less what the nights accrued; off balance the memo grows or shrinks."""
    accrued = loan.deferred + current_accrual(terms, loan) + current.carried - loan.interest_ahead
    event = "INTEREST_TRUED_UP" if loan.accruing else "INTEREST_ACCRUED"
    journal.post(event, loan, interest=interest_to_date - accrued)
    journal.post("FEE_DUE", loan, fee=_running_fee(loan, current) - _fee_asked(current))


def _ahead(loan: Loan, current: Owed, quote: Payoff) -> dict[str, int]:
    """What is not yet due, by account."""
    taken = {
        Part.PRINCIPAL: quote.principal_undue,
        Part.INTEREST: current.carried,
        Part.PENALTY: current.unpaid(Part.PENALTY),
        Part.COMPOUND: current.unpaid(Part.COMPOUND),
        Part.FEE: _running_fee(loan, current),
    }
    accounts = by_account(loan, taken, 0)
    own = quote.interest_to_date - current.carried
    name = "offbalance_interest" if loan.nonaccrual_since else "interest_accrued"
    accounts[name] = accounts.get(name, 0) + own
    return accounts


def _ended_today(loan: Loan, period: Period) -> Period:
    """A period that its payment ends; one that has not begun, the interest before it being paid, has no
    days.
    """
    today = loan.business_date
    return Period(period.number, min(period.start, today), today, whole=False)


def _last_row(loan: Loan, current: Owed, quote: Payoff) -> None:
    """What was not due becomes one last instalment, paid today."""
    period = current.instalment.period
    fee = _running_fee(loan, current)
    early = sum(row.paid[Part.PRINCIPAL] for row in loan.rows[loan.due_count :])
    interest = quote.interest_to_date + loan.interest_ahead
    last = Instalment(
        _ended_today(loan, period),
        quote.principal_undue + early,
        interest,
        0,
        fee,
        interest,
        interest,
        loan.business_date,
    )
    row = Owed.of(last)
    row.due[Part.PENALTY], row.due[Part.COMPOUND] = current.due[2], current.due[3]
    row.paid, row.paid_on = row.due.copy(), loan.business_date
    loan.rows[loan.due_count :] = [row]
    loan.due_count = loan.settled_count = len(loan.rows)


def _paid_whole(loan: Loan, current: Owed, quote: Payoff) -> None:
    """What was not due stays in its rows, paid today: each asks what it did, principal for what its
    interest is less, until none is left.
    """
    left, interest, fee = quote.principal_undue, quote.interest_to_date, _running_fee(loan, current)
    ahead = loan.rows[loan.due_count :]
    early = sum(row.paid[Part.PRINCIPAL] for row in ahead)
    for index, old in enumerate(ahead):
        here, bears = 0, old.paid[Part.INTEREST]
        if not old.closed:
            here = principal_of_whole(old, interest, left, last=old is ahead[-1])
            bears, interest = bears + interest, 0
        asks = old.paid[Part.PRINCIPAL] + here
        left, early = left - here, early - old.paid[Part.PRINCIPAL]
        row = Owed.of(
            old.instalment._replace(
                principal=asks, interest=bears, balance_after=left + early, fee=fee, accrues=bears
            )
        )
        row.due[Part.PENALTY], row.due[Part.COMPOUND] = (
            old.due[Part.PENALTY],
            old.due[Part.COMPOUND],
        )
        row.paid, row.paid_on = row.due.copy(), old.paid_on if old.closed else loan.business_date
        row.in_advance, fee = sum(row.paid), 0
        ahead[index] = row
        if not (left or early):
            break
    loan.rows[loan.due_count :] = ahead[: index + 1]
    loan.due_count = loan.settled_count = len(loan.rows)


@dataclass(slots=True)
class Prepayment:
    """What prepaying principal costs today, minor units."""

    principal: int
    interest: int
    fee: int
    penalty: int = 0
    """Of the running instalment alone: charges that joined it by a re-ageing."""
    compound: int = 0

    @property
    def total(self) -> int:
        """What to pay."""
        return self.principal + self.interest + self.fee + self.penalty + self.compound


def due_paid(terms: Terms, loan: Loan) -> Loan:
    """The loan once what is due is paid, which money for anything else pays first."""
    after = loan.copy()
    if loan.anything_due:
        pay_arrears(terms, after, Journal(), loan.amount_due)
    return after


def cost_of(terms: Terms, loan: Loan, principal: int) -> Prepayment:
    """Principal, the interest that is paid with it, and the fee."""
    return Prepayment(
        principal, _with_it(terms, loan, principal), prepayment_fee(terms, loan, principal)
    )


def _with_it(terms: Terms, loan: Loan, principal: int) -> int:
    if terms.early_interest is EarlyInterest.ALL and loan.current is not None:
        return loan.deferred + earned(terms, loan) - loan.interest_ahead
    if terms.on_what_is_paid:
        return 0
    return earned_on(terms, loan, principal)


def principal_for(terms: Terms, loan: Loan, amount: int) -> int:
    """The largest principal whose prepayment costs at most `amount`; 0 where there is none."""
    return most_principal(loan, amount, lambda each: cost_of(terms, loan, each).total)


def prepay(
    terms: Terms,
    loan: Loan,
    journal: Journal,
    amount: int,
    keep: Keep,
    *,
    event: str = "REPAYMENT_RECEIVED",
) -> None:
    """Pays what is due, and then as much principal, with its interest and fee, as the rest is good
    for; what that leaves is held for the customer.
    """
    left, accounts = pay_arrears(terms, loan, journal, amount)
    made = Prepayment(0, 0, 0)
    if left and loan.current is not None and loan.accruing and not loan.arrears:
        made = cost_of(terms, loan, principal_for(terms, loan, left))
    if not made.principal:
        made = Prepayment(0, 0, 0)
    left -= made.total
    loan.overpayment += left
    if made.principal:
        _reduce(terms, loan, journal, made, keep)
    accounts["principal_normal"] = accounts.get("principal_normal", 0) + made.principal
    accounts |= {"interest_accrued": made.interest, "prepayment_fee": made.fee}
    post_money(loan, journal, event, accounts, left)
    close_if_repaid(loan)


def _reduce(terms: Terms, loan: Loan, journal: Journal, made: Prepayment, keep: Keep) -> None:
    """Takes prepaid principal out of the schedule."""
    current = loan.current
    assert current is not None
    was = current_accrual(terms, loan)
    to_date = earned(terms, loan)
    all_paid = terms.early_interest is EarlyInterest.ALL
    actual = terms.on_what_is_paid
    if all_paid:
        current.pay(Part.INTEREST, made.interest, loan.business_date)
    if keep is Keep.SCHEDULE or actual:
        pay_ahead(loan, made.principal, Excess.NEXT if keep is Keep.SCHEDULE else Excess.PRINCIPAL)
    else:
        _shrink(loan, made.principal)
    cut = actual or all_paid or current.instalment.before > 0
    stands = to_date if actual or all_paid else to_date - made.interest
    fixed = None if keep is Keep.TERM else loan.share
    replan(
        terms,
        loan,
        journal,
        fixed_share=fixed,
        cut=cut,
        stands=stands,
        interest_paid=0 if actual or all_paid else made.interest,
        was=was,
        paid=True,
    )


def _shrink(loan: Loan, principal: int) -> None:
    """Takes principal away from the rows to come; the replanning spreads what is left."""
    for row in reversed(loan.rows[loan.due_count :]):
        here = min(principal, row.principal_unpaid)
        row.due[Part.PRINCIPAL] -= here
        principal -= here


def pay_current(terms: Terms, loan: Loan, journal: Journal, amount: int) -> None:
    """Pays what is due and the running instalment before its due date (提前还当期), with its interest
    to today or of the whole period as the terms say; more is held for the customer.
    """
    left, accounts = pay_arrears(terms, loan, journal, amount)
    current = loan.current
    asked = current_amount(terms, loan)
    if current is None or not loan.accruing or loan.arrears or left < asked.total:
        loan.overpayment += left
        journal.post("REPAYMENT_RECEIVED", loan, **accounts, overpayment=left)
        close_if_repaid(loan)
        return
    was = current_accrual(terms, loan)
    current.paid[Part.PRINCIPAL] += asked.principal
    current.paid[1] += asked.interest
    own = asked.interest
    _close_period(terms, loan, journal, current, was)
    left -= asked.total
    loan.overpayment += left
    fee = asked.fee
    journal.post("FEE_DUE", loan, fee=fee - _fee_asked(current))
    accounts["principal_normal"] = accounts.get("principal_normal", 0) + asked.principal
    accounts["fee"] = accounts.get("fee", 0) + fee
    accounts["penalty"] = accounts.get("penalty", 0) + asked.penalty
    accounts["compound"] = accounts.get("compound", 0) + asked.compound
    accounts["interest_due"] = accounts.get("interest_due", 0) + current.carried
    journal.post(
        "REPAYMENT_RECEIVED",
        loan,
        **accounts,
        interest_accrued=own - current.carried,
        overpayment=left,
    )
    close_if_repaid(loan)


def current_amount(terms: Terms, loan: Loan) -> Prepayment:
    """What the running instalment costs where it is paid today: with its whole period's interest, begun
    or not, where that is what is paid.
    """
    current = loan.current
    if current is None:
        return Prepayment(0, 0, 0)
    whole = terms.interest_until is Until.DUE_DATE
    return Prepayment(
        current.principal_unpaid,
        _interest_until(terms, loan, current, whole=whole),
        current.unpaid(Part.FEE),
        current.unpaid(Part.PENALTY),
        current.unpaid(Part.COMPOUND),
    )


def _close_period(terms: Terms, loan: Loan, journal: Journal, current: Owed, was: int) -> None:
    """The running instalment is settled; interest runs from today on what is left, and falls due
    with the next one.
    """
    to_date = loan.deferred + was
    paid = current.paid[1] - current.carried
    event = "INTEREST_TRUED_UP" if loan.accruing else "INTEREST_ACCRUED"
    journal.post(event, loan, interest=paid - to_date)
    loan.deferred = 0
    period = current.instalment.period
    until = loan.business_date if terms.interest_until is Until.PAYMENT else period.end
    paid_row = Owed.of(
        current.instalment._replace(
            period=_ended_today(loan, period),
            interest=paid,
            accrues=paid,
            before=paid,
            since=loan.business_date,
        )
    )
    paid_row.due = [current.due[0], current.paid[1], current.due[2], current.due[3], current.due[4]]
    paid_row.paid, paid_row.paid_on = paid_row.due.copy(), loan.business_date
    loan.rows[loan.due_count] = paid_row
    loan.due_count += 1
    loan.settled_count = loan.due_count
    _begin_sooner(terms, loan, journal, until)


def _begin_sooner(terms: Terms, loan: Loan, journal: Journal, start: date) -> None:
    """The next period begins where the paid one's interest ends."""
    current = loan.current
    if current is None:
        return
    period = current.instalment.period
    periods = [row.instalment.period for row in loan.rows[loan.due_count :]]
    periods[0] = Period(
        period.number, start, period.end, whole=period.whole and start == period.start
    )
    replan(terms, loan, journal, fixed_share=loan.share, cut=False, over=periods)
