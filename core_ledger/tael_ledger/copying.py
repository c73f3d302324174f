"""The store's COPY in its binary form: tables' rows in and a query's rows out, as `rows` has them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Generic, TypeAlias, TypeVar

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
    while not isinstance(made := ahead.take(), _End):
        layout, rows = made
        if rows:
            _copy(connection, layout, _Source(rows, ahead.make))
    return made.result


def _copy(connection: Connection, layout: Layout, source: _Source) -> None:
    statement = f"COPY {layout.table} ({layout.columns}) FROM STDIN (FORMAT binary)"
    with cursor(connection, statement) as raw:
        raw.copy_expert(statement, source, READ)


@dataclass(frozen=True)
class _End(Generic[Result]):
    """No more tables. Not the StopIteration itself: kept, it would keep all that its traceback sees."""

    result: Result


class _Ahead(Generic[Result]):
    """What a generator gives, made before it is taken."""

    def __init__(self, tables: Generator[TableRows, None, Result]) -> None:
        self._tables = tables
        self._made: TableRows | _End[Result] | BaseException | None = None

    def make(self) -> None:
        """A failure waits to be taken: from here the driver would pass on its words alone."""
        try:
            self._made = next(self._tables)
        except StopIteration as end:
            self._made = _End(end.value)
        except BaseException as failure:  # noqa: BLE001  raised by `take`
            self._made = failure

    def take(self) -> TableRows | _End[Result]:
        """Raises what making it did."""
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
