"""Reading and writing loans: what it costs, and what the store refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from servicing.bank import Bank
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from tael_runtime.database import Database
from tael_servicing import loan_store, loans
from tael_servicing.arithmetic.events import Parked
from tael_servicing.loans import Held


def rows_read(database: Database, loan_id: str) -> tuple[list[int], Held]:
    """The rows that each statement gives by which a loan is read, its product known; the loan."""
    rows: list[int] = []

    def count(_connection: Any, cursor: Any, *_: Any) -> None:
        rows.append(cursor.rowcount)

    with database.read() as connection:
        loan_store.get(connection, loan_id)
        event.listen(connection, "after_cursor_execute", count)
        return rows, loan_store.get(connection, loan_id)


def test_reading_a_loan_costs_the_same_whatever_happened_to_it(bank: Bank) -> None:
    loan_id = bank.lend(periods=24).loan_id
    database = bank.house.running["servicing"].runtime.database
    young, held = rows_read(database, loan_id)
    with database.begin() as transaction:
        for _ in range(200):
            event_id = loan_store.get(transaction, loan_id).next_event_id
            loans.record(transaction, loan_id, Parked(bank.day, event_id, 1), bank.day)
    old, aged = rows_read(database, loan_id)
    assert young == old == [1]
    assert aged.next_event_id == f"{int(held.next_event_id) + 200:08}"


def test_a_loan_that_was_written_since_it_was_read_is_not_written_over(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    database = bank.house.running["servicing"].runtime.database
    with database.read() as connection:
        read = loan_store.get(connection, loan_id)
    with database.begin() as transaction:
        (stored,) = loan_store.save(transaction, loan_store.lock(transaction, loan_id))
    with pytest.raises(IntegrityError, match="changes"), database.begin() as transaction:
        loan_store.save(transaction, read)
    with database.begin() as transaction:
        loan_store.save(transaction, replace(read, stored=stored.stored))
