"""The entries' part of a proof: each balances, and its lines say what it and their accounts say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tael_ledger.findings import DIGEST_CHAIN, ENTRY_BALANCE, SEQUENCE, Finding, unbalanced
from tael_ledger.journal_stream import Window
from tael_ledger.rows import Integers

Marks = NDArray[np.bool_]


def check_entries(window: Window, owners: Integers, memo: Marks) -> Iterator[Finding]:
    """`owners`: the place of each line's entry in the window, `owners_of`; `memo`: whether each
    line's account is off balance.
    """
    entries, lines = window.entries, window.lines
    sequences = lines.column("sequence")
    homeless = owners < 0
    for sequence in np.unique(sequences[homeless]).tolist():
        yield Finding(SEQUENCE, f"entry {sequence}", "has lines and should be there")
    yield from _copies(window, owners, memo)
    counts = np.bincount(owners[~homeless], minlength=len(entries))
    wanted = entries.column("lines")
    for place in np.flatnonzero(counts != wanted).tolist():
        yield Finding(
            DIGEST_CHAIN,
            f"entry {entries.heads['sequence'][place]}",
            f"should have {wanted[place]} lines and has {counts[place]}",
        )
    yield from _balances(lines.column("debit") - lines.column("credit"), sequences, memo)


def owners_of(window: Window) -> Integers:
    """The place of each line's entry in the window; -1 where the entry is not there."""
    known, wanted = window.entries.column("sequence"), window.lines.column("sequence")
    places = np.searchsorted(known, wanted)
    found = places < len(known)
    found[found] = known[places[found]] == wanted[found]
    return np.where(found, places, -1)


def _copies(window: Window, owners: Integers, memo: Marks) -> Iterator[Finding]:
    """What a line repeats of its entry and of its account."""
    lines = window.lines
    at_home = owners >= 0
    for name in ("booking_date", "value_date"):
        theirs = np.zeros(len(lines), dtype=np.int64)
        theirs[at_home] = window.entries.column(name)[owners[at_home]]
        wrong = at_home & (lines.column(name) != theirs)
        yield from _by_entry(window, wrong, f"should have its {name} and have another")
    wrong = lines.heads["memo"].astype(bool) != memo
    yield from _by_entry(window, wrong, "should have their account's memo mark and have not")


def _by_entry(window: Window, wrong: Marks, message: str) -> Iterator[Finding]:
    found, counts = np.unique(window.lines.column("sequence")[wrong], return_counts=True)
    for sequence, count in zip(found.tolist(), counts.tolist(), strict=True):
        yield Finding(DIGEST_CHAIN, f"entry {sequence}", f"{count} of its lines {message}")


def _balances(nets: Integers, sequences: Integers, memo: Marks) -> Iterator[Finding]:
    """Lines lie by sequence, so an entry's are one run; 64 bits wrap, and zero stays zero."""
    if not len(nets):
        return
    starts = np.flatnonzero(np.concatenate(([True], sequences[1:] != sequences[:-1])))
    for is_memo in (False, True):
        own = np.where(memo == is_memo, nets, 0)
        differences = np.add.reduceat(own, starts)
        for place in np.flatnonzero(differences).tolist():
            subject = f"entry {sequences[starts[place]]}"
            yield Finding(ENTRY_BALANCE, subject, unbalanced(is_memo, int(differences[place])))
