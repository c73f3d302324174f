"""Many rows into a table in one statement: arrays for a few, binary COPY for the lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import psycopg2
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

EPOCH = date(2000, 1, 1)
"""PostgreSQL counts days from here."""

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"


def insert_columns(
    connection: Connection, table: Table, columns: Mapping[str, Sequence[Any]]
) -> None:
    """Inserts rows given as columns of equal length, in one statement."""
    if next(iter(columns.values())):
        connection.execute(_statement(table, tuple(columns)), dict(columns))


@cache
def _statement(table: Table, names: tuple[str, ...]) -> TextClause:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    arrays = ", ".join(
        f"CAST(:{name} AS {table.c[name].type.compile(dialect).partition(' COLLATE')[0]}[])"
        for name in names
    )
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays})"  # noqa: S608  names are our own tables'
    )


def days(value: date) -> int:
    """A date as the store counts it."""
    return (value - EPOCH).days


def copy_rows(
    connection: Connection, table: Table, constants: Mapping[str, str], rows: NDArray[Any]
) -> None:
    """COPY BINARY: text columns that are the same in every row, then a structured array's fields.

    The array's fields carry the columns' names and big-endian types of the columns' widths.
    """
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for name, value in constants.items():
        fields += ((f"{name}_size", ">i4"), (name, f"S{len(value.encode())}"))
    assert rows.dtype.names is not None
    for name in rows.dtype.names:
        fields += ((f"{name}_size", ">i4"), (name, rows.dtype[name].str))
    tuples = np.zeros(len(rows), dtype=fields)
    tuples["count"] = len(constants) + len(rows.dtype.names)
    for name, value in constants.items():
        tuples[f"{name}_size"] = len(value.encode())
        tuples[name] = value.encode()
    for name in rows.dtype.names:
        tuples[f"{name}_size"] = rows.dtype[name].itemsize
        tuples[name] = rows[name]
    names = ", ".join((*constants, *rows.dtype.names))
    statement = f"COPY {table.name} ({names}) FROM STDIN (FORMAT binary)"
    with closing(connection.connection.cursor()) as cursor:
        try:
            cursor.copy_expert(statement, BytesIO(SIGNATURE + tuples.tobytes() + TRAILER))
        except psycopg2.Error as error:
            # What SQLAlchemy does for statements of its own.
            raise DBAPIError(
                statement,
                None,
                error,
                hide_parameters=True,
                connection_invalidated=bool(connection.connection.closed),
            ) from error
