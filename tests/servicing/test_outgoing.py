"""What is stored for the ledger reaches it, whole and in order."""

from __future__ import annotations

from servicing.bank import START, Bank

from tael_servicing import bookings, lines
from tael_servicing.bookings import Batch
from tael_servicing.desk import open_desk
from tael_servicing.outgoing import ROWS_AT_ONCE


def test_a_lane_is_delivered_whole_however_much_waits_in_it(bank: Bank) -> None:
    line_id = bank.grant().line_id
    promised = bank.balance("7201", f"LINE:{line_id}")
    runtime = bank.house.running["servicing"].runtime
    count = ROWS_AT_ONCE + 5
    with runtime.database.begin() as transaction:
        line = lines.get(transaction, line_id)
        for number in range(count):
            batch = Batch(f"more:{number}:{line_id}", bank.book, line_id, START)
            bookings.post_line_adjusted(transaction, batch, line, 1)

    open_desk(runtime).sender.deliver(bank.book, line_id)

    assert bank.balance("7201", f"LINE:{line_id}") == promised + count
