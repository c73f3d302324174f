"""PostEntries' entries read from their messages: few as drafts, many in columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger.drafts import Draft, Integers, LineColumns, facts_text
from tael_ledger.entry_columns import EntryColumns, entry_rows
from tael_ledger.face import read_line
from tael_ledger.messages import read_day
from tael_ledger.rows import days, entry_texts


def read_drafts(entries: Sequence[pb.NewEntry]) -> list[Draft]:
    """One by one. Raises InvalidArgument where a value date is none."""
    return [
        Draft(
            entry.event,
            read_day(_field(place), entry.value_date),
            entry.source,
            entry.narrative,
            [read_line(line) for line in entry.lines],
            metadata=facts_text(entry.metadata),
        )
        for place, entry in enumerate(entries)
    ]


def read_columns(book_id: str, entries: Sequence[pb.NewEntry]) -> EntryColumns:
    """All at once. Raises as `read_drafts`."""
    entries = list(entries)
    by_entry = [list(entry.lines) for entry in entries]
    lines = [line for some in by_entry for line in some]
    amounts = np.array([line.amount for line in lines], dtype=np.int64)
    debited = np.array([line.side for line in lines]) == pb.SIDE_DEBIT
    texts = (
        [entry.event for entry in entries],
        [entry.source for entry in entries],
        [entry.narrative for entry in entries],
        [facts_text(entry.metadata) for entry in entries],
    )
    events, sources, narratives, metadata = texts
    value_days = _value_days(entries)
    counts = np.array([len(some) for some in by_entry], dtype=np.int64)
    return EntryColumns(
        events,
        value_days,
        sources,
        narratives,
        metadata,
        counts,
        LineColumns(
            [line.account_number for line in lines],
            np.where(debited, amounts, 0),
            np.where(debited, 0, amounts),
        ),
        entry_rows(book_id, value_days, counts, entry_texts(*texts)),
    )


def _value_days(entries: Sequence[pb.NewEntry]) -> Integers:
    """Value dates as the store counts them; each is read once, at the first entry that has it."""
    known: dict[tuple[int, int, int], int] = {}
    found = []
    for place, entry in enumerate(entries):
        value = entry.value_date
        key = value.year, value.month, value.day
        day = known.get(key)
        if day is None:
            day = known[key] = days(read_day(_field(place), value))
        found.append(day)
    return np.array(found, dtype=np.int64)


def _field(place: int) -> str:
    return f"entries[{place}].value_date"
