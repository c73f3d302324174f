"""Why origination refuses."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """Reasons of tael.origination."""

    CUSTOMER_EXISTS = "The identity number is a registered customer's; the details name it."
    TOO_MANY_CODES = "The codes of the day are used up (5); try again tomorrow."
    TEXT_NOT_SENT = "The message provider did not take the text; repeat the same request."
    NO_CODE = "No code is open for this phone; send one first."
    CODE_EXPIRED = "The code is older than ten minutes; send another."
    CODE_SPENT = "The code was tried five times; send another."
    WRONG_CODE = "The code is not the one sent; tries are limited."
    FACE_STREAM = "A face is sent as one header and then the image in chunks, 4 MiB in all at most."
    CONSENT_MISSING = (
        "A consent this needs is not live: not given, withdrawn, or past its last day."
    )
    CONSENT_WITHDRAWN = "The consent was withdrawn before."
    REGISTRY_SILENT = "The registry cannot say now; repeat the same request later."
    TOO_MANY_CARD_TRIES = "The card checks of the day are used up (3); try again tomorrow."
    CARD_MISMATCH = "Name, identity number, card and mobile do not agree at the card's bank."
    CARD_NOT_BOUND = "The card is not one that this customer has bound."
    NOT_VERIFIED = (
        "Phone, name, face and a card must be verified; the message names what is missing."
    )
    APPLICATION_OPEN = "The customer has an application that is not decided yet."
    APPLICATION_NOT_APPROVED = "Only an approved application gets a contract."
    NOT_IN_REVIEW = "The application waits for no review."
    REVIEW_CLAIMED = "Another reviewer has it."
    REVIEW_NOT_CLAIMED = "Claim the review before proposing."
    REVIEW_PROPOSED = "The review has its proposal; it waits for a second person."
    REVIEW_NOT_PROPOSED = "There is no proposal to confirm."
    LIMIT_ABOVE_MACHINE = "A reviewer may approve at most the machine's limit."
    CONTRACT_EXISTS = "The application has its contract; the message names it."
    COST_TABLE_NOT_READ = "The cost table must have been before the customer for five seconds."
    CONTRACT_SIGNED = "The contract is signed already."
    CONTRACT_NOT_SIGNED = "The contract must be signed first."
    DOCUMENT_DAMAGED = "The archived document was changed behind the archive's back; restore it."
    LINE_EXCEEDED = "The amount is more than the free part of the line."
    DRAWDOWN_NOT_OPEN = "Only a drawdown that risk agreed to and nobody signed can be signed."
