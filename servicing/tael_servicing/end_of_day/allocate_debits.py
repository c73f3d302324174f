"""2. The results of the day's direct debits that have arrived are allocated; none is awaited."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import debit_batches, debits, loan_store, repayments
from tael_servicing.bookings import Batch
from tael_servicing.debits import Debit
from tael_servicing.end_of_day.step import Closing, Step, Summary, chunks, members
from tael_servicing.repayments import Receipt


class AllocateDebits(Step):
    """SUCCESS is a repayment through the channel; what nobody can tell yet stays in flight."""

    name = "allocate_debits"

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """Loans with a debit of today or before that is not settled."""
        found = debits.unresolved(transaction, closing.book_id, before=closing.next_day)
        return chunks(found)

    def prepare(self, closing: Closing, payload: bytes) -> None:
        """A day that ends moments after it opened leaves the channel those moments."""
        del payload
        debit_batches.await_answers(closing.desk.database, closing.book_id)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Books the successes of today."""
        del batch
        summary = Summary()
        debit_batches.cancel_unsubmitted(transaction, members(payload), closing.day)
        for debit in debits.of_loans(transaction, members(payload), ("SUCCESS",)):
            if debit.business_date == closing.day:
                held = loan_store.lock(transaction, debit.loan_id)
                if not debits.allocate(transaction, debit):
                    continue
                take = repayments.book if held.loan.running else repayments.park
                _, booked = take(transaction, held, receipt(debit), closing.day)
                summary.loans += 1
                summary.amounts["REPAYMENT_RECEIVED.funds_channel"] += booked.amount.minor_units
        return summary


def receipt(debit: Debit) -> Receipt:
    """The money a successful debit brought."""
    return Receipt(debit.debited, "DUE", "CHANNEL", debit.reference)
