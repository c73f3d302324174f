"""Loss allowances: set at a month's end, and how they moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, text

from tael_servicing import snapshots
from tael_servicing.arithmetic.events import AllowanceAdjusted
from tael_servicing.arithmetic.impairment import ImpairmentPolicy, RiskClass, expected_loss
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.enacting import enact_at_close
from tael_servicing.loans import Held
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import (
    MOVES_ALLOWANCE,
    RUNNING,
    credit_line,
    loan_balance,
    loan_class,
    loan_state,
)
from tael_servicing.tables import loan as contracts

STAGES = ("allowance_stage1", "allowance_stage2", "allowance_stage3")


def to_provide(transaction: Connection, book_id: str) -> list[str]:
    """Loans that run, or have an allowance that is no longer needed, by id."""
    held = or_(*(loan_balance.c[stage] != 0 for stage in STAGES))
    query = (
        select(loan_state.c.loan_id)
        .join(loan_balance, loan_balance.c.loan_id == loan_state.c.loan_id)
        .where(loan_state.c.book_id == book_id, or_(loan_state.c.state.in_(RUNNING), held))
        .order_by(loan_state.c.loan_id)
    )
    return list(transaction.execute(query).scalars())


def provide(
    transaction: Connection,
    policy: ImpairmentPolicy,
    day: date,
    loan_ids: Sequence[str],
    batch: Batch,
) -> list[Posting]:
    """Sets the allowances of loans to their expected losses at the end of the day."""
    standings = _standings(transaction, policy, day, loan_ids)
    undrawn = _undrawn(transaction, loan_ids)

    def adjust(held: Held, event_id: str) -> AllowanceAdjusted:
        loan_id = held.contract.loan_id
        worst, at = standings[loan_id]
        left = undrawn.get(loan_id, 0)
        target = expected_loss(policy, held.loan.annual_rate, held.loan, worst, at, left)
        return AllowanceAdjusted(day, event_id, target)

    return enact_at_close(transaction, loan_ids, batch, adjust, "expected loss")


def _standings(
    transaction: Connection, policy: ImpairmentPolicy, day: date, loan_ids: Sequence[str]
) -> dict[str, tuple[RiskClass, int]]:
    """Class and stage at the end of the day."""
    worst, at = snapshots.standing(policy, snapshots.days_past_due(day))
    rows = transaction.execute(
        select(loan_state.c.loan_id, worst.label("worst"), at.label("at"))
        .outerjoin(loan_class, loan_class.c.loan_id == loan_state.c.loan_id)
        .where(loan_state.c.loan_id == func.any(list(loan_ids)))
    )
    return {row.loan_id: (RiskClass(row.worst), row.at) for row in rows}


def _undrawn(transaction: Connection, loan_ids: Sequence[str]) -> dict[str, int]:
    """What may still be drawn, of lines whose oldest running loan is among these."""
    older, older_state = contracts.alias("older"), loan_state.alias("older_state")
    has_older = (
        select(older.c.loan_id)
        .join(older_state, older_state.c.loan_id == older.c.loan_id)
        .where(
            # By customer: loans are found by it.
            older.c.customer_id == contracts.c.customer_id,
            older.c.line_id == contracts.c.line_id,
            older.c.loan_id < contracts.c.loan_id,
            older_state.c.state.in_(RUNNING),
        )
        .exists()
    )
    left = credit_line.c.credit_limit - credit_line.c.used - credit_line.c.reserved
    rows = transaction.execute(
        select(contracts.c.loan_id, left.label("left"))
        .join(credit_line, credit_line.c.line_id == contracts.c.line_id)
        .where(
            contracts.c.loan_id == func.any(list(loan_ids)),
            credit_line.c.state == "ACTIVE",
            left > 0,
            ~has_older,
        )
    )
    return {row.loan_id: row.left for row in rows}


@dataclass(frozen=True)
class Movement:
    """The allowance of a stage between two days, minor units."""

    stage: int
    opening: int
    added: int
    charged: int
    released: int
    transfers_in: int
    transfers_out: int
    written_off: int
    derecognised: int
    interest: int
    closing: int


# Each posting's changes by stage; of what one stage loses and another gains, the lesser was moved,
# the first stages before the later ones; the rest was charged or released.
MOVED = text(
    """
    WITH posted AS (
        SELECT posting.loan_id, posting.event,
               coalesce(CAST(amounts ->> 'stage1' AS bigint), 0) AS d1,
               coalesce(CAST(amounts ->> 'stage2' AS bigint), 0) AS d2,
               coalesce(CAST(amounts ->> 'stage3' AS bigint), 0)
               + coalesce(CAST(amounts ->> 'allowance_top_up' AS bigint), 0) AS d3,
               CASE posting.event
                   WHEN 'LOAN_WRITTEN_OFF' THEN CAST(amounts ->> 'principal' AS bigint)
                   WHEN 'PRINCIPAL_WAIVED' THEN CAST(amounts ->> 'principal_impaired' AS bigint)
               END AS used,
               CASE posting.event
                   WHEN 'IMPAIRED_INTEREST_ACCRUED' THEN CAST(amounts ->> 'interest' AS bigint)
               END AS earned,
               CAST(amounts ->> 'allowance_stage1' AS bigint) AS left1,
               CAST(amounts ->> 'allowance_stage2' AS bigint) AS left2,
               CAST(amounts ->> 'allowance_stage3' AS bigint) AS left3
        FROM loan_posting AS posting JOIN loan USING (loan_id)
        WHERE loan.book_id = :book AND posting.booked_on <= :upto
          AND (CAST(:after AS date) IS NULL OR posting.booked_on > :after)
          AND posting.event = ANY(:events)
    ), signed AS (
        SELECT posted.*, NOT EXISTS (
                   SELECT FROM loan_day WHERE loan_day.book_id = :book
                   AND loan_day.date = :after AND loan_day.loan_id = posted.loan_id
               ) AS fresh,
               greatest(d1, 0) AS up1, greatest(d2, 0) AS up2, greatest(d3, 0) AS up3,
               greatest(-d1, 0) AS down1, greatest(-d2, 0) AS down2, greatest(-d3, 0) AS down3
        FROM posted
    ), shared AS (
        SELECT signed.*, least(up1 + up2 + up3, down1 + down2 + down3) AS moved FROM signed
    ), ways AS (
        SELECT shared.*,
               least(up1, moved) AS in1, least(up2, moved - least(up1, moved)) AS in2,
               least(down1, moved) AS out1, least(down2, moved - least(down1, moved)) AS out2
        FROM shared
    ), stages AS (
        SELECT fresh, stage, up - came AS charge, down - went AS release, came, went, spent, gone,
               CASE stage WHEN 3 THEN earned END AS interest
        FROM ways CROSS JOIN LATERAL (VALUES
            (1, up1, down1, in1, out1, CAST(0 AS bigint), left1),
            (2, up2, down2, in2, out2, 0, left2),
            (3, up3, down3, moved - in1 - in2, moved - out1 - out2, coalesce(ways.used, 0), left3)
        ) AS by_stage (stage, up, down, came, went, spent, gone)
    )
    SELECT stage,
           CAST(coalesce(sum(charge) FILTER (WHERE fresh), 0) AS bigint) AS added,
           CAST(coalesce(sum(charge) FILTER (WHERE NOT fresh), 0) AS bigint) AS charged,
           CAST(sum(release) AS bigint) AS released,
           CAST(sum(came) AS bigint) AS transfers_in,
           CAST(sum(went) AS bigint) AS transfers_out,
           CAST(sum(spent) AS bigint) AS written_off,
           CAST(coalesce(sum(gone), 0) AS bigint) AS derecognised,
           CAST(coalesce(sum(interest), 0) AS bigint) AS interest
    FROM stages GROUP BY stage ORDER BY stage
    """
)


def movements(connection: Connection, opening: Ledger | None, closing: Ledger) -> list[Movement]:
    """By stage, from the end of one day to the end of another; from nothing without the first."""
    moved: dict[int, Row[Any]] = {
        row.stage: row
        for row in connection.execute(
            MOVED,
            {
                "book": closing.book.book_id,
                "after": opening.day if opening else None,
                "upto": closing.day,
                "events": list(MOVES_ALLOWANCE),
            },
        )
    }
    before = _held(connection, opening) if opening else (0, 0, 0)
    after = _held(connection, closing)
    names = [name for name in Movement.__dataclass_fields__ if name not in ("stage", "opening")]
    names.remove("closing")
    return [
        Movement(
            stage=stage,
            opening=before[stage - 1],
            closing=after[stage - 1],
            **{name: getattr(moved.get(stage), name, 0) for name in names},
        )
        for stage in (1, 2, 3)
    ]


def _held(connection: Connection, ledger: Ledger) -> tuple[int, ...]:
    sums = [snapshots.total(ledger.rows.c[stage]) for stage in STAGES]
    return tuple(connection.execute(select(*sums)).one())
