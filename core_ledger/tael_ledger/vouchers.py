"""The journal's entries with their lines, streamed in its order: what exports read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, text

from tael_ledger.journal_stream import Window, windows
from tael_ledger.proof_entries import owners_of
from tael_ledger.rows import Integers, array_text

# One probe of the primary key an account, whatever the planner believes about the table.
NUMBERS = text(
    "SELECT found.account_id, found.number FROM unnest(CAST(:ids AS bigint[])) AS asked (account_id), "
    "LATERAL (SELECT account_id, number FROM account WHERE book_id = :book_id "
    "AND account.account_id = asked.account_id LIMIT 1) AS found"
)


class Columns(NamedTuple):
    """Some lines in columns, and the entries that they belong to."""

    window: Window
    owners: Integers
    """The place of each line's entry in the window."""
    accounts: Integers
    """The place of each line's account in the next."""
    numbers: Sequence[str]
    line_numbers: Integers
    debits: Integers
    credits: Integers


class VoucherLine(NamedTuple):
    """A line; amounts in minor units."""

    line_number: int
    account_number: str
    debit: int
    credit: int


class Voucher(NamedTuple):
    """An entry with its lines."""

    request_id: str
    """Of the request that made it; empty where nobody asked for it."""
    sequence: int
    value_date: int
    """Days, as the store counts them; like the next."""
    booking_date: int
    reversal_of: int
    event: str
    source: str
    narrative: str
    metadata: str
    lines: Sequence[VoucherLine]


def columns(connection: Connection, book_id: str) -> Iterator[Columns]:
    """The lines whose entry and account are there. Memory holds one window."""
    for window in windows(connection, book_id):
        owners, ids = owners_of(window), window.lines.column("account_id")
        unique = np.unique(ids)
        asked = {"book_id": book_id, "ids": array_text(unique)}
        found = {row.account_id: row.number for row in connection.execute(NUMBERS, asked)}
        known = np.array(sorted(found), dtype=np.int64)
        kept = (owners >= 0) & np.isin(ids, known)
        yield Columns(
            window,
            owners[kept],
            np.searchsorted(known, ids[kept]),
            [found[one] for one in known.tolist()],
            window.lines.column("line_number")[kept],
            window.lines.column("debit")[kept],
            window.lines.column("credit")[kept],
        )


def vouchers(connection: Connection, book_id: str) -> Iterator[Voucher]:
    """Entries by sequence, those without a line left out."""
    for page in columns(connection, book_id):
        numbers = page.numbers
        lines = [
            VoucherLine(place, numbers[account], debit, credit)
            for place, account, debit, credit in zip(
                page.line_numbers.tolist(),
                page.accounts.tolist(),
                page.debits.tolist(),
                page.credits.tolist(),
                strict=True,
            )
        ]
        entries = page.window.entries
        bounds = np.searchsorted(page.owners, np.arange(len(entries) + 1)).tolist()
        heads = zip(
            _request_ids(page.window),
            *(
                entries.column(name).tolist()
                for name in ("sequence", "value_date", "booking_date", "reversal_of")
            ),
            *(entries.texts(name) for name in ("event", "source", "narrative", "metadata")),
            strict=True,
        )
        for place, head in enumerate(heads):
            own = lines[bounds[place] : bounds[place + 1]]
            if own:
                yield Voucher._make((*head, own))


def _request_ids(window: Window) -> list[str]:
    """Whose request made each entry of the window."""
    requests, sequences = window.requests, window.entries.column("sequence")
    posting = np.flatnonzero(requests.column("entries") > 0)
    firsts = requests.column("first_sequence")[posting]
    ends = firsts + requests.column("entries")[posting]
    names = requests.texts("request_id")
    places = np.searchsorted(firsts, sequences, side="right") - 1
    if not len(posting):
        return [""] * len(sequences)
    asked = (places >= 0) & (sequences < ends[places])
    return [
        names[posting[place]] if known else ""
        for place, known in zip(places.tolist(), asked.tolist(), strict=True)
    ]
