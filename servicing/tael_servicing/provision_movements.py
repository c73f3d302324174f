"""How loss allowances moved between two days, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, text

from tael_servicing import snapshots
from tael_servicing.commitments import AMOUNTS, CODES
from tael_servicing.provisions import STAGES
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import MOVES_ALLOWANCE, party_movement


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


OF_LOANS = """
    WITH posted AS (
        SELECT NOT EXISTS (
                   SELECT FROM loan_day
                   WHERE loan_day.loan_id = posting.loan_id AND loan_day.date <= :after
               ) AS fresh,
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
    )
"""
OF_LINES = """
    WITH posted AS (
        SELECT NOT EXISTS (
                   SELECT FROM party_movement AS earlier
                   WHERE earlier.book_id = :book AND earlier.owner_id = moved.owner_id
                   AND earlier.date <= :after AND earlier.code IN (:stage1, :stage2)
               ) AS fresh,
               coalesce(CAST(sum(amount) FILTER (WHERE code = :stage1) AS bigint), 0) AS d1,
               coalesce(CAST(sum(amount) FILTER (WHERE code = :stage2) AS bigint), 0) AS d2,
               CAST(0 AS bigint) AS d3, CAST(NULL AS bigint) AS used,
               CAST(NULL AS bigint) AS earned, CAST(NULL AS bigint) AS left1,
               CAST(NULL AS bigint) AS left2, CAST(NULL AS bigint) AS left3
        FROM party_movement AS moved
        WHERE book_id = :book AND date <= :upto AND code IN (:stage1, :stage2)
          AND (CAST(:after AS date) IS NULL OR date > :after)
        GROUP BY owner_id, date
    )
"""
# Each posting's changes by stage; of what one stage loses and another gains, the lesser was moved,
# the first stages before the later ones; the rest was charged or released.
BY_STAGE = """
    , signed AS (
        SELECT posted.*,
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
MOVED_ON_LOANS, MOVED_ON_LINES = text(OF_LOANS + BY_STAGE), text(OF_LINES + BY_STAGE)
MOVED = (
    "added",
    "charged",
    "released",
    "transfers_in",
    "transfers_out",
    "written_off",
    "derecognised",
    "interest",
)


def movements(connection: Connection, opening: Ledger | None, closing: Ledger) -> list[Movement]:
    """Of loans by stage, from the end of one day to the end of another; from nothing without the
    first.
    """
    moved = connection.execute(
        MOVED_ON_LOANS, {**_between(opening, closing), "events": list(MOVES_ALLOWANCE)}
    ).all()
    before = _held(connection, opening) if opening else (0, 0, 0)
    return _by_stage(moved, before, _held(connection, closing))


def of_commitments(
    connection: Connection, opening: Ledger | None, closing: Ledger
) -> list[Movement]:
    """As `movements`, of the provision for what lines may still lend: stages 1 and 2."""
    named = dict(zip(AMOUNTS, CODES, strict=True))
    moved = connection.execute(MOVED_ON_LINES, {**_between(opening, closing), **named}).all()
    before = _provided(connection, opening) if opening else (0, 0)
    return _by_stage(moved, before, _provided(connection, closing))


def _between(opening: Ledger | None, closing: Ledger) -> dict[str, Any]:
    after = opening.day if opening else None
    return {"book": closing.book.book_id, "after": after, "upto": closing.day}


def _by_stage(
    moved: Sequence[Row[Any]], before: Sequence[int], after: Sequence[int]
) -> list[Movement]:
    found = {row.stage: row for row in moved}
    return [
        Movement(
            stage=stage,
            opening=opening,
            closing=closing,
            **{name: getattr(found.get(stage), name, 0) for name in MOVED},
        )
        for stage, (opening, closing) in enumerate(zip(before, after, strict=True), 1)
    ]


def _held(connection: Connection, ledger: Ledger) -> tuple[int, ...]:
    sums = [snapshots.total(ledger.rows.c[stage]) for stage in STAGES]
    return tuple(connection.execute(select(*sums)).one())


def _provided(connection: Connection, ledger: Ledger) -> tuple[int, ...]:
    moved = party_movement.c
    sums = [snapshots.total(moved.amount, moved.code == code) for code in CODES]
    of_the_book = select(*sums).where(
        moved.book_id == ledger.book.book_id, moved.date <= ledger.day, moved.code.in_(CODES)
    )
    return tuple(connection.execute(of_the_book).one())
