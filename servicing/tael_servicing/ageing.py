"""How old a portfolio's arrears are, and from which age to which loans went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import BigInteger, Connection, Date, Integer, cast, column, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_servicing import buckets, snapshots
from tael_servicing.buckets import Bucket
from tael_servicing.ratios import ratio
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import RUNNING

NEW, CLOSED, WRITTEN_OFF = "NEW", "CLOSED", "WRITTEN_OFF"


def ageing(connection: Connection, ledger: Ledger, limits: Sequence[int]) -> list[pb.AgeingRow]:
    """Loans by their days past due, unpaid due instalments by their own."""
    loans = _loans(connection, ledger, limits)
    instalments = _instalments(connection, ledger, limits)
    rows = []
    for number, bucket in enumerate(buckets.buckets(limits)):
        row = pb.AgeingRow(bucket=bucket.message())
        if number in loans:
            row.loans, row.principal = loans[number]
        if number in instalments:
            row.instalments, row.instalment_principal, row.instalment_interest = instalments[number]
        rows.append(row)
    return rows


def _loans(
    connection: Connection, ledger: Ledger, limits: Sequence[int]
) -> dict[int, tuple[int, int]]:
    place = buckets.place(limits, ledger.rows.c.dpd).label("place")
    query = (
        select(place, func.count().label("loans"), snapshots.total(ledger.principal))
        .where(ledger.runs)
        .group_by(place)
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def _instalments(
    connection: Connection, ledger: Ledger, limits: Sequence[int]
) -> dict[int, tuple[int, int, int]]:
    each = func.jsonb_array_elements(ledger.rows.c.arrears).table_valued(
        column("value", JSONB), name="each"
    )
    value = each.c.value
    days = cast(ledger.rows.c.aged_to - cast(value[0].astext, Date), Integer)
    place = buckets.place(limits, days).label("place")
    query = (
        select(
            place,
            func.count(),
            snapshots.total(cast(value[1].astext, BigInteger)),
            snapshots.total(cast(value[2].astext, BigInteger)),
        )
        .select_from(ledger.rows.join(each, literal(value=True)))
        .where(ledger.runs)
        .group_by(place)
    )
    return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}


def rolls(
    connection: Connection, before: Ledger, after: Ledger, limits: Sequence[int]
) -> pb.RollRatesResponse:
    """The matrix of buckets between two days, and the rates from each to the next worse."""
    named = buckets.buckets(limits)
    order = [NEW, *(bucket.name for bucket in named), CLOSED, WRITTEN_OFF]
    cells = sorted(
        _cells(connection, before, after, limits, named),
        key=lambda cell: (order.index(cell.from_bucket), order.index(cell.to_bucket)),
    )
    opening: Counter[str] = Counter()
    closing: Counter[str] = Counter()
    for cell in cells:
        opening[cell.from_bucket] += cell.principal_before
        closing[cell.to_bucket] += cell.principal_after
    rates = [
        pb.RollRate(
            from_bucket=better.name,
            to_bucket=worse.name,
            rate=ratio(closing[worse.name], opening[better.name]),
        )
        for better, worse in pairwise(named)
    ]
    return pb.RollRatesResponse(cells=cells, rates=rates)


def _cells(
    connection: Connection,
    before: Ledger,
    after: Ledger,
    limits: Sequence[int],
    named: Sequence[Bucket],
) -> list[pb.RollCell]:
    running = select(before.rows).where(before.runs).subquery("was")
    was = running.c
    now = after.rows.c
    from_place = buckets.place(limits, was.dpd).label("from_place")
    to_place = buckets.place(limits, now.dpd).label("to_place")
    query: Any = (
        select(
            was.loan_id.is_not(None).label("there"),
            from_place,
            now.state,
            to_place,
            func.count().label("loans"),
            snapshots.total(snapshots.principal_of(running)).label("principal_before"),
            snapshots.total(after.principal).label("principal_after"),
        )
        .select_from(running.join(after.rows, was.loan_id == now.loan_id, full=True))
        .where((was.loan_id.is_not(None)) | after.runs)
        .group_by("there", "from_place", now.state, "to_place")
    )
    merged: dict[tuple[str, str], pb.RollCell] = {}
    for row in connection.execute(query):
        origin = named[row.from_place].name if row.there else NEW
        goal = _goal(row.state, named[row.to_place].name)
        cell = merged.setdefault((origin, goal), pb.RollCell(from_bucket=origin, to_bucket=goal))
        cell.loans += row.loans
        cell.principal_before += row.principal_before
        cell.principal_after += row.principal_after
    return list(merged.values())


def _goal(state: str | None, bucket: str) -> str:
    """Where a loan is: a closed one may have no row any more."""
    if state in RUNNING:
        return bucket
    return WRITTEN_OFF if state == "WRITTEN_OFF" else CLOSED
