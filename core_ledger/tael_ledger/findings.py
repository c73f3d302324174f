"""What a proof may find wrong."""

from __future__ import annotations

from dataclasses import dataclass

from tael_ledger.rows import day_of

ENTRY_BALANCE = "ENTRY_BALANCE"
ACCOUNT_TOTALS = "ACCOUNT_TOTALS"
DIGEST_CHAIN = "DIGEST_CHAIN"
SEQUENCE = "SEQUENCE"
TRIAL_BALANCE = "TRIAL_BALANCE"
ANCHOR = "ANCHOR"
CONTROL_TOTALS = "CONTROL_TOTALS"
PENDING = "PENDING"
RECORDS = "RECORDS"


@dataclass(frozen=True)
class Finding:
    """One wrong thing."""

    check: str
    """The contract's Check, without its prefix."""
    subject: str
    message: str
    """What should be and what is."""


def unbalanced(is_memo: bool, difference: int) -> str:
    """What is said of debits that are not credits."""
    where = "off balance" if is_memo else "on balance"
    return f"{where}, debits less credits should be 0 and are {difference}"


def date_text(number: int) -> str:
    """A day as the store counts it, also one that no calendar has."""
    try:
        return str(day_of(number))
    except OverflowError:
        return f"day {number}"
