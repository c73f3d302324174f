"""5. The night of d: interest, penalty and compound, off balance for non-accrual loans.

Set by set over the lines that grow (`growth`), and nothing of a loan is written: its night goes to
the ledger, in columns, and that the book's nights before d + 1 are accrued is said once.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Select,
    Subquery,
    and_,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import BYTEA

from tael_servicing import books, growth
from tael_servicing.arithmetic.vat import EARNED
from tael_servicing.bookings import Batch, Columns, part_of, post_columns
from tael_servicing.end_of_day.step import Closing, OverLoans, Summary
from tael_servicing.positions import ACCRUED
from tael_servicing.tables import accrual_position, loan_set_aside, night_posting

LINES_A_CHUNK = 20_000

# One pass over the keys of the book's lines, chunk by chunk.
LAST_LOANS = text(
    """
    WITH RECURSIVE chunk (last) AS (
        SELECT CAST('' AS text) COLLATE "C"
        UNION ALL
        SELECT (
            SELECT max(loan_id) FROM (
                SELECT loan_id FROM accrual_position
                WHERE book_id = :book AND loan_id > chunk.last ORDER BY loan_id LIMIT :lines
            ) AS next
        ) FROM chunk WHERE last IS NOT NULL
    )
    SELECT last FROM chunk WHERE last <> ''
    """
)


class Accrue(OverLoans):
    """On the balances after everything dated on or before d."""

    name = "accrue"

    def takes(self, transaction: Connection, closing: Closing, loan_id: str) -> bool:
        """A loan with a line that has this night to grow."""
        of_loan = and_(accrual_position.c.loan_id == loan_id, _have_night(closing))
        return bool(transaction.execute(select(exists().where(of_loan))).scalar())

    def plan(self, transaction: Connection, closing: Closing) -> list[bytes]:
        """Every such loan, as ranges of their ids."""
        values = {"book": closing.book_id, "lines": LINES_A_CHUNK}
        last = list(transaction.execute(LAST_LOANS, values).scalars())
        return [
            json.dumps({"after": first, "last": end}).encode()
            for first, end in zip(["", *last], last, strict=False)
        ]

    def members(self, transaction: Connection, closing: Closing, payload: bytes) -> list[str]:
        """The loans of a range."""
        return _loans(transaction, _chosen(closing, payload))

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Posts the night of the chunk's loans."""
        summary = Summary()
        night = _night(closing, _chosen(closing, payload))
        groups = sorted(transaction.execute(night), key=lambda row: row[:2])
        for number, group in enumerate(groups, 1):
            columns = _columns(closing, group)
            part = part_of(batch, f"c{number}")
            post_columns(transaction, part, columns)
            transaction.execute(insert(night_posting).values(_found_by(columns, part)))
            summary.loans += len(columns.owner_ids)
            for name, amounts in columns.amounts.items():
                summary.amounts[f"{ACCRUED}.{name}"] += sum(amounts)
        return summary

    def finish(self, transaction: Connection, closing: Closing) -> None:
        """From here on every loan stands on the opening of d + 1."""
        books.accrued(transaction, closing.book_id, closing.next_day)


def _have_night(closing: Closing) -> ColumnElement[bool]:
    """Lines of the book that began before the night."""
    line = accrual_position.c
    return and_(line.book_id == closing.book_id, line.since <= closing.day)


def _set_aside(closing: Closing) -> ColumnElement[bool]:
    """Lines of a loan whose night is not this chunk's, for it is posted alone or was already."""
    line, aside = accrual_position.c, loan_set_aside.c
    return exists().where(
        aside.book_id == closing.book_id,
        aside.business_date == closing.day,
        aside.loan_id == line.loan_id,
        or_(aside.cured.is_(False), aside.accrued_to > closing.day),
    )


def _chosen(closing: Closing, payload: bytes) -> ColumnElement[bool]:
    """The lines of a range of loans, or of those that are named."""
    chosen, line = json.loads(payload), accrual_position.c
    if isinstance(chosen, list):
        return and_(line.loan_id == func.any(chosen), _have_night(closing))
    within = and_(line.loan_id > chosen["after"], line.loan_id <= chosen["last"])
    return and_(within, _have_night(closing), ~_set_aside(closing))


def _loans(transaction: Connection, lines: ColumnElement[bool]) -> list[str]:
    loan_id = accrual_position.c.loan_id
    query = select(loan_id).where(lines).distinct().order_by(loan_id)
    return list(transaction.execute(query).scalars())


def _night(closing: Closing, lines: ColumnElement[bool]) -> Select[Any]:
    """What loans post, those of a product on one side of the balance sheet together.

    Ids one a line; amounts as packed big-endian integers.
    """
    loan = _by_loan(closing, lines)
    group = (loan.c.product_code, loan.c.on_balance)
    ids = func.string_agg(loan.c.loan_id, "\n").label("loan_ids")
    amounts = [*(_grown(loan, name) for name in EARNED), *(_vat(loan, name) for name in EARNED)]
    packed = [
        func.string_agg(func.int8send(cast(amount, BigInteger)), literal(b"", BYTEA)).label(name)
        for name, amount in zip(NAMES, amounts, strict=True)
    ]
    grows = or_(*(loan.c[f"{name}_after"] != loan.c[f"{name}_before"] for name in EARNED))
    return select(*group, ids, *packed).where(grows).group_by(*group)


NAMES = (*EARNED, *(f"{name}_vat" for name in EARNED))
SAME = ("product_code", "on_balance", "vat_numerator", "vat_denominator")
"""What all lines of a loan agree on."""
WHEN = ("before", "after", "earned")


def _by_loan(closing: Closing, lines: ColumnElement[bool]) -> Subquery:
    """By kind what has grown before and after the night, and what was earned when the lines began.

    A loan has one line of interest; only those of its charges have to be added up.
    """
    line = accrual_position.c
    steps = select(
        accrual_position,
        growth.grown(accrual_position, literal(closing.day, Date)).label("before"),
        growth.grown(accrual_position, literal(closing.next_day, Date)).label("after"),
    ).where(lines)
    interest = steps.where(line.kind == "INTEREST").subquery("interest")
    step = steps.where(line.kind != "INTEREST").subquery("step")
    sums = [
        (func.max if when == "earned" else func.sum)(step.c[when])
        .filter(step.c.kind == kind.upper())
        .label(f"{kind}_{when}")
        for kind in CHARGES
        for when in WHEN
    ]
    shared = [step.c[name] for name in SAME]
    charges = select(step.c.loan_id, *shared, *sums).group_by(step.c.loan_id, *shared)
    charge = charges.subquery("charge")
    ids = ("loan_id", *SAME)
    return (
        select(
            *(func.coalesce(interest.c[name], charge.c[name]).label(name) for name in ids),
            *(func.coalesce(interest.c[when], 0).label(f"interest_{when}") for when in WHEN),
            *(
                func.coalesce(cast(charge.c[f"{kind}_{when}"], BigInteger), 0).label(
                    f"{kind}_{when}"
                )
                for kind in CHARGES
                for when in WHEN
            ),
        )
        .join_from(interest, charge, interest.c.loan_id == charge.c.loan_id, full=True)
        .subquery("loan")
    )


CHARGES = ("penalty", "compound")


def _grown(loan: FromClause, name: str) -> ColumnElement[int]:
    grown: ColumnElement[int] = loan.c[f"{name}_after"] - loan.c[f"{name}_before"]
    return grown


def _vat(loan: FromClause, name: str) -> ColumnElement[int]:
    """`Vat.grow`: the difference of rounded sums over the loan's life."""
    numerator, denominator = loan.c.vat_numerator, loan.c.vat_denominator

    def of(when: str) -> ColumnElement[int]:
        gross = loan.c[f"{name}_earned"] + loan.c[f"{name}_{when}"]
        vat: ColumnElement[int] = (gross * numerator + denominator // 2) // denominator
        return vat

    return case((numerator > 0, of("after") - of("before")), else_=0)


def _columns(closing: Closing, group: Any) -> Columns:
    """Without the amounts that no loan has."""
    loan_ids = group.loan_ids.split("\n")
    packed = struct.Struct(f">{len(loan_ids)}q")
    columns = {name: packed.unpack(getattr(group, name)) for name in NAMES}
    return Columns(
        ACCRUED,
        closing.day,
        group.product_code,
        group.on_balance,
        loan_ids,
        {name: columns[name] for name in sorted(columns) if any(columns[name])},
    )


def _found_by(columns: Columns, part: Batch) -> dict[str, Any]:
    return {
        "book_id": part.book_id,
        "product_code": columns.product_code,
        "on_balance": columns.accruing,
        "night": columns.value_date,
        "first_loan_id": min(columns.owner_ids),
        "last_loan_id": max(columns.owner_ids),
        "request_id": part.request_id,
    }
