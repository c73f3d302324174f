"""Reading and writing loans, one or many, set by set: the store holds the same loan as the fold.

A loan is kept whole as it stood when something last happened to it. From there to any later day it
is a straight line, since every day on which more than a night's accrual happens writes it anew.
`instalment` and `accrual_position` repeat what questions over many loans and the nightly accrual
need of it; only what changed of them is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_runtime.errors import NotFound
from tael_servicing import kept, products
from tael_servicing.arithmetic.day import accrue
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.loan import Loan, Owed, balances
from tael_servicing.arithmetic.terms import Part, Terms
from tael_servicing.loans import UNPAID_OUT, Contract, Held, Stored
from tael_servicing.positions import positions
from tael_servicing.tables import (
    accrual_position,
    book_day,
    instalment,
    loan_balance,
    loan_state,
)
from tael_servicing.tables import loan as loans
from tael_servicing.terms import loan_terms

CONTRACT = [loans.c[name] for name in Contract.__dataclass_fields__]

Rows = dict[tuple[Any, ...], dict[str, Any]]
"""Rows of one table by primary key."""


def book_of(transaction: Connection, loan_id: str) -> str:
    """The book a loan stands in. Raises NotFound."""
    found = transaction.execute(select(loans.c.book_id).where(loans.c.loan_id == loan_id)).scalar()
    if found is None:
        raise NotFound("loan", loan_id)
    return str(found)


def lock(transaction: Connection, loan_id: str) -> Held:
    """The loan, which nobody else changes before this transaction ends. Raises NotFound.

    Whoever waited reads the loan as the one before left it; what else is read with it stands still
    while the book's day is held.
    """
    return _one(transaction, _stored([loan_id]).with_for_update(of=loan_state), loan_id)


def get(transaction: Connection, loan_id: str) -> Held:
    """One loan. Raises NotFound."""
    return _one(transaction, _stored([loan_id]), loan_id)


def load(transaction: Connection, loan_ids: Sequence[str]) -> list[Held]:
    """Loans by id, in the order of the ids; unknown ids are left out."""
    found = {each.contract.loan_id: each for each in _read(transaction, _stored(loan_ids))}
    return [found[loan_id] for loan_id in loan_ids if loan_id in found]


def _one(transaction: Connection, query: Select[Any], loan_id: str) -> Held:
    found = _read(transaction, query)
    if not found:
        raise NotFound("loan", loan_id)
    return found[0]


def _stored(loan_ids: Sequence[str]) -> Select[Any]:
    return (
        select(
            *CONTRACT,
            loan_state.c.state,
            loan_state.c.kept,
            loan_state.c.changes,
            loan_balance.c.accrued_to,
            book_day.c.business_date,
        )
        .join_from(loans, loan_state, loan_state.c.loan_id == loans.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loans.c.loan_id)
        .join(book_day, book_day.c.book_id == loans.c.book_id)
        .where(loans.c.loan_id == func.any(list(loan_ids)))
    )


def _read(transaction: Connection, query: Select[Any]) -> list[Held]:
    rows: Sequence[Any] = transaction.execute(query).all()
    product_terms = products.terms_of(
        transaction, {(row.product_code, row.product_version) for row in rows}
    )
    found = []
    for row in rows:
        contract = Contract(*row[: len(CONTRACT)])
        terms = loan_terms(
            product_terms[contract.product_code, contract.product_version],
            contract.periods,
            contract.annual_rate,
            contract.repay_day,
        )
        loan = _today(terms, row)
        stored = Stored(row.state, loan, row.changes)
        found.append(Held(contract, terms, row.state, loan, stored))
    return found


def _today(terms: Terms, row: Any) -> Loan:
    """Before its payout is known a loan stands still on the day it was opened."""
    loan = kept.loan_from(row.kept)
    if row.state in UNPAID_OUT:
        return loan
    nights = (max(row.accrued_to, row.business_date) - loan.business_date).days
    if nights:
        accrue(terms, loan, Journal(), nights)
    return loan


def save(transaction: Connection, *held: Held) -> list[Held]:
    """Writes loans as they stand now, the first time or again; returns them as stored.

    Each was read under this transaction's lock and not written since.
    """
    if not held:
        return []
    states = [_state_row(each) for each in held]
    _upsert(transaction, loan_state, states, loan_state.c.changes)
    _upsert(transaction, loan_balance, [_balance_row(each) for each in held])
    _replace(transaction, instalment, [_instalment_rows(each) for each in held])
    _replace(transaction, accrual_position, [_position_rows(each) for each in held])
    return [
        replace(each, stored=Stored(each.state, each.loan, state["changes"]))
        for each, state in zip(held, states, strict=True)
    ]


def _upsert(
    transaction: Connection,
    table: Table,
    rows: list[dict[str, Any]],
    counter: Any = None,
) -> None:
    """Inserts rows or writes over those there; where there is a counter, over their last state."""
    if not rows:
        return
    statement = upsert(table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    condition = None if counter is None else counter == statement.excluded[counter.name] - 1
    written = transaction.execute(
        statement.on_conflict_do_update(index_elements=key, set_=changed, where=condition), rows
    ).rowcount
    assert written == len(rows), "a loan was written since it was read"


def _replace(transaction: Connection, table: Table, made: Iterable[tuple[Rows, Rows]]) -> None:
    """Writes the rows that are not as before and deletes those that are no more."""
    gone, fresh = [], []
    for before, after in made:
        gone += [key for key in before if key not in after]
        fresh += [row for key, row in after.items() if row != before.get(key)]
    if gone:
        transaction.execute(delete(table).where(tuple_(*table.primary_key).in_(gone)))
    _upsert(transaction, table, fresh)


def _instalment_rows(held: Held) -> tuple[Rows, Rows]:
    """The rows that differ, before and after."""
    loan_id, after = held.contract.loan_id, held.loan.rows
    before = held.stored.loan.rows if held.stored else ()
    pairs = enumerate(zip(before, after, strict=False), 1)
    same = {place for place, (old, new) in pairs if old is new or old == new}

    def rows_of(owed: Iterable[Owed]) -> Rows:
        others = ((place, row) for place, row in enumerate(owed, 1) if place not in same)
        return {(loan_id, place): _instalment_row(loan_id, place, row) for place, row in others}

    return rows_of(before), rows_of(after)


def _instalment_row(loan_id: str, place: int, row: Owed) -> dict[str, Any]:
    return {
        "loan_id": loan_id,
        "number": place,
        "period_start": row.instalment.period.start,
        "due_date": row.instalment.due_date,
        "balance_after": row.instalment.balance_after,
        "principal": row.due[Part.PRINCIPAL],
        "interest": row.due[Part.INTEREST],
        "fee": row.due[Part.FEE],
        "principal_paid": row.paid[Part.PRINCIPAL],
        "interest_paid": row.paid[Part.INTEREST],
        "fee_paid": row.paid[Part.FEE],
        "overdue": row.overdue,
    }


def _position_rows(held: Held) -> tuple[Rows, Rows]:
    before = _lines(held, held.stored.state, held.stored.loan) if held.stored else {}
    return before, _lines(held, held.state, held.loan)


def _lines(held: Held, state: str, loan: Loan) -> Rows:
    """No line runs before the payout is known to have been made."""
    if state in UNPAID_OUT:
        return {}
    loan_id = held.contract.loan_id
    return {
        (loan_id, line.kind, line.instalment): {"loan_id": loan_id, **asdict(line)}
        for line in positions(held.terms, loan)
    }


def _state_row(held: Held) -> dict[str, Any]:
    loan = held.loan
    oldest, current = loan.arrears[:1], loan.current if loan.running else None
    return {
        "loan_id": held.contract.loan_id,
        "book_id": held.contract.book_id,
        "state": held.state,
        "kept": kept.loan_text(loan),
        "changes": held.stored.changes + 1 if held.stored else 1,
        "nonaccrual_since": loan.nonaccrual_since,
        "oldest_due": oldest[0].instalment.due_date if oldest else None,
        "next_due": current.instalment.due_date if current else None,
        "annual_rate": loan.annual_rate,
        "restructured": loan.restructured,
    }


def _balance_row(held: Held) -> dict[str, Any]:
    owed = asdict(balances(held.terms, held.loan))
    del owed["allowance"]
    if held.state == "CANCELLED":
        owed = dict.fromkeys(owed, 0)
    stages = {f"allowance_{name}": value for name, value in held.loan.allowance._asdict().items()}
    return {
        "loan_id": held.contract.loan_id,
        "book_id": held.contract.book_id,
        "accrued_to": held.loan.business_date,
        **owed,
        **stages,
    }


NUMBERED = text(
    """
    UPDATE loan_balance SET postings = postings + fresh.count
    FROM unnest(CAST(:ids AS text[]), CAST(:counts AS bigint[])) AS fresh (loan_id, count)
    WHERE loan_balance.loan_id = fresh.loan_id
    RETURNING loan_balance.loan_id, postings - fresh.count + 1 AS first
    """
)


def number_postings(transaction: Connection, counts: Mapping[str, int]) -> dict[str, int]:
    """The first free posting number of each loan, which takes as many as counted."""
    rows = transaction.execute(NUMBERED, {"ids": list(counts), "counts": list(counts.values())})
    return {row.loan_id: row.first for row in rows}
