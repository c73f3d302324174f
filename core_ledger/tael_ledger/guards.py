"""Accounts that are frozen, closed or limited, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, text

from tael_ledger.drafts import LineColumns
from tael_ledger.entry_columns import Drafts
from tael_ledger.reasons import Reason
from tael_runtime.errors import FailedPrecondition

OPEN, FROZEN, CLOSED = "OPEN", "FROZEN", "CLOSED"

# One probe of the index a number, whatever the planner believes about the table.
GUARDS = text(
    "SELECT held.number, state, lowest, highest, debits_posted - credits_posted, "
    "debits_pending, credits_pending "
    "FROM unnest(CAST(:numbers AS text[])) AS asked (number), LATERAL ("
    "SELECT * FROM account WHERE book_id = :book_id AND account.number = asked.number LIMIT 1"
    ") AS held WHERE state <> 'OPEN' OR lowest IS NOT NULL OR highest IS NOT NULL"
)


Move: TypeAlias = tuple[str, int, int, int, int]
"""(account number, lines, debits less credits, debits pending, credits pending), minor units."""


@dataclass
class Guard:
    """A frozen, closed or limited account with what stands on it, minor units."""

    number: str
    state: str
    lowest: int | None
    """Of debits less credits, like the next."""
    highest: int | None
    net: int
    debits_pending: int
    credits_pending: int

    def check(
        self,
        lines: int,
        net: int,
        debits_pending: int,
        credits_pending: int,
        *,
        closing: bool = False,
    ) -> None:
        """Whether some moves may be added: so many lines posted, which come to `net` debits less
        credits, and changes of what is pending.

        What only gives back what was pending always may, and the close of a period may carry what
        was booked on an account before it was closed. Raises FailedPrecondition ACCOUNT_FROZEN,
        ACCOUNT_CLOSED or ACCOUNT_LIMIT.
        """
        if not lines and debits_pending <= 0 and credits_pending <= 0:
            return
        if self.state == FROZEN:
            raise FailedPrecondition(Reason.ACCOUNT_FROZEN, f"{self.number} is frozen", self.number)
        if self.state == CLOSED and not closing:
            raise FailedPrecondition(Reason.ACCOUNT_CLOSED, f"{self.number} is closed", self.number)
        most = self.net + net + self.debits_pending + debits_pending
        least = self.net + net - self.credits_pending - credits_pending
        if self.highest is not None and most > self.highest:
            side, value, bound = "at most", most, self.highest
        elif self.lowest is not None and least < self.lowest:
            side, value, bound = "at least", least, self.lowest
        else:
            return
        raise FailedPrecondition(
            Reason.ACCOUNT_LIMIT,
            f"debits less credits of {self.number}, pending counted, may be {side} {bound} "
            f"and would be {value}",
            self.number,
        )

    def add(self, net: int, debits_pending: int, credits_pending: int) -> None:
        """Counts moves that were accepted."""
        self.net += net
        self.debits_pending += debits_pending
        self.credits_pending += credits_pending


def read(connection: Connection, book_id: str, numbers: Iterable[str]) -> dict[str, Guard]:
    """Those of some accounts that are guarded, by number."""
    wanted = list(set(numbers))
    if not wanted:
        return {}
    rows = connection.execute(GUARDS, {"book_id": book_id, "numbers": wanted})
    return {row.number: Guard(*row) for row in rows}


def admit(guards: Mapping[str, Guard], moves: Iterable[Move], *, closing: bool = False) -> None:
    """Holds moves against guards: all are counted in, or none and what `Guard.check` says is raised."""
    sums: dict[str, list[int]] = {}
    for number, lines, net, debits_pending, credits_pending in moves:
        if number in guards:
            total = sums.setdefault(number, [0, 0, 0, 0])
            total[0] += lines
            total[1] += net
            total[2] += debits_pending
            total[3] += credits_pending
    for number, total in sums.items():
        guards[number].check(*total, closing=closing)
    for number, total in sums.items():
        guards[number].add(*total[1:])


def check(connection: Connection, book_id: str, drafts: Drafts) -> None:
    """Whether the accounts would take some entries as they stand. Raises what `Guard.check` does."""
    moves = list(moves_of(drafts))
    admit(read(connection, book_id, (number for number, *_ in moves)), moves)


def moves_of(drafts: Drafts) -> Iterator[Move]:
    """What entries add to their accounts."""
    for draft in drafts:
        lines = draft.lines
        if isinstance(lines, LineColumns):
            nets = (lines.debits - lines.credits).tolist()
            for number, net in zip(lines.account_numbers, nets, strict=True):
                yield number, 1, net, 0, 0
        else:
            for number, debit, credit in lines:
                yield number, 1, debit - credit, 0, 0
