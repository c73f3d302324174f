"""9. The day is done: online booking goes on, and the others are told."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import books, events
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary


class Finish(Step):
    """DAY_CLOSED, from which risk and collections start on their own."""

    name = "finish"
    rehearsed = False
    needs_all = True

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Opens up and tells."""
        del payload, batch
        books.open_up(transaction, closing.book_id)
        events.day_closed(transaction, closing.book_id, closing.day, closing.next_day)
        return Summary()
