"""A batch: what one transaction adds to a locked book, decided in order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tael_ledger import guards
from tael_ledger.books import Book
from tael_ledger.drafts import Draft, LineColumns
from tael_ledger.entry_columns import Drafts, EntryColumns
from tael_ledger.guards import Guard, Move
from tael_ledger.journal import RequestKey
from tael_ledger.line_buffer import LineBuffer
from tael_ledger.registry import Registry
from tael_ledger.requests import Plan, PostingRequest, Refusal
from tael_ledger.rows import AccountRow
from tael_runtime.errors import TaelError


@dataclass(frozen=True)
class Accepted:
    """A request that will be written."""

    request: PostingRequest
    plan: Plan
    drafts: Drafts
    refusals: Sequence[Refusal]
    first_sequence: int


@dataclass
class Decided:
    """What a batch writes, in order of acceptance."""

    accepted: dict[RequestKey, Accepted] = field(default_factory=dict)
    opened: list[AccountRow] = field(default_factory=list)
    """By id, without a gap from the book's next one on."""
    lines: LineBuffer = field(default_factory=LineBuffer)
    holds: list[tuple[int, int, int]] = field(default_factory=list)
    """(account id, debits pending, credits pending)."""
    closing: bool = False

    @property
    def guards_changed(self) -> bool:
        """Limits or states of accounts are changed."""
        return any(one.plan.guards_changed for one in self.accepted.values())

    def reversals(self) -> list[tuple[int, int]]:
        """(sequence of the entry that is reversed, sequence of what reverses it)."""
        return [
            (draft.reversal_of, sequence)
            for one in self.accepted.values()
            if not isinstance(one.drafts, EntryColumns)
            for sequence, draft in enumerate(one.drafts, one.first_sequence)
            if draft.reversal_of
        ]


class Batch:
    """Requests accepted one by one, for one transaction."""

    def __init__(self, transaction: Connection, book: Book, registry: Registry) -> None:
        self.decided = Decided()
        self._transaction = transaction
        self._book = book
        self._registry = registry
        self._number = book.last_batch + 1
        self._last_sequence = book.last_sequence
        self._guards: Mapping[str, Guard] = {}

    def prepare(self, plans: Sequence[Plan]) -> None:
        """Reads what the plans may touch; what is not there is opened when it is used."""
        numbers = [number for plan in plans for number in _numbers(plan)]
        self._registry.meet(self._transaction, numbers)
        guarded = self._registry.guarded(numbers)
        self._guards = guards.read(self._transaction, self._book.book_id, guarded)

    def add(self, request: PostingRequest, plan: Plan) -> None:
        """Accepts a plan; raises what the accounts refuse, and leaves all as it was.

        FailedPrecondition ACCOUNT_FROZEN, ACCOUNT_CLOSED or ACCOUNT_LIMIT.
        """
        decided = self.decided
        drafts, refusals = plan.drafts, list(plan.refusals)
        if plan.places is not None:
            drafts = self._admit_each(plan.drafts, plan.places, refusals)
            refusals.sort()
        elif self._guards:
            guards.admit(self._guards, _moves(plan), closing=plan.closing)
        for number in plan.opens:
            self._id(number)
        first = self._last_sequence + 1 if drafts else 0
        self._place(drafts)
        decided.holds += [(self._id(number), debit, credit) for number, debit, credit in plan.holds]
        decided.closing = plan.closing
        decided.accepted[request.key] = Accepted(request, plan, drafts, refusals, first)

    def _place(self, drafts: Drafts) -> None:
        """Gives the entries the next sequences, and gathers their lines."""
        lines = self.decided.lines
        if isinstance(drafts, EntryColumns):
            ids = self._ids(drafts.lines.account_numbers)
            lines.add_columns(self._last_sequence + 1, drafts, ids)
        else:
            for sequence, draft in enumerate(drafts, self._last_sequence + 1):
                lines.add(sequence, draft, self._ids(_draft_numbers(draft)))
        self._last_sequence += len(drafts)

    def _admit_each(self, drafts: Drafts, places: Sequence[int], refusals: list[Refusal]) -> Drafts:
        """Those drafts that the accounts take, each on its own."""
        if not self._guards:
            return drafts
        taken = []
        for place, draft in zip(places, drafts, strict=True):
            try:
                guards.admit(self._guards, guards.moves_of([draft]))
            except TaelError as refusal:
                refusals.append(Refusal(place, refusal.reason.name, refusal.message))
            else:
                taken.append(draft)
        return taken

    def _ids(self, numbers: Sequence[str]) -> list[int]:
        return [
            account_id if account_id is not None else self._id(number)
            for number, account_id in zip(numbers, self._registry.ids(numbers), strict=True)
        ]

    def _id(self, number: str) -> int:
        """An account's id; opens it where it is new."""
        found = self._registry.find(number)
        if found is None:
            opened = self.decided.opened
            found = self._book.accounts_opened + len(opened) + 1
            opened.append(AccountRow(found, self._number, number))
            self._registry.open(number, found)
        return found


def _draft_numbers(draft: Draft) -> Sequence[str]:
    lines = draft.lines
    if isinstance(lines, LineColumns):
        return lines.account_numbers
    return [line.account_number for line in lines]


def _numbers(plan: Plan) -> Iterable[str]:
    if isinstance(plan.drafts, EntryColumns):
        yield from plan.drafts.lines.account_numbers
    else:
        for draft in plan.drafts:
            yield from _draft_numbers(draft)
    yield from (hold.account_number for hold in plan.holds)
    yield from plan.opens


def _moves(plan: Plan) -> Iterator[Move]:
    yield from guards.moves_of(plan.drafts)
    for hold in plan.holds:
        yield hold.account_number, 0, 0, hold.debit, hold.credit
