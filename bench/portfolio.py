"""A portfolio to end days with: lawful loans, lived by the engine, and then many of each.

Some thousands of contracts are born, paid or not paid by the loan arithmetic and written by servicing's
own store; SQL then writes each again under other ids, table by table. What they owe comes into the
ledger as opening balances, so that the books agree from the first day on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from google.type import decimal_pb2
from sqlalchemy import Connection, Table

from bench.house import BOOK
from tael.servicing.v1 import product_pb2 as pb
from tael_runtime.database import Database
from tael_servicing import lines, loan_days, loan_store, loans, payouts
from tael_servicing.arithmetic.dates import later
from tael_servicing.arithmetic.day import accrue, transfer_overdue
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Repaid
from tael_servicing.arithmetic.fold import apart, open_day, replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.terms import Frequency, MonthEnd, Terms, Unit
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Contract, Held, contract_terms, state_of
from tael_servicing.payouts import Payout
from tael_servicing.tables import metadata

RATE = Decimal("0.12")
QUIET_DAY = 11
"""No instalment falls due on it."""
DUE_DAYS = (*(day for day in range(1, 29) if day != QUIET_DAY), 8, 18, 25)
"""A loan's is one of thirty."""
VARIANTS = 20
"""Contracts of each due day."""
CONTRACTS = len(DUE_DAYS) * VARIANTS
OVERDUE = (1, 1, 2, 2, 3)
"""Instalments missed by the first variant, by due day: one loan in twenty is overdue."""
NON_ACCRUAL = (5, 0, 0, 0, 0)
"""Those missed by the second: one loan in a hundred accrues off balance."""
PERIODS = (12, 6, 12, 24)


def products() -> dict[str, pb.ProductTerms]:
    """By code: 等额本息 and 等额本金 with VAT split off, 随借随还, and 等额本息 that is exempt."""
    level = pb.REPAYMENT_METHOD_EQUAL_INSTALMENT
    parts = pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL
    daily = pb.InterestTerms(basis=pb.INTEREST_BASIS_REAL_DAYS, interest_on=pb.INTEREST_ON_ACTUAL)
    return {
        "level": _terms(level, vat="0.06"),
        "principal": _terms(parts, vat="0.06"),
        "revolving": _terms(pb.REPAYMENT_METHOD_BULLET, vat="0.06", interest=daily),
        "exempt": _terms(level, vat="0"),
    }


def _terms(method: Any, vat: str, interest: pb.InterestTerms | None = None) -> pb.ProductTerms:
    return pb.ProductTerms(
        method=method,
        min_periods=1,
        max_periods=36,
        min_principal=1,
        max_principal=10**9,
        annual_rate=decimal_pb2.Decimal(value=str(RATE)),
        penalty_multiplier=decimal_pb2.Decimal(value="1.5"),
        compound_enabled=True,
        vat_rate=decimal_pb2.Decimal(value=vat),
        interest=interest,
    )


@dataclass(frozen=True)
class Life:
    """A loan that has been lived up to the open business date."""

    held: Held
    events: list[LoanEvent]


def life(number: int, day: date, terms_of: dict[str, pb.ProductTerms]) -> Life:
    """The contract of a number below CONTRACTS; due day, product, age and misses follow from it."""
    slot, variant = number % len(DUE_DAYS), number // len(DUE_DAYS)
    missed = (OVERDUE, NON_ACCRUAL)[variant][slot % 5] if variant < 2 else 0
    code = list(terms_of)[(slot + variant) % len(terms_of)]
    age = max(1 + variant // 4 % 5, missed)
    periods = max(PERIODS[variant // 4 % len(PERIODS)], age + 1)
    if code == "revolving":
        periods = age - missed + 1
    contract = Contract(
        loan_id=identity("ln", number),
        customer_id=identity("cu", number),
        line_id=identity("cl", number),
        book_id=BOOK,
        product_code=code,
        product_version=1,
        currency_code="CNY",
        principal=500_000 + 1_237 * number,
        annual_rate=RATE,
        periods=periods,
        repay_day=DUE_DAYS[slot],
        start_date=_born(DUE_DAYS[slot], age, day),
        card_token=identity("ca", number),
        source="bench",
    )
    terms = contract_terms(contract, terms_of[code])
    events, loan = _lived(terms, contract, day, missed)
    return Life(Held(contract, terms, state_of(loan), loan), events)


def identity(prefix: str, number: int) -> str:
    """As long as the ids that the services make, in the order of the numbers."""
    return f"{prefix}_{number:032}"


def _born(due_day: int, age: int, day: date) -> date:
    """So that `age` due dates have come by the day."""
    last = day.replace(day=due_day)
    months = Frequency(Unit.MONTH, 1)
    return later(months, last, -age if last <= day else -age - 1, due_day, MonthEnd.CLAMP)


def _lived(
    terms: Terms, contract: Contract, day: date, missed: int
) -> tuple[list[LoanEvent], Loan]:
    """Each instalment is paid on its due date, but for the last ones."""
    events: list[LoanEvent] = [Disbursed(contract.start_date, f"{1:08}", contract.principal)]
    plan, _ = replay(terms, events, contract.start_date)
    due_dates = [row.due_date for row in plan.rows if row.due_date <= day]
    for due in due_dates[: len(due_dates) - missed]:
        owed = replay(terms, events, due).loan.amount_due
        events.append(Repaid(due, f"{len(events) + 1:08}", owed))
    return events, _written(terms, events, day)


def _written(terms: Terms, events: list[LoanEvent], day: date) -> Loan:
    """The loan as it was last written before a day: nights write nothing."""
    loan = written = replay(terms, events, events[-1].value_date).loan
    while loan.business_date < day:
        closed = apart(transfer_overdue, terms, loan).loan
        night = apart(accrue, terms, closed).loan
        opened = apart(open_day, terms, night).loan
        if closed != loan or opened != night or opened.status is not loan.status:
            written = opened
        loan = opened
    return written


def write(database: Database, day: date, count: int) -> None:
    """Writes the first `count` contracts, each with its line, payout and events."""
    terms_of = products()
    for first in range(0, count, VARIANTS):
        lives = [
            life(number, day, terms_of) for number in range(first, min(first + VARIANTS, count))
        ]
        with database.begin() as transaction:
            for each in lives:
                _sign(transaction, each)
            loan_store.save(transaction, *(each.held for each in lives))
        with database.begin() as transaction:
            loan_ids = [each.held.contract.loan_id for each in lives]
            loan_days.keep(transaction, day - timedelta(days=1), loan_ids)


def _sign(transaction: Connection, lived: Life) -> None:
    contract = lived.held.contract
    begun = contract.start_date
    _line(transaction, contract, lived.held.loan)
    loans.sign(transaction, contract)
    payouts.prepare(
        transaction,
        Payout(
            loan_id=contract.loan_id,
            number=1,
            principal=contract.principal,
            amount=contract.principal,
            ordered_on=begun,
            account_token=contract.card_token,
            source=contract.source,
            state="PAID",
            known_on=begun,
        ),
    )
    for event in lived.events:
        loans.record_many(transaction, event.value_date, {contract.loan_id: event}, "bench")


def _line(transaction: Connection, contract: Contract, loan: Loan) -> None:
    """A revolving line of twice the principal, drawn, and restored by what was repaid."""
    begun, limit = contract.start_date, 2 * contract.principal
    line = CreditLine(
        line_id=contract.line_id,
        path=(contract.line_id,),
        customer_id=contract.customer_id,
        product_code=contract.product_code,
        book_id=contract.book_id,
        currency_code=contract.currency_code,
        overall=False,
        revolving=True,
        granted=limit,
        temporary=0,
        temporary_to=None,
        credit_limit=limit,
        used=0,
        reserved=0,
        annual_rate=RATE,
        valid_from=begun,
        valid_to=begun + timedelta(days=3650),
        state="ACTIVE",
        freeze_reason="",
        source="bench",
        movements=0,
    )
    line = lines.grant(transaction, line, begun)
    line = lines.reserve(transaction, line, contract.principal, contract.loan_id, begun)
    line = lines.occupy(transaction, line, contract.principal, contract.loan_id, begun)
    repaid = sum(row.paid[0] for row in loan.rows)
    if repaid:
        lines.restore(transaction, line, repaid, contract.loan_id, loan.business_date)


IDS = ("loan_id", "line_id", "customer_id", "drawn_line_id", "card_token", "account_token")
"""Columns that hold an id made by `identity`, or nothing."""


def multiply(connect: Callable[[], Any], wanted: int) -> None:
    """Writes all contracts again under other ids until there are as many loans as wanted.

    connect() gives a psycopg2 connection in servicing's schema. Two tables at a time.
    """
    owned = [each for each in metadata.sorted_tables if {"loan_id", "line_id"} & set(each.c.keys())]
    referring = [each for each in owned if each.foreign_keys]

    def copy(table: Table) -> None:
        with closing(connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE contract AS TABLE {table.name}")
            for first in range(CONTRACTS, wanted, CONTRACTS):
                cursor.execute(_copied(table), {"first": first, "wanted": wanted})

    with ThreadPoolExecutor(2) as workers:
        for wave in ([each for each in owned if each not in referring], referring):
            list(workers.map(copy, wave))


def _copied(table: Table) -> str:
    """The statement that writes a table's rows once more, numbered from `first` on."""
    names = [column.name for column in table.c if column.identity is None]
    values = ", ".join(_renamed(name) for name in names)
    owner = "line_id" if "line_id" in table.c else "loan_id"
    return f"""
        INSERT INTO {table.name} ({", ".join(names)})
        SELECT {values} FROM contract, LATERAL
            (SELECT CAST(right({owner}, 16) AS bigint) + %(first)s) AS renumbered (place)
        WHERE place < %(wanted)s
    """


def _renamed(name: str) -> str:
    digits = "lpad(CAST(place AS text), 32, '0')"
    if name == "path":
        return f"ARRAY['cl_' || {digits}]"
    if name in IDS:
        return f"CASE {name} WHEN '' THEN '' ELSE left({name}, 3) || {digits} END"
    return name
