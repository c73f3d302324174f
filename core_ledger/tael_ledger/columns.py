"""RecordEventColumns: one event for many owners, in columns; one compound entry a chunk and step.

The stream is gathered before anything is booked, so a request is booked whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from tael_ledger.drafts import Draft, Line, account_number, net, resolve
from tael_ledger.journal import RequestKey
from tael_ledger.posting_rules import RuleAccount, RuleKey
from tael_ledger.requests import Desk
from tael_runtime.errors import InvalidArgument

Amounts = NDArray[np.int64]

AMOUNT_LIMIT = 900_000_000_000_000
"""Minor units an owner and amount type: the contract's bound of one amount."""
OWNERS_LIMIT = 1_000_000
"""Owners a request: it is gathered in memory and holds the book while it is written."""
OWNER_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Header:
    """What is the same for every owner."""

    event: str
    value_date: date
    product: str
    accrual_status: str
    owner_type: str
    amount_types: Sequence[str]
    source: str
    booking_date: date | None = None


@dataclass(frozen=True)
class Chunk:
    """Owners and their amounts in minor units."""

    owner_ids: Sequence[str]
    columns: Sequence[Amounts]
    """One a header's amount type, each as long as owner_ids."""

    def digest(self) -> bytes:
        """SHA-256 of the chunk's content."""
        content = hashlib.sha256("\n".join(self.owner_ids).encode())
        for column in self.columns:
            content.update(b"\n")
            content.update(column.astype(">i8").tobytes())
        return content.digest()


def check_chunk(place: int, chunk: Chunk, header: Header) -> None:
    """Raises InvalidArgument where a chunk's shape or content is wrong."""
    field = f"chunk[{place}]"
    count = len(chunk.owner_ids)
    if len(chunk.columns) != len(header.amount_types):
        raise InvalidArgument(
            f"{field}.columns",
            f"the header names {len(header.amount_types)} amount types, "
            f"there are {len(chunk.columns)} columns",
        )
    for number, column in enumerate(chunk.columns):
        if len(column) != count:
            raise InvalidArgument(
                f"{field}.columns[{number}]", f"has {len(column)} amounts for {count} owners"
            )
        if np.any((column > AMOUNT_LIMIT) | (column < -AMOUNT_LIMIT)):
            raise InvalidArgument(
                f"{field}.columns[{number}]", f"has an amount beyond ±{AMOUNT_LIMIT}"
            )
    wrong = next((one for one in chunk.owner_ids if not OWNER_ID.fullmatch(one)), None)
    if wrong is not None:
        raise InvalidArgument(f"{field}.owner_ids", f"{wrong!r} does not match {OWNER_ID.pattern}")
    if len(set(chunk.owner_ids)) != count:
        raise InvalidArgument(f"{field}.owner_ids", "names an owner twice")


def content_hash(header_hash: bytes, chunks: Iterable[Chunk]) -> bytes:
    """SHA-256 of a whole request."""
    content = hashlib.sha256(header_hash)
    for chunk in chunks:
        content.update(chunk.digest())
    return content.digest()


@dataclass(frozen=True)
class RecordedColumns:
    """RecordEventColumns as a posting request."""

    key: RequestKey
    content_hash: bytes
    header: Header
    chunks: Sequence[Chunk]

    @property
    def excludes(self) -> frozenset[object]:
        """Itself only."""
        return frozenset((self.key,))

    def drafts(self, desk: Desk) -> list[Draft]:
        """Compound entries through the posting rules in force, resolved once.

        Raises what RecordEvents does, and InvalidArgument where a rule needs another owner type.
        """
        header = self.header
        desk.check_booking_date(header.booking_date)
        desk.check_value_date(header.value_date, "header")
        moves = self._moves(desk)
        drafts = []
        for chunk in self.chunks:
            for step in sorted({move.step for move in moves}):
                lines = _compound(chunk, [move for move in moves if move.step == step])
                if lines:
                    drafts.append(
                        Draft(
                            header.event,
                            header.value_date,
                            header.source,
                            "",
                            lines,
                            desk.rules.version,
                        )
                    )
        return drafts

    def _moves(self, desk: Desk) -> list[_Move]:
        header, terms = self.header, desk.book.terms
        moves = []
        for number, amount_type in enumerate(header.amount_types):
            if not any(np.any(chunk.columns[number]) for chunk in self.chunks):
                continue
            case = RuleKey(
                header.event,
                amount_type,
                header.product,
                header.accrual_status,
                terms.lender_type,
                terms.vat_mode,
            )
            for posting in resolve(desk.rules, case, "header").postings:
                for is_debit, account in ((True, posting.debit), (False, posting.credit)):
                    if account.owner_type not in ("", header.owner_type):
                        raise InvalidArgument(
                            "header.owner_type",
                            f"{header.event}.{amount_type} moves {account}, "
                            f"which columns of {header.owner_type} do not name",
                        )
                    moves.append(_Move(posting.step, account, number, is_debit))
        return moves


@dataclass(frozen=True)
class _Move:
    """A column debited or credited to an account of each owner, or of the book."""

    step: int
    account: RuleAccount
    column: int
    is_debit: bool


def _compound(chunk: Chunk, moves: Sequence[_Move]) -> list[Line]:
    """One line an account: netted, zero lines dropped, debits first."""
    debits: list[Line] = []
    credits_: list[Line] = []
    for account in dict.fromkeys(move.account for move in moves):
        debit = _sum(chunk, [m for m in moves if m.account == account and m.is_debit])
        credit = _sum(chunk, [m for m in moves if m.account == account and not m.is_debit])
        if account.owner_type:
            _owner_lines(chunk.owner_ids, account, debit, credit, debits, credits_)
            continue
        # Python's integers: fifty thousand amounts may pass 64 bits.
        line = Line(account.gl_code, *net(sum(debit.tolist()), sum(credit.tolist())))
        if line.debit or line.credit:
            (debits if line.debit else credits_).append(line)
    return debits + credits_


def _sum(chunk: Chunk, moves: Sequence[_Move]) -> Amounts:
    total = np.zeros(len(chunk.owner_ids), dtype=np.int64)
    for move in moves:
        total += chunk.columns[move.column]
    return total


def _owner_lines(
    owner_ids: Sequence[str],
    account: RuleAccount,
    debit: Amounts,
    credit: Amounts,
    debits: list[Line],
    credits_: list[Line],
) -> None:
    """`drafts.net` over columns: each owner's line on the side that moves it more."""
    on_debit = np.abs(debit) >= np.abs(credit)
    netted = np.where(on_debit, debit - credit, credit - debit)
    for side, lines in ((on_debit, debits), (~on_debit, credits_)):
        for place in np.flatnonzero(side & (netted != 0)).tolist():
            number = account_number(account.gl_code, account.owner_type, owner_ids[place])
            amount = int(netted[place])
            lines.append(Line(number, amount, 0) if lines is debits else Line(number, 0, amount))
