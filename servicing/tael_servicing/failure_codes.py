"""Why a debit failed, by class: what may go better on another try, and what will not."""

from __future__ import annotations

RETRYABLE = frozenset(
    {
        "INSUFFICIENT_FUNDS",
        "AMOUNT_LIMIT_EXCEEDED",
        "COUNT_LIMIT_EXCEEDED",
        "BANK_UNAVAILABLE",
        "CHANNEL_BUSY",
        "TIMED_OUT",
        "RISK_DECLINED_FOR_NOW",
        "NEVER_ARRIVED",
    }
)
"""Every other code ends the rounds for what is due: CARD_CLOSED, CARD_LOST, ACCOUNT_FROZEN,
NO_MANDATE, INVALID_CARD, …, and what nobody has classed, since a card is not asked on a guess."""

NEVER_ARRIVED = "NEVER_ARRIVED"
"""Ours: the channel does not know the debit, and by now less is owed than it asks."""
REFUSED = "REFUSED"
"""Ours: the channel does not accept the debit as it is."""


def retryable(code: str) -> bool:
    """Whether a later round asks again."""
    return code in RETRYABLE
