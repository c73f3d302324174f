"""The chart of accounts (企业会计准则——应用指南, 财会〔2006〕18号): what a GL code is. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

MEMO = "MEMO"
DEBIT, CREDIT = "DEBIT", "CREDIT"


@dataclass(frozen=True)
class GlAccount:
    """A row of the chart."""

    code: str
    name: str
    """科目."""
    english_name: str
    account_class: str
    """ASSET, LIABILITY, CLEARING, EQUITY, INCOME, EXPENSE or MEMO."""
    normal_side: str
    """DEBIT or CREDIT: where its balance is shown positive."""

    @property
    def is_memo(self) -> bool:
        """Off balance (表外): balanced by its contra, apart from the balance accounts."""
        return self.account_class == MEMO

    @property
    def full_name(self) -> str:
        """For people: both names."""
        return f"{self.name} {self.english_name}"

    def balance(self, debits: int, credits: int) -> int:  # noqa: A002  the field's word
        """Turnovers in minor units → balance on the normal side."""
        return debits - credits if self.normal_side == DEBIT else credits - debits


Chart = Mapping[str, GlAccount]
"""GL accounts by code."""


def chart_of(accounts: Iterable[GlAccount]) -> Chart:
    """A chart, by code in ascending order."""
    return {account.code: account for account in sorted(accounts, key=lambda a: a.code)}


def default_chart() -> Chart:
    """The chart a new book is given: data/chart_of_accounts.csv."""
    file = resources.files("tael_ledger") / "data" / "chart_of_accounts.csv"
    with file.open(encoding="utf-8") as rows:
        return chart_of(GlAccount(**row) for row in csv.DictReader(rows))
