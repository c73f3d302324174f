"""What a committer remembers of its book: the accounts it has met, and the posting rules in force.

What an id stands for never changes, so number → id is kept. Limits and states may change, so what is
kept is only which accounts ever had any since this process met the book; what they are is read anew
for each batch that touches one. Nothing is kept that the book's chain has left behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from tael_ledger import rules_store
from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.posting_rules import RuleSet

KEPT = 3_000_000
"""Accounts in memory at most (some 200 bytes each); beyond, they are forgotten and met anew."""

# One probe of the index a number, whatever the planner believes about the table.
FIND = text(
    "SELECT found.number, found.account_id "
    "FROM unnest(CAST(:numbers AS text[])) AS asked (number), LATERAL ("
    "SELECT number, account_id FROM account WHERE book_id = :book_id "
    "AND account.number = asked.number LIMIT 1) AS found"
)
GUARDED = text(
    "SELECT account_id FROM account WHERE book_id = :book_id "
    "AND (state <> 'OPEN' OR lowest IS NOT NULL OR highest IS NOT NULL)"
)
# Every change of a state or of limits is recorded under the account's number.
GUARDED_SINCE = text(
    "SELECT account.account_id FROM record "
    "JOIN account ON account.book_id = record.book_id AND account.number = record.subject "
    "WHERE record.book_id = :book_id AND record.batch_number > :batch_number "
    "AND starts_with(record.kind, 'ACCOUNT_')"
)
DIGEST = text(
    "SELECT digest FROM posting_batch WHERE book_id = :book_id AND batch_number = :batch_number"
)


class Registry:
    """One book's accounts and rules, for the one committer that posts to it here."""

    def __init__(self, book_id: str, chart: Chart) -> None:
        self._book_id = book_id
        self._codes = {code: place for place, code in enumerate(chart)}
        self.codes = list(chart)
        """GL codes by their place."""
        self.memo = np.array([account.is_memo for account in chart.values()], dtype=bool)
        """Whether a GL code is off balance, by its place."""
        self._ids: dict[str, int] = {}
        self._places = np.zeros(1024, dtype=np.int16)
        self._guarded: set[int] = set()
        self._rules: RuleSet | None = None
        self._fresh: list[str] = []
        self._all_met = False
        self._batch = -1
        self._digest = b""

    def begin(self, transaction: Connection, book: Book) -> None:
        """Before a batch, the book locked: what others committed meanwhile is taken in."""
        if not self._continues(transaction, book):
            self._forget()
        if len(self._ids) > KEPT:
            self._ids.clear()
        self._all_met = len(self._ids) == book.accounts_opened
        if book.last_batch != self._batch:
            known = {"book_id": self._book_id, "batch_number": self._batch}
            query = GUARDED if self._batch < 0 else GUARDED_SINCE
            self._guarded.update(row.account_id for row in transaction.execute(query, known))
            self._batch, self._digest = book.last_batch, book.digest

    def _continues(self, transaction: Connection, book: Book) -> bool:
        """Whether the chain still passes through the link last seen: a store that was set back, to a
        backup or a standby that lagged, gave the same numbers to other accounts and rules since.
        """
        if self._batch < 0 or book.last_batch == self._batch:
            return self._batch < 0 or book.digest == self._digest
        known = {"book_id": self._book_id, "batch_number": self._batch}
        digest = transaction.execute(DIGEST, known).scalar_one_or_none()
        return digest is not None and bytes(digest) == self._digest

    def _forget(self) -> None:
        self._ids.clear()
        self._guarded.clear()
        self._rules = None
        self._batch = -1

    def rules(self, transaction: Connection, version: int) -> RuleSet:
        """The rules in force, as of the batch that `begin` was called for."""
        if self._rules is None or self._rules.version != version:
            self._rules = rules_store.rule_set(transaction, self._book_id, version)
        return self._rules

    def meet(self, transaction: Connection, numbers: Iterable[str]) -> None:
        """Looks up the accounts not met before; those that are not there stay unknown."""
        if self._all_met:
            return
        ids = self._ids
        strange = list({number for number in numbers if number not in ids})
        if not strange:
            return
        rows = transaction.execute(FIND, {"book_id": self._book_id, "numbers": strange}).all()
        for number, account_id in rows:
            self._put(number, account_id)

    def find(self, number: str) -> int | None:
        """An account's id; None where it is not open."""
        return self._ids.get(number)

    def ids(self, numbers: Sequence[str]) -> list[int | None]:
        """Ids of many."""
        return list(map(self._ids.get, numbers))

    def open(self, number: str, account_id: int) -> None:
        """Counts a new account in; `failed` takes it out again."""
        self._put(number, account_id)
        self._fresh.append(number)

    def places(self, account_ids: NDArray[np.int64]) -> NDArray[np.int16]:
        """The places of accounts' GL codes in the chart."""
        return self._places[account_ids]

    def guarded(self, numbers: Iterable[str]) -> list[str]:
        """Those among some accounts that may be frozen, closed or limited."""
        if not self._guarded:
            return []
        return [number for number in numbers if self._ids.get(number) in self._guarded]

    def committed(self, last_batch: int, digest: bytes, *, guards_changed: bool) -> None:
        """After a commit. What it changed of states and limits is taken in before the next."""
        self._fresh.clear()
        if not guards_changed:
            self._batch, self._digest = last_batch, digest

    def failed(self) -> None:
        """After a rollback, or where nobody knows."""
        for number in self._fresh:
            self._ids.pop(number, None)
        self._fresh.clear()

    def _put(self, number: str, account_id: int) -> None:
        if account_id >= len(self._places):
            self._places = np.resize(self._places, max(account_id + 1, 2 * len(self._places)))
        self._ids[number] = account_id
        self._places[account_id] = self._codes[number.partition(":")[0]]
