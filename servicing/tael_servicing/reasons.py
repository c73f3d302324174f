"""Why servicing refuses."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """Servicing's reasons."""

    LOAN_CLOSED = "The loan is closed; nothing can be paid on it."
    LOAN_WRITTEN_OFF = "The loan is written off; record the money as a recovery."
    PREPAYMENT_WHILE_OVERDUE = "Something due is unpaid; pay it before prepaying."
    PREPAYMENT_WHILE_NON_ACCRUAL = "A non-accrual loan is repaid or settled, not prepaid in part."
    PREPAYMENT_NOT_PARTIAL = "It would repay all that is not yet due; settle the loan instead."
    PREPAYMENT_TOO_SMALL = (
        "It does not cover one minor unit of principal with its interest and fee."
    )
    PAYOFF_AMOUNT_MISMATCH = "The amount is not the payoff of that date; quote it first."
    NOT_NON_ACCRUAL = "Only a non-accrual loan is written off."
    NOT_WRITTEN_OFF = "Only a written-off loan has recoveries."
    RECOVERY_EXCEEDS_CLAIM = "The recovery is more than the claim that is left."
    EVENT_OUT_OF_ORDER = "The event's value date is not the loan's business date."
