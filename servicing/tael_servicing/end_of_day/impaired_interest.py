"""6b. At a month's end impaired loans of policy STAGE3_NET earn the effective rate on amortised cost.

On the allowance of the month that ends, before it is set anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import impaired_interest
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class ImpairedInterest(LoanStep):
    """A month's income out of the allowance."""

    name = "impaired_interest"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """On the last day of a month, loans that earn so."""
        if closing.next_day.month == closing.day.month:
            return []
        return impaired_interest.earning(transaction, closing.book_id)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Books the chunk's income."""
        posted = impaired_interest.accrue(transaction, closing.day, members(payload), batch)
        summary = Summary(loans=len(posted))
        summary.count(posted)
        return summary
