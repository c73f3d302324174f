"""What happens to a loan, and what each event does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from tael_runtime.errors import FailedPrecondition
from tael_servicing.arithmetic.arrears import by_account, closed_if_repaid, pay
from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.loan import (
    NO_ALLOWANCE,
    Allowance,
    Claim,
    Closure,
    Loan,
    Owed,
    balances,
)
from tael_servicing.arithmetic.postings import Posting, Step, nonzero, posting
from tael_servicing.arithmetic.prepayment import (
    Keep,
    Payoff,
    check_payable,
    check_prepayable,
    payoff,
    prepay,
    principal_for,
    rescheduled,
)
from tael_servicing.arithmetic.schedules import Instalment, build_schedule
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.reasons import Reason


@dataclass(frozen=True, slots=True)
class Disbursed:
    """The loan is paid out; interest runs from the value date."""

    value_date: date
    event_id: str
    principal: int


@dataclass(frozen=True, slots=True)
class Repaid:
    """Money for what is due, oldest first; the rest is parked."""

    value_date: date
    event_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Prepaid:
    """A partial prepayment: principal, its interest to date and the fee, out of `amount`."""

    value_date: date
    event_id: str
    amount: int
    keep: Keep


@dataclass(frozen=True, slots=True)
class Settled:
    """Full settlement: exactly the payoff."""

    value_date: date
    event_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class AllowanceAdjusted:
    """The loss allowance is set to these stages."""

    value_date: date
    event_id: str
    allowance: Allowance


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """The loan leaves the books; its claim stays."""

    value_date: date
    event_id: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """Money after the write-off: principal first, then interest."""

    value_date: date
    event_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Parked:
    """Money under way while the loan was repaid or written off: held for the customer."""

    value_date: date
    event_id: str
    amount: int


LoanEvent = (
    Disbursed | Repaid | Prepaid | Settled | AllowanceAdjusted | WrittenOff | Recovered | Parked
)


# Same-day events happen in this order, whatever order they arrived in.
_CLASSES = (Disbursed, Repaid, Prepaid, Settled, AllowanceAdjusted, WrittenOff, Recovered, Parked)
_RANK: Mapping[type[LoanEvent], int] = {kind: rank for rank, kind in enumerate(_CLASSES)}


def order(event: LoanEvent) -> tuple[date, int, str]:
    """The key of the fold: value date, event class, id given at creation."""
    return event.value_date, _RANK[type(event)], event.event_id


def disburse(terms: Terms, event: Disbursed) -> Loan:
    """The loan on the day it is paid out."""
    schedule = build_schedule(terms, event.principal, event.value_date)
    return Loan(
        business_date=event.value_date,
        principal=event.principal,
        rows=tuple(Owed(instalment) for instalment in schedule.instalments),
        share=schedule.share,
    )


def happen(terms: Terms, loan: Loan, event: LoanEvent) -> Step:
    """The loan after an event dated on its business date, and the postings.

    Raises FailedPrecondition with a `Reason` where the loan's state forbids the event.
    """
    if event.value_date != loan.business_date or isinstance(event, Disbursed):
        raise FailedPrecondition(
            Reason.EVENT_OUT_OF_ORDER, f"{event} on a loan that stands at {loan.business_date}"
        )
    match event:
        case Repaid():
            step = _repay(terms, loan, event.amount)
        case Prepaid():
            step = _prepay(terms, loan, event.amount, event.keep)
        case Settled():
            step = _settle(terms, loan, event.amount)
        case AllowanceAdjusted():
            step = _adjust_allowance(loan, event.allowance)
        case WrittenOff():
            step = _write_off(terms, loan)
        case Recovered():
            step = _recover(loan, event.amount)
        case Parked():
            step = _park(loan, event.amount)
    return step


def _repay(terms: Terms, loan: Loan, amount: int) -> Step:
    check_payable(loan)
    paid, accounts, left = pay(terms, loan, amount)
    after = replace(paid, overpayment=loan.overpayment + left)
    received = posting("REPAYMENT_RECEIVED", loan, **accounts, overpayment=left)
    return Step(after, (received,))


def _prepay(terms: Terms, loan: Loan, amount: int, keep: Keep) -> Step:
    check_prepayable(loan)
    made = prepay(terms, loan, principal_for(terms, loan, amount), keep)
    left = amount - made.total
    after = replace(rescheduled(loan, made.schedule), overpayment=loan.overpayment + left)
    received = posting(
        "REPAYMENT_RECEIVED",
        loan,
        principal_normal=made.principal,
        interest_accrued=made.interest,
        prepayment_fee=made.fee,
        overpayment=left,
    )
    return Step(after, (*_true_up(loan, made.true_up), received))


def _settle(terms: Terms, loan: Loan, amount: int) -> Step:
    quote = payoff(terms, loan)
    if amount != quote.total:
        raise FailedPrecondition(
            Reason.PAYOFF_AMOUNT_MISMATCH, f"the payoff on {loan.business_date} is {quote.total}"
        )
    arrears = [dict(row.unpaid) for row in loan.arrears]
    memo = [dict(loan.memo.unpaid)] if loan.memo else []
    due = by_account(loan, arrears + memo)
    accounts = {name: value + due.get(name, 0) for name, value in _undue(loan, quote).items()}
    received = posting("REPAYMENT_RECEIVED", loan, **{**due, **accounts}, prepayment_fee=quote.fee)
    postings = (*_true_up(loan, quote.true_up), received)
    return Step(_paid_off(terms, loan, quote), postings)


def _undue(loan: Loan, quote: Payoff) -> Mapping[str, int]:
    """What is not yet due, by account."""
    principal = "principal_normal" if loan.accruing else "principal_impaired"
    interest = "interest_accrued" if loan.accruing else "offbalance_interest"
    return {principal: quote.principal_undue, interest: quote.interest_to_date}


def _paid_off(terms: Terms, loan: Loan, quote: Payoff) -> Loan:
    """Every due instalment paid; what was not due becomes one last instalment, paid today."""
    rows = [row.paid_with(terms, row.unpaid) for row in loan.rows[: loan.due_count]]
    if loan.current is not None:
        period = loan.current.instalment.period
        last = Instalment(
            Period(period.number, period.start, loan.business_date, whole=False),
            quote.principal_undue,
            quote.interest_to_date,
            0,
        )
        rows.append(Owed(last, last.principal, last.interest))
    after = replace(
        loan,
        rows=tuple(rows),
        due_count=len(rows),
        settled_count=len(rows),
        memo=loan.memo.paid_with(terms, loan.memo.unpaid) if loan.memo else None,
    )
    if quote.principal_undue:
        return replace(after, closure=Closure.PAID_EARLY)
    return closed_if_repaid(after)


def _true_up(loan: Loan, interest: int) -> tuple[Posting, ...]:
    """Off balance there is no income to correct: the memo accrues a little more, or less."""
    event = "INTEREST_TRUED_UP" if loan.accruing else "INTEREST_ACCRUED"
    return nonzero(posting(event, loan, interest=interest))


def _park(loan: Loan, amount: int) -> Step:
    after = replace(loan, overpayment=loan.overpayment + amount)
    return Step(after, (posting("REPAYMENT_RECEIVED", loan, overpayment=amount),))


def _adjust_allowance(loan: Loan, target: Allowance) -> Step:
    change = Allowance(*(new - old for new, old in zip(target, loan.allowance, strict=True)))
    adjusted = posting("ALLOWANCE_ADJUSTED", loan, **change._asdict())
    return Step(replace(loan, allowance=target), nonzero(adjusted))


def _write_off(terms: Terms, loan: Loan) -> Step:
    """Allowance to stage 3 and to 100 % of principal; principal and memo interest to the claim."""
    if loan.nonaccrual_since is None or not loan.running:
        raise FailedPrecondition(Reason.NOT_NON_ACCRUAL, f"the loan is {loan.status.name}")
    held = balances(terms, loan)
    moved = _adjust_allowance(loan, Allowance(stage3=held.allowance))
    written_off = posting(
        "LOAN_WRITTEN_OFF",
        loan,
        allowance_top_up=held.principal_impaired - held.allowance,
        principal=held.principal_impaired,
        interest=held.offbalance_interest,
        penalty=held.offbalance_penalty,
        compound=held.offbalance_compound,
    )
    interest = held.offbalance_interest + held.offbalance_penalty + held.offbalance_compound
    after = replace(loan, claim=Claim(held.principal_impaired, interest), allowance=NO_ALLOWANCE)
    return Step(after, (*moved.postings, written_off))


def _recover(loan: Loan, amount: int) -> Step:
    if loan.claim is None:
        raise FailedPrecondition(Reason.NOT_WRITTEN_OFF, f"the loan is {loan.status.name}")
    principal = min(amount, loan.claim.principal)
    interest = amount - principal
    if interest > loan.claim.interest:
        left = loan.claim.principal + loan.claim.interest
        raise FailedPrecondition(Reason.RECOVERY_EXCEEDS_CLAIM, f"the claim is {left}")
    after = Claim(loan.claim.principal - principal, loan.claim.interest - interest)
    recovered = posting("RECOVERY_RECEIVED", loan, principal=principal, interest=interest)
    return Step(replace(loan, claim=after), (recovered,))
