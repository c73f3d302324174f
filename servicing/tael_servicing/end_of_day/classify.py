"""6a. Classes that more than days past due decide are judged again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import classification, impairment_policies
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class Classify(LoanStep):
    """Bad loans, those under observation and those judged by hand."""

    name = "classify"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans of which something is remembered, or will be."""
        policy = impairment_policies.in_force(transaction, closing.book_id, closing.day).policy
        return classification.to_judge(transaction, policy, closing.book_id, closing.day)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Judges the chunk; counts those whose class changed."""
        del batch
        policy = impairment_policies.in_force(transaction, closing.book_id, closing.day).policy
        loan_ids = members(payload)
        changed = classification.judge(transaction, policy, closing.book_id, closing.day, loan_ids)
        return Summary(loans=changed)
