"""A batch: what one transaction adds to a locked book, decided in order and written set-wise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from tael_ledger import chain, rows
from tael_ledger.books import Book
from tael_ledger.drafts import Draft, LineColumns
from tael_ledger.journal import Anchor, Receipt, RequestKey
from tael_ledger.line_buffer import LineBuffer, Lines, sums_by
from tael_ledger.registry import Guard, Registry
from tael_ledger.requests import Plan, PostingRequest, Refusal, Written, refusals_text
from tael_ledger.rows import AccountRow, BatchRow, EntryRow, RecordRow, RequestRow, array_text, days
from tael_runtime.errors import TaelError

SUMMED_AT = 1000
"""New lines of an account after which they are added up into account_day."""

HALF = 2**31
"""Makes a day, as the store counts it, positive: GL code and day share one integer."""

# Each account is found by one probe of the primary key and then by its place: a planner that does not
# know the table yet would else read the whole book. The book's lock keeps the places.
ADD_UP = text(
    """
WITH moved AS (
    UPDATE account SET
        debits_posted = debits_posted + move.debits,
        credits_posted = credits_posted + move.credits,
        lines_posted = lines_posted + move.lines
    FROM unnest(CAST(:ids AS bigint[]), CAST(:debits AS bigint[]), CAST(:credits AS bigint[]),
                CAST(:lines AS bigint[])) AS move (account_id, debits, credits, lines),
        LATERAL (SELECT kept.ctid AS place FROM account AS kept
                 WHERE kept.book_id = :book_id AND kept.account_id = move.account_id
                 LIMIT 1) AS found
    WHERE account.ctid = found.place
    RETURNING account.account_id, account.lines_posted - account.lines_summed AS new_lines
), controlled AS (
    INSERT INTO gl_day (book_id, gl_code, booking_date, value_date, closing, debits, credits, lines)
    SELECT :book_id, gl_code, :booking_date, :epoch + worth, :closing, debits, credits, lines
    FROM unnest(CAST(:codes AS text[]), CAST(:worth AS integer[]), CAST(:gl_debits AS bigint[]),
                CAST(:gl_credits AS bigint[]), CAST(:gl_lines AS bigint[]))
        AS total (gl_code, worth, debits, credits, lines)
    ON CONFLICT (book_id, gl_code, booking_date, value_date, closing) DO UPDATE SET
        debits = gl_day.debits + excluded.debits,
        credits = gl_day.credits + excluded.credits,
        lines = gl_day.lines + excluded.lines
)
SELECT count(*), array_agg(account_id) FILTER (WHERE new_lines >= :summed_at) FROM moved
"""
)
# The lines that account_day does not have yet, added up by day; then the account says how far it has.
SUM_DAYS = text(
    """
WITH due AS (
    SELECT account_id, summed_through FROM account
    WHERE book_id = :book_id AND account_id = ANY(CAST(:ids AS bigint[]))
), summed AS (
    INSERT INTO account_day (book_id, account_id, booking_date, value_date, debits, credits)
    SELECT :book_id, due.account_id, line.booking_date, line.value_date,
           sum(line.debit), sum(line.credit)
    FROM due JOIN line ON line.book_id = :book_id AND line.account_id = due.account_id
        AND line.sequence > due.summed_through
    GROUP BY due.account_id, line.booking_date, line.value_date
    ON CONFLICT (book_id, account_id, booking_date, value_date) DO UPDATE SET
        debits = account_day.debits + excluded.debits,
        credits = account_day.credits + excluded.credits
)
UPDATE account SET lines_summed = lines_posted, summed_through = :last_sequence
WHERE book_id = :book_id AND account_id = ANY(CAST(:ids AS bigint[]))
"""
)
HOLD = text(
    "UPDATE account SET debits_pending = debits_pending + hold.debits, "
    "credits_pending = credits_pending + hold.credits "
    "FROM unnest(CAST(:ids AS bigint[]), CAST(:debits AS bigint[]), CAST(:credits AS bigint[])) "
    "AS hold (account_id, debits, credits) "
    "WHERE account.book_id = :book_id AND account.account_id = hold.account_id"
)
LINK = text(
    """
WITH reversed AS (
    INSERT INTO reversal (book_id, origin, sequence)
    SELECT :book_id, origin, sequence
    FROM unnest(CAST(:origins AS bigint[]), CAST(:sequences AS bigint[])) AS red (origin, sequence)
), linked AS (
    INSERT INTO posting_batch (book_id, batch_number, booking_date, first_sequence, last_sequence,
        accounts, records, requests, entries, lines, committed_at, content_digest, digest)
    VALUES (:book_id, :batch_number, :booking_date, :first_sequence, :last_sequence,
        :accounts, :records, :requests, :entries, :lines, :committed_at, :content_digest, :digest)
)
UPDATE book SET accounts_opened = accounts_opened + :accounts,
    reservations_made = greatest(reservations_made, :reservation_id),
    last_batch = :batch_number, last_sequence = :last_sequence, digest = :digest
WHERE book_id = :book_id
"""
)


@dataclass(frozen=True)
class _Accepted:
    """A request that will be written."""

    request: PostingRequest
    plan: Plan
    drafts: Sequence[Draft]
    refusals: Sequence[Refusal]
    first_sequence: int


@dataclass(frozen=True)
class Made:
    """What a request came to: its receipt and, at its first time, its entries as drafts."""

    receipt: Receipt
    drafts: Sequence[Draft]


class Batch:
    """Requests accepted one by one, then written together."""

    def __init__(
        self, transaction: Connection, book: Book, registry: Registry, now: datetime
    ) -> None:
        """`now`: by the store's clock."""
        self._transaction = transaction
        self._now = now
        self._book = book
        self._registry = registry
        self._number = book.last_batch + 1
        self._last_sequence = book.last_sequence
        self._accepted: dict[RequestKey, _Accepted] = {}
        self._opened: list[AccountRow] = []
        self._guards: dict[int, Guard] = {}
        self._lines = LineBuffer()
        self._holds: list[tuple[int, int, int]] = []
        self._closing = False
        self.guards_changed = False

    def prepare(self, plans: Sequence[Plan]) -> None:
        """Reads what the plans may touch; what is not there is opened when it is used."""
        registry = self._registry
        registry.begin(self._transaction, self._book.last_batch)
        numbers = [number for plan in plans for number in _numbers(plan)]
        registry.meet(self._transaction, numbers)
        known = (registry.find(number) for number in numbers)
        guarded = registry.guarded(one for one in known if one is not None)
        self._guards = registry.guards(self._transaction, guarded)

    def add(self, request: PostingRequest, plan: Plan) -> None:
        """Accepts a plan; raises what the accounts refuse, and leaves all as it was.

        FailedPrecondition ACCOUNT_FROZEN, ACCOUNT_CLOSED or ACCOUNT_LIMIT.
        """
        drafts, refusals = plan.drafts, list(plan.refusals)
        if plan.places is not None:
            drafts = self._admit_each(plan.drafts, plan.places, refusals)
            refusals.sort()
        elif self._guards:
            self._admit(_moves(drafts, plan))
        for number in plan.opens:
            self._id(number)
        first = self._last_sequence + 1 if drafts else 0
        for draft in drafts:
            self._last_sequence += 1
            self._lines.add(self._last_sequence, draft, self._ids(draft))
        self._holds += [(self._id(number), debit, credit) for number, debit, credit in plan.holds]
        self._closing = plan.closing
        self.guards_changed |= plan.guards_changed
        self._accepted[request.key] = _Accepted(request, plan, drafts, refusals, first)

    def _admit_each(
        self, drafts: Sequence[Draft], places: Sequence[int], refusals: list[Refusal]
    ) -> Sequence[Draft]:
        """Those drafts that the accounts take, each on its own."""
        if not self._guards:
            return drafts
        taken = []
        for place, draft in zip(places, drafts, strict=True):
            try:
                self._admit(_moves([draft]))
            except TaelError as refusal:
                refusals.append(Refusal(place, refusal.reason.name, refusal.message))
            else:
                taken.append(draft)
        return taken

    def _admit(self, moves: Iterable[tuple[str, int, int, int]]) -> None:
        """Holds moves against the guarded accounts: all are counted in, or none and it is raised."""
        sums: dict[int, list[int]] = {}
        for number, net, debits_pending, credits_pending in moves:
            account_id = self._registry.find(number)
            if account_id is not None and account_id in self._guards:
                total = sums.setdefault(account_id, [0, 0, 0])
                total[0] += net
                total[1] += debits_pending
                total[2] += credits_pending
        for account_id, total in sums.items():
            self._guards[account_id].check(*total)
        for account_id, total in sums.items():
            self._guards[account_id].add(*total)

    def _ids(self, draft: Draft) -> list[int]:
        lines = draft.lines
        if isinstance(lines, LineColumns):
            numbers: Sequence[str] = lines.account_numbers
        else:
            numbers = [line.account_number for line in lines]
        return [
            account_id if account_id is not None else self._id(number)
            for number, account_id in zip(numbers, self._registry.ids(numbers), strict=True)
        ]

    def _id(self, number: str) -> int:
        """An account's id; opens it where it is new."""
        found = self._registry.find(number)
        if found is None:
            found = self._book.accounts_opened + len(self._opened) + 1
            self._opened.append(AccountRow(found, self._number, number))
            self._registry.open(number, found)
        return found

    def write(self) -> dict[RequestKey, Made]:
        """Writes all that was accepted, by request. Writes nothing where nothing was."""
        if not self._accepted:
            return {}
        book_id, transaction = self._book.book_id, self._transaction
        lines = self._lines.lines()
        accounts = rows.account_bytes(book_id, self._opened)
        records = [*self._records()]
        record_part = rows.record_bytes(book_id, records)
        requests = rows.request_bytes(book_id, self._requests())
        entries = rows.entry_bytes(book_id, self._entries())
        line_part = self._line_bytes(lines)
        rows.copy_in(transaction, rows.ACCOUNT, accounts)
        rows.copy_in(transaction, rows.RECORD, record_part)
        rows.copy_in(transaction, rows.REQUEST, requests)
        rows.copy_in(transaction, rows.ENTRY, entries)
        rows.copy_in(transaction, rows.LINE, line_part)
        self._add_up(lines)
        self._hold()
        head = self._head(len(records), len(lines.account_ids))
        content = chain.content_digest(
            (rows.batch_bytes(book_id, head), accounts, record_part, requests, entries, line_part)
        )
        digest = chain.link(self._book.digest, content)
        self._link(head, content, digest)
        self._show()
        anchor = Anchor(self._last_sequence, digest)
        return {key: _made(one, anchor) for key, one in self._accepted.items()}

    def _head(self, records: int, lines: int) -> BatchRow:
        return BatchRow(
            self._number,
            days(self._book.business_date),
            self._book.last_sequence + 1,
            self._last_sequence,
            len(self._opened),
            records,
            len(self._accepted),
            self._last_sequence - self._book.last_sequence,
            lines,
            rows.microseconds(self._now),
        )

    def _records(self) -> Iterable[RecordRow]:
        place = 0
        for one in self._accepted.values():
            for record in one.plan.records:
                place += 1
                content = record.text(one.first_sequence)
                yield RecordRow(self._number, place, record.kind, record.subject, content)

    def _requests(self) -> Iterable[RequestRow]:
        for place, (key, one) in enumerate(self._accepted.items(), 1):
            yield RequestRow(
                self._number,
                place,
                one.first_sequence,
                len(one.drafts),
                sum([draft.line_count for draft in one.drafts]),
                one.request.content_hash,
                key.rpc,
                key.caller,
                key.request_id,
                _outcome(one),
            )

    def _placed(self) -> Iterable[tuple[int, Draft]]:
        for one in self._accepted.values():
            yield from enumerate(one.drafts, one.first_sequence)

    def _entries(self) -> Iterable[EntryRow]:
        booked = days(self._book.business_date)
        for sequence, draft in self._placed():
            yield EntryRow(
                sequence,
                days(draft.value_date),
                booked,
                draft.rules_version,
                draft.reversal_of,
                draft.line_count,
                draft.event,
                draft.source,
                draft.narrative,
                draft.metadata,
            )

    def _line_bytes(self, lines: Lines) -> bytes:
        filled = rows.LINE.heads(self._book.book_id, len(lines.account_ids))
        filled["booking_date"] = days(self._book.business_date)
        filled["sequence"] = lines.sequences
        filled["line_number"] = lines.numbers
        filled["account_id"] = lines.account_ids
        filled["value_date"] = lines.value_dates
        filled["debit"] = lines.debits
        filled["credit"] = lines.credits
        filled["memo"] = self._registry.memo[self._registry.places(lines.account_ids)]
        return filled.tobytes()

    def _add_up(self, lines: Lines) -> None:
        """Totals of accounts and GL codes; that every account is found proves every line's."""
        if not len(lines.account_ids):
            return
        by_account = sums_by(lines.account_ids, lines.debits, lines.credits)
        places = self._registry.places(lines.account_ids).astype(np.int64)
        by_code = sums_by((places << 32) + lines.value_dates + HALF, lines.debits, lines.credits)
        found, due = self._transaction.execute(
            ADD_UP,
            {
                "book_id": self._book.book_id,
                "booking_date": self._book.business_date,
                "epoch": rows.EPOCH,
                "closing": self._closing,
                "summed_at": SUMMED_AT,
                "ids": array_text(by_account.keys),
                "debits": array_text(by_account.debits),
                "credits": array_text(by_account.credits),
                "lines": array_text(by_account.counts),
                "codes": [self._registry.codes[key >> 32] for key in by_code.keys.tolist()],
                "worth": array_text((by_code.keys & 0xFFFFFFFF) - HALF),
                "gl_debits": array_text(by_code.debits),
                "gl_credits": array_text(by_code.credits),
                "gl_lines": array_text(by_code.counts),
            },
        ).one()
        assert found == len(by_account.keys), f"{len(by_account.keys)} accounts, {found} found"
        if due:
            last = {"book_id": self._book.book_id, "last_sequence": self._last_sequence}
            self._transaction.execute(SUM_DAYS, {**last, "ids": array_text(due)})

    def _hold(self) -> None:
        if not self._holds:
            return
        ids, debits, credits_ = (
            np.array(one, dtype=np.int64) for one in zip(*self._holds, strict=True)
        )
        held = sums_by(ids, debits, credits_)
        self._transaction.execute(
            HOLD,
            {
                "book_id": self._book.book_id,
                "ids": array_text(held.keys),
                "debits": array_text(held.debits),
                "credits": array_text(held.credits),
            },
        )

    def _link(self, head: BatchRow, content: bytes, digest: bytes) -> None:
        red = [(sequence, draft.reversal_of) for sequence, draft in self._placed()]
        red = [pair for pair in red if pair[1]]
        values: dict[str, Any] = head._asdict()
        plans = [one.plan for one in self._accepted.values()]
        self._transaction.execute(
            LINK,
            {
                **values,
                "book_id": self._book.book_id,
                "booking_date": self._book.business_date,
                "committed_at": self._now,
                "content_digest": content,
                "digest": digest,
                "reservation_id": max(plan.reservation_id for plan in plans),
                "origins": array_text([origin for _, origin in red]),
                "sequences": array_text([sequence for sequence, _ in red]),
            },
        )

    def _show(self) -> None:
        """The tables that show what the records say."""
        for one in self._accepted.values():
            if one.plan.then is not None:
                place = Written(self._number, one.first_sequence, self._last_sequence)
                one.plan.then(self._transaction, place)


def _numbers(plan: Plan) -> Iterable[str]:
    for draft in plan.drafts:
        lines = draft.lines
        if isinstance(lines, LineColumns):
            yield from lines.account_numbers
        else:
            yield from [line.account_number for line in lines]
    yield from (hold.account_number for hold in plan.holds)
    yield from plan.opens


def _moves(
    drafts: Sequence[Draft], plan: Plan | None = None
) -> Iterable[tuple[str, int, int, int]]:
    """(account number, debits less credits, debits pending, credits pending)."""
    for draft in drafts:
        lines = draft.lines
        if isinstance(lines, LineColumns):
            nets = (lines.debits - lines.credits).tolist()
            yield from (
                (number, net, 0, 0) for number, net in zip(lines.account_numbers, nets, strict=True)
            )
        else:
            yield from ((number, debit - credit, 0, 0) for number, debit, credit in lines)
    for number, debit, credit in plan.holds if plan else ():
        yield number, 0, debit, credit


def _outcome(one: _Accepted) -> str:
    if not one.refusals:
        return one.plan.outcome
    return refusals_text(one.refusals)


def _made(one: _Accepted, anchor: Anchor) -> Made:
    entries = len(one.drafts)
    lines = sum([draft.line_count for draft in one.drafts])
    return Made(Receipt(one.first_sequence, entries, lines, anchor, _outcome(one)), one.drafts)
