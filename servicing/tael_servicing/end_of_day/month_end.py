"""6c. At a month's end the allowance of every loan is set to its expected loss."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import impairment_policies, provisions
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class MonthEnd(LoanStep):
    """Class, stage, expected credit loss, allowance."""

    name = "month_end"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """On the last day of a month, loans that run or have an allowance."""
        if closing.next_day.month == closing.day.month:
            return []
        return provisions.to_provide(transaction, closing.book_id)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Sets the chunk's allowances."""
        policy = impairment_policies.in_force(transaction, closing.book_id, closing.day).policy
        ids = members(payload)
        return Summary(*provisions.provide(transaction, policy, closing.day, ids, batch))
