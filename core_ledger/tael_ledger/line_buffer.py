"""A batch's lines gathered in columns, and sums over them. Pure.

Small entries gather in lists, which are cheap to add to; large ones come as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tael_ledger.drafts import Draft, Integers, LineColumns
from tael_ledger.entry_columns import EntryColumns
from tael_ledger.rows import days

Exact = Integers | NDArray[np.object_]
"""Integers of 64 bits, or Python's own."""
SAFE = 2**62
"""Sums whose bound is below this fit 64 bits."""


class Lines(NamedTuple):
    """Lines in columns of equal length."""

    sequences: Integers
    numbers: Integers
    """Of the line in its entry, from 1."""
    account_ids: Integers
    value_dates: Integers
    """Days as the store counts them."""
    debits: Integers
    credits: Integers


class LineBuffer:
    """Lines in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: list[Lines] = []
        self._lists: tuple[list[int], ...] = tuple([] for _ in Lines._fields)

    def add(self, sequence: int, draft: Draft, account_ids: Sequence[int]) -> None:
        """An entry's lines."""
        count, worth = len(account_ids), days(draft.value_date)
        if isinstance(draft.lines, LineColumns):
            self._flush()
            self._parts.append(
                Lines(
                    np.full(count, sequence),
                    np.arange(1, count + 1),
                    np.array(account_ids, dtype=np.int64),
                    np.full(count, worth),
                    draft.lines.debits,
                    draft.lines.credits,
                )
            )
            return
        sequences, numbers, ids, dates, debits, credits_ = self._lists
        sequences += [sequence] * count
        numbers += range(1, count + 1)
        ids += account_ids
        dates += [worth] * count
        debits += [line.debit for line in draft.lines]
        credits_ += [line.credit for line in draft.lines]

    def add_columns(
        self, first_sequence: int, entries: EntryColumns, account_ids: Sequence[int]
    ) -> None:
        """The lines of entries whose sequences follow one another."""
        self._flush()
        counts, lines = entries.counts, len(account_ids)
        starts = np.cumsum(counts) - counts
        self._parts.append(
            Lines(
                np.repeat(np.arange(first_sequence, first_sequence + len(counts)), counts),
                np.arange(1, lines + 1) - np.repeat(starts, counts),
                np.array(account_ids, dtype=np.int64),
                np.repeat(entries.value_days, counts),
                entries.lines.debits,
                entries.lines.credits,
            )
        )

    def lines(self) -> Lines:
        """All of them."""
        self._flush()
        if len(self._parts) == 1:
            return self._parts[0]
        return Lines(*(np.concatenate(column) for column in zip(*self._parts, strict=True)))

    def _flush(self) -> None:
        if self._lists[0] or not self._parts:
            self._parts.append(Lines(*(np.array(one, dtype=np.int64) for one in self._lists)))
            self._lists = tuple([] for _ in Lines._fields)


class Sums(NamedTuple):
    """Sums by key, keys ascending."""

    keys: Integers
    debits: Exact
    credits: Exact
    counts: Integers


def sums_by(keys: Integers, debits: Integers, credits_: Integers) -> Sums:
    """Exact sums of debits and credits by key, and how many of each.

    Arrays of Python's integers where 64 bits might not do.
    """
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1]))[: len(keys)])
    counts = np.diff(np.concatenate((starts, [len(keys)])))
    return Sums(
        in_order[starts],
        np.add.reduceat(exact(debits)[order], starts),
        np.add.reduceat(exact(credits_)[order], starts),
        counts,
    )


def spread(keys: Exact, some: Exact, values: Exact) -> Exact:
    """Values of some of the keys, both ascending, over all of them; 0 for the others."""
    over: Exact = np.zeros(len(keys), dtype=np.int64)
    if values.dtype != over.dtype:
        over = over.astype(object)
    over[np.searchsorted(keys, some)] = values
    return over


def exact(amounts: Integers) -> Exact:
    """Amounts whose sum cannot overflow: as they are, or as Python's integers."""
    bound = int(np.abs(amounts).max(initial=0)) * len(amounts)
    return amounts if bound < SAFE else amounts.astype(object)
