"""RecordEventColumns: one event for many owners, in columns; one compound entry a chunk and step.

The stream is gathered before anything is booked, so a request is booked whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from tael_ledger.column_checks import OWNER_ID, check_amounts, check_texts
from tael_ledger.drafts import Draft, LineColumns, account_number, net, resolve
from tael_ledger.line_buffer import exact
from tael_ledger.posting_rules import RuleAccount, RuleKey
from tael_ledger.reasons import Reason
from tael_ledger.requests import Desk, Plan, PostingRequest
from tael_ledger.tables import TURNOVER_LIMIT
from tael_runtime.errors import FailedPrecondition, InvalidArgument

Amounts = NDArray[np.int64]

OWNERS_LIMIT = 50_000
"""Owners a request: it holds the book while it is written, and others wait."""


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
        check_amounts(f"{field}.columns[{number}]", column, count, "owners")
    check_texts(f"{field}.owner_ids", chunk.owner_ids, OWNER_ID)
    if len(set(chunk.owner_ids)) != count:
        raise InvalidArgument(f"{field}.owner_ids", "names an owner twice")


def content_hash(header_hash: bytes, chunks: Iterable[Chunk]) -> bytes:
    """SHA-256 of a whole request."""
    content = hashlib.sha256(header_hash)
    for chunk in chunks:
        content.update(chunk.digest())
    return content.digest()


@dataclass(frozen=True)
class RecordedColumns(PostingRequest):
    """RecordEventColumns as a request of the group commit."""

    header: Header
    chunks: Sequence[Chunk]

    def plan(self, desk: Desk) -> Plan:
        """Compound entries through the posting rules in force, resolved once.

        Raises what RecordEvents does, and InvalidArgument where a rule needs another owner type.
        """
        header = self.header
        desk.check_booking_date(header.booking_date)
        desk.check_value_date(header.value_date, "header")
        moves = self._moves(desk)
        steps = sorted({move.step for move in moves})
        compounds = [
            _compound(chunk, [move for move in moves if move.step == step])
            for chunk in self.chunks
            for step in steps
        ]
        return Plan([self._draft(desk, lines) for lines in compounds if len(lines.debits)])

    def _draft(self, desk: Desk, lines: LineColumns) -> Draft:
        header = self.header
        return Draft(header.event, header.value_date, header.source, "", lines, desk.rules.version)

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


def _compound(chunk: Chunk, moves: Sequence[_Move]) -> LineColumns:
    """One line an account: netted, zero lines dropped, debits first."""
    numbers: list[str] = []
    nets: list[tuple[Amounts, Amounts]] = []
    for account in dict.fromkeys(move.account for move in moves):
        debit = _sum(chunk, [m for m in moves if m.account == account and m.is_debit])
        credit = _sum(chunk, [m for m in moves if m.account == account and not m.is_debit])
        if account.owner_type:
            nets.append(_owner_nets(debit, credit))
            start = account_number(account.gl_code, account.owner_type, "")
            numbers += [start + owner_id for owner_id in chunk.owner_ids]
        else:
            nets.append(_book_net(account, debit, credit))
            numbers.append(account.gl_code)
    if not nets:
        return LineColumns([], np.zeros(0, np.int64), np.zeros(0, np.int64))
    debits, credits_ = (np.concatenate(side) for side in zip(*nets, strict=True))
    order = np.concatenate((np.flatnonzero(debits), np.flatnonzero(credits_)))
    chosen = [numbers[place] for place in order.tolist()]
    return LineColumns(chosen, debits[order], credits_[order])


def _sum(chunk: Chunk, moves: Sequence[_Move]) -> Amounts:
    total = np.zeros(len(chunk.owner_ids), dtype=np.int64)
    for move in moves:
        total += chunk.columns[move.column]
    return total


def _owner_nets(debit: Amounts, credit: Amounts) -> tuple[Amounts, Amounts]:
    """`drafts.net` over columns: each owner's line on the side that moves it more."""
    on_debit = np.abs(debit) >= np.abs(credit)
    netted = np.where(on_debit, debit - credit, credit - debit)
    return np.where(on_debit, netted, 0), np.where(on_debit, 0, netted)


def _book_net(account: RuleAccount, debit: Amounts, credit: Amounts) -> tuple[Amounts, Amounts]:
    """The book's own line. Raises FailedPrecondition ACCOUNT_LIMIT."""
    line = net(int(exact(debit).sum()), int(exact(credit).sum()))
    if max(map(abs, line)) > TURNOVER_LIMIT:
        raise FailedPrecondition(
            Reason.ACCOUNT_LIMIT,
            f"{account.gl_code} would turn over more than {TURNOVER_LIMIT} minor units",
            account.gl_code,
        )
    return np.array(line[:1], dtype=np.int64), np.array(line[1:], dtype=np.int64)
