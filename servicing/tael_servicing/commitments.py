"""What undrawn commitments may lose (表外信贷承诺): a liability a line, set at a month's end.

What is left to draw of a line is exposed by the policy's credit conversion until its last day, in the
stage of the worst loan that runs on it (CAS 22; 银保监规〔2022〕10号). Kept as `parties` are, by line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    lateral,
    literal,
    or_,
    select,
    text,
    true,
)

from tael_servicing import bookings, parties, snapshots
from tael_servicing.arithmetic.impairment import (
    ImpairmentPolicy,
    LossRates,
    commitment_rates,
    year_begins,
)
from tael_servicing.bookings import Batch, Columns, part_of
from tael_servicing.loan_days import days_past_due
from tael_servicing.tables import RUNNING, credit_line, loan, loan_class, loan_state, party_balance

EVENT = "COMMITMENT_LOSS_ADJUSTED"
AMOUNTS = ("stage1", "stage2")
"""Amount types by stage; a line in default is drawn no more."""
CODES = tuple(parties.MOVES[EVENT, name].code for name in AMOUNTS)


def to_provide(transaction: Connection, book_id: str) -> list[str]:
    """Lines that may be drawn, or have a provision that is no longer needed, by id."""
    held = select(party_balance.c.owner_id).where(
        party_balance.c.book_id == book_id,
        party_balance.c.code.in_(CODES),
        party_balance.c.balance != 0,
    )
    query = (
        select(credit_line.c.line_id)
        .where(
            credit_line.c.book_id == book_id, or_(_drawable() > 0, credit_line.c.line_id.in_(held))
        )
        .order_by(credit_line.c.line_id)
    )
    return list(transaction.execute(query).scalars())


class _Change(NamedTuple):
    line_id: str
    moved: tuple[int, ...]
    """Of each stage, minor units."""


def provide(
    transaction: Connection,
    policy: ImpairmentPolicy,
    day: date,
    line_ids: Sequence[str],
    batch: Batch,
) -> tuple[int, Counter[str]]:
    """Sets the provisions of lines to their expected losses at the end of the day.

    Returns how many changed, and by how much in all by event and amount type.
    """
    groups: defaultdict[str, list[_Change]] = defaultdict(list)
    begins = year_begins(day + timedelta(days=1), len(policy.default_probability_by_year))
    rates: dict[tuple[Decimal, int], LossRates] = {}
    for row in _standings(transaction, policy, day, line_ids):
        key = (row.annual_rate, row.at)
        if key not in rates:
            rates[key] = commitment_rates(policy, *key)
        years = bisect_right(begins, row.valid_to) or 1
        needed = rates[key].needed([row.drawable] * years)
        target = [needed if row.at == stage else 0 for stage, _ in enumerate(AMOUNTS, 1)]
        moved = (target[0] - row.stage1, target[1] - row.stage2)
        if any(moved):
            groups[row.product_code].append(_Change(row.line_id, moved))
    total: Counter[str] = Counter()
    for number, (product_code, changes) in enumerate(groups.items(), 1):
        part = part_of(batch, f"c{number}")
        columns = _columns(product_code, day, changes)
        for name, code in zip(AMOUNTS, CODES, strict=True):
            if name in columns.amounts:
                _write(transaction, part, code, columns, name)
        bookings.post_columns(transaction, part, columns)
        total.update({f"{EVENT}.{name}": sum(each) for name, each in columns.amounts.items()})
    return sum(map(len, groups.values())), total


def _drawable() -> ColumnElement[int]:
    """Left to draw of a line that may be drawn."""
    left = credit_line.c.credit_limit - credit_line.c.used - credit_line.c.reserved
    return case(
        (and_(credit_line.c.state == "ACTIVE", ~credit_line.c.overall), left), else_=literal(0)
    )


def _standings(
    transaction: Connection, policy: ImpairmentPolicy, day: date, line_ids: Sequence[str]
) -> Sequence[Any]:
    """What may be drawn of lines, their stage at the end of the day, and what is held."""
    _, at = snapshots.standing(
        policy, days_past_due(loan_state.c, day), loan_state.c.state, loan_class.c
    )
    worst = lateral(
        select(func.coalesce(func.max(at), 1).label("at"))
        .join_from(loan, loan_state, loan_state.c.loan_id == loan.c.loan_id)
        .outerjoin(loan_class, loan_class.c.loan_id == loan.c.loan_id)
        .where(
            # By customer: loans are found by it.
            loan.c.customer_id == credit_line.c.customer_id,
            loan.c.line_id == credit_line.c.line_id,
            loan_state.c.state.in_(RUNNING),
        ),
        name="worst",
    )

    def held(code: str) -> Any:
        return func.coalesce(
            select(party_balance.c.balance)
            .where(
                party_balance.c.book_id == credit_line.c.book_id,
                party_balance.c.code == code,
                party_balance.c.owner_id == credit_line.c.line_id,
            )
            .scalar_subquery(),
            0,
        )

    return transaction.execute(
        select(
            credit_line.c.line_id,
            credit_line.c.product_code,
            credit_line.c.annual_rate,
            credit_line.c.valid_to,
            _drawable().label("drawable"),
            worst.c.at,
            *(held(code).label(name) for name, code in zip(AMOUNTS, CODES, strict=True)),
        )
        .join(worst, true())
        .where(credit_line.c.line_id == func.any(list(line_ids)))
        .order_by(credit_line.c.line_id)
    ).all()


def _columns(product_code: str, day: date, changes: Sequence[_Change]) -> Columns:
    """Without a stage of which no line has any."""
    moved = {
        name: [change.moved[stage] for change in changes] for stage, name in enumerate(AMOUNTS)
    }
    return Columns(
        EVENT,
        day,
        product_code,
        True,
        [change.line_id for change in changes],
        {name: amounts for name, amounts in moved.items() if any(amounts)},
        owner_type="LINE",
    )


# As `parties.move` does for one owner.
WRITE = text(
    """
    WITH fresh AS (
        SELECT line_id, amount
        FROM unnest(CAST(:line_ids AS text[]), CAST(:amounts AS bigint[])) AS fresh (line_id, amount)
        WHERE amount <> 0
    ), told AS (
        INSERT INTO party_movement
            (book_id, owner_id, movement_id, code, event, amount, date, loan_id, reference)
        SELECT :book_id, line_id, :request_id || ':' || :code, :code, :event, amount, :day, '',
               :request_id
        FROM fresh
    )
    INSERT INTO party_balance (book_id, code, owner_id, balance, grown)
    SELECT :book_id, :code, line_id, amount, greatest(amount, 0) FROM fresh
    ON CONFLICT (book_id, code, owner_id) DO UPDATE SET
        balance = party_balance.balance + excluded.balance,
        grown = party_balance.grown + excluded.grown
    """
)


def _write(transaction: Connection, batch: Batch, code: str, columns: Columns, name: str) -> None:
    transaction.execute(
        WRITE,
        {
            "line_ids": columns.owner_ids,
            "amounts": columns.amounts[name],
            "book_id": batch.book_id,
            "code": code,
            "event": EVENT,
            "day": columns.value_date,
            "request_id": batch.request_id,
        },
    )
