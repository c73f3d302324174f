"""How a loan leaves the books by hand, written off (核销) or sold, and what comes after a write-off."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from tael_servicing import line_changes
from tael_servicing.arithmetic.events import Recovered, Sold, WrittenOff
from tael_servicing.enacting import enact
from tael_servicing.loans import Held


def write_off(transaction: Connection, held: Held, approval: str, day: date) -> Held:
    """The loan leaves the books; its claim stays, and its line is frozen.

    Raises FailedPrecondition NOT_NON_ACCRUAL.
    """
    event = WrittenOff(day, held.next_event_id)
    after = enact(transaction, held, event, day, reference=approval).after
    line_changes.freeze(transaction, held.contract, day, "is written off")
    return after


def sell(transaction: Connection, held: Held, price: int, approval: str, day: date) -> Held:
    """A true sale. The line has what the loan used again; where that did not accrue, nothing more is
    drawn on it until somebody has looked.

    Raises FailedPrecondition LOAN_CLOSED.
    """
    event = Sold(day, held.next_event_id, price)
    after = enact(transaction, held, event, day, reference=approval).after
    if not held.loan.accruing:
        line_changes.freeze(transaction, held.contract, day, "is sold, and did not accrue")
    return after


def recover(
    transaction: Connection, held: Held, amount: int, source: str, day: date
) -> tuple[Held, int, int]:
    """Money after the write-off: the loan, and what went to principal and to interest.

    Raises FailedPrecondition NOT_WRITTEN_OFF, RECOVERY_EXCEEDS_CLAIM.
    """
    event = Recovered(day, held.next_event_id, amount)
    enacted = enact(transaction, held, event, day, reference=source)
    return enacted.after, enacted.amount("principal"), enacted.amount("interest")
