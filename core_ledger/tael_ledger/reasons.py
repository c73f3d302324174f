"""Why the ledger refuses."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """The ledger's reasons."""

    BOOK_EXISTS = "The book_id is taken; choose another."
    DAY_CLOSED = "The booking date asked for is closed; back-date by value date instead."
    NOT_THE_BUSINESS_DATE = "The date is not the book's open business date; the message names it."
    VALUE_DATE_IN_FUTURE = "A value date lies after the book's business date."
    NO_POSTING_RULE = "No posting rule in force says what this event's amount moves."
    ACCOUNT_LIMIT = (
        "A balance would break the account's limits, pending amounts counted, or a turnover would pass "
        "4·10^18 minor units, the most an account holds; the message names the account and the bound."
    )
    ACCOUNT_EXISTS = "The account was opened before; read it with GetAccount."
    ACCOUNT_FROZEN = "The account is frozen; unfreeze it first."
    ACCOUNT_NOT_FROZEN = "The account is not frozen."
    ACCOUNT_CLOSED = "The account is closed for good; use another."
    ACCOUNT_NOT_ZERO = "An account with a balance or pending amounts cannot be closed."
    LIMITS_CONTRADICT = "No balance could satisfy these limits together."
    LIMIT_BROKEN_NOW = "The account's balance lies outside the limits already."
    UNBALANCED_ENTRY = (
        "Debits and credits differ, on balance or off balance; the message says by how much."
    )
    RESERVED_EVENT = "Entries of this event are posted by the ledger alone; name another."
    CONTROL_TOTAL_MISMATCH = (
        "The imported balances do not add up to a control total; the message says which."
    )
    ACCOUNT_HAS_BALANCE = (
        "Opening balances go to owners' accounts that have none; the message names one that has. An "
        "import that was wrong is reversed before it is repeated."
    )
    EXPIRY_PASSED = "The expiry lies before the book's business date; the message names it."
    RESERVATION_COMMITTED = "The reservation was committed before."
    RESERVATION_RELEASED = "The reservation was released before."
    RESERVATION_EXPIRED = "The reservation expired when its day closed; reserve anew."
    MORE_THAN_RESERVED = "A line asks for more than is reserved on its account and side."
    PERIOD_STILL_OPEN = "The period's last day is not closed yet."
    EARLIER_PERIOD_OPEN = "Periods close in order; the message names the one that is due."
    NOT_A_PERIOD = "The book opened after this period."
    ALREADY_REVERSED = "The entry was reversed before; the message names its reversal."
    REVERSAL_NOT_REVERSIBLE = (
        "The entry is itself a reversal, or one by which the ledger closed a period; record the event "
        "anew instead."
    )
    UNKNOWN_GL_CODE = (
        "A posting rule or an account names a code that the chart of accounts has not."
    )
    DUPLICATE_POSTING_RULE = "Two posting rules of the set have the same key."
    MEMO_MIXED_WITH_BALANCE = "A posting pairs an off-balance memo account with a balance account."
    PROPOSAL_NOT_OPEN = "The proposal was approved, declined or withdrawn before."
    NOT_THE_MAKER = "Only who proposed it may withdraw it; others decline it."
    RULES_NOT_PROPOSED = "The version was approved before."
    EFFECTIVE_DATE_PASSED = "Rules take effect on the business date or later; the message names it."
