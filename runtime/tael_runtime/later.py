"""Writes that nobody reads an outcome of, sent together: one round trip for many.

What waits goes ahead of the next statement of its transaction and of its commit, in order: the
transaction sees what it wrote as if each had been sent alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    Connection,
    Dialect,
    Engine,
    LargeBinary,
    Table,
    TypeDecorator,
    event,
)
from sqlalchemy.sql.dml import UpdateBase

WAITING = "tael_waiting"
"""Where a connection keeps what it has not sent."""

FEW = 50
"""More rows than these gain by a statement of their own, with all their values."""

ROWS_AT_ONCE = 1000
VALUES = re.compile(r"(?<= VALUES )(\(%\(\w+\)s(?:::\w+)?(?:, %\(\w+\)s(?:::\w+)?)*\))")
"""The values of an INSERT that are no more than its parameters."""

Row = Mapping[str, Any]


def write(transaction: Connection, statement: UpdateBase, *rows: Row) -> None:
    """Runs the statement once a row, at the latest with the commit.

    statement: one that is built once, not for each call: what it compiles to is remembered. An
    error of the store is raised where it is sent.
    """
    if len(rows) > FEW:
        send(transaction)
        _send_many(transaction, statement, rows)
    elif rows:
        waiting: list[tuple[UpdateBase, Row]] = transaction.info.setdefault(WAITING, [])
        waiting += [(statement, row) for row in rows]


def send(transaction: Connection) -> None:
    """Sends what waits; a long run of rows of one statement goes by itself, as in `write`."""
    texts: list[str] = []
    for statement, run in groupby(transaction.info.pop(WAITING, ()), itemgetter(0)):
        rows = [row for _, row in run]
        if len(rows) > FEW:
            _send_texts(transaction, texts)
            _send_many(transaction, statement, rows)
        else:
            texts += _filled(transaction, statement, rows)
    _send_texts(transaction, texts)


def _send_texts(transaction: Connection, texts: list[str]) -> None:
    if texts:
        transaction.exec_driver_sql(";\n".join(texts), execution_options={"no_parameters": True})
        texts.clear()


def forget(transaction: Connection) -> None:
    """Drops what waits: what caused it is rolled back."""
    transaction.info.pop(WAITING, None)


def install(engine: Engine) -> None:
    """Makes an engine's connections send what waits in time."""

    def ahead(connection: Connection, *_: object) -> None:
        send(connection)

    def dropped(connection: Connection) -> None:
        if not connection.invalidated:  # a lost connection took what waited with it
            forget(connection)

    event.listen(engine, "before_cursor_execute", ahead)
    event.listen(engine, "commit", ahead)
    event.listen(engine, "rollback", dropped)


def _send_many(transaction: Connection, statement: UpdateBase, rows: Sequence[Row]) -> None:
    """Many rows of plain values go in one INSERT a page, also where it writes over what is there,
    which SQLAlchemy sends row by row.
    """
    text, binds = _compiled(statement, tuple(rows[0]), transaction.dialect)
    parts = VALUES.split(text)
    if len(parts) != 3 or "%(" in parts[2]:
        transaction.execute(statement, list(rows))
        return
    before, values, after = parts
    source = _records(statement.table, tuple(name for name, _, _ in binds))
    cursor: Any = transaction.connection.cursor()
    with cursor:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            page = [
                {name: write(row.get(name, value)) for name, value, write in binds}
                for row in rows[start : start + ROWS_AT_ONCE]
            ]
            if source:
                sent = _selected(cursor, before, source, page)
            else:
                sent = before + b", ".join(cursor.mogrify(values, row) for row in page).decode()
            transaction.exec_driver_sql(f"{sent}{after}", execution_options={"no_parameters": True})


def _selected(cursor: Any, before: str, source: str, page: Sequence[Row]) -> str:
    """The INSERT that reads its rows out of one JSON text."""
    columns = before[before.index("(") + 1 : before.rindex(")")]
    reading = f"{before.removesuffix('VALUES ')}SELECT {columns} FROM {source}"  # noqa: S608  the table's own names
    return str(cursor.mogrify(reading, (msgspec.json.encode(page).decode(),)).decode())


@lru_cache(maxsize=256)
def _records(table: Table, names: Sequence[str]) -> str:
    """Where rows of a table are read from, both sides being quicker with JSON than with values; empty
    where JSON does not have all of the columns' values.
    """
    columns = [table.c.get(name) for name in names]
    if any(column is None or isinstance(column.type, NOT_IN_JSON) for column in columns):
        return ""
    return f"json_populate_recordset(NULL::{table.name}, %s)"


NOT_IN_JSON = (LargeBinary, ARRAY, JSON, TypeDecorator)
"""Types of bytes, or that write values in a way of their own."""


def _filled(transaction: Connection, statement: UpdateBase, rows: Iterable[Row]) -> Iterator[str]:
    """The statement once a row, its values in it."""
    cursor: Any = transaction.connection.cursor()
    with cursor:
        for row in rows:
            text, binds = _compiled(statement, tuple(row), transaction.dialect)
            values = {name: write(row.get(name, value)) for name, value, write in binds}
            yield cursor.mogrify(text, values).decode()


Writer = Callable[[Any], Any]


@lru_cache(maxsize=256)
def _compiled(
    statement: UpdateBase, names: Sequence[str], dialect: Dialect
) -> tuple[str, list[tuple[str, Any, Writer]]]:
    """The statement as the driver takes it; of each value its name, its default, how it is written."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(names))
    return str(compiled), [
        (
            name,
            bind.effective_value,
            bind.type.dialect_impl(dialect).bind_processor(dialect) or _same,
        )
        for bind, name in compiled.bind_names.items()
    ]


def _same(value: Any) -> Any:
    return value
