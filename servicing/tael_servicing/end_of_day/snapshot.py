"""7b. The loan ledger (贷款台账) of d is kept, once servicing's balances are known to be right."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from tael_servicing import impairment_policies, snapshots
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.tables import loan_state


class Snapshot(LoanStep):
    """One row a loan, written set by set."""

    name = "snapshot"
    rehearsed = False

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Every loan that was paid out; those that left long ago have no row."""
        rows = transaction.execute(
            select(loan_state.c.loan_id)
            .where(
                loan_state.c.book_id == closing.book_id,
                loan_state.c.state.not_in(("PAYING", "CANCELLED")),
            )
            .order_by(loan_state.c.loan_id)
        )
        return list(rows.scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Keeps the chunk's rows."""
        del batch
        policy = impairment_policies.in_force(transaction, closing.book_id, closing.day).policy
        loan_ids = members(payload)
        kept = snapshots.keep(transaction, policy, closing.book_id, closing.day, loan_ids)
        return Summary(loans=kept)
