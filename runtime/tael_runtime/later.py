"""Writes that nobody reads an outcome of, sent together: one round trip for many.

What waits goes ahead of the next statement of its transaction and of its commit, in order: the
transaction sees what it wrote as if each had been sent alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.sql.dml import UpdateBase

WAITING = "tael_waiting"
"""Where a connection keeps what it has not sent."""

FEW = 50
"""More rows than these gain by a statement of their own, with all their values."""

Row = Mapping[str, Any]


def write(transaction: Connection, statement: UpdateBase, *rows: Row) -> None:
    """Runs the statement once a row, at the latest with the commit.

    statement: one that is built once, not for each call: what it compiles to is remembered. An
    error of the store is raised where it is sent.
    """
    if len(rows) > FEW:
        transaction.execute(statement, list(rows))
    elif rows:
        waiting: list[tuple[UpdateBase, Row]] = transaction.info.setdefault(WAITING, [])
        waiting += [(statement, row) for row in rows]


def send(transaction: Connection) -> None:
    """Sends what waits."""
    if waiting := transaction.info.pop(WAITING, None):
        cursor: Any = transaction.connection.cursor()
        with cursor:
            texts = [_filled(cursor, transaction.dialect, *each) for each in waiting]
        transaction.exec_driver_sql(";\n".join(texts), execution_options={"no_parameters": True})


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


def _filled(cursor: Any, dialect: Dialect, statement: UpdateBase, row: Row) -> str:
    text, binds = _compiled(statement, tuple(row), dialect)
    values = {name: write(row.get(name, value)) for name, value, write in binds}
    filled: bytes = cursor.mogrify(text, values)
    return filled.decode()


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
