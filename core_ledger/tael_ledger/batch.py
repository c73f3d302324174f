"""A batch: what one transaction adds to a locked book, written set-wise and linked to the chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, func, select, text, update

from tael_ledger import chain
from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.drafts import Draft
from tael_ledger.insertion import copy_rows, days, insert_columns
from tael_ledger.journal import Anchor, Receipt, RequestKey
from tael_ledger.reasons import Reason
from tael_ledger.requests import PostingRequest
from tael_ledger.tables import account, entry, line, posting_batch, posting_request, reversal
from tael_ledger.tables import book as books
from tael_runtime.errors import FailedPrecondition

TURNOVER_LIMIT = 4 * 10**18
"""Minor units, either sign: any change from one total to another still fits the store's 64 bits."""

LINE_ROW = np.dtype(
    [
        ("booking_date", ">i4"),
        ("sequence", ">i8"),
        ("line_number", ">i4"),
        ("account_id", ">i8"),
        ("value_date", ">i4"),
        ("debit", ">i8"),
        ("credit", ">i8"),
        ("memo", "?"),
    ]
)
"""A line as COPY BINARY wants it."""

FIND_ACCOUNTS = text(
    "SELECT account_id, number, debits_posted, credits_posted FROM account "
    "WHERE book_id = :book_id AND number = ANY(:numbers)"
)
# Each row is found by one probe of the primary key and then by its place: a planner that does not
# know the table yet would else read the whole book. The book's lock keeps the places.
ADD_TURNOVERS = text(
    "UPDATE account SET debits_posted = debits_posted + moved.debits, "
    "credits_posted = credits_posted + moved.credits "
    "FROM unnest(CAST(:ids AS bigint[]), CAST(:debits AS bigint[]), CAST(:credits AS bigint[])) "
    "AS moved (account_id, debits, credits), LATERAL ("
    "SELECT kept.ctid AS place FROM account AS kept WHERE kept.book_id = :book_id "
    "AND kept.account_id = moved.account_id LIMIT 1) AS found "
    "WHERE account.ctid = found.place"
)


@dataclass
class _Account:
    """An account the batch may touch. Totals in minor units."""

    account_id: int
    number: str
    debits: int
    """Turnover with the requests accepted so far."""
    credits: int
    moved_debits: int = 0
    moved_credits: int = 0
    """What the batch adds."""


@dataclass(frozen=True)
class _Accepted:
    """A request that will be written."""

    request: PostingRequest
    drafts: Sequence[Draft]
    first_sequence: int

    @property
    def lines(self) -> int:
        return sum(len(draft.lines) for draft in self.drafts)


def _check_limit(number: str, debits: int, credits_: int) -> None:
    if max(abs(debits), abs(credits_)) > TURNOVER_LIMIT:
        raise FailedPrecondition(
            Reason.ACCOUNT_LIMIT,
            f"{number} would turn over more than {TURNOVER_LIMIT} minor units",
            number,
        )


class Batch:
    """Requests accepted one by one, then written together."""

    def __init__(self, transaction: Connection, book: Book, chart: Chart) -> None:
        self._transaction = transaction
        self._book = book
        self._chart = chart
        self._accepted: dict[RequestKey, _Accepted] = {}
        self._accounts: dict[str, _Account] = {}
        self._opened: list[_Account] = []
        self._last_sequence = book.last_sequence

    def load_accounts(self, drafts: Sequence[Draft]) -> None:
        """Reads the accounts of all that may be added; those not there are opened when used."""
        numbers = list({line.account_number for draft in drafts for line in draft.lines})
        if numbers:
            rows = self._transaction.execute(
                FIND_ACCOUNTS, {"book_id": self._book.book_id, "numbers": numbers}
            )
            self._accounts = {row.number: _Account(*row) for row in rows}

    def add(self, request: PostingRequest, drafts: Sequence[Draft]) -> None:
        """Accepts a request, or raises FailedPrecondition ACCOUNT_LIMIT and leaves all as it was."""
        moves: dict[str, tuple[int, int]] = {}
        for draft in drafts:
            for number, debit, credit in draft.lines:
                _check_limit(number, debit, credit)
                debits, credits_ = moves.get(number, (0, 0))
                moves[number] = (debits + debit, credits_ + credit)
        for number, (debits, credits_) in moves.items():
            now = self._accounts.get(number) or _Account(0, number, 0, 0)
            _check_limit(number, now.debits + debits, now.credits + credits_)
        for number, (debits, credits_) in moves.items():
            touched = self._accounts.get(number) or self._open(number)
            touched.debits += debits
            touched.credits += credits_
            touched.moved_debits += debits
            touched.moved_credits += credits_
        first = self._last_sequence + 1 if drafts else 0
        self._last_sequence += len(drafts)
        self._accepted[request.key] = _Accepted(request, drafts, first)

    def drafts(self, key: RequestKey) -> Sequence[Draft]:
        """What an accepted request makes."""
        return self._accepted[key].drafts

    def _open(self, number: str) -> _Account:
        new = _Account(self._book.accounts_opened + len(self._opened) + 1, number, 0, 0)
        self._opened.append(new)
        self._accounts[number] = new
        return new

    def write(self) -> dict[RequestKey, Receipt]:
        """Writes all that was accepted; receipts by request. Writes nothing where nothing was."""
        if not self._accepted:
            return {}
        lines = self._lines()
        now: datetime = self._transaction.execute(select(func.clock_timestamp())).scalar_one()
        digest = chain.link(self._book.digest, self._chain_batch(now, lines))
        anchor = Anchor(self._last_sequence, digest)
        self._insert_accounts()
        self._insert_entries()
        copy_rows(self._transaction, line, {"book_id": self._book.book_id}, lines)
        self._add_turnovers()
        self._insert_requests()
        self._link(now, digest)
        return {
            key: Receipt(one.first_sequence, len(one.drafts), one.lines, anchor)
            for key, one in self._accepted.items()
        }

    def _placed(self) -> list[tuple[int, Draft]]:
        return [
            (sequence, draft)
            for one in self._accepted.values()
            for sequence, draft in enumerate(one.drafts, one.first_sequence)
        ]

    def _lines(self) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        booked = days(self._book.business_date)
        known = {
            number: (one.account_id, self._chart[number.partition(":")[0]].is_memo)
            for number, one in self._accounts.items()
        }
        rows = []
        for sequence, draft in self._placed():
            worth = days(draft.value_date)
            for place, (number, debit, credit) in enumerate(draft.lines, 1):
                account_id, memo = known[number]
                rows.append((booked, sequence, place, account_id, worth, debit, credit, memo))
        return np.array(rows, dtype=LINE_ROW)

    def _chain_batch(
        self, now: datetime, lines: np.ndarray[tuple[int], np.dtype[np.void]]
    ) -> chain.ChainBatch:
        amounts = np.stack([lines[name] for name in ("account_id", "debit", "credit")], axis=1)
        return chain.ChainBatch(
            book_id=self._book.book_id,
            batch_number=self._book.last_batch + 1,
            committed_at=now,
            opened=[(one.account_id, one.number) for one in self._opened],
            requests=[
                chain.ChainRequest(
                    key.rpc,
                    key.caller,
                    key.request_id,
                    one.request.content_hash,
                    one.first_sequence,
                    len(one.drafts),
                    one.lines,
                )
                for key, one in sorted(self._accepted.items(), key=lambda item: item[0].sort_key)
            ],
            entries=[
                chain.ChainEntry(
                    sequence,
                    draft.event,
                    draft.value_date,
                    self._book.business_date,
                    draft.source,
                    draft.narrative,
                    draft.rules_version,
                    draft.reversal_of,
                    len(draft.lines),
                )
                for sequence, draft in self._placed()
            ],
            lines=amounts,
        )

    def _insert_accounts(self) -> None:
        count = len(self._opened)
        owners = [(*one.number.split(":"), "", "")[:3] for one in self._opened]
        insert_columns(
            self._transaction,
            account,
            {
                "book_id": [self._book.book_id] * count,
                "account_id": [one.account_id for one in self._opened],
                "number": [one.number for one in self._opened],
                "gl_code": [gl_code for gl_code, _, _ in owners],
                "owner_type": [owner_type for _, owner_type, _ in owners],
                "owner_id": [owner_id for _, _, owner_id in owners],
                "batch_number": [self._book.last_batch + 1] * count,
            },
        )

    def _insert_entries(self) -> None:
        placed = self._placed()
        drafts = [draft for _, draft in placed]
        insert_columns(
            self._transaction,
            entry,
            {
                "book_id": [self._book.book_id] * len(placed),
                "sequence": [sequence for sequence, _ in placed],
                "event": [draft.event for draft in drafts],
                "value_date": [draft.value_date for draft in drafts],
                "booking_date": [self._book.business_date] * len(placed),
                "source": [draft.source for draft in drafts],
                "narrative": [draft.narrative for draft in drafts],
                "rules_version": [draft.rules_version for draft in drafts],
                "reversal_of": [draft.reversal_of for draft in drafts],
            },
        )
        red = [(sequence, draft.reversal_of) for sequence, draft in placed if draft.reversal_of]
        insert_columns(
            self._transaction,
            reversal,
            {
                "book_id": [self._book.book_id] * len(red),
                "origin": [origin for _, origin in red],
                "sequence": [sequence for sequence, _ in red],
            },
        )

    def _add_turnovers(self) -> None:
        """One UPDATE; that it finds every account proves that every line has one."""
        moved = [one for one in self._accounts.values() if one.moved_debits or one.moved_credits]
        if not moved:
            return
        updated = self._transaction.execute(
            ADD_TURNOVERS,
            {
                "book_id": self._book.book_id,
                "ids": [one.account_id for one in moved],
                "debits": [one.moved_debits for one in moved],
                "credits": [one.moved_credits for one in moved],
            },
        ).rowcount
        assert updated == len(moved), f"{len(moved)} accounts moved, {updated} found"

    def _insert_requests(self) -> None:
        accepted = list(self._accepted.items())
        count = len(accepted)
        insert_columns(
            self._transaction,
            posting_request,
            {
                "book_id": [self._book.book_id] * count,
                "rpc": [key.rpc for key, _ in accepted],
                "caller": [key.caller for key, _ in accepted],
                "request_id": [key.request_id for key, _ in accepted],
                "content_hash": [one.request.content_hash for _, one in accepted],
                "batch_number": [self._book.last_batch + 1] * count,
                "first_sequence": [one.first_sequence for _, one in accepted],
                "entries": [len(one.drafts) for _, one in accepted],
                "lines": [one.lines for _, one in accepted],
            },
        )

    def _link(self, now: datetime, digest: bytes) -> None:
        book = self._book
        insert_columns(
            self._transaction,
            posting_batch,
            {
                "book_id": [book.book_id],
                "batch_number": [book.last_batch + 1],
                "first_sequence": [book.last_sequence + 1],
                "last_sequence": [self._last_sequence],
                "digest": [digest],
                "committed_at": [now],
            },
        )
        self._transaction.execute(
            update(books)
            .where(books.c.book_id == book.book_id)
            .values(
                accounts_opened=book.accounts_opened + len(self._opened),
                last_batch=book.last_batch + 1,
                last_sequence=self._last_sequence,
                digest=digest,
            )
        )
