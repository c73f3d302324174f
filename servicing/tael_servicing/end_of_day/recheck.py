"""7c. Checks once more, with the loans that were set aside when they were made first."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing.end_of_day import set_aside
from tael_servicing.end_of_day.checks import Checks
from tael_servicing.end_of_day.step import Closing


class Recheck(Checks):
    """Such a loan was worked, and booked on, after the others' checks."""

    name = "recheck"
    needs_all = True

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """None where no loan was."""
        return [b""] if set_aside.of_day(transaction, closing.book_id, closing.day) else []
