"""The store's COPY in its binary form: tables' rows in and a query's rows out, as `rows` has them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from typing import Any, TypeAlias, TypeVar

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tael_ledger.rows import Layout

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
READ = 4 * 1024 * 1024
"""Bytes handed to the driver at a time: in few pieces, as for each it waits for the interpreter, which
is busy with other callers."""

TableRows: TypeAlias = tuple[Layout, bytes]
Result = TypeVar("Result")


def copy_in(connection: Connection, tables: Generator[TableRows, None, Result]) -> Result:
    """Writes rows in one statement a table, none where there are none; returns what `tables` does.

    While the store takes in one table's, the next table's are made. What making them raises is raised.
    """
    ahead = _Ahead(tables)
    while True:
        try:
            layout, rows = ahead.take()
        except StopIteration as end:
            result: Result = end.value
            return result
        if rows:
            _copy(connection, layout, _Source(rows, ahead.make))


def _copy(connection: Connection, layout: Layout, source: _Source) -> None:
    statement = f"COPY {layout.table} ({layout.columns}) FROM STDIN (FORMAT binary)"
    with cursor(connection, statement) as raw:
        raw.copy_expert(statement, source, READ)


class _Ahead:
    """What a generator gives, made before it is taken."""

    def __init__(self, tables: Iterator[TableRows]) -> None:
        self._tables = tables
        self._made: TableRows | BaseException | None = None

    def make(self) -> None:
        """A failure waits to be taken: from here the driver would pass on its words alone."""
        try:
            table = next(self._tables)
        except BaseException as failure:  # noqa: BLE001  the end too
            self._made = failure
        else:
            self._made = table

    def take(self) -> TableRows:
        """Raises what making it did, StopIteration at the end."""
        if self._made is None:
            self.make()
        made, self._made = self._made, None
        if isinstance(made, BaseException):
            raise made
        assert made is not None
        return made


class _Source:
    """Rows as a file for the driver, which asks for more once it has handed them over."""

    def __init__(self, rows: bytes, asked: Callable[[], None]) -> None:
        self._content = BytesIO(b"".join((SIGNATURE, rows, TRAILER)))
        self._asked = asked

    def read(self, size: int) -> bytes:
        """The next bytes."""
        part = self._content.read(size)
        if not part:
            self._asked()
        return part


def copy_out(connection: Connection, query: str) -> bytes:
    """The rows of a query in the order it gives them."""
    target = BytesIO()
    statement = f"COPY ({query}) TO STDOUT (FORMAT binary)"
    with cursor(connection, statement) as raw:
        raw.copy_expert(statement, target)
    return target.getvalue()[len(SIGNATURE) : -len(TRAILER)]


@contextmanager
def cursor(connection: Connection, statement: str) -> Any:
    """The driver's own cursor, for what SQLAlchemy has no call for; its errors are SQLAlchemy's."""
    with closing(connection.connection.cursor()) as raw:
        try:
            yield raw
        except (psycopg2.Error, SystemError) as error:
            # A connection lost in a COPY has two errors to tell; the driver trips over the second.
            told = error.__cause__ if isinstance(error, SystemError) else error
            if not isinstance(told, psycopg2.Error):
                raise
            raise DBAPIError(
                statement,
                None,
                told,
                hide_parameters=True,
                connection_invalidated=bool(connection.connection.closed),
            ) from error
