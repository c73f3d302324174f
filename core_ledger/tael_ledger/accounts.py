"""Accounts and what stands on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from tael_ledger.limits import Bounds
from tael_ledger.tables import account
from tael_runtime.errors import NotFound


@dataclass(frozen=True)
class Account:
    """An account with its totals in minor units."""

    account_id: int
    number: str
    gl_code: str
    owner_type: str
    owner_id: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    state: str
    """OPEN, FROZEN or CLOSED."""
    bounds: Bounds
    lines_posted: int

    @property
    def least(self) -> int:
        """Debits less credits once every pending credit is posted and no pending debit."""
        return self.debits_posted - self.credits_posted - self.credits_pending

    @property
    def most(self) -> int:
        """Debits less credits once every pending debit is posted and no pending credit."""
        return self.debits_posted - self.credits_posted + self.debits_pending


_READ = select(
    account.c.account_id,
    account.c.number,
    account.c.gl_code,
    account.c.owner_type,
    account.c.owner_id,
    account.c.debits_posted,
    account.c.credits_posted,
    account.c.debits_pending,
    account.c.credits_pending,
    account.c.state,
    account.c.lowest,
    account.c.highest,
    account.c.lines_posted,
)


def _account(row: RowMapping) -> Account:
    values = dict(row)
    bounds = Bounds(values.pop("lowest"), values.pop("highest"))
    return Account(**values, bounds=bounds)


def get(connection: Connection, book_id: str, number: str) -> Account:
    """One account. Raises NotFound where it was never opened."""
    return open_among(find(connection, book_id, [number]), book_id, number)


def open_among(found: Mapping[str, Account], book_id: str, number: str) -> Account:
    """One of those that were looked for. Raises NotFound where it was never opened."""
    if number not in found:
        raise NotFound("account", f"{book_id}/{number}")
    return found[number]


def find(connection: Connection, book_id: str, numbers: Sequence[str]) -> dict[str, Account]:
    """Those of some accounts that are open, by number."""
    rows = connection.execute(
        _READ.where(account.c.book_id == book_id, account.c.number.in_(numbers))
    )
    return {row["number"]: _account(row) for row in rows.mappings()}


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
    query = _READ.where(account.c.book_id == book_id, account.c.number > after)
    if gl_code.endswith("."):
        query = query.where(account.c.number.startswith(gl_code, autoescape=True))
    elif gl_code:
        # A code's numbers lie together, from itself to its owners' (":" comes before ";"), among
        # those of the codes below it: their index is enough.
        query = query.where(
            account.c.number.between(gl_code, f"{gl_code};"), account.c.gl_code == gl_code
        )
    if owner_type:
        query = query.where(account.c.owner_type == owner_type)
    if owner_id:
        query = query.where(account.c.owner_id == owner_id)
    rows = connection.execute(query.order_by(account.c.number).limit(size))
    return [_account(row) for row in rows.mappings()]
