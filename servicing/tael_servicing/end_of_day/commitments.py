"""6d. At a month's end the provision of every line is set to what its undrawn part may lose."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import commitments, impairment_policies
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary, chunks, members

LINES_A_CHUNK = 10_000
"""Nobody who works online waits for what it locks."""


class Commitments(Step):
    """Expected credit loss of undrawn commitments; its summary counts lines."""

    name = "commitments"

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """On the last day of a month, lines that may be drawn or have a provision."""
        if closing.next_day.month == closing.day.month:
            return []
        return chunks(commitments.to_provide(transaction, closing.book_id), LINES_A_CHUNK)

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Sets the chunk's provisions."""
        policy = impairment_policies.in_force(transaction, closing.book_id, closing.day).policy
        ids = members(payload)
        return Summary(*commitments.provide(transaction, policy, closing.day, ids, batch))
