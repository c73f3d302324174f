"""Write-off and what comes after it (DOMAIN.md E14, E15)."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from tael_servicing import bookings, events, line_changes, loan_store, loans
from tael_servicing.arithmetic.events import Recovered, WrittenOff, happen
from tael_servicing.bookings import Batch
from tael_servicing.loans import Held


def write_off(transaction: Connection, held: Held, approval: str, day: date) -> Held:
    """The loan leaves the books; its claim stays, and its line is frozen.

    Raises FailedPrecondition NOT_NON_ACCRUAL.
    """
    event = WrittenOff(day, loans.next_event_id(transaction, held.contract.loan_id))
    after = _book(transaction, held, event, approval, day)
    line_changes.freeze_written_off(transaction, held.contract, day)
    return after


def recover(
    transaction: Connection, held: Held, amount: int, source: str, day: date
) -> tuple[Held, int, int]:
    """Money after the write-off: the loan, and what went to principal and to interest.

    Raises FailedPrecondition NOT_WRITTEN_OFF, RECOVERY_EXCEEDS_CLAIM.
    """
    event = Recovered(day, loans.next_event_id(transaction, held.contract.loan_id), amount)
    after = _book(transaction, held, event, source, day)
    assert held.loan.claim is not None
    assert after.loan.claim is not None
    principal = held.loan.claim.principal - after.loan.claim.principal
    return after, principal, amount - principal


def _book(
    transaction: Connection,
    held: Held,
    event: WrittenOff | Recovered,
    reference: str,
    day: date,
) -> Held:
    loans.check_paid_out(held)
    contract = held.contract
    loan, postings = happen(held.terms, held.loan, event)
    after = held.now(loan)
    loans.record(transaction, contract.loan_id, event, reference)
    loan_store.save(transaction, after)
    kind = type(event).__name__
    batch = Batch(
        f"{kind}:{contract.loan_id}:{event.event_id}", contract.book_id, contract.loan_id, day
    )
    bookings.post(transaction, batch, contract, *postings)
    events.state_changed(transaction, day, held.state, after)
    return after
