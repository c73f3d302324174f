"""What may be asked of a loan as it stands today: each raises FailedPrecondition with its reason.

The fold itself takes everything (see `fold`); these say no before an event is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tael_runtime.errors import FailedPrecondition
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.events import LoanEvent
from tael_servicing.arithmetic.loan import Claim, Loan
from tael_servicing.arithmetic.prepaying import current_amount, due_paid, payoff, principal_for
from tael_servicing.arithmetic.terms import Part, Terms
from tael_servicing.reasons import Reason


def check(terms: Terms, loan: Loan, event: LoanEvent) -> None:
    """Raises where the loan, on its business date, forbids the event."""
    CHECKS.get(type(event), _payable)(terms, loan, event)


def check_payable(loan: Loan) -> None:
    """Raises LOAN_CLOSED or LOAN_WRITTEN_OFF where no payment is taken and no plan changed."""
    if loan.closure is not None:
        raise FailedPrecondition(Reason.LOAN_CLOSED, f"the loan is closed: {loan.closure.name}")
    if loan.claim is not None:
        raise FailedPrecondition(Reason.LOAN_WRITTEN_OFF, "the loan is written off")


def _payable(_terms: Terms, loan: Loan, _event: LoanEvent) -> None:
    check_payable(loan)


def _repaid(_terms: Terms, loan: Loan, event: happened.Repaid) -> None:
    """Money on a claim is a recovery."""
    if loan.claim is not None:
        _check_claim(loan, loan.claim, event.amount)
    else:
        check_payable(loan)


def _costs_advanced(_terms: Terms, loan: Loan, _event: happened.CostsAdvanced) -> None:
    """A claim is pursued at the debtor's cost too."""
    if loan.closure is not None:
        check_payable(loan)


def _check_accruing(loan: Loan) -> None:
    """Raises where interest is off balance, or no payment is taken."""
    check_payable(loan)
    if not loan.accruing:
        raise FailedPrecondition(
            Reason.PREPAYMENT_WHILE_NON_ACCRUAL, f"non-accrual since {loan.nonaccrual_since}"
        )


def check_partial(loan: Loan, principal: int) -> None:
    """Raises where something is past due, interest is off balance, or no payment is taken; and
    PREPAYMENT_NOT_PARTIAL where prepaying the principal would leave nothing.
    """
    _check_accruing(loan)
    if loan.days_past_due > 0:
        raise FailedPrecondition(
            Reason.PREPAYMENT_WHILE_OVERDUE,
            f"instalment {loan.settled_count + 1} is past due and unpaid",
        )
    undue = loan.undue_principal
    if principal >= undue:
        raise FailedPrecondition(
            Reason.PREPAYMENT_NOT_PARTIAL, f"{undue} is not yet due; {principal} is not less"
        )


def _prepaid(terms: Terms, loan: Loan, event: happened.Prepaid) -> None:
    check_partial(loan, 0)
    due = loan.amount_due
    principal = principal_for(terms, due_paid(terms, loan), event.amount - due)
    if not principal:
        raise FailedPrecondition(
            Reason.PREPAYMENT_TOO_SMALL,
            f"{event.amount} prepays no principal; {due} is due and paid first",
        )
    check_partial(loan, principal)


def _current(terms: Terms, loan: Loan, event: happened.CurrentPaid) -> None:
    _check_accruing(loan)
    due, asked = loan.amount_due, current_amount(terms, due_paid(terms, loan)).total
    if loan.current is None or event.amount < due + asked:
        raise FailedPrecondition(
            Reason.CURRENT_INSTALMENT_AMOUNT,
            f"{due} is due, and the running instalment costs {asked} today",
        )


def _settled(terms: Terms, loan: Loan, event: happened.Settled) -> None:
    check_payable(loan)
    total = payoff(terms, loan).total
    if event.amount != total:
        raise FailedPrecondition(
            Reason.PAYOFF_AMOUNT_MISMATCH, f"the payoff on {loan.business_date} is {total}"
        )


def _waived(_terms: Terms, loan: Loan, event: happened.Waived) -> None:
    check_payable(loan)
    if event.principal and loan.nonaccrual_since is None:
        raise FailedPrecondition(
            Reason.NOT_NON_ACCRUAL, f"the loan is {loan.status.name}: its principal is not given up"
        )
    check_due(loan, event)


def check_due(loan: Loan, event: happened.Waived, when: str = "") -> None:
    """Raises WAIVER_EXCEEDS_DUE where less of a part is due; `when` the loan stands so, if not now."""
    asked = {
        Part.INTEREST: event.interest,
        Part.PENALTY: event.penalty,
        Part.COMPOUND: event.compound,
        Part.FEE: event.fee,
        Part.PRINCIPAL: event.principal,
    }
    for part, amount in asked.items():
        due = sum(row.unpaid(part) for row in loan.arrears)
        if amount > due:
            raise FailedPrecondition(
                Reason.WAIVER_EXCEEDS_DUE,
                f"{due} of {part.name} is due and unpaid{when}, not {amount}",
            )


def _written_off(terms: Terms, loan: Loan, _event: happened.WrittenOff) -> None:
    check_payable(loan)
    if loan.nonaccrual_since is None and not terms.write_off_performing:
        raise FailedPrecondition(Reason.NOT_NON_ACCRUAL, f"the loan is {loan.status.name}")


def _recovered(_terms: Terms, loan: Loan, event: happened.Recovered) -> None:
    if loan.claim is None:
        raise FailedPrecondition(Reason.NOT_WRITTEN_OFF, f"the loan is {loan.status.name}")
    _check_claim(loan, loan.claim, event.amount)


def _check_claim(loan: Loan, claim: Claim, amount: int) -> None:
    left = claim.principal + claim.interest + loan.legal_costs
    if amount > left:
        raise FailedPrecondition(Reason.RECOVERY_EXCEEDS_CLAIM, f"the claim is {left}")


def _claim_waived(_terms: Terms, loan: Loan, event: happened.ClaimWaived) -> None:
    if loan.claim is None:
        check_payable(loan)
        raise FailedPrecondition(Reason.NOT_WRITTEN_OFF, f"the loan is {loan.status.name}")
    for name, asked, left in (
        ("principal", event.principal, loan.claim.principal),
        ("interest", event.interest, loan.claim.interest),
        ("legal_costs", event.legal_costs, loan.legal_costs),
    ):
        if asked > left:
            raise FailedPrecondition(
                Reason.WAIVER_EXCEEDS_DUE, f"{left} of {name} is left of the claim, not {asked}"
            )


def _refunded(terms: Terms, loan: Loan, event: happened.OverpaymentRefunded) -> None:
    beyond = event.amount - loan.overpayment
    if beyond <= 0:
        return
    told = f"{loan.overpayment} is held for the customer"
    if not event.owed_again:
        raise FailedPrecondition(Reason.OVERPAYMENT_EXCEEDED, told)
    _still_ahead(terms, loan, event)
    repaid = loan.principal - loan.undue_principal - loan.overdue_principal
    if beyond > repaid:
        raise FailedPrecondition(
            Reason.OVERPAYMENT_EXCEEDED, f"{told}, and {repaid} of principal was repaid"
        )


def _sold(_terms: Terms, loan: Loan, _event: happened.Sold) -> None:
    if loan.closure is not None:
        raise FailedPrecondition(Reason.LOAN_CLOSED, f"the loan is closed: {loan.closure.name}")


def _asset_taken(terms: Terms, loan: Loan, event: happened.AssetTaken) -> None:
    check_payable(loan)
    debt = payoff(terms, loan).gross
    principal = loan.overdue_principal + loan.undue_principal
    most = debt if event.settles else principal
    if event.fair_value > most:
        raise FailedPrecondition(
            Reason.ASSET_EXCEEDS_DEBT, f"{most} is owed, the asset is worth {event.fair_value}"
        )


def _replanned(_terms: Terms, loan: Loan, event: happened.Rescheduled) -> None:
    check_payable(loan)
    ahead = [row.due_date for row in loan.rows[loan.due_count :]]
    wanted = event.plan.from_due
    if wanted is not None and wanted not in ahead:
        raise FailedPrecondition(
            Reason.NO_SUCH_INSTALMENT, f"nothing that is not yet due falls due on {wanted}"
        )
    if not ahead and not event.plan.re_age:
        raise FailedPrecondition(
            Reason.LOAN_MATURED, "all is due; arrears join a new plan by re-ageing"
        )


def _still_ahead(_terms: Terms, loan: Loan, _event: LoanEvent) -> None:
    check_payable(loan)
    if loan.current is None:
        raise FailedPrecondition(Reason.LOAN_MATURED, "all is due")


def _accelerated(terms: Terms, loan: Loan, event: happened.Accelerated) -> None:
    if not event.misused:
        _still_ahead(terms, loan, event)
        return
    check_payable(loan)
    if not terms.misuse_multiplier:
        raise FailedPrecondition(
            Reason.FEE_NOT_DISCLOSED, "the loan's cost table has no penalty for misuse of funds"
        )


def _lent_more(terms: Terms, loan: Loan, event: happened.Disbursed) -> None:
    _still_ahead(terms, loan, event)
    if not loan.accruing or loan.days_past_due:
        raise FailedPrecondition(
            Reason.CUSTOMER_OVERDUE, f"the loan is {loan.days_past_due} days past due"
        )


def _returned(_terms: Terms, loan: Loan, event: happened.Returned) -> None:
    check_payable(loan)
    if not loan.accruing or loan.legal_costs:
        raise FailedPrecondition(Reason.LOAN_NOT_UNTOUCHED, "it is off balance, or has legal costs")
    left = loan.undue_principal + loan.overdue_principal
    if left != loan.principal or loan.overpayment or any(any(row.paid) for row in loan.rows):
        raise FailedPrecondition(Reason.LOAN_NOT_UNTOUCHED, "something was paid on it")
    if event.amount != loan.principal:
        raise FailedPrecondition(
            Reason.LOAN_NOT_UNTOUCHED, f"{loan.principal} was paid out, not {event.amount}"
        )


def _restored(_terms: Terms, loan: Loan, _event: happened.Restored) -> None:
    check_payable(loan)
    if not loan.judged:
        raise FailedPrecondition(Reason.NOT_JUDGED_IMPAIRED, f"the loan is {loan.status.name}")


def _any(terms: Terms, loan: Loan, event: LoanEvent) -> None:
    """A loan in any state takes it."""


CHECKS: Mapping[type[LoanEvent], Callable[[Terms, Loan, Any], None]] = {
    happened.Disbursed: _lent_more,
    happened.Returned: _returned,
    happened.Repaid: _repaid,
    happened.Prepaid: _prepaid,
    happened.CurrentPaid: _current,
    happened.Settled: _settled,
    happened.CostsAdvanced: _costs_advanced,
    happened.Waived: _waived,
    happened.WrittenOff: _written_off,
    happened.Recovered: _recovered,
    happened.ClaimWaived: _claim_waived,
    happened.OverpaymentRefunded: _refunded,
    happened.Sold: _sold,
    happened.AssetTaken: _asset_taken,
    happened.Rescheduled: _replanned,
    happened.Restored: _restored,
    happened.Repriced: _still_ahead,
    happened.Accelerated: _accelerated,
    happened.Parked: _any,
    happened.AllowanceAdjusted: _any,
    happened.Reversed: _any,
}
