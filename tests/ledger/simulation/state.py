"""What stands in a book: records that never change, in tables that can go back a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple, TypeVar

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date

K = TypeVar("K")
V = TypeVar("V")


class Line(NamedTuple):
    """One line: one of debit and credit is zero; negative in red ink."""

    number: str
    debit: int
    credit: int


@dataclass(frozen=True)
class Account:
    """An account and what stands on it."""

    number: str
    debits: int = 0
    credits: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    lines: int = 0
    state: pb.AccountState.ValueType = pb.ACCOUNT_STATE_OPEN
    limits: pb.AccountLimits = field(default_factory=pb.AccountLimits)

    @property
    def gl_code(self) -> str:
        """The code in its number."""
        return self.number.split(":", maxsplit=1)[0]


@dataclass(frozen=True)
class Entry:
    """An entry, posted on a booking date under a sequence."""

    event: str
    value_date: date
    lines: tuple[Line, ...]
    source: str = ""
    narrative: str = ""
    rules_version: int = 0
    reversal_of: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    sequence: int = 0
    booking_date: date = date.min
    carries: bool = False
    """Whether it carries income and expense to equity, or equity's profit onwards."""


@dataclass(frozen=True)
class Reservation:
    """An entry reserved."""

    reservation_id: int
    event: str
    expires_on: date
    lines: tuple[Line, ...]
    source: str
    narrative: str
    state: pb.ReservationState.ValueType = pb.RESERVATION_STATE_PENDING
    sequence: int = 0


@dataclass(frozen=True)
class Rules:
    """A version of the posting rules."""

    version: int
    effective_from: date
    rules: tuple[ac.PostingRule, ...]
    description: str
    maker: str
    checker: str = ""


class State:
    """A book. Every change goes through `put`, so that `back_to` can take it back."""

    def __init__(self, book: pb.Book, first_day: date, chart: Mapping[str, ac.GlAccount]) -> None:
        self.book = book
        self.first_day = first_day
        self.chart = chart
        self.accounts: dict[str, Account] = {}
        self.entries: dict[int, Entry] = {}
        self.posted_by: dict[int, tuple[str, str, str]] = {}
        """(rpc, caller, request_id) by sequence."""
        self.reversals: dict[int, int] = {}
        """The reversal's sequence by its origin's."""
        self.reservations: dict[int, Reservation] = {}
        self.rules: dict[int, Rules] = {}
        self.closed_days: dict[date, int] = {}
        """The head's sequence at the close."""
        self.closed_periods: dict[date, ac.Period] = {}
        """By first day."""
        self.requests: dict[tuple[str, str, str], Any] = {}
        """(content, what was foretold) by (rpc, caller, request_id)."""
        self.dates: dict[str, date] = {"business": first_day}
        self.given_id = 0
        """The ledger gives reservations their ids, upwards but not without a gap: the id heard."""
        self._undo: list[Callable[[], object]] = []

    @property
    def business_date(self) -> date:
        """The open day."""
        return self.dates["business"]

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """table[key] = value, until it is taken back."""
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.pop(key))
        table[key] = value

    def mark(self) -> int:
        """A point to come back to."""
        return len(self._undo)

    def back_to(self, mark: int) -> None:
        """Takes back everything since a mark."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def settle(self) -> None:
        """Nothing before this is ever taken back."""
        self._undo.clear()

    def is_memo(self, number: str) -> bool:
        """Whether an account stands off balance."""
        code = number.split(":", maxsplit=1)[0]
        return self.chart[code].account_class == pb.ACCOUNT_CLASS_MEMO

    def on_normal_side(self, number: str, debits: int, credits_: int) -> int:
        """A balance as it is shown."""
        code = number.split(":", maxsplit=1)[0]
        debit_normal = self.chart[code].normal_side == pb.SIDE_DEBIT
        return debits - credits_ if debit_normal else credits_ - debits

    def within_limits(self, account: Account) -> bool:
        """Whether an account may stand so; what is pending on the worse side counts."""
        most_debit = account.debits + account.debits_pending - account.credits
        most_credit = account.credits + account.credits_pending - account.debits
        limits = account.limits
        debit_normal = self.chart[account.gl_code].normal_side == pb.SIDE_DEBIT
        least = -most_credit if debit_normal else -most_debit
        return not (
            (limits.no_debit_balance and most_debit > 0)
            or (limits.no_credit_balance and most_credit > 0)
            or (limits.HasField("floor") and least < limits.floor)
        )

    def move(self, lines: tuple[Line, ...], *, posted: int = 0, pending: int = 0) -> set[str]:
        """Adds lines to what is posted or pending, -1 = takes them away; the reasons against it."""
        reasons = set()
        for line in lines:
            if line.number.split(":", maxsplit=1)[0] not in self.chart:
                reasons.add("UNKNOWN_GL_CODE")
                continue
            before = self.accounts.get(line.number) or Account(line.number)
            if before.state == pb.ACCOUNT_STATE_FROZEN:
                reasons.add("ACCOUNT_FROZEN")
            if before.state == pb.ACCOUNT_STATE_CLOSED:
                reasons.add("ACCOUNT_CLOSED")
            after = replace(
                before,
                debits=before.debits + posted * line.debit,
                credits=before.credits + posted * line.credit,
                debits_pending=before.debits_pending + pending * line.debit,
                credits_pending=before.credits_pending + pending * line.credit,
                lines=before.lines + posted,
            )
            self.put(self.accounts, line.number, after)
        return reasons

    def beyond_limits(self, *groups: Iterable[Line]) -> set[str]:
        """The reason against lines after which an account stands outside its limits."""
        numbers = {line.number for lines in groups for line in lines}
        held = [self.accounts[number] for number in numbers if number in self.accounts]
        return set() if all(map(self.within_limits, held)) else {"ACCOUNT_LIMIT"}

    def post(self, draft: Entry) -> tuple[Entry, set[str]]:
        """Books an entry on the open day; the reasons against it."""
        reasons = self.move(draft.lines, posted=1)
        if draft.value_date > self.business_date:
            reasons.add("VALUE_DATE_IN_FUTURE")
        sequence = len(self.entries) + 1
        entry = replace(draft, sequence=sequence, booking_date=self.business_date)
        self.put(self.entries, sequence, entry)
        if entry.reversal_of:
            self.put(self.reversals, entry.reversal_of, sequence)
        return entry, reasons

    def rules_in_force(self) -> Rules:
        """The newest approved version whose first day has come."""
        approved = [
            rules
            for rules in self.rules.values()
            if (rules.checker or rules.version == 1) and rules.effective_from <= self.business_date
        ]
        return max(approved, key=lambda rules: (rules.effective_from, rules.version))

    def entry_message(self, entry: Entry, *, now: bool = False) -> pb.Entry:
        """An entry as answers show it; `now`: with the reversal made of it since."""
        return pb.Entry(
            book_id=self.book.book_id,
            sequence=entry.sequence,
            event=entry.event,
            value_date=from_date(entry.value_date),
            booking_date=from_date(entry.booking_date) if entry.sequence else None,
            source=entry.source,
            narrative=entry.narrative,
            lines=[
                pb.Line(
                    account_number=line.number,
                    side=pb.SIDE_DEBIT if line.debit else pb.SIDE_CREDIT,
                    amount=line.debit or line.credit,
                )
                for line in entry.lines
            ],
            reversal_of=entry.reversal_of,
            reversed_by=self.reversals.get(entry.sequence, 0) if now else 0,
            rules_version=entry.rules_version,
            metadata=entry.metadata,
        )
