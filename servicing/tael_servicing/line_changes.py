"""What changes a line besides drawdowns, each with what it books and tells.

7201 moves by what the line's commitment moves: LINE_GRANTED, LINE_ADJUSTED and LINE_CLOSED.
"""

from __future__ import annotations

from collections import Counter
from datetime import date

from sqlalchemy import Connection

from tael_servicing import bookings, events, lines
from tael_servicing.bookings import Batch
from tael_servicing.line_tree import CreditLine, regrant
from tael_servicing.loans import Contract

TEMPORARY_ENDED = "the temporary limit has run out"
LAST_DAY_PASSED = "the last day to draw has passed"


def grant(transaction: Connection, line: CreditLine, day: date) -> CreditLine:
    """Opens a line, or has it wait for its first day."""
    granted = lines.grant(transaction, line, day)
    _post_granted(transaction, granted, day)
    events.line_changed(transaction, day, granted)
    return granted


def _open_up(transaction: Connection, line: CreditLine, day: date) -> CreditLine:
    opened = lines.open_up(transaction, line, day)
    _post_granted(transaction, opened, day)
    events.line_changed(transaction, day, opened)
    return opened


def _post_granted(transaction: Connection, line: CreditLine, day: date) -> None:
    batch = _batch("grant", line, day, line.line_id)
    bookings.post_line(transaction, batch, line, "LINE_GRANTED", commitment=line.commitment)


def adjust(
    transaction: Connection,
    line: CreditLine,
    after: CreditLine,
    day: date,
    reason: str,
    approval: str = "",
) -> CreditLine:
    """The line on other terms. Raises FailedPrecondition LINE_STATE on a closed one."""
    adjusted = lines.adjust(transaction, line, after, day, reason, approval)
    batch = _batch("adjust", line, day, f"{line.line_id}:{adjusted.movements}")
    change = adjusted.commitment - line.commitment
    bookings.post_line_adjusted(transaction, batch, adjusted, change)
    events.line_changed(transaction, day, adjusted)
    return adjusted


def close(
    transaction: Connection, line: CreditLine, day: date, reason: str, approval: str = ""
) -> tuple[CreditLine, int]:
    """Ends a line and those below it: the line, and what left 7201.

    Raises FailedPrecondition LINE_STATE, LINE_RESERVED.
    """
    closed = lines.close(transaction, line, day, reason, approval)
    left = _post_closed(transaction, line, closed, day)
    for line_id in lines.below(transaction, line):
        lower = lines.lock(transaction, line_id)
        ended = lines.close(transaction, lower, day, reason, approval)
        left += _post_closed(transaction, lower, ended, day)
    return closed, left


def _post_closed(transaction: Connection, before: CreditLine, closed: CreditLine, day: date) -> int:
    batch = _batch("close", before, day, before.line_id)
    left = before.commitment
    bookings.post_line(transaction, batch, before, "LINE_CLOSED", commitment=left)
    events.line_changed(transaction, day, closed)
    return left


def turn(transaction: Connection, line_id: str, day: date) -> Counter[str]:
    """What the opening of a day does to a line: the amounts booked, by event and amount type."""
    line = lines.lock(transaction, line_id)
    if line.state == "CLOSED":
        # With the line above it, a moment ago.
        return Counter()
    if line.valid_to < day:
        _, left = close(transaction, line, day, LAST_DAY_PASSED)
        return Counter({"LINE_CLOSED.commitment": left})
    booked: Counter[str] = Counter()
    if line.state == "PENDING" and line.valid_from <= day:
        line = _open_up(transaction, line, day)
        booked["LINE_GRANTED.commitment"] += line.commitment
    if line.temporary_to and line.temporary_to < day:
        after = adjust(transaction, line, regrant(line, line.granted), day, TEMPORARY_ENDED)
        booked["LINE_ADJUSTED.decrease"] += line.commitment - after.commitment
    return booked


def freeze(transaction: Connection, contract: Contract, day: date, why: str) -> None:
    """Nothing more is drawn on the line of a loan that `why` tells of; a bought one has none."""
    if not contract.line_id:
        return
    line = lines.lock(transaction, contract.line_id)
    if line.state == "ACTIVE":
        reason = f"loan {contract.loan_id} {why}"
        events.line_changed(transaction, day, lines.freeze(transaction, line, reason, day))


def _batch(step: str, line: CreditLine, day: date, suffix: str) -> Batch:
    """All postings of a tree go in the lane of its root, so that one delivery takes them all."""
    return Batch(f"{step}:{suffix}", line.book_id, line.path[0], day)
