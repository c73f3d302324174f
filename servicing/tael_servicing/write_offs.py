"""Write-off (核销) and what comes after it."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from tael_servicing import line_changes
from tael_servicing.arithmetic.events import Recovered, WrittenOff
from tael_servicing.enacting import enact
from tael_servicing.loans import Held


def write_off(transaction: Connection, held: Held, approval: str, day: date) -> Held:
    """The loan leaves the books; its claim stays, and its line is frozen.

    Raises FailedPrecondition NOT_NON_ACCRUAL.
    """
    event = WrittenOff(day, held.next_event_id)
    after = enact(transaction, held, event, day, reference=approval).after
    line_changes.freeze_written_off(transaction, held.contract, day)
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
