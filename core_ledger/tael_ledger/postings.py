"""Entries posted on named accounts: the way in for what no posting rule describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from struct import pack

import numpy as np

from tael_ledger.chart import Chart
from tael_ledger.column_checks import ACCOUNT_NUMBER, check_amounts, check_texts
from tael_ledger.drafts import Draft, Line, LineColumns
from tael_ledger.entry_columns import Drafts, EntryColumns, line_count
from tael_ledger.line_buffer import exact
from tael_ledger.reasons import Reason
from tael_ledger.requests import (
    RESERVED_EVENTS,
    Desk,
    Plan,
    PostingRequest,
    Refusal,
)
from tael_ledger.rows import day_of, days
from tael_runtime.errors import InvalidArgument, TaelError

LINES_LIMIT = 50_000
"""Lines a request: it holds the book while it is written, and others wait."""


def check_event(field: str, event: str) -> None:
    """Raises InvalidArgument RESERVED_EVENT."""
    if event in RESERVED_EVENTS:
        raise InvalidArgument(field, f"{event} entries are the ledger's own", Reason.RESERVED_EVENT)


def check_balanced(field: str, lines: Sequence[Line], chart: Chart) -> None:
    """Whether every account's code is in the chart and debits equal credits, on balance and off
    balance apart.

    Raises InvalidArgument UNKNOWN_GL_CODE or UNBALANCED_ENTRY.
    """
    on_balance = off_balance = 0
    for place, (number, debit, credit) in enumerate(lines):
        account = chart.get(number.partition(":")[0])
        if account is None:
            raise InvalidArgument(
                f"{field}[{place}].account_number",
                f"{number!r} begins with no code of the chart",
                Reason.UNKNOWN_GL_CODE,
            )
        if account.is_memo:
            off_balance += debit - credit
        else:
            on_balance += debit - credit
    _check_sums(field, on_balance, off_balance)


def _check_sums(field: str, on_balance: int, off_balance: int) -> None:
    for where, difference in (("on balance", on_balance), ("off balance", off_balance)):
        if difference:
            more, less = ("debits", "credits") if difference > 0 else ("credits", "debits")
            raise InvalidArgument(
                field,
                f"{where}, {more} exceed {less} by {abs(difference)} minor units; they must be equal",
                Reason.UNBALANCED_ENTRY,
            )


@dataclass(frozen=True)
class PostedEntries(PostingRequest):
    """PostEntries as a request of the group commit."""

    drafts: Drafts
    atomic: bool
    booking_date: date | None = None
    is_balanced: bool = False
    """Whether it is known of all entries that `check_balanced` passes them."""

    @property
    def weight(self) -> int:
        """Its lines."""
        return line_count(self.drafts)

    def plan(self, desk: Desk) -> Plan:
        """Its entries, all together or each on its own.

        Raises FailedPrecondition DAY_CLOSED and NOT_THE_BUSINESS_DATE; where they stand together,
        what an entry is refused for.
        """
        desk.check_booking_date(self.booking_date)
        if self._is_sound(desk):
            return Plan(self.drafts, None if self.atomic else range(len(self.drafts)))
        taken, places, refusals = [], [], []
        for place, draft in enumerate(self.drafts):
            try:
                _check_draft(f"entries[{place}]", draft, desk)
            except TaelError as refusal:
                if self.atomic:
                    raise
                refusals.append(Refusal(place, refusal.reason.name, refusal.message))
            else:
                taken.append(draft)
                places.append(place)
        return Plan(taken, None if self.atomic else places, refusals)

    def _is_sound(self, desk: Desk) -> bool:
        """Whether columns show at a glance that none of their entries is to be refused."""
        if not (self.is_balanced and isinstance(self.drafts, EntryColumns)):
            return False
        try:
            for event in set(self.drafts.events):
                check_event("entries", event)
            desk.check_value_date(day_of(int(self.drafts.value_days.max())), "entries")
        except TaelError:
            return False  # of which entry, each of them tells
        return True


def _check_draft(field: str, draft: Draft, desk: Desk) -> None:
    assert not isinstance(draft.lines, LineColumns), "columns come by PostColumns"
    check_event(f"{field}.event", draft.event)
    desk.check_value_date(draft.value_date, field)
    check_balanced(f"{field}.lines", draft.lines, desk.chart)


def entries_hash(drafts: Drafts, *, atomic: bool, booking_date: date | None) -> bytes:
    """SHA-256 of what PostEntries asks for, from the values and not from the message's bytes."""
    content = hashlib.sha256(b"atomic" if atomic else b"each")
    content.update(f"{booking_date}\n".encode())
    heads, numbers, amounts = _contents(drafts)
    content.update(_JSON(heads).encode())
    content.update("\n".join(numbers).encode())
    content.update(amounts)
    return content.digest()


_JSON = json.JSONEncoder(separators=(",", ":")).encode


def _contents(drafts: Drafts) -> tuple[Sequence[object], Sequence[str], bytes]:
    """Entries' heads, their lines' account numbers, and the debit and credit of each line, as
    big-endian integers of 64 bits.
    """
    if isinstance(drafts, EntryColumns):
        heads = zip(
            drafts.events,
            drafts.value_days.tolist(),
            drafts.sources,
            drafts.narratives,
            drafts.metadata,
            drafts.counts.tolist(),
            strict=True,
        )
        numbers, debits, credits_ = drafts.lines
        return list(heads), numbers, np.stack((debits, credits_), axis=1).astype(">i8").tobytes()
    few: list[object] = []
    lines: list[Line] = []
    for event, value_date, source, narrative, own, _, _, facts in drafts:
        assert not isinstance(own, LineColumns), "columns come by PostColumns"
        few.append((event, days(value_date), source, narrative, facts, len(own)))
        lines += own
    amounts = [amount for line in lines for amount in (line.debit, line.credit)]
    return few, [line.account_number for line in lines], pack(f">{len(amounts)}q", *amounts)


@dataclass(frozen=True)
class PostedColumns(PostingRequest):
    """PostColumns as a request of the group commit: one compound entry."""

    draft: Draft
    """Checked by `check_columns`."""
    booking_date: date | None = None

    def plan(self, desk: Desk) -> Plan:
        """One entry. Raises what PostEntries does."""
        desk.check_booking_date(self.booking_date)
        desk.check_value_date(self.draft.value_date, "header")
        self.check(desk)
        return Plan([self.draft])

    def check(self, desk: Desk) -> None:  # noqa: ARG002  another kind asks it
        """What else may stand against it. Raises InvalidArgument RESERVED_EVENT."""
        check_event("header.event", self.draft.event)


def columns_of(parts: Sequence[LineColumns]) -> LineColumns:
    """Chunks as one."""
    return LineColumns(
        [number for part in parts for number in part.account_numbers],
        np.concatenate([part.debits for part in parts]),
        np.concatenate([part.credits for part in parts]),
    )


def columns_hash(header_hash: bytes, lines: LineColumns) -> bytes:
    """SHA-256 of a whole request, however it was cut into chunks."""
    content = hashlib.sha256(header_hash)
    content.update("\n".join(lines.account_numbers).encode())
    for column in (lines.debits, lines.credits):
        content.update(b"\n" + column.astype(">i8").tobytes())
    return content.digest()


def check_line_columns(field: str, chunk: LineColumns) -> None:
    """Raises InvalidArgument where a chunk's shape or content is wrong."""
    count = len(chunk.account_numbers)
    for name, column in (("debits", chunk.debits), ("credits", chunk.credits)):
        check_amounts(f"{field}.{name}", column, count, "accounts")
    wrong_side = np.flatnonzero((chunk.debits == 0) == (chunk.credits == 0))
    if len(wrong_side):
        raise InvalidArgument(
            f"{field}.debits[{wrong_side[0]}]", "a line has a debit or a credit, the other is 0"
        )
    check_texts(f"{field}.account_numbers", chunk.account_numbers, ACCOUNT_NUMBER)


def check_columns(lines: LineColumns, chart: Chart) -> None:
    """As `check_balanced`, over columns."""
    memo = np.array(_memo_marks(lines.account_numbers, chart), dtype=bool)
    nets = exact(lines.debits - lines.credits)
    _check_sums("chunk", int(nets[~memo].sum()), int(nets[memo].sum()))


def _memo_marks(numbers: Sequence[str], chart: Chart) -> list[bool]:
    """Whether each account is off balance. Raises InvalidArgument UNKNOWN_GL_CODE."""
    marks = {code: account.is_memo for code, account in chart.items()}
    try:
        return [marks[number.partition(":")[0]] for number in numbers]
    except KeyError as unknown:
        raise InvalidArgument(
            "chunk.account_numbers",
            f"{unknown.args[0]!r} is no code of the chart",
            Reason.UNKNOWN_GL_CODE,
        ) from None
