"""6e. At a month's end origination fees become interest by the effective rate (E27)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from tael_servicing import origination_fees
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members


class Amortise(LoanStep):
    """The month's part of what is deferred; all of it where the loan has ended."""

    name = "amortise"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """On the last day of a month, loans with fees deferred."""
        if closing.next_day.month == closing.day.month:
            return []
        return origination_fees.deferred(transaction, closing.book_id)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Amortises the chunk's fees."""
        posted = origination_fees.amortise(transaction, members(payload), closing.day, batch)
        summary = Summary(loans=len(posted))
        summary.count(posted)
        return summary
