"""Why collections refuses."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """Reasons of tael.collections; the gate's denials come first."""

    CASE_CLOSED = "The case is closed: there is nothing left to collect or to decide in it."
    ON_HOLD = "Contact is stopped until the hold's date (dispute, complaint, hardship)."
    HOLIDAY = "Nobody is contacted on Spring Festival's eve and its first three days."
    QUIET_HOURS = "Outside the hours in which a debtor may be contacted on this channel."
    PROMISE_OPEN = "Calls pause until the date of an open promise."
    DAILY_CALL_LIMIT = "The debtor's effective connected calls of the day are used up."
    DAILY_DIAL_LIMIT = "The dials to this number of the day are used up."
    DAILY_TEXT_LIMIT = "The debtor's text messages of the day are used up."
    WEEKLY_TEXT_LIMIT = "The debtor's text messages of seven days are used up."

    TOKEN_UNKNOWN = "No permit has this token; ask the gate for one."  # noqa: S105  no secret
    TOKEN_EXPIRED = "The permit is over (five minutes); ask the gate again."  # noqa: S105  no secret
    TOKEN_USED = "The permit was used for another sending; each contact needs its own."  # noqa: S105
    CONTACT_NOT_MADE = "An outcome needs a call that was placed under a permit."
    OUTCOME_RECORDED = "The outcome of this call was recorded before."
    OUTCOME_CONTRADICTED = "The carrier reported that nobody answered this call."
    NO_BUSINESS_DATE = "Servicing has told no business date of this book yet."
    SAME_COLLECTOR = "The case is this collector's already."
    NOT_ON_HOLD = "The case is not on hold."
    PROMISE_TOO_SMALL = "A promise must cover the least share of the arrears."
    PROMISE_TOO_LATE = "A promise's date lies further ahead than the bucket allows."
    TOO_MANY_PROMISES = "The case has as many open promises as are allowed."
    ALREADY_PLACED = "The case is with an agency; recall it first."
    AGENCY_EXISTS = "An agency of this name is registered already."
    NOT_PLACED = "The case is with no agency."
    LOAN_NOT_IN_CASE = "The loan is not one of this case."
    NOT_NON_ACCRUAL = "Only a non-accrual loan can be written off."
    WRITE_OFF_EXISTS = "The loan has a write-off that is proposed, approved or posted."
    WRITE_OFF_DECIDED = "The write-off was decided before."
    WRITE_OFF_REFUSED = "Servicing refused to post the write-off; the message says why."
    NOT_WRITTEN_OFF = "The loan is not written off; a payment on it goes to servicing."
    RECOVERY_REFUSED = "Servicing refused to book the recovery; the message says why."
