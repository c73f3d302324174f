"""Why servicing refuses."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """Servicing's reasons."""

    PROPOSAL_NOT_OPEN = "The proposal was approved, declined or withdrawn before."
    PROPOSAL_EXPIRED = "Nobody approved the proposal in time; propose it anew."
    NOT_THE_MAKER = "Only who proposed it takes it back; anybody else declines it."
    STALE_ETAG = "Somebody changed it since it was read; read it again."
    LOAN_CLOSED = "The loan is closed; nothing can be paid on it."
    LOAN_WRITTEN_OFF = "The loan is written off; record the money as a recovery."
    PREPAYMENT_WHILE_OVERDUE = "Something is past due; pay it before prepaying."
    PREPAYMENT_WHILE_NON_ACCRUAL = "A non-accrual loan is repaid or settled, not prepaid in part."
    PREPAYMENT_NOT_PARTIAL = "It would repay all that is not yet due; settle the loan instead."
    PREPAYMENT_TOO_SMALL = (
        "It does not cover one minor unit of principal with its interest and fee."
    )
    PAYOFF_AMOUNT_MISMATCH = "The amount is not the payoff of that date; quote it first."
    LOAN_NOT_SETTLED = "Something is owed of the loan, to us or to who bought it."
    NOT_NON_ACCRUAL = "Only a non-accrual loan is written off."
    NOT_JUDGED_IMPAIRED = "Nobody judged by hand that the loan is impaired; what is paid cures it."
    NOT_WRITTEN_OFF = "Only a written-off loan has recoveries."
    RECOVERY_EXCEEDS_CLAIM = "The recovery is more than the claim that is left."
    CURRENT_INSTALMENT_AMOUNT = (
        "It does not pay what is due and the running instalment; the message says what does."
    )
    MORE_THAN_OVERDUE = "It is more than what is due and unpaid."
    WAIVER_EXCEEDS_DUE = "More would be given up than is due and unpaid."
    OVERPAYMENT_EXCEEDED = "It is more than what is held for the customer."
    EXTENSION_TOO_LONG = "The law does not let a loan be extended by so much in all."
    FEE_NOT_DISCLOSED = "Nothing outside the loan's cost table may be charged."
    NOT_REVERSIBLE = "It is not taken back in this way; the message says how."
    ALREADY_REVERSED = "It was reversed before."
    NO_SUCH_INSTALMENT = "No instalment that is not yet due falls due on that date."
    LOAN_MATURED = "All of the loan is due; there is no plan left to change."
    LINE_EXCEEDED = "The principal is more than what is left of the credit line."
    LINE_FROZEN = "The credit line is frozen; unfreeze it before drawing."
    LINE_EXPIRED = "The credit line is closed or past its last day to draw."
    LINE_PENDING = "The credit line cannot be drawn yet; the message names its first day."
    LINE_OVERALL = "An overall limit is not drawn itself; draw a line below it."
    LINE_RESERVED = "A drawdown on the line is under way; close it when the payout is known."
    LINE_STATE = "The line is not in the state this changes; the message names the one it is in."
    COST_OVER_CAP = (
        "The loan would cost more a year, all in, than the cap of its product or of its lender's type"
        " allows; the message has both figures."
    )
    PRODUCT_RETIRED = "Nothing is lent under the product's code any more; take another product."
    PRODUCT_NOT_IN_FORCE = (
        "No version of the product is in force on that day; the message names it."
    )
    CUSTOMER_OVERDUE = "The customer has a loan past due; nothing is lent until it is paid."
    LOAN_NOT_OPEN = "The loan is not paid out: its payout is under way, or it failed."
    NO_TRANCHES = (
        "The loan is paid out at once: its product has no tranches, or a partner funds it."
    )
    PAYOUT_UNDER_WAY = "A payout of the loan is under way; wait until it is known."
    LOAN_NOT_UNTOUCHED = (
        "Only a loan on which nothing was repaid is cancelled; settle it, or refund the goods."
    )
    POSTING_REFUSED = (
        "The ledger refused the posting of this change; the message has its reason. It is sent"
        " again when the end of the day is run, which it blocks until then."
    )
    LOAN_NOT_RUNNING = "Only a loan that is neither closed nor written off is judged."
    NOT_TECHNICAL = "Lateness is technical only from 1 to 7 days past due; judge the class instead."
    DAY_CLOSING = "The business date is being ended; what comes now is booked on the next."
    NOT_THE_BUSINESS_DATE = "Another day is due to be ended; the message names it."
    LOANS_SET_ASIDE = (
        "The day is not closed without the loans that were set aside; the message names them."
    )
    STEP_UNKNOWN = "A version with other steps began this day's end; let that one finish it."
    BOOKS_DISAGREE = "Servicing's balances are not the ledger's; the message names the accounts."
    NOTHING_TO_DEBIT = (
        "Nothing that is due is unpaid which is not under way or failed for good; no round is made."
    )
    SETTLEMENT_EXISTS = "The settlement file of that reference is recorded already."
    DIFFERENCE_STATE = "The difference is not in the state this changes; the message names its own."
    RESOLUTION_UNFIT = "The resolution does not fit the difference; the message says why."
    RECEIPT_EXCEEDED = "It is more than what is left of the receipt."
    NOTHING_TO_ALLOCATE = "The customer's loans in the receipt's book owe nothing that is due."
    PARTNER_EXISTS = "A partner of that id is registered already; its terms stay as they are."
    PARTNER_ROLE = "The partner was not registered for that; the message says what it is."
    PARTNER_BALANCE = "It is more than what stands with the partner and is free."
    ENTRUSTED_EXCEEDED = "It is more than what is outstanding of the entrusted loan."
    VAT_MODE = "Only books of VAT mode SPLIT keep VAT apart."
    ASSET_EXCEEDS_DEBT = "The asset is worth more than the debt it is taken for."
    TAX_RECORDED = "That step was booked for the period before."
    TAX_PERIOD_OPEN = "The period has not ended; wait for its last day."
    TAX_NOTHING_DUE = (
        "Nothing is to be booked; what input VAT is left over waits for the next month."
    )
    TAX_EXCEEDED = "It is more than what is owed for the period."
