"""2. The results of the day's direct debits that have arrived are allocated; none is awaited."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import debit_batches, debits, lines, loan_store, repayments
from tael_servicing.bookings import Batch
from tael_servicing.debits import Debit
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.loans import Held
from tael_servicing.repayments import Receipt


class AllocateDebits(LoanStep):
    """SUCCESS is a repayment through the channel; what nobody can tell yet stays in flight."""

    name = "allocate_debits"
    loans_a_chunk = 200

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans with a debit of today or before that is not settled."""
        return debits.unresolved(transaction, closing.book_id, before=closing.next_day)

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
        arrived = debits.of_loans(transaction, members(payload), ("SUCCESS",))
        todays = [debit for debit in arrived if debit.business_date == closing.day]
        held = hold(transaction, todays)
        for debit in todays:
            if not debits.allocate(transaction, debit):
                continue
            owing = held[debit.loan_id]
            take = repayments.book if owing.loan.running else repayments.park
            after, booked = take(transaction, owing, receipt(debit), closing.day)
            held[debit.loan_id] = after
            summary.loans += 1
            summary.amounts["REPAYMENT_RECEIVED.funds_channel"] += booked.amount.minor_units
        return summary


def hold(transaction: Connection, arrived: Sequence[Debit]) -> dict[str, Held]:
    """The loans that debits repay, locked, and then their lines, in the one order: two workers whose
    loans share lines do not wait for each other in a circle.
    """
    held = loan_store.lock_all(transaction, [debit.loan_id for debit in arrived])
    lines.hold(transaction, [each.contract.line_id for each in held.values()])
    return held


def receipt(debit: Debit) -> Receipt:
    """The money a successful debit brought."""
    return Receipt(debit.debited, "DUE", "CHANNEL", debit.reference, payment_id=debit.payment_id)
