"""Reading and writing loans, one or many, set by set: the store holds the same loan as the fold.

A loan is kept whole as it stood when something last happened to it. From there to any later day it
is a straight line, since every day on which more than a night's accrual happens writes it anew; its
nights write nothing. `loan_balance`, `instalment` and `accrual_position` repeat what questions over
many loans and the nightly accrual need of it (`growth`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Date,
    Insert,
    Table,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.dialects.postgresql.psycopg2 import dialect

from tael_runtime import later
from tael_runtime.errors import NotFound
from tael_servicing import kept, products
from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.day import accrue
from tael_servicing.arithmetic.fold import opens_on
from tael_servicing.arithmetic.loan import Allowance, Loan, Owed
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.terms import Part, Terms
from tael_servicing.books import PastCutOff
from tael_servicing.growth import ACCRUED_TO, standing
from tael_servicing.loans import UNPAID_OUT, Contract, Held, Stored, contract_terms
from tael_servicing.positions import Position, positions
from tael_servicing.tables import (
    BALANCES,
    RUNNING,
    SORTED,
    accrual_history,
    accrual_position,
    book_day,
    instalment,
    loan_balance,
    loan_event,
    loan_posting,
    loan_set_aside,
    loan_state,
)
from tael_servicing.tables import loan as loans

FIELDS = tuple(Contract.__dataclass_fields__)
CONTRACT = [loans.c[name] for name in FIELDS]

Rows = dict[tuple[Any, ...], dict[str, Any]]
"""Rows of one table by primary key."""


def book_of(transaction: Connection, loan_id: str) -> str:
    """The book a loan stands in. Raises NotFound."""
    found = transaction.execute(select(loans.c.book_id).where(loans.c.loan_id == loan_id)).scalar()
    if found is None:
        raise NotFound("loan", loan_id)
    return str(found)


def lock(transaction: Connection, loan_id: str) -> Held:
    """The loan, which nobody else changes before this transaction ends. Raises NotFound."""
    found = transaction.exec_driver_sql(f"{LOCK}; {STORED_ONE}", {"id": loan_id}).all()
    return _one(transaction, found, loan_id)


def hold(transaction: Connection, loan_id: str) -> None:
    """As `lock`, of a loan that may be unreadable."""
    transaction.exec_driver_sql(LOCK, {"id": loan_id})


def lock_all(transaction: Connection, loan_ids: Sequence[str]) -> dict[str, Held]:
    """Loans by id, locked in the one order in which whoever locks several does; unknown ids are left
    out.
    """
    found = transaction.exec_driver_sql(
        f"{LOCK_MANY}; {STORED_MANY}", {"ids": sorted(loan_ids)}
    ).all()
    return {each.contract.loan_id: each for each in _read(transaction, found)}


def lock_on_open_day(transaction: Connection, loan_id: str) -> tuple[date, Held]:
    """The business date, held open as by `books.hold_open`, and the loan as by `lock`: in one trip.

    For a loan that the day's end set aside the day is open still. Raises NotFound, PastCutOff.
    """
    # One after the other: each statement sees what those waited for by the one before have done.
    statement = f"{HOLD}; {LOCK}; {STORED_ONE}"
    found = transaction.exec_driver_sql(statement, {"id": loan_id}).all()
    held = _one(transaction, found, loan_id)
    row: Any = found[0]
    if row.closing and not _is_set_aside(transaction, held.contract, row.business_date):
        raise PastCutOff
    return row.business_date, held


def _is_set_aside(transaction: Connection, contract: Contract, day: date) -> bool:
    found = exists().where(
        loan_set_aside.c.book_id == contract.book_id,
        loan_set_aside.c.business_date == day,
        loan_set_aside.c.loan_id == contract.loan_id,
        loan_set_aside.c.cured.is_(False),
    )
    return bool(transaction.execute(select(found)).scalar())


def get(transaction: Connection, loan_id: str) -> Held:
    """One loan. Raises NotFound."""
    return _one(transaction, transaction.execute(ONE, {"id": loan_id}).all(), loan_id)


def load(transaction: Connection, loan_ids: Sequence[str]) -> list[Held]:
    """Loans by id, in the order of the ids; unknown ids are left out."""
    rows = transaction.execute(MANY, {"ids": list(loan_ids)}).all()
    found = {each.contract.loan_id: each for each in _read(transaction, rows)}
    return [found[loan_id] for loan_id in loan_ids if loan_id in found]


def _one(transaction: Connection, rows: Sequence[Any], loan_id: str) -> Held:
    found = _read(transaction, rows)
    if not found:
        raise NotFound("loan", loan_id)
    return found[0]


STORED = (
    select(
        *CONTRACT,
        loan_state.c.state,
        loan_state.c.kept,
        loan_state.c.changes,
        select(func.max(loan_event.c.event_id))
        .where(loan_event.c.loan_id == loan_state.c.loan_id)
        .scalar_subquery()
        .label("newest_event"),
        select(func.max(loan_posting.c.number))
        .where(loan_posting.c.loan_id == loan_state.c.loan_id)
        .scalar_subquery()
        .label("last_posting"),
        loan_balance.c.allowance_stage1,
        loan_balance.c.allowance_stage2,
        loan_balance.c.allowance_stage3,
        ACCRUED_TO.label("accrued_to"),
        book_day.c.business_date,
        book_day.c.closing,
    )
    .select_from(standing(loans))
    .join(loan_state, loan_state.c.loan_id == loans.c.loan_id)
    .join(loan_balance, loan_balance.c.loan_id == loans.c.loan_id)
)
MANY = STORED.where(loans.c.loan_id == func.any(bindparam("ids", type_=ARRAY(SORTED))))
ONE = STORED.where(loans.c.loan_id == bindparam("id"))
"""Of equality the store makes its plan in a third of the time."""
STORED_MANY, STORED_ONE = (
    str(each.compile(dialect=dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's
    for each in (MANY, ONE)
)
LOCK = "SELECT FROM loan_state WHERE loan_id = %(id)s FOR UPDATE"
LOCK_MANY = "SELECT FROM loan_state WHERE loan_id = ANY(%(ids)s) ORDER BY loan_id FOR UPDATE"
HOLD = (
    "SELECT pg_advisory_xact_lock_shared(hashtext('book_day'), hashtext(book_id)) "
    "FROM loan WHERE loan_id = %(id)s"
)


def _read(transaction: Connection, rows: Sequence[Any]) -> list[Held]:
    product_terms = products.terms_of(
        transaction, {(row.product_code, row.product_version) for row in rows}
    )
    found = []
    for row in rows:
        contract = contract_of(row)
        product = product_terms[contract.product_code, contract.product_version]
        terms = contract_terms(contract, product)
        loan = kept.loan_from(row.kept)
        # The store's: months end without writing loans anew.
        loan.allowance = Allowance(row.allowance_stage1, row.allowance_stage2, row.allowance_stage3)
        written_on = loan.business_date
        if row.state not in UNPAID_OUT:
            _carry(terms, loan, row.accrued_to)
        last = (row.newest_event or "", row.last_posting or 0)
        stored = Stored(row.state, loan, row.changes, written_on, *last)
        found.append(Held(contract, terms, row.state, loan, stored))
    return found


def contract_of(row: Any) -> Contract:
    """The contract out of the columns CONTRACT, which come first."""
    values = dict(zip(FIELDS, row[: len(CONTRACT)], strict=True))
    values["choices"], values["holidays"] = bytes(values["choices"]), tuple(values["holidays"])
    return Contract(**values)


def _carry(terms: Terms, loan: Loan, to: date) -> None:
    """Over the nights since it was written. Before its payout is known a loan stands still."""
    nights = (to - loan.business_date).days
    if nights > 0:
        accrue(terms, loan, Journal(), nights)


def save(transaction: Connection, *held: Held) -> list[Held]:
    """Writes loans as they stand now, the first time or again; returns them as stored.

    Each was read under this transaction's lock and not written since.
    """
    states = [_state_row(each) for each in held]
    _write(transaction, loan_state, states)
    _write(transaction, loan_balance, [_balance_row(each) for each in held])
    _replace(transaction, instalment, [_instalment_rows(each) for each in held])
    _begin_lines(transaction, held)
    return [
        replace(each, stored=_stored(each, state["changes"]))
        for each, state in zip(held, states, strict=True)
    ]


def touch(transaction: Connection, loan_ids: Sequence[str], day: date) -> None:
    """Something of loans changed on a business date beside the loans themselves."""
    if loan_ids:
        of_them = loan_state.c.loan_id == func.any(list(loan_ids))
        transaction.execute(update(loan_state).where(of_them).values(changed_on=day))


def _stored(held: Held, changes: int) -> Stored:
    day = held.loan.business_date
    if held.stored is None:
        return Stored(held.state, held.loan, changes, day, newest_event="", last_posting=0)
    return replace(held.stored, state=held.state, loan=held.loan, changes=changes, written_on=day)


def _write(transaction: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        later.write(transaction, _over(table, tuple(rows[0])), *rows)


@lru_cache(maxsize=16)
def _over(table: Table, names: tuple[str, ...]) -> Insert:
    """Inserts, or writes over what is there.

    A loan that was written since it was read gets no number of changes, which the store refuses.
    """
    statement = upsert(table)
    key = [column.name for column in table.primary_key]
    changed: dict[str, Any] = {name: statement.excluded[name] for name in names if name not in key}
    if "changes" in changed:
        # Written out: a value bound here would have the driver send row by row.
        expected = changed["changes"] == table.c.changes + literal_column("1")
        changed["changes"] = case((expected, changed["changes"]))
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def _replace(transaction: Connection, table: Table, made: Iterable[tuple[Rows, Rows]]) -> None:
    """Writes the rows that are not as before and deletes those that are no more."""
    gone, fresh = [], []
    for before, after in made:
        gone += [key for key in before if key not in after]
        fresh += [row for key, row in after.items() if row != before.get(key)]
    if gone:
        transaction.execute(delete(table).where(tuple_(*table.primary_key).in_(gone)))
    _write(transaction, table, fresh)


def _instalment_rows(held: Held) -> tuple[Rows, Rows]:
    """The rows that differ, before and after."""
    loan_id, now = held.contract.loan_id, held.loan
    was = held.stored.loan if held.stored else None
    same: set[int] = set()
    if was is not None and was.pause == now.pause:
        pairs = enumerate(zip(was.rows, now.rows, strict=False), 1)
        same = {place for place, (old, new) in pairs if old is new or old == new}

    def rows_of(loan: Loan) -> Rows:
        others = ((place, row) for place, row in enumerate(loan.rows, 1) if place not in same)
        return {
            (loan_id, place): _instalment_row(loan_id, place, row, loan.aged_from(row))
            for place, row in others
        }

    return rows_of(was) if was is not None else {}, rows_of(now)


def _instalment_row(loan_id: str, place: int, row: Owed, aged_from: date) -> dict[str, Any]:
    return {
        "loan_id": loan_id,
        "number": place,
        "period_start": row.instalment.period.start,
        "due_date": row.instalment.due_date,
        "aged_from": aged_from,
        "balance_after": row.instalment.balance_after,
        "principal": row.due[Part.PRINCIPAL],
        "interest": row.due[Part.INTEREST],
        "fee": row.due[Part.FEE],
        "principal_paid": row.paid[Part.PRINCIPAL],
        "interest_paid": row.paid[Part.INTEREST],
        "fee_paid": row.paid[Part.FEE],
        "overdue": row.overdue,
    }


def _begin_lines(transaction: Connection, held: Sequence[Held]) -> None:
    """The lines begin anew as the loans are; those that had nights are kept for who reads those."""
    begun = [(each, _lines(each, each.state, each.loan)) for each in held]
    ended: defaultdict[date, list[str]] = defaultdict(list)
    fresh = []
    for each, lines in begun:
        if each.stored:
            day, stored = each.loan.business_date, each.stored
            if stored.written_on == day and _lines(each, stored.state, stored.loan) == lines:
                continue
            ended[day].append(each.contract.loan_id)
        fresh += lines
    for day, loan_ids in ended.items():
        later.write(transaction, END_LINES, {"ids": loan_ids, "day": day})
    if fresh:
        later.write(transaction, BEGIN_LINES, *fresh)


def _end_lines() -> Insert:
    columns = [column.name for column in accrual_history.columns]
    gone = (
        delete(accrual_position)
        .where(accrual_position.c.loan_id == func.any(bindparam("ids", type_=ARRAY(SORTED))))
        .returning(*accrual_position.columns)
        .cte("gone")
    )
    until = bindparam("day", type_=Date)
    rows = [until if name == "until" else gone.c[name] for name in columns]
    had_nights = select(*rows).where(gone.c.since < until)
    return insert(accrual_history).from_select(columns, had_nights)


END_LINES = _end_lines()
BEGIN_LINES = insert(accrual_position)


def _lines(held: Held, state: str, loan: Loan) -> list[dict[str, Any]]:
    """No line runs before the payout is known to have been made."""
    if state in UNPAID_OUT:
        return []
    contract = held.contract
    of_loan = {
        "loan_id": contract.loan_id,
        "book_id": contract.book_id,
        "product_code": contract.product_code,
    }
    return [
        {**of_loan, **{name: getattr(line, name) for name in POSITION}}
        for line in positions(held.terms, loan)
    ]


POSITION = tuple(Position.__dataclass_fields__)


def _state_row(held: Held) -> dict[str, Any]:
    loan = held.loan
    oldest, current = loan.arrears[:1], loan.current if loan.running else None
    return {
        "loan_id": held.contract.loan_id,
        "book_id": held.contract.book_id,
        "state": held.state,
        "kept": kept.loan_text(loan),
        "changes": held.stored.changes + 1 if held.stored else 1,
        "written_on": loan.business_date,
        "changed_on": loan.business_date,
        "nonaccrual_since": loan.nonaccrual_since,
        "oldest_due": oldest[0].instalment.due_date if oldest else None,
        "aged_from": loan.aged_from(oldest[0]) if oldest else None,
        "paused_until": loan.pause.until if loan.pause else None,
        "next_due": current.instalment.due_date if current else None,
        "amount_due": loan.amount_due if loan.running else 0,
        "next_due_amount": current.owed if current else 0,
        "last_due": max(row.due_date for row in loan.rows),
        "opens_on": opens_on(held.terms, loan) if held.state in RUNNING else None,
        "annual_rate": loan.annual_rate,
        "lent": loan.principal,
        "restructured": loan.restructured,
    }


def _balance_row(held: Held) -> dict[str, Any]:
    now = balances(held.terms, held.loan)
    owed = {name: getattr(now, name) for name in BALANCED}
    if held.state == "CANCELLED":
        owed = dict.fromkeys(owed, 0)
    stages = dict(zip(ALLOWANCES, held.loan.allowance, strict=True))
    return {
        "loan_id": held.contract.loan_id,
        "book_id": held.contract.book_id,
        **owed,
        **stages,
    }


ALLOWANCES = tuple(f"allowance_{stage}" for stage in Allowance._fields)
BALANCED = tuple(name for name in BALANCES if name not in ALLOWANCES)


LAST_POSTINGS = text(
    """
    SELECT id, (SELECT max(number) FROM loan_posting WHERE loan_id = id) AS last
    FROM unnest(CAST(:ids AS text[])) AS id
    """
)


def last_postings(transaction: Connection, loan_ids: Iterable[str]) -> dict[str, int]:
    """The number of each loan's last posting, 0 before the first. The loans are locked."""
    rows = transaction.execute(LAST_POSTINGS, {"ids": list(loan_ids)})
    return {row.id: row.last or 0 for row in rows}
