"""What settles a loan, and what a partial prepayment does to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tael_runtime.errors import FailedPrecondition
from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.loan import Loan, Owed, current_accrual
from tael_servicing.arithmetic.rounding import share
from tael_servicing.arithmetic.schedules import (
    Schedule,
    accrued_by,
    interest_factor,
    spread,
)
from tael_servicing.arithmetic.terms import Part, Terms
from tael_servicing.reasons import Reason


class Keep(Enum):
    """What a partial prepayment leaves as it is."""

    TERM = "the same number of instalments, each smaller"
    INSTALMENT = "the same instalment, fewer of them"


@dataclass(frozen=True, slots=True)
class Payoff:
    """What settles a loan on its business date, minor units."""

    principal_due: int
    interest_due: int
    penalty: int
    compound: int
    principal_undue: int
    interest_to_date: int
    """On the principal not yet due, from the last due date to today by actual days."""
    fee: int
    true_up: int
    """Interest to date less what the nights accrued; either sign."""

    @property
    def total(self) -> int:
        """What to pay; the true-up is part of the interest to date."""
        due = self.principal_due + self.interest_due + self.penalty + self.compound
        return due + self.principal_undue + self.interest_to_date + self.fee


def payoff(terms: Terms, loan: Loan) -> Payoff:
    """The payoff of a running loan today; advance the loan first to quote a later date."""
    check_payable(loan)
    owed = [row.unpaid for row in loan.arrears] + ([loan.memo.unpaid] if loan.memo else [])
    due = {part: sum(each.get(part, 0) for each in owed) for part in Part}
    undue = loan.undue_principal
    to_date = interest_to_date(terms, loan, undue)
    return Payoff(
        principal_due=due[Part.PRINCIPAL],
        interest_due=due[Part.INTEREST],
        penalty=due[Part.PENALTY],
        compound=due[Part.COMPOUND],
        principal_undue=undue,
        interest_to_date=to_date,
        fee=share(undue, terms.fee_rate, terms.rounding),
        true_up=to_date - current_accrual(terms, loan),
    )


def check_payable(loan: Loan) -> None:
    """Raises FailedPrecondition LOAN_CLOSED or LOAN_WRITTEN_OFF where no payment is taken."""
    if loan.closure is not None:
        raise FailedPrecondition(Reason.LOAN_CLOSED, f"the loan is closed: {loan.closure.name}")
    if loan.claim is not None:
        raise FailedPrecondition(Reason.LOAN_WRITTEN_OFF, "the loan is written off")


def interest_to_date(terms: Terms, loan: Loan, principal: int) -> int:
    """Contract interest on `principal` since the last due date, by actual days.

    Never more than the whole period would cost: paying early is not dearer than waiting.
    """
    if loan.current is None:
        return 0
    period = loan.current.instalment.period
    by_days = terms.daily_rate * (loan.business_date - period.start).days
    return share(principal, min(by_days, interest_factor(terms, period)), terms.rounding)


@dataclass(frozen=True, slots=True)
class Prepayment:
    """A partial prepayment today: what it pays and the schedule that remains, minor units."""

    principal: int
    interest: int
    """To date on the prepaid principal."""
    fee: int
    true_up: int
    """What the change of schedule adds to the interest accrued so far; either sign."""
    schedule: Schedule
    """From the running period on; its interest is on the remaining principal alone."""

    @property
    def total(self) -> int:
        """What to pay."""
        return self.principal + self.interest + self.fee


def prepay(terms: Terms, loan: Loan, principal: int, keep: Keep) -> Prepayment:
    """Prepays `principal` (minor units, at least 1) out of what is not yet due.

    Raises FailedPrecondition: LOAN_CLOSED, LOAN_WRITTEN_OFF, PREPAYMENT_WHILE_OVERDUE when
    something due is unpaid, PREPAYMENT_WHILE_NON_ACCRUAL, PREPAYMENT_NOT_PARTIAL when nothing
    would remain.
    """
    check_prepayable(loan)
    undue = loan.undue_principal
    if loan.current is None or principal >= undue:
        raise FailedPrecondition(
            Reason.PREPAYMENT_NOT_PARTIAL, f"{undue} is not yet due; {principal} is not less"
        )
    schedule = _remaining(terms, loan, undue - principal, keep)
    interest = interest_to_date(terms, loan, principal)
    accrued_after = accrued_by(schedule.instalments[0], loan.business_date, terms)
    return Prepayment(
        principal=principal,
        interest=interest,
        fee=share(principal, terms.fee_rate, terms.rounding),
        true_up=accrued_after + interest - current_accrual(terms, loan),
        schedule=schedule,
    )


def check_prepayable(loan: Loan) -> None:
    """Raises where something due is unpaid, interest is off balance, or no payment is taken."""
    check_payable(loan)
    if not loan.accruing:
        raise FailedPrecondition(
            Reason.PREPAYMENT_WHILE_NON_ACCRUAL, f"non-accrual since {loan.nonaccrual_since}"
        )
    if loan.arrears:
        number = loan.arrears[0].instalment.number
        raise FailedPrecondition(
            Reason.PREPAYMENT_WHILE_OVERDUE, f"instalment {number} is due and unpaid"
        )


def principal_for(terms: Terms, loan: Loan, amount: int) -> int:
    """The largest principal whose prepayment, interest and fee included, costs at most `amount`.

    Raises FailedPrecondition PREPAYMENT_TOO_SMALL where that is none.
    """

    def cost(principal: int) -> int:
        fee = share(principal, terms.fee_rate, terms.rounding)
        return principal + interest_to_date(terms, loan, principal) + fee

    low, high = 0, amount
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= amount else (low, middle - 1)
    if low == 0:
        raise FailedPrecondition(Reason.PREPAYMENT_TOO_SMALL, f"{amount} prepays no principal")
    return low


def _remaining(terms: Terms, loan: Loan, balance: int, keep: Keep) -> Schedule:
    over: list[Period] = [row.instalment.period for row in loan.rows[loan.due_count :]]
    return spread(terms, balance, over, loan.share if keep is Keep.INSTALMENT else None)


def rescheduled(loan: Loan, schedule: Schedule) -> Loan:
    """The loan with the instalments not yet due replaced."""
    undue = tuple(Owed(instalment) for instalment in schedule.instalments)
    return replace(loan, rows=loan.rows[: loan.due_count] + undue, share=schedule.share)
