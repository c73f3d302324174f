"""Balances now and as of a day, at the same cost for an account of ten lines and of ten million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select, text

from tael_ledger.tables import account


@dataclass(frozen=True)
class AsOf:
    """When: now, or at the end of a booking date, or counting value dates up to one."""

    booking_date: date | None = None
    value_date: date | None = None

    @property
    def is_now(self) -> bool:
        """Whether the accounts' running totals answer it."""
        return self.booking_date is None and self.value_date is None

    @property
    def condition(self) -> str:
        """Which lines count, in the store's words."""
        if self.value_date is not None:
            return "value_date <= :value_date"
        return "booking_date <= :booking_date"


@dataclass(frozen=True)
class Turnover:
    """Of one account, minor units; what is pending only now."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0


def turnovers(
    connection: Connection, book_id: str, numbers: Sequence[str], as_of: AsOf
) -> dict[str, Turnover]:
    """By account number; an account never opened is left out."""
    return (
        _now(connection, book_id, numbers)
        if as_of.is_now
        else _then(connection, book_id, numbers, as_of)
    )


def _now(connection: Connection, book_id: str, numbers: Sequence[str]) -> dict[str, Turnover]:
    rows = connection.execute(
        select(
            account.c.number,
            account.c.debits_posted,
            account.c.credits_posted,
            account.c.debits_pending,
            account.c.credits_pending,
        ).where(account.c.book_id == book_id, account.c.number.in_(numbers))
    )
    return {number: Turnover(*totals) for number, *totals in rows}


# What is added up by day already; from where on lines have to be read (the book's order of dates and
# sequences is one); and since when there can be any: each account by one probe, whatever the planner
# believes about the tables.
_SUMMED = """
SELECT held.number, held.account_id, held.summed_through, coalesce(summed.debits, 0) AS debits,
    coalesce(summed.credits, 0) AS credits, coalesce(summed.last_day, opened.booking_date) AS since
FROM account AS held
CROSS JOIN LATERAL (SELECT booking_date FROM posting_batch AS batch WHERE batch.book_id = :book_id
    AND batch.batch_number = held.batch_number LIMIT 1) AS opened
CROSS JOIN LATERAL (SELECT sum(debits) FILTER (WHERE {condition}) AS debits,
    sum(credits) FILTER (WHERE {condition}) AS credits, max(booking_date) AS last_day
    FROM account_day AS day WHERE day.book_id = :book_id
    AND day.account_id = held.account_id) AS summed
WHERE held.book_id = :book_id AND held.number = ANY(:numbers)
"""
_UNSUMMED = """
SELECT asked.account_id, rest.debits, rest.credits
FROM unnest(CAST(:ids AS bigint[]), CAST(:through AS bigint[])) AS asked (account_id, through)
CROSS JOIN LATERAL (SELECT coalesce(sum(debit), 0) AS debits, coalesce(sum(credit), 0) AS credits
    FROM line WHERE line.book_id = :book_id AND line.account_id = asked.account_id
    AND line.sequence > asked.through AND line.booking_date >= :since AND {condition}) AS rest
"""


def _then(
    connection: Connection, book_id: str, numbers: Sequence[str], as_of: AsOf
) -> dict[str, Turnover]:
    own = {
        "book_id": book_id,
        "booking_date": as_of.booking_date,
        "value_date": as_of.value_date,
    }
    summed = connection.execute(
        text(_SUMMED.format(condition=as_of.condition)), {**own, "numbers": list(numbers)}
    ).all()
    rest = {}
    if summed:
        unsummed = {
            "ids": [row.account_id for row in summed],
            "through": [row.summed_through for row in summed],
            "since": min(row.since for row in summed),
        }
        rows = connection.execute(
            text(_UNSUMMED.format(condition=as_of.condition)), {**own, **unsummed}
        )
        rest = {row.account_id: row for row in rows}
    return {
        row.number: Turnover(
            int(row.debits + rest[row.account_id].debits),
            int(row.credits + rest[row.account_id].credits),
        )
        for row in summed
    }
