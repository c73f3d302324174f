"""8. Floating loans take the rate of d + 1, where it is their day to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import loan_store, rates, repricing
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class Reprice(LoanStep):
    """After the day is open, so that what falls due on it has the old rate to its last night."""

    name = "reprice"

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """None of those that take a prime rate at once, where the night knows no new one."""
        news = repricing.take_news(transaction, closing.book_id, closing.next_day)
        chosen = repricing.candidates(transaction, closing.book_id, closing.next_day, news=news)
        return self.payloads(chosen, closing)

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans whose day it may be."""
        return repricing.candidates(transaction, closing.book_id, closing.next_day)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Reprices those that have another rate."""
        del batch
        summary, lprs = Summary(), rates.known(transaction)
        for loan_id in members(payload):
            held = loan_store.lock(transaction, loan_id)
            after = repricing.reprice(transaction, lprs, held, closing.next_day)
            summary.loans += after is not held
        return summary
