"""Opening balances of a migrated book, held against their control totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from tael_ledger.drafts import Integers, LineColumns
from tael_ledger.line_buffer import exact
from tael_ledger.postings import PostedColumns
from tael_ledger.reasons import Reason
from tael_ledger.requests import Desk
from tael_runtime.errors import FailedPrecondition, InvalidArgument

IMPORT_LIMIT = 2_000_000
"""Accounts an import of opening balances: the book takes nothing else meanwhile."""
# One probe of the index a number, whatever the planner believes about the table.
STANDING = text(
    "SELECT found.number, found.net FROM unnest(CAST(:numbers AS text[])) AS asked (number), LATERAL ("
    "SELECT number, debits_posted - credits_posted AS net FROM account WHERE book_id = :book_id "
    "AND account.number = asked.number LIMIT 1) AS found WHERE found.net <> 0 LIMIT 1"
)


class ImportedBalances(PostedColumns):
    """ImportOpeningBalances as a request of the group commit: one compound entry."""

    def check(self, desk: Desk) -> None:
        """Owners' accounts open with it; the book's own may be the other side of several imports.

        Raises FailedPrecondition ACCOUNT_HAS_BALANCE.
        """
        assert isinstance(self.draft.lines, LineColumns)
        owned = [number for number in self.draft.lines.account_numbers if ":" in number]
        found = _standing(desk, owned)
        if found is not None:
            number, net = found
            raise FailedPrecondition(
                Reason.ACCOUNT_HAS_BALANCE,
                f"debits less credits of {number} are {net} already",
                number,
            )


def _standing(desk: Desk, numbers: Sequence[str]) -> tuple[str, int] | None:
    """One of some accounts on which something stands, and what: debits less credits."""
    if not desk.book.accounts_opened:
        return None
    asked = {"book_id": desk.book.book_id, "numbers": numbers}
    row = desk.transaction.execute(STANDING, asked).first()
    return (row.number, row.net) if row else None


@dataclass(frozen=True)
class ControlTotals:
    """What imported balances must add up to, minor units."""

    accounts: int
    debits: int
    credits: int
    nets: Mapping[str, int]
    """Debits less credits by GL code; those not named are not checked."""

    def check(self, lines: LineColumns) -> None:
        """Raises FailedPrecondition CONTROL_TOTAL_MISMATCH; InvalidArgument for an account twice."""
        count = len(lines.account_numbers)
        if len(set(lines.account_numbers)) != count:
            raise InvalidArgument("chunk.account_numbers", "an account comes twice")
        debits, credits_ = int(exact(lines.debits).sum()), int(exact(lines.credits).sum())
        found = {"accounts": count, "debits": debits, "credits": credits_}
        wanted = {"accounts": self.accounts, "debits": self.debits, "credits": self.credits}
        if self.nets:
            nets = _nets_by_code(lines)
            found |= {code: nets.get(code, 0) for code in self.nets}
            wanted |= self.nets
        for name, total in wanted.items():
            if found[name] != total:
                raise FailedPrecondition(
                    Reason.CONTROL_TOTAL_MISMATCH,
                    f"{name}: the control total is {total}, the balances come to {found[name]}",
                    name,
                )


def _nets_by_code(lines: LineColumns) -> dict[str, int]:
    nets: dict[str, int] = {}
    amounts: Integers = lines.debits - lines.credits
    for number, net in zip(lines.account_numbers, amounts.tolist(), strict=True):
        code = number.partition(":")[0]
        nets[code] = nets.get(code, 0) + net
    return nets
