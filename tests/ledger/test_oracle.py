"""Random days at the ledger against an oracle that knows only the published rules and sums."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from ledger.ledger_case import FIRST_DAY, LedgerUnderTest

from support import rid
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date, to_date

Move = tuple[str, int]
"""(account number, debits less credits)."""
Rules = dict[tuple[str, str, int, int], list[ac.RulePosting]]
"""By event, amount type, accrual status and lender type."""


@dataclass
class Oracle:
    """Every move with its dates; balances by adding up."""

    rules: Rules
    moves: list[tuple[date, date, Move]] = field(default_factory=list)
    """(booking date, value date, move)."""

    def of(self, event: pb.BusinessEvent) -> list[Move]:
        """What an event moves: the bank's rule where there is one, else the rule for anyone."""
        moves = []
        owners = {owner.owner_type: owner.owner_id for owner in event.owners}
        for amount in event.amounts:
            key = (event.event, amount.amount_type, event.accrual_status)
            postings = self.rules.get((*key, pb.LENDER_TYPE_BANK)) or self.rules[*key, 0]
            for posting in postings:
                for account, sign in ((posting.debit, 1), (posting.credit, -1)):
                    owner = account.owner_type
                    number = f"{account.gl_code}:{owner}:{owners[owner]}" if owner else ""
                    moves.append((number or account.gl_code, sign * amount.minor_units))
        return moves

    def balances(self, booked_by: date, worth_by: date) -> dict[str, int]:
        """Debits less credits by account; zeros left out."""
        found: dict[str, int] = defaultdict(int)
        for booking_date, value_date, (number, amount) in self.moves:
            if booking_date <= booked_by and value_date <= worth_by:
                found[number] += amount
        return {number: amount for number, amount in found.items() if amount}


def balances(book: LedgerUnderTest, numbers: list[str], **as_of: object) -> dict[str, int]:
    """The ledger's debits less credits; zeros left out."""
    answer = book.ledger.GetBalances(
        pb.GetBalancesRequest(book_id=book.book_id, account_numbers=numbers, **as_of)
    )
    found = {b.account_number: b.debits_posted - b.credits_posted for b in answer.balances}
    return {number: amount for number, amount in found.items() if amount}


@pytest.mark.parametrize("seed", [1, 2])
def test_random_days_end_where_the_oracle_ends(
    new_book: Callable[..., LedgerUnderTest], seed: int
) -> None:
    chance = random.Random(seed)
    book = new_book(vat_mode=pb.VAT_MODE_SPLIT)
    published = book.accounting.GetPostingRules(ac.GetPostingRulesRequest(book_id=book.book_id))
    rules = {
        (r.event, r.amount_type, int(r.accrual_status), int(r.lender_type)): list(r.postings)
        for r in published.rules
    }
    oracle = Oracle(rules)
    today = date.fromisoformat(FIRST_DAY)
    posted: list[tuple[pb.Entry, date]] = []
    for _ in range(120):
        what = chance.random()
        if what < 0.05:
            book.close_day(str(today))
            today += timedelta(days=1)
        elif what < 0.15 and posted:
            _reverse(book, oracle, posted.pop(chance.randrange(len(posted))), today)
        else:
            events = [_event(chance, rules, today) for _ in range(chance.randint(1, 4))]
            request_id = rid()
            answer = book.record(*events, request_id=request_id)
            if chance.random() < 0.2:
                assert book.record(*events, request_id=request_id) == answer
            posted += [(entry, to_date(entry.value_date)) for entry in answer.entries]
            for event in events:
                value_date = to_date(event.value_date)
                oracle.moves += [(today, value_date, move) for move in oracle.of(event)]
    numbers = sorted({move[0] for _, _, move in oracle.moves})
    assert balances(book, numbers) == oracle.balances(today, today)
    for days in (1, 3, 10):
        then = today - timedelta(days=days)
        booked = balances(book, numbers, booking_date=from_date(then))
        worth = balances(book, numbers, value_date=from_date(then))
        assert booked == oracle.balances(then, then)
        assert worth == oracle.balances(today, then)
    assert book.findings() == []


def _event(chance: random.Random, rules: Rules, today: date) -> pb.BusinessEvent:
    keys = sorted({key[:3] for key in rules})
    event, _, status = chance.choice(keys)
    types = [key[1] for key in keys if (key[0], key[2]) == (event, status)]
    chosen = chance.sample(types, chance.randint(1, len(types)))
    pairs = [pair for key, postings in rules.items() if key[0] == event for pair in postings]
    owners = {account.owner_type for pair in pairs for account in (pair.debit, pair.credit)} - {""}
    return pb.BusinessEvent(
        event=event,
        value_date=from_date(today - timedelta(days=chance.randint(0, 5))),
        accrual_status=pb.AccrualStatus.ValueType(status),
        owners=[
            pb.Owner(owner_type=owner, owner_id=f"{owner}-{chance.randint(1, 5)}")
            for owner in sorted(owners)
        ],
        amounts=[
            pb.EventAmount(amount_type=t, minor_units=chance.randint(-500, 100_000)) for t in chosen
        ],
    )


def _reverse(
    book: LedgerUnderTest, oracle: Oracle, origin: tuple[pb.Entry, date], today: date
) -> None:
    entry, value_date = origin
    book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(
            request_id=rid(), book_id=book.book_id, sequence=entry.sequence, reason="drawn"
        )
    )
    for line in entry.lines:
        amount = -line.amount if line.side == pb.SIDE_DEBIT else line.amount
        oracle.moves.append((today, value_date, (line.account_number, amount)))
