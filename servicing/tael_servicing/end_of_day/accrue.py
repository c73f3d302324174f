"""5. The night of d: interest, penalty and compound, off balance for non-accrual loans.

Set by set over the lines that grow (`growth`), and nothing of a loan is written: its night goes to
the ledger, in columns, and that the book's nights before d + 1 are accrued is said once.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
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
    bindparam,
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
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA

from tael_servicing import books, growth
from tael_servicing.arithmetic.vat import EARNED
from tael_servicing.bookings import Batch, Columns, part_of, post_columns
from tael_servicing.end_of_day.step import Closing, OverLoans, Summary, payload_of
from tael_servicing.positions import ACCRUED
from tael_servicing.tables import SORTED, accrual_position, loan_set_aside, night_posting

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
        asked = payload_of([loan_id])
        return bool(self.members(transaction, closing, asked))

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
        of, values = _chosen(closing, payload)
        return list(transaction.execute(of.loans, values).scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Posts the night of the chunk's loans."""
        summary = Summary()
        of, values = _chosen(closing, payload)
        groups = sorted(transaction.execute(of.night, values), key=lambda row: row[:2])
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


NIGHT, MORNING = bindparam("night", type_=Date), bindparam("morning", type_=Date)
LINE = accrual_position.c
HAVE_NIGHT = and_(LINE.book_id == bindparam("book"), LINE.since <= NIGHT)
"""Lines of the book that began before the night."""
SET_ASIDE = exists().where(
    loan_set_aside.c.book_id == bindparam("book"),
    loan_set_aside.c.business_date == NIGHT,
    loan_set_aside.c.loan_id == LINE.loan_id,
    or_(loan_set_aside.c.cured.is_(False), loan_set_aside.c.accrued_to > NIGHT),
)
"""Lines of a loan whose night is not its chunk's, for it is posted alone or was already."""


@dataclass(frozen=True)
class _Statements:
    """What is asked of some lines."""

    loans: Select[str]
    """Whose they are."""
    night: Select[Any]
    """What loans post, those of a product on one side of the balance sheet together: ids one a line,
    amounts as packed big-endian integers.
    """


def _chosen(closing: Closing, payload: bytes) -> tuple[_Statements, dict[str, Any]]:
    """What is asked of a range of loans, or of those that are named, and with what values."""
    chosen = json.loads(payload)
    day = {"book": closing.book_id, "night": closing.day, "morning": closing.next_day}
    if isinstance(chosen, list):
        return OF_NAMED, day | {"loan_ids": chosen}
    return OF_RANGE, day | chosen


def _statements(lines: ColumnElement[bool]) -> _Statements:
    loan = _by_loan(lines)
    group = (loan.c.product_code, loan.c.on_balance)
    ids = func.string_agg(loan.c.loan_id, "\n").label("loan_ids")
    amounts = [*(_grown(loan, name) for name in EARNED), *(_vat(loan, name) for name in EARNED)]
    packed = [
        func.string_agg(func.int8send(cast(amount, BigInteger)), literal(b"", BYTEA)).label(name)
        for name, amount in zip(NAMES, amounts, strict=True)
    ]
    grows = or_(*(loan.c[f"{name}_after"] != loan.c[f"{name}_before"] for name in EARNED))
    return _Statements(
        select(LINE.loan_id).where(lines).distinct().order_by(LINE.loan_id),
        select(*group, ids, *packed).where(grows).group_by(*group),
    )


NAMES = (*EARNED, *(f"{name}_vat" for name in EARNED))
SAME = ("product_code", "on_balance", "vat_numerator", "vat_denominator")
"""What all lines of a loan agree on."""
WHEN = ("before", "after", "earned")


def _by_loan(lines: ColumnElement[bool]) -> Subquery:
    """By kind what has grown before and after the night, and what was earned when the lines began.

    A loan has one line of interest; only those of its charges have to be added up.
    """
    steps = select(
        accrual_position,
        growth.grown(accrual_position, NIGHT).label("before"),
        growth.grown(accrual_position, MORNING).label("after"),
    ).where(lines)
    interest = steps.where(LINE.kind == "INTEREST").subquery("interest")
    step = steps.where(LINE.kind != "INTEREST").subquery("step")
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


OF_RANGE = _statements(
    and_(
        LINE.loan_id > bindparam("after"),
        LINE.loan_id <= bindparam("last"),
        HAVE_NIGHT,
        ~SET_ASIDE,
    )
)
OF_NAMED = _statements(
    and_(LINE.loan_id == func.any(bindparam("loan_ids", type_=ARRAY(SORTED))), HAVE_NIGHT)
)


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
