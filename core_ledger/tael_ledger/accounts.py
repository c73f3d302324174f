"""Accounts and what stands on them: opened at first use, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Connection, func, select

from tael_ledger.tables import account, line


@dataclass(frozen=True)
class Account:
    """An account with its turnovers in minor units."""

    number: str
    gl_code: str
    owner_type: str
    owner_id: str
    debits_posted: int
    credits_posted: int


@dataclass(frozen=True)
class AsOf:
    """When: now, or at the end of a booking date, or counting value dates up to one."""

    booking_date: date | None = None
    value_date: date | None = None

    @property
    def is_now(self) -> bool:
        """Whether the accounts' running totals answer it."""
        return self.booking_date is None and self.value_date is None


def page(
    connection: Connection,
    book_id: str,
    gl_code: str,
    owner_type: str,
    owner_id: str,
    after: str,
    size: int,
) -> list[Account]:
    """Accounts by number, after one. gl_code: exact, or a prefix ending in "."; "" matches all."""
    query = select(
        account.c.number,
        account.c.gl_code,
        account.c.owner_type,
        account.c.owner_id,
        account.c.debits_posted,
        account.c.credits_posted,
    ).where(account.c.book_id == book_id, account.c.number > after)
    if gl_code.endswith("."):
        query = query.where(account.c.number.startswith(gl_code, autoescape=True))
    elif gl_code:
        query = query.where(account.c.gl_code == gl_code)
    if owner_type:
        query = query.where(account.c.owner_type == owner_type)
    if owner_id:
        query = query.where(account.c.owner_id == owner_id)
    return [
        Account(*row) for row in connection.execute(query.order_by(account.c.number).limit(size))
    ]


def turnovers(
    connection: Connection, book_id: str, numbers: Sequence[str], as_of: AsOf
) -> dict[str, tuple[int, int]]:
    """(debits, credits) in minor units by account number; an account never opened is left out."""
    chosen = (account.c.book_id == book_id, account.c.number.in_(numbers))
    if as_of.is_now:
        query = select(account.c.number, account.c.debits_posted, account.c.credits_posted).where(
            *chosen
        )
    else:
        query = (
            select(account.c.number, func.sum(line.c.debit), func.sum(line.c.credit))
            .join(
                line,
                (line.c.book_id == account.c.book_id) & (line.c.account_id == account.c.account_id),
            )
            .where(*chosen, until(as_of))
            .group_by(account.c.number)
        )
    rows = connection.execute(query)
    return {number: (int(debits), int(credits_)) for number, debits, credits_ in rows}


def until(as_of: AsOf) -> ColumnElement[bool]:
    """Which lines count."""
    if as_of.value_date is not None:
        return line.c.value_date <= as_of.value_date
    assert as_of.booking_date is not None
    return line.c.booking_date <= as_of.booking_date
