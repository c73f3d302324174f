"""3. Value-dated catch-up: debits of earlier days whose success became known only now."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_runtime.errors import FailedPrecondition
from tael_servicing import debits, repayments
from tael_servicing.bookings import Batch
from tael_servicing.debits import Debit
from tael_servicing.end_of_day.allocate_debits import hold, receipt
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.loans import Held


class CatchUp(LoanStep):
    """Worth the day they were due, with what followed from their absence taken back."""

    name = "catch_up"
    loans_a_chunk = 200

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans with such a debit."""
        return debits.unresolved(transaction, closing.book_id, before=closing.day)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Books them back."""
        del batch
        summary = Summary()
        arrived = debits.of_loans(transaction, members(payload), ("SUCCESS",))
        earlier = [debit for debit in arrived if debit.business_date < closing.day]
        held = hold(transaction, earlier)
        for debit in earlier:
            if debits.allocate(transaction, debit):
                held[debit.loan_id] = _book(transaction, closing, debit, held[debit.loan_id])
                summary.loans += 1
                summary.amounts["REPAYMENT_RECEIVED.funds_channel"] += debit.debited
        return summary


def _book(transaction: Connection, closing: Closing, debit: Debit, held: Held) -> Held:
    """On the date it was asked; where something since was only possible without the money, parked."""
    try:
        after, _ = repayments.book_back(
            transaction, held, receipt(debit), debit.business_date, closing.day
        )
    except FailedPrecondition:
        after, _ = repayments.park(transaction, held, receipt(debit), closing.day)
    return after
