"""3. Value-dated catch-up: debits of earlier days whose success became known only now."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_runtime.errors import FailedPrecondition
from tael_servicing import debits, loan_store, repayments
from tael_servicing.bookings import Batch
from tael_servicing.debits import Debit
from tael_servicing.end_of_day.allocate_debits import receipt
from tael_servicing.end_of_day.step import Closing, Step, Summary, chunks, members


class CatchUp(Step):
    """Worth the day they were due, with what followed from their absence taken back."""

    name = "catch_up"

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """Loans with such a debit."""
        return chunks(debits.unresolved(transaction, closing.book_id, before=closing.day))

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Books them back."""
        del batch
        summary = Summary()
        for debit in debits.of_loans(transaction, members(payload), ("SUCCESS",)):
            if debit.business_date < closing.day and _book(transaction, closing, debit):
                summary.loans += 1
                summary.amounts["REPAYMENT_RECEIVED.funds_channel"] += debit.debited
        return summary


def _book(transaction: Connection, closing: Closing, debit: Debit) -> bool:
    """On the date it was asked; where something since was only possible without the money, parked.

    False where it is booked already.
    """
    held = loan_store.lock(transaction, debit.loan_id)
    if not debits.allocate(transaction, debit):
        return False
    try:
        repayments.book_back(transaction, held, receipt(debit), debit.business_date, closing.day)
    except FailedPrecondition:
        repayments.park(transaction, held, receipt(debit), closing.day)
    return True
