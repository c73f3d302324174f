"""The worked entries beside this file: a business event in a book, and the vouchers it makes.

A case is a block of lines: a title; the book's lender type and VAT mode, the event (with the
loan's accrual status where rules look at it) and its amounts; then the voucher's lines, `Dr`/`Cr`
on balance and 收/付 off balance, `then` before the next voucher. Amounts are in yuan; a list of
them goes on after a comma.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tael_ledger.posting_rules import RuleAccount

FOLDER = Path(__file__).with_suffix("")
SIDES = {"Dr": "Dr", "Cr": "Cr", "收": "Dr", "付": "Cr"}
SUMMARY = re.compile(
    r"(?P<lender>\w+) (?P<vat>\w+) \| (?P<event>\w+)(?: (?P<status>\w+))? \| (?P<amounts>.+)"
)

Voucher = dict[RuleAccount, tuple[str, int]]
"""Account → (Dr or Cr, minor units)."""


@dataclass(frozen=True)
class WorkedEntry:
    """One case."""

    title: str
    lender_type: str
    vat_mode: str
    event: str
    accrual_status: str
    """ "" where the rules do not look at it."""
    amounts: dict[str, int]
    """Minor units by amount type."""
    vouchers: list[Voucher]

    def __str__(self) -> str:
        return f"{self.title} ({self.lender_type} {self.vat_mode})"

    @property
    def owner_types(self) -> list[str]:
        """Whose accounts it moves; a line's customer stands between, whether or not it nets out."""
        named = {account.owner_type for voucher in self.vouchers for account in voucher}
        return sorted((named | {"CUSTOMER", "LOAN"}) - {""})


def worked_entries() -> list[WorkedEntry]:
    """Every case of every file."""
    return [entry for path in sorted(FOLDER.glob("*.txt")) for entry in _read(path)]


def _read(path: Path) -> Iterator[WorkedEntry]:
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        rows = [row.strip() for row in block.splitlines() if not row.startswith("#")]
        if rows:
            yield _entry(rows[0], "\n".join(rows[1:]).replace(",\n", ", ").splitlines())


def _entry(title: str, rows: list[str]) -> WorkedEntry:
    summary, *lines = rows
    found = SUMMARY.fullmatch(summary)
    assert found is not None, summary
    amounts = dict(amount.split() for amount in found["amounts"].split(", "))
    return WorkedEntry(
        title,
        found["lender"],
        found["vat"],
        found["event"],
        found["status"] or "",
        {name: _minor(amount) for name, amount in amounts.items()},
        [_voucher(voucher) for voucher in "\n".join(lines).split("then\n")],
    )


def _voucher(text: str) -> Voucher:
    voucher: Voucher = {}
    for row in text.splitlines():
        side, account, amount = row.split()
        assert RuleAccount.parse(account) not in voucher, row
        voucher[RuleAccount.parse(account)] = (SIDES[side], _minor(amount))
    return voucher


def _minor(yuan: str) -> int:
    amount = Decimal(yuan) * 100
    assert amount == int(amount), yuan
    return int(amount)
