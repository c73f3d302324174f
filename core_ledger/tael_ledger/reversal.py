"""ReverseEntry: an entry taken back once, in red ink (红字冲销) or on the opposite sides (蓝字反向)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from tael_ledger import journal
from tael_ledger.drafts import Draft, Line, LineColumns
from tael_ledger.journal import Entry
from tael_ledger.reasons import Reason
from tael_ledger.requests import PERIOD_CLOSED, YEAR_CLOSED, Desk, Plan, PostingRequest
from tael_runtime.errors import FailedPrecondition

SINGLE_LINES = 500
"""An entry of more lines is read and taken back in columns."""


@dataclass(frozen=True)
class Reversal(PostingRequest):
    """ReverseEntry as a request of the group commit."""

    sequence: int
    reason: str
    contra: bool = False
    booking_date: date | None = None
    line_count: int = 0
    """Lines of the entry; 0 where there is none."""

    @property
    def excludes(self) -> frozenset[object]:
        """Itself, and any other reversal of the same entry."""
        return frozenset((self.key, self.sequence))

    @property
    def weight(self) -> int:
        """As many lines as the entry has."""
        return self.line_count

    def plan(self, desk: Desk) -> Plan:
        """The origin's accounts, its amounts taken back.

        Raises NotFound; FailedPrecondition ALREADY_REVERSED or REVERSAL_NOT_REVERSIBLE, DAY_CLOSED or
        NOT_THE_BUSINESS_DATE.
        """
        desk.check_booking_date(self.booking_date)
        origin = journal.get(desk.transaction, desk.book.book_id, self.sequence, SINGLE_LINES)
        _check_reversible(origin)
        reversing = Draft(
            origin.event,
            origin.value_date,
            origin.source,
            self.reason,
            self._lines(desk, origin),
            origin.rules_version,
            origin.sequence,
            origin.metadata,
        )
        return Plan([reversing])

    def _lines(self, desk: Desk, origin: Entry) -> Sequence[Line] | LineColumns:
        if origin.line_count > SINGLE_LINES:
            posted = journal.line_columns(desk.transaction, origin)
            return _contra_columns(posted) if self.contra else _red_columns(posted)
        return _contra(origin.lines) if self.contra else _red(origin.lines)


def _check_reversible(origin: Entry) -> None:
    """Raises FailedPrecondition ALREADY_REVERSED or REVERSAL_NOT_REVERSIBLE."""
    if origin.reversed_by:
        raise FailedPrecondition(
            Reason.ALREADY_REVERSED,
            f"entry {origin.sequence} was reversed by entry {origin.reversed_by}",
        )
    if origin.event in (PERIOD_CLOSED, YEAR_CLOSED):
        raise FailedPrecondition(
            Reason.REVERSAL_NOT_REVERSIBLE,
            f"entry {origin.sequence} is the ledger's own {origin.event}",
        )
    if origin.reversal_of:
        raise FailedPrecondition(
            Reason.REVERSAL_NOT_REVERSIBLE,
            f"entry {origin.sequence} reverses entry {origin.reversal_of}",
        )


def _red(lines: Sequence[Line]) -> list[Line]:
    return [Line(number, -debit, -credit) for number, debit, credit in lines]


def _contra(lines: Sequence[Line]) -> list[Line]:
    taken = [Line(number, credit, debit) for number, debit, credit in lines]
    return sorted(taken, key=lambda line: line.debit == 0)


def _red_columns(lines: LineColumns) -> LineColumns:
    return LineColumns(lines.account_numbers, -lines.debits, -lines.credits)


def _contra_columns(lines: LineColumns) -> LineColumns:
    """As `_contra`: debits first."""
    debits, credits_ = lines.credits, lines.debits
    order = np.concatenate((np.flatnonzero(debits), np.flatnonzero(credits_)))
    numbers = [lines.account_numbers[place] for place in order.tolist()]
    return LineColumns(numbers, debits[order], credits_[order])
