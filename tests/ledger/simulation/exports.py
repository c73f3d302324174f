"""The journal's files, read back and held against the oracle."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO, StringIO
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from beancount import loader
from beancount.core import data
from ledger.simulation.callers import Callers, insist
from ledger.simulation.draws import World
from ledger.simulation.state import State

from tael.ledger.v1 import proof_pb2 as pr


class Row(NamedTuple):
    """A line as the CSV and Parquet tell it, its place in the entry left out."""

    sequence: int
    account_number: str
    debit: int
    credit: int
    booking_date: str
    value_date: str
    event: str
    account_name: str
    currency_code: str
    reversal_of: int
    source: str
    narrative: str
    metadata: dict[str, str]


def exported(callers: Callers, book_id: str, form: pr.ExportFormat.ValueType) -> bytes:
    """The whole file."""
    request = pr.ExportJournalRequest(book_id=book_id, format=form)
    return insist(lambda: b"".join(part.chunk for part in callers.proof.ExportJournal(request)))


def journal(world: World, callers: Callers) -> None:
    """ExportJournal as CSV or Parquet: every line of the journal, in its order."""
    form = world.dice.choice((pr.EXPORT_FORMAT_CSV, pr.EXPORT_FORMAT_PARQUET))
    file = exported(callers, world.book_id, form)
    if form == pr.EXPORT_FORMAT_CSV:
        table: list[dict[str, Any]] = list(csv.DictReader(StringIO(file.decode())))
    else:
        table = pq.read_table(BytesIO(file)).to_pylist()
    found, expected = list(_rows(table)), list(_expected(world.state))
    assert len(found) == len(expected), (form, len(found), len(expected))
    for one, other in zip(found, expected, strict=True):
        assert one == other, (form, one, other)


def _rows(table: list[dict[str, Any]]) -> Iterator[Row]:
    """Lines by entry; of one entry, in an order of their own, after a look at how they are counted."""
    for sequence, lines in groupby(table, lambda row: int(row["sequence"])):
        held = list(lines)
        places = [int(row.pop("line_number")) for row in held]
        assert places == list(range(1, len(held) + 1)), (sequence, places)
        yield from sorted(_row(**row) for row in held)


def _row(**fields: Any) -> Row:
    whole = {name: int(fields[name]) for name in ("sequence", "debit", "credit", "reversal_of")}
    days = {name: str(fields[name]) for name in ("booking_date", "value_date")}
    return Row(**{**fields, **whole, **days, "metadata": json.loads(fields["metadata"] or "{}")})


def _expected(state: State) -> Iterator[Row]:
    for entry in state.entries.values():
        yield from sorted(
            Row(
                entry.sequence,
                line.number,
                line.debit,
                line.credit,
                str(entry.booking_date),
                str(entry.value_date),
                entry.event,
                _name(state, line.number),
                state.book.currency_code,
                entry.reversal_of,
                entry.source,
                entry.narrative,
                dict(entry.metadata),
            )
            for line in entry.lines
        )


def _name(state: State, number: str) -> str:
    row = state.chart[number.split(":", maxsplit=1)[0]]
    return f"{row.name} {row.english_name}"


def beancount(state: State, callers: Callers) -> None:
    """ExportJournal for Beancount, which finds every entry in it and every balance as it is here."""
    file = exported(callers, state.book.book_id, pr.EXPORT_FORMAT_BEANCOUNT)
    directives, errors, _ = loader.load_string(file.decode())
    assert not errors, errors[:3]
    entries = [one.meta["sequence"] for one in directives if isinstance(one, data.Transaction)]
    assert entries == list(state.entries), (len(entries), len(state.entries))
    numbers = {one.account: one.meta["account"] for one in directives if isinstance(one, data.Open)}
    found = {
        numbers[one.account]: one.amount.number
        for one in directives
        if isinstance(one, data.Balance)
    }
    held = state.accounts.values() if state.entries else ()
    expected = {one.number: Decimal(one.debits - one.credits).scaleb(-2) for one in held}
    assert found == expected, sorted(found.items() ^ expected.items())
