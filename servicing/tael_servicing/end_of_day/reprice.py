"""8. Floating loans take the rate of d + 1, where it is their day to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import loan_store, products, rates, repricing
from tael_servicing.bookings import Batch
from tael_servicing.enacting import enact
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class Reprice(LoanStep):
    """After the day is open, so that what falls due on it has the old rate to its last night."""

    name = "reprice"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans whose day it is."""
        return repricing.candidates(transaction, closing.book_id, closing.next_day)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Reprices those that have another rate."""
        del batch
        summary, day = Summary(), closing.next_day
        lprs = rates.known(transaction)
        reference = f"LPR {repricing.last_published(lprs, day)}"
        for loan_id in members(payload):
            held = loan_store.lock(transaction, loan_id)
            contract = held.contract
            terms = products.get(transaction, contract.product_code, contract.product_version).terms
            event = repricing.repriced(lprs, held, terms, day)
            if event is not None:
                enact(transaction, held, event, day, reference=reference)
                summary.loans += 1
        return summary
