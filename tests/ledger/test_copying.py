"""Rows on their way into the store while the next are made."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from weakref import ref as weakref

import pytest
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tael_ledger.copying import TableRows, copy_in, copy_out
from tael_ledger.rows import RECORD, RecordRow, record_bytes

FOUND = "SELECT place FROM record WHERE book_id = 'made' ORDER BY place"


def rows_of(*places: int) -> TableRows:
    """Records of a book of their own."""
    rows = [RecordRow(1, place, "KIND", "subject", "{}") for place in places]
    return RECORD, record_bytes("made", rows)


@pytest.fixture
def transaction(book: LedgerUnderTest) -> Iterator[Connection]:
    """One that leaves nothing behind."""
    with book.house.running["ledger"].runtime.database.engine.connect() as connection:
        yield connection


def places(transaction: Connection) -> list[int]:
    """Of the rows that are there."""
    return [row[0] for row in transaction.exec_driver_sql(FOUND)]


def test_tables_are_written_in_turn_and_empty_ones_passed_over(transaction: Connection) -> None:
    def tables() -> Generator[TableRows, None, str]:
        yield rows_of(1, 2)
        yield rows_of()
        yield rows_of(3)
        return "at the end"

    assert copy_in(transaction, tables()) == "at the end"
    assert places(transaction) == [1, 2, 3]
    found = copy_out(transaction, f"SELECT {RECORD.columns} FROM record WHERE book_id = 'made'")
    assert found == rows_of(1, 2, 3)[1]


def test_a_batch_that_is_written_is_let_go_at_once(transaction: Connection) -> None:
    class Batch:
        """As large as one of 50,000 lines."""

    def write() -> weakref[Batch]:
        batch = Batch()
        copy_in(transaction, in_turn(rows_of(1)))
        return weakref(batch)

    def in_turn(*tables: TableRows) -> Generator[TableRows]:
        yield from tables

    gc.disable()
    try:
        assert write()() is None, "it waits for a collector that seldom comes"
    finally:
        gc.enable()


def test_what_fails_while_the_next_are_made_is_raised_as_it_is(transaction: Connection) -> None:
    failure = ArithmeticError("no sum")

    def tables() -> Generator[TableRows]:
        yield rows_of(1)
        raise failure

    with pytest.raises(ArithmeticError) as raised:
        copy_in(transaction, tables())
    assert raised.value is failure
    assert places(transaction) == [1], "the store has what was handed over, until it is rolled back"


def test_what_the_store_refuses_is_raised_whatever_was_made_meanwhile(
    transaction: Connection,
) -> None:
    def tables() -> Generator[TableRows]:
        yield rows_of(1, 1)
        yield rows_of(2)

    with pytest.raises(DBAPIError, match="record_pkey"):
        copy_in(transaction, tables())
