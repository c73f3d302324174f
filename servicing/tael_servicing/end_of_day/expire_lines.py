"""8. Lines open on their first day, fall back from temporary limits, close past their last day."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import line_changes, lines
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary, chunks, members


class ExpireLines(Step):
    """Repayment of what was drawn is unaffected."""

    name = "expire_lines"

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """Lines with something to happen on d + 1."""
        return chunks(lines.turning(transaction, closing.book_id, closing.next_day))

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Turns them."""
        del batch
        summary, line_ids = Summary(), members(payload)
        lines.hold(transaction, line_ids)
        for line_id in line_ids:
            summary.amounts.update(line_changes.turn(transaction, line_id, closing.next_day))
        return summary
