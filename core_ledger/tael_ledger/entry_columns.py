"""Many small entries in columns: what PostEntries brings in thousands. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tael_ledger.chart import Chart
from tael_ledger.drafts import Draft, Integers, Line, LineColumns
from tael_ledger.rows import ENTRY, day_of


@dataclass(frozen=True, eq=False)
class EntryRows:
    """Rows of a book's entries as the chain has them, but for their places in the journal."""

    book_id: str
    raw: bytes
    starts: Integers
    """Where each row begins."""

    def placed(self, first_sequence: int, booked: int) -> bytes:
        """Sequences follow one another, `booked` is the day."""
        raw = np.frombuffer(bytearray(self.raw), np.uint8)
        sequences = np.arange(first_sequence, first_sequence + len(self.starts))
        days = np.full(len(self.starts), booked)
        for name, values in (("sequence", sequences), ("booking_date", days)):
            offset, kind = ENTRY.place(self.book_id, name)
            at = (self.starts + offset)[:, None] + np.arange(kind.itemsize)
            raw[at] = values.astype(kind)[:, None].view(np.uint8)
        return raw.tobytes()


def entry_rows(
    book_id: str, value_days: Integers, counts: Integers, texts: Sequence[bytes]
) -> EntryRows:
    """Rows from their columns; `texts` as `rows.entry_texts` gives them."""
    heads = ENTRY.heads(book_id, len(texts))
    heads["value_date"] = value_days
    heads["lines"] = counts
    packed, size = heads.tobytes(), heads.itemsize
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    parts = [start + text for start, text in zip(parts, texts, strict=True)]
    sizes = np.array([len(part) for part in parts], dtype=np.int64)
    return EntryRows(book_id, b"".join(parts), np.cumsum(sizes) - sizes)


@dataclass(frozen=True, eq=False)
class EntryColumns:
    """Entries on named accounts, none a reversal. Columns of equal length, one value an entry."""

    events: Sequence[str]
    value_days: Integers
    """Value dates as the store counts them."""
    sources: Sequence[str]
    narratives: Sequence[str]
    metadata: Sequence[str]
    """As `facts_text` gives it."""
    counts: Integers
    """Lines of each entry, at least one."""
    lines: LineColumns
    """Of all entries, one after the other."""
    rows: EntryRows

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Draft]:
        """One by one, made where somebody asks."""
        numbers, debits, credits_ = self.lines
        lines = map(Line, numbers, debits.tolist(), credits_.tolist())
        days, counts = map(day_of, self.value_days.tolist()), self.counts.tolist()
        heads = zip(self.events, days, self.sources, self.narratives, strict=True)
        for head, count, facts in zip(heads, counts, self.metadata, strict=True):
            yield Draft(*head, [next(lines) for _ in range(count)], metadata=facts)

    def is_balanced(self, chart: Chart) -> bool:
        """Whether `postings.check_balanced` passes each of them.

        Exact: a thousand amounts of the contract's size fit 64 bits.
        """
        memo_of = {code: account.is_memo for code, account in chart.items()}
        codes = [number.partition(":")[0] for number in self.lines.account_numbers]
        if not memo_of.keys() >= set(codes):
            return False
        memo = np.array([memo_of[code] for code in codes], dtype=bool)
        nets = self.lines.debits - self.lines.credits
        starts = np.cumsum(self.counts) - self.counts
        sides = np.where(memo, 0, nets), np.where(memo, nets, 0)
        return not any(np.add.reduceat(side, starts).any() for side in sides)


Drafts: TypeAlias = Sequence[Draft] | EntryColumns


def line_count(drafts: Drafts) -> int:
    """How many lines some entries have."""
    if isinstance(drafts, EntryColumns):
        return len(drafts.lines.debits)
    return sum([draft.line_count for draft in drafts])
