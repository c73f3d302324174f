"""7d. The ledger closes d, and the book's business date becomes d + 1."""

from __future__ import annotations

from sqlalchemy import Connection

from tael.ledger.v1 import accounting_pb2
from tael_client.values import from_date
from tael_servicing import books
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary


class Close(Step):
    """From here on nothing can be booked on d."""

    name = "close"
    needs_all = True

    def prepare(self, closing: Closing, payload: bytes) -> None:
        """Closing a closed day answers as before."""
        del payload
        closing.desk.accounting.CloseDay(
            accounting_pb2.CloseDayRequest(
                request_id=f"eod:{closing.book_id}:{closing.day}:close",
                book_id=closing.book_id,
                business_date=from_date(closing.day),
            )
        )

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Moves the date."""
        del payload, batch
        books.move_to(transaction, closing.book_id, closing.next_day)
        return Summary()
