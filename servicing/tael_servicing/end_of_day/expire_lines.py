"""8. Lines past their last day to draw are closed; what is left of them leaves 7201."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import bookings, events, lines
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary, chunks, members


class ExpireLines(Step):
    """Repayment of what was drawn is unaffected."""

    name = "expire_lines"

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """Lines whose last day was before d + 1."""
        return chunks(lines.expired_by(transaction, closing.book_id, closing.next_day))

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Closes them."""
        del batch
        summary = Summary()
        for line_id in members(payload):
            line = lines.lock(transaction, line_id)
            own = Batch(f"expire:{line_id}", closing.book_id, line_id, closing.next_day)
            bookings.post_line(transaction, own, line, "LINE_CLOSED")
            closed = lines.close(transaction, line)
            events.line_changed(transaction, closing.next_day, closed)
            summary.amounts["LINE_CLOSED.commitment"] += line.available
        return summary
