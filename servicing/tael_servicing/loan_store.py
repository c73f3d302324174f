"""Reading and writing loans, one or many, set by set: the store holds the same loan as the fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_runtime.errors import NotFound
from tael_servicing import products
from tael_servicing.arithmetic.dates import Period
from tael_servicing.arithmetic.loan import Allowance, Claim, Loan, Owed, balances
from tael_servicing.arithmetic.schedules import Instalment
from tael_servicing.loans import CLOSURES, UNPAID_OUT, Contract, Held
from tael_servicing.positions import INTEREST, MEMO, Position, charges_of, positions
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
CLOSED = {state: closure for closure, state in CLOSURES.items()}

Lines = dict[tuple[str, int], Position]


def book_of(transaction: Connection, loan_id: str) -> str:
    """The book a loan stands in. Raises NotFound."""
    found = transaction.execute(select(loans.c.book_id).where(loans.c.loan_id == loan_id)).scalar()
    if found is None:
        raise NotFound("loan", loan_id)
    return str(found)


def lock(transaction: Connection, loan_id: str) -> Held:
    """The loan, which nobody else changes before this transaction ends. Raises NotFound."""
    transaction.execute(
        select(loan_state.c.loan_id).where(loan_state.c.loan_id == loan_id).with_for_update()
    )
    return get(transaction, loan_id)


def get(transaction: Connection, loan_id: str) -> Held:
    """One loan. Raises NotFound."""
    found = load(transaction, [loan_id])
    if not found:
        raise NotFound("loan", loan_id)
    return found[0]


def load(transaction: Connection, loan_ids: Sequence[str]) -> list[Held]:
    """Loans by id, in the order of the ids; unknown ids are left out."""
    ids = list(loan_ids)
    query = (
        select(*CONTRACT, loan_state, loan_balance, book_day.c.business_date)
        .join_from(loans, loan_state, loan_state.c.loan_id == loans.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loans.c.loan_id)
        .join(book_day, book_day.c.book_id == loans.c.book_id)
        .where(loans.c.loan_id == func.any(ids))
        .order_by(loans.c.loan_id)
    )
    heads: Sequence[Any] = transaction.execute(query).all()
    rows = _by_loan(transaction, instalment, ids)
    lines = _by_loan(transaction, accrual_position, ids)
    product_terms = products.terms_of(
        transaction, {(head.product_code, head.product_version) for head in heads}
    )
    found = {}
    for head in heads:
        contract = Contract(*head[: len(CONTRACT)])
        terms = loan_terms(
            product_terms[contract.product_code, contract.product_version],
            contract.periods,
            contract.annual_rate,
            contract.repay_day,
        )
        loan = _loan(head, rows[contract.loan_id], _lines(lines[contract.loan_id]))
        found[contract.loan_id] = Held(contract, terms, head.state, loan)
    return [found[loan_id] for loan_id in ids if loan_id in found]


def _by_loan(
    transaction: Connection, table: Table, ids: list[str]
) -> Mapping[str, list[Row[tuple[Any, ...]]]]:
    grouped: defaultdict[str, list[Row[tuple[Any, ...]]]] = defaultdict(list)
    query = select(table).where(table.c.loan_id == func.any(ids)).order_by(*table.primary_key)
    for row in transaction.execute(query):
        grouped[row.loan_id].append(row)
    return grouped


def _lines(rows: Iterable[Row[tuple[Any, ...]]]) -> Lines:
    found = {}
    for row in rows:
        values = row._asdict()
        del values["loan_id"]
        found[row.kind, row.instalment] = Position(**values)
    return found


def _loan(head: Any, rows: Sequence[Row[tuple[Any, ...]]], lines: Lines) -> Loan:
    # Before its payout is known a loan stands still on the day it was opened.
    unpaid_out = head.state in UNPAID_OUT
    day = head.accrued_to if unpaid_out else max(head.accrued_to, head.business_date)
    written_off = head.state == "WRITTEN_OFF"
    return Loan(
        business_date=day,
        principal=head.principal,
        rows=tuple(
            Owed(
                Instalment(
                    Period(row.number, row.period_start, row.due_date, row.whole),
                    row.principal,
                    row.interest,
                    row.balance_after,
                ),
                row.principal_paid,
                row.interest_paid,
                charges_of(lines, row.number, day),
                row.overdue,
            )
            for row in rows
        ),
        share=head.share,
        due_count=head.due_count,
        settled_count=head.settled_count,
        nonaccrual_since=head.nonaccrual_since,
        memo=charges_of(lines, MEMO, day) if head.nonaccrual_since else None,
        claim=(
            Claim(head.written_off_principal, head.written_off_interest) if written_off else None
        ),
        closure=CLOSED.get(head.state),
        allowance=Allowance(head.allowance_stage1, head.allowance_stage2, head.allowance_stage3),
        overpayment=head.overpayment,
    )


def save(transaction: Connection, *held: Held) -> None:
    """Writes loans as they stand now; the first time they are made."""
    if not held:
        return
    ids = [each.contract.loan_id for each in held]
    for table in (instalment, accrual_position):
        transaction.execute(delete(table).where(table.c.loan_id == func.any(ids)))
    transaction.execute(
        insert(instalment), [row for each in held for row in _instalment_rows(each)]
    )
    lines = [line for each in held for line in _position_rows(each)]
    if lines:
        transaction.execute(insert(accrual_position), lines)
    _upsert(transaction, loan_state, [_state_row(each) for each in held])
    _upsert(transaction, loan_balance, [_balance_row(each) for each in held])


def _upsert(transaction: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    statement = upsert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name != "loan_id"}
    transaction.execute(
        statement.on_conflict_do_update(index_elements=["loan_id"], set_=changed), rows
    )


def _instalment_rows(held: Held) -> list[dict[str, Any]]:
    return [
        {
            "loan_id": held.contract.loan_id,
            "number": row.instalment.number,
            "period_start": row.instalment.period.start,
            "due_date": row.instalment.due_date,
            "whole": row.instalment.period.whole,
            "principal": row.instalment.principal,
            "interest": row.instalment.interest,
            "balance_after": row.instalment.balance_after,
            "principal_paid": row.principal_paid,
            "interest_paid": row.interest_paid,
            "overdue": row.overdue,
        }
        for row in held.loan.rows
    ]


def _position_rows(held: Held) -> list[dict[str, Any]]:
    """No line runs before the payout is known to have been made."""
    if held.state in UNPAID_OUT:
        return []
    return [
        {"loan_id": held.contract.loan_id, **asdict(line)}
        for line in positions(held.terms, held.loan)
        if line.kind != INTEREST or line.per_night
    ]


def _state_row(held: Held) -> dict[str, Any]:
    loan = held.loan
    oldest, current = loan.arrears[:1], loan.current if loan.running else None
    return {
        "loan_id": held.contract.loan_id,
        "book_id": held.contract.book_id,
        "state": held.state,
        "share": loan.share,
        "due_count": loan.due_count,
        "settled_count": loan.settled_count,
        "nonaccrual_since": loan.nonaccrual_since,
        "oldest_due": oldest[0].instalment.due_date if oldest else None,
        "next_due": current.instalment.due_date if current else None,
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
