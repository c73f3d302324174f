"""Totals of lines by booking date, group and value date, gathered in the journal's order. Pure.

The three stand in one integer: the booking date first, as days since 2000-01-01, the value date as
days before it. Booking dates never fall along the journal, so that totals of past dates are finished
and can go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tael_ledger.rows import Integers

DAY_BITS = 22
"""Enough for every day that a date can name."""
GROUP_BITS = 19
FIRST = 800_000
"""Added to a day to make it positive."""
LAST = (1 << DAY_BITS) - 1
GROUPS = 1 << GROUP_BITS


class DayKey(NamedTuple):
    """What a total is of."""

    booked: int
    """Days, as the store counts them; like the next."""
    group: int
    worth: int


class DayTotal(NamedTuple):
    """What it comes to, minor units and lines."""

    debits: int
    credits: int
    lines: int


class DayTotals:
    """Totals of the dates that are not finished."""

    def __init__(self) -> None:
        self._keys: Integers = np.zeros(0, dtype=np.int64)
        self._totals: Integers = np.zeros((3, 0), dtype=np.int64)

    def add(
        self,
        groups: Integers,
        booked: Integers,
        worth: Integers,
        debits: Integers,
        credits_: Integers,
    ) -> None:
        """Counts lines in; groups are below GROUPS. Sums of 64 bits may wrap: the lines' digests
        are what tells a sum that is wrong by 2^64.
        """
        keys = _keys(groups, booked, worth)
        lines, totals = _summed(keys, np.stack((debits, credits_, np.ones_like(debits))))
        self._keys, self._totals = _summed(
            np.concatenate((self._keys, lines)), np.concatenate((self._totals, totals), axis=1)
        )

    def finished(self, booked: int) -> dict[DayKey, DayTotal]:
        """Gives up the totals of the dates before one."""
        end = int(np.searchsorted(self._keys, _keys_of(0, booked)))
        taken, totals = self._keys[:end], self._totals[:, :end]
        self._keys, self._totals = self._keys[end:], self._totals[:, end:]
        return {
            _read(key): DayTotal(*total)
            for key, total in zip(taken.tolist(), totals.T.tolist(), strict=True)
        }


def _keys(groups: Integers, booked: Integers, worth: Integers) -> Integers:
    dates = np.clip(booked + FIRST, 0, LAST) << (GROUP_BITS + DAY_BITS)
    keys: Integers = dates | groups << DAY_BITS | np.clip(booked - worth, 0, LAST)
    return keys


def _keys_of(group: int, booked: int) -> int:
    return min(max(booked + FIRST, 0), LAST) << (GROUP_BITS + DAY_BITS) | group << DAY_BITS


def _read(key: int) -> DayKey:
    booked = (key >> (GROUP_BITS + DAY_BITS)) - FIRST
    return DayKey(booked, key >> DAY_BITS & (GROUPS - 1), booked - (key & LAST))


def _summed(keys: Integers, columns: Integers) -> tuple[Integers, Integers]:
    """Sums of columns by key, keys ascending."""
    if not len(keys):
        return keys, columns
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))
    return in_order[starts], np.add.reduceat(columns[:, order], starts, axis=1)


def differences(
    should: dict[DayKey, DayTotal], are: dict[DayKey, DayTotal]
) -> Iterator[tuple[DayKey, DayTotal | None, DayTotal | None]]:
    """Where two sets of totals differ; None where there is none."""
    for key in sorted(should.keys() | are.keys()):
        if should.get(key) != are.get(key):
            yield key, should.get(key), are.get(key)
