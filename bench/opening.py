"""What a portfolio owes, booked into the ledger as another system's opening balances."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Any

from sqlalchemy import select, true
from sqlalchemy.dialects.postgresql.base import PGDialect

from bench.house import BOOK
from tael.ledger.v1.ledger_pb2 import (
    ControlTotals,
    ImportOpeningBalancesRequest,
    LineColumns,
    OpeningBalancesHeader,
)
from tael.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from tael_client.values import from_date
from tael_servicing import growth
from tael_servicing.end_of_day.checks import CODES, COMMITMENTS
from tael_servicing.tables import book_day, loan_balance, loan_set_aside, loan_state

ON_CREDIT = ("1304", "2241")
"""Beginnings of codes whose balances stand on the credit side."""
CLEARING, CONTRA = "3001", "7999"
"""The other side of what is imported: on balance, and off."""
ACCOUNTS_AN_IMPORT = 1_000_000
ACCOUNTS_A_CHUNK = 50_000

Balance = tuple[str, int]
"""An account's number, and what stands on its normal side in minor units."""


def import_all(journal: LedgerServiceStub, connection: Any, day: date) -> int:
    """Imports the balances of every loan and line of the book; returns how many accounts.

    connection: psycopg2's, in servicing's schema.
    """
    imported = 0
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE owed AS {_owed()}")
    for column, code in CODES.items():
        query = (
            f"SELECT '{code}:LOAN:' || loan_id, {column} FROM owed "
            f"WHERE {column} <> 0 ORDER BY loan_id"
        )
        imported += _import(journal, connection, day, code, query)
    undrawn = "credit_limit - used - reserved"
    query = (
        f"SELECT '{COMMITMENTS}:LINE:' || line_id, {undrawn} FROM credit_line "
        f"WHERE book_id = '{BOOK}' AND {undrawn} <> 0 ORDER BY line_id"
    )
    return imported + _import(journal, connection, day, COMMITMENTS, query)


def _owed() -> str:
    """What each loan of the book owes after its nights, by the names of CODES."""
    state, given = loan_state.c, (loan_state, book_day, loan_set_aside)
    grew = growth.added(state.loan_id, state.written_on, growth.ACCRUED_TO, *given)
    amounts = (
        (loan_balance.c[name] + grew.c[name]).label(name)
        if name in growth.GROWS
        else loan_balance.c[name]
        for name in CODES
    )
    query = (
        select(state.loan_id, *amounts)
        .select_from(growth.standing(loan_state))
        .join(loan_balance, loan_balance.c.loan_id == state.loan_id)
        .join(grew, true())
        .where(state.book_id == BOOK)
    )
    literal = {"literal_binds": True}
    return str(query.compile(dialect=PGDialect(paramstyle="named"), compile_kwargs=literal))


def _import(journal: LedgerServiceStub, connection: Any, day: date, code: str, query: str) -> int:
    imported = 0
    with closing(connection.cursor(f"balances_{code.replace('.', '_')}")) as cursor:
        cursor.itersize = ACCOUNTS_A_CHUNK
        cursor.execute(query)
        while balances := cursor.fetchmany(ACCOUNTS_AN_IMPORT):
            name = f"opening:{code}:{imported}"
            journal.ImportOpeningBalances(_request(name, day, code, balances))
            imported += len(balances)
    return imported


def _request(
    name: str, day: date, code: str, balances: list[Balance]
) -> Iterator[ImportOpeningBalancesRequest]:
    total = sum(amount for _, amount in balances)
    contra = CONTRA if code.startswith("7") else CLEARING
    on_credit = code.startswith(ON_CREDIT)
    yield ImportOpeningBalancesRequest(
        header=OpeningBalancesHeader(
            request_id=name,
            book_id=BOOK,
            value_date=from_date(day),
            source="bench",
            totals=ControlTotals(accounts=len(balances) + 1, debits=total, credits=total),
        )
    )
    yield ImportOpeningBalancesRequest(chunk=_columns([(contra, total)], on_credit=not on_credit))
    for first in range(0, len(balances), ACCOUNTS_A_CHUNK):
        chunk = balances[first : first + ACCOUNTS_A_CHUNK]
        yield ImportOpeningBalancesRequest(chunk=_columns(chunk, on_credit=on_credit))


def _columns(balances: list[Balance], *, on_credit: bool) -> LineColumns:
    numbers, amounts = zip(*balances, strict=True)
    nothing = [0] * len(amounts)
    debits, credits_ = (nothing, amounts) if on_credit else (amounts, nothing)
    return LineColumns(account_numbers=numbers, debits=debits, credits=credits_)
