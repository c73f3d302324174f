"""Canonical bytes: what we write, what PostgreSQL's COPY gives, and what we read, are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import numpy as np
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger import chain_page
from ledger.ledger_case import LedgerUnderTest

from tael_ledger import chain, copying, rows
from tael_ledger.row_view import RowView, view
from tael_ledger.rows import (
    ACCOUNT,
    BATCH,
    ENTRY,
    LINE,
    RECORD,
    REQUEST,
    AccountRow,
    BatchRow,
    EntryRow,
    Layout,
    RecordRow,
    RequestRow,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
BOOK_ID = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=8
)
LONG = st.integers(-(2**63), 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
DAY = st.integers(rows.days(date(1, 1, 1)), rows.days(date(9999, 12, 31)))
INSTANT = st.integers(0, rows.microseconds(datetime(9999, 12, 31, tzinfo=UTC)))
HASH = st.binary(min_size=32, max_size=32)
NUMBER = st.from_regex(r"[0-9.]{4,16}(:[A-Z][A-Z_]{0,15}:[A-Za-z0-9_.-]{1,64})?", fullmatch=True)


def line_bytes(book_id: str, many: Sequence[Sequence[Any]]) -> bytes:
    """Lines filled in column by column, as a batch does."""
    filled = LINE.heads(book_id, len(many))
    for place, (name, _) in enumerate(LINE.fixed):
        filled[name] = [one[place] for one in many]
    return filled.tobytes()


ROWS: dict[str, tuple[Layout, st.SearchStrategy[Any], Callable[[str, Sequence[Any]], bytes]]] = {
    "account": (
        ACCOUNT,
        st.builds(AccountRow, LONG, LONG, NUMBER),
        lambda book, many: rows.counted(ACCOUNT, rows.account_identities(book, many)),
    ),
    "record": (
        RECORD,
        st.builds(RecordRow, LONG, INT, TEXT, TEXT, TEXT),
        rows.record_bytes,
    ),
    "request": (
        REQUEST,
        st.builds(RequestRow, LONG, INT, LONG, INT, LONG, HASH, TEXT, TEXT, TEXT, TEXT),
        rows.request_bytes,
    ),
    "entry": (
        ENTRY,
        st.builds(EntryRow, LONG, DAY, DAY, INT, LONG, INT, TEXT, TEXT, TEXT, TEXT),
        rows.entry_bytes,
    ),
    "batch": (
        BATCH,
        st.builds(BatchRow, LONG, DAY, LONG, LONG, INT, INT, INT, INT, INT, INSTANT),
        lambda book, many: b"".join(rows.batch_bytes(book, one) for one in many),
    ),
    "line": (
        LINE,
        st.tuples(DAY, LONG, INT, LONG, DAY, LONG, LONG, st.booleans()),
        line_bytes,
    ),
}
TYPES = {">i8": "bigint", ">i4": "integer", "?": "boolean", "S32": "bytea"}
DATES = {"booking_date", "value_date"}


def values_of(layout: Layout, row: Any) -> list[Any]:
    """A row's values in the layout's order, an account's parts after its number."""
    return [*row, *row.parts] if layout is ACCOUNT else list(row)


def columns_of(layout: Layout) -> list[tuple[str, str]]:
    """(column, PostgreSQL's type)."""
    found = [("book_id", "text")]
    for name, kind in layout.fixed:
        dated = "date" if name in DATES else TYPES[kind]
        found.append((name, "timestamptz" if name == "committed_at" else dated))
    return [*found, *((name, "text") for name in layout.texts)]


@pytest.fixture(scope="module")
def cursor(new_book: Callable[..., LedgerUnderTest]) -> Any:
    """A session at the store; what it makes is gone at its end."""
    with closing(psycopg2.connect(**chain_page.address(new_book()))) as connection:
        cursor = connection.cursor()
        for name, (layout, _, _) in ROWS.items():
            columns = ", ".join(f"{column} {kind}" for column, kind in columns_of(layout))
            cursor.execute(f"CREATE TEMPORARY TABLE kept_{name} (row_order serial, {columns})")
        yield cursor


@pytest.mark.parametrize("name", ROWS)
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
def test_bytes_are_what_copy_reads_and_writes(cursor: Any, name: str, drawn: st.DataObject) -> None:
    layout, strategy, written = ROWS[name]
    book_id, many = drawn.draw(BOOK_ID), drawn.draw(st.lists(strategy, max_size=6))
    raw = written(book_id, many)
    names = ", ".join(column for column, _ in columns_of(layout))
    cursor.execute(f"TRUNCATE kept_{name}")
    whole = BytesIO(copying.SIGNATURE + raw + copying.TRAILER)
    cursor.copy_expert(f"COPY kept_{name} ({names}) FROM STDIN (FORMAT binary)", whole)
    target = BytesIO()
    query = f"SELECT {names} FROM kept_{name} ORDER BY row_order"
    cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", target)
    assert target.getvalue()[len(copying.SIGNATURE) : -len(copying.TRAILER)] == raw
    if layout is not BATCH:
        texts = ", ".join(f"{one}::text" if one in DATES else one for one, _ in columns_of(layout))
        cursor.execute(f"SELECT {texts} FROM kept_{name} ORDER BY row_order")
        assert [list(map(plain, row[1:])) for row in cursor] == [
            [told(layout, at, value) for at, value in enumerate(values_of(layout, row))]
            for row in many
        ]


def plain(value: Any) -> Any:
    """bytea as bytes."""
    return bytes(value) if isinstance(value, memoryview) else value


def told(layout: Layout, at: int, value: Any) -> Any:
    """A value as the store tells it."""
    dated = at < len(layout.fixed) and layout.fixed[at][0] in DATES
    return str(rows.day_of(value)) if dated else value


def seen(layout: Layout, found: RowView) -> list[list[Any]]:
    """What a view says of its rows."""
    fixed = [
        [
            bytes(one).ljust(32, b"\0") if kind == "S32" else one
            for one in found.heads[name].tolist()
        ]
        for name, kind in layout.fixed
    ]
    return [list(row) for row in zip(*fixed, *map(found.texts, layout.texts), strict=True)]


@pytest.mark.parametrize("name", ROWS)
@settings(deadline=None, max_examples=100)
@given(drawn=st.data())
def test_rows_are_read_back_in_columns(name: str, drawn: st.DataObject) -> None:
    layout, strategy, written = ROWS[name]
    book_id, many = drawn.draw(BOOK_ID), drawn.draw(st.lists(strategy, max_size=6))
    raw = written(book_id, many)
    found = view(layout, book_id, raw)
    assert seen(layout, found) == [values_of(layout, row) for row in many]
    assert b"".join(found.cut(place, place + 1) for place in range(len(found))) == raw
    for text in layout.texts:
        wanted = found.texts(text)
        assert found.is_text(text, "ab").tolist() == [one == "ab" for one in wanted]
        short = [one.rstrip(b"\0") for one in found.short_texts(text, 16).tolist()]
        assert short == [one.encode()[:16] for one in wanted]


def test_a_row_that_holds_what_begins_a_row_is_one_row() -> None:
    start = rows.record_bytes("b", [RecordRow(1, 1, "", "", "")])[:11]
    hidden = int.from_bytes(start[:8], "big"), int.from_bytes(start[8:] + bytes(1), "big")
    many = [RecordRow(hidden[0], hidden[1] >> 8, "K", "s", "{}"), RecordRow(2, 2, "", "x", "")]
    found = view(RECORD, "b", rows.record_bytes("b", many))
    assert seen(RECORD, found) == [list(row) for row in many]


@given(raw=st.binary(min_size=1, max_size=200))
def test_bytes_that_are_no_rows_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no rows of record"):
        view(RECORD, "book", raw)


@given(st.lists(HASH, min_size=1, max_size=20), st.data())
def test_a_link_depends_on_every_content_before_it(
    contents: list[bytes], drawn: st.DataObject
) -> None:
    def linked(digests: Sequence[bytes]) -> list[bytes]:
        found, previous = [], chain.GENESIS
        for content in digests:
            previous = chain.link(previous, content)
            found.append(previous)
        return found

    place = drawn.draw(st.integers(0, len(contents) - 1))
    other = drawn.draw(HASH.filter(lambda one: one != contents[place]))
    before, after = linked(contents), linked([*contents[:place], other, *contents[place + 1 :]])
    assert before[:place] == after[:place]
    assert all(one != same for one, same in zip(before[place:], after[place:], strict=True))
    assert linked(contents[:place] + contents[place:]) == chain_page.links(contents)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_a_content_digest_is_the_sha_256_of_its_parts_joined(parts: list[bytes]) -> None:
    assert chain.content_digest(parts) == hashlib.sha256(b"".join(parts)).digest()


def test_rows_without_texts_are_put_in_another_order() -> None:
    many = [(0, sequence, 1, 7, 0, 5, 0, False) for sequence in (3, 1, 2)]
    found = view(LINE, "b", line_bytes("b", many))
    ordered = found.in_order(np.argsort(found.column("sequence")))
    assert ordered.column("sequence").tolist() == [1, 2, 3]
    assert ordered.cut(0, 3) == line_bytes("b", sorted(many, key=lambda one: one[1]))
