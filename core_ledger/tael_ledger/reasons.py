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
    ACCOUNT_LIMIT = "A turnover would pass 4·10^18 minor units, the most an account holds."
    ALREADY_REVERSED = "The entry was reversed before; the message names its reversal."
    REVERSAL_NOT_REVERSIBLE = "The entry is itself a reversal; record the event anew instead."
    UNKNOWN_GL_CODE = "A posting rule names a code that the chart of accounts has not."
    DUPLICATE_POSTING_RULE = "Two posting rules of the set have the same key."
    MEMO_MIXED_WITH_BALANCE = "A posting pairs an off-balance memo account with a balance account."
    RULES_NOT_PROPOSED = "The version was approved before."
    EFFECTIVE_DATE_PASSED = "Rules take effect on the business date or later; the message names it."
