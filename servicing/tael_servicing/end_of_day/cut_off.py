"""1. Cut-off: what is booked online from here on belongs to the next day."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import books
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary


class CutOff(Step):
    """Waits for the online bookings under way, then shuts the door behind them."""

    name = "cut_off"
    rehearsed = False

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Shuts the day to online booking."""
        del payload, batch
        books.cut_off(transaction, closing.book_id)
        return Summary()
