"""7b. The loan ledger (贷款台账) of d is kept, once servicing's balances are known to be right."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import loan_days
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class Snapshot(LoanStep):
    """One row a loan of which something changed, written set by set."""

    name = "snapshot"
    loans_a_chunk = 10_000
    rehearsed = False

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans of which the rows that are kept are true no more."""
        return loan_days.changed(transaction, closing.book_id, closing.day)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Keeps the chunk's rows."""
        del batch
        return Summary(loans=loan_days.keep(transaction, closing.day, members(payload)))
