"""Random questions to the ledger, each answered by the oracle too. Nobody posts meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from google.protobuf.message import Message
from ledger.simulation import readings
from ledger.simulation.callers import Callers, insist
from ledger.simulation.draws import World
from ledger.simulation.operations import bare, brief
from ledger.simulation.readings import EVER
from ledger.simulation.state import Entry

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_client.values import from_date

Query = Callable[[World, Callers], None]


def same(found: Message, expected: Message, request: Message) -> None:
    """Raises AssertionError where they differ."""
    if bare(found) != bare(expected):
        raise AssertionError(
            f"{type(request).__name__}: {brief(request)}\n  found    {brief(bare(found))}\n"
            f"  expected {brief(bare(expected))}"
        )


def pages(ask: Callable[[Any], Any], request: Any) -> list[Any]:
    """Every page's answer."""
    answers = []
    while True:
        answers.append(insist(lambda: ask(request)))
        if not answers[-1].next_page_token:
            return answers
        request.page_token = answers[-1].next_page_token


def balances(world: World, callers: Callers) -> None:
    """GetBalances, now or as of a day."""
    numbers = sorted({world.account_number() for _ in range(world.dice.randint(1, 20))})
    request = pb.GetBalancesRequest(book_id=world.book_id, account_numbers=numbers)
    booked_by = worth_by = EVER
    kind = world.dice.choice(("now", "booked", "worth"))
    if kind == "booked":
        booked_by = world.past_day()
        request.booking_date.CopyFrom(from_date(booked_by))
    elif kind == "worth":
        worth_by = world.past_day()
        request.value_date.CopyFrom(from_date(worth_by))
    answer = insist(lambda: callers.ledger.GetBalances(request))
    expected = [readings.balance(world.state, number, booked_by, worth_by) for number in numbers]
    same(answer, pb.GetBalancesResponse(balances=expected), request)


def trial_balance(world: World, callers: Callers) -> None:
    """TrialBalance, now or as of a day."""
    request = ac.TrialBalanceRequest(book_id=world.book_id)
    booked_by = EVER
    if world.chance(0.6):
        booked_by = world.past_day()
        request.booking_date.CopyFrom(from_date(booked_by))
    answer = insist(lambda: callers.accounting.TrialBalance(request))
    same(answer, readings.trial_balance(world.state, booked_by), request)


def entries(world: World, callers: Callers) -> None:
    """ListEntries by any filters."""
    dice = world.dice
    request = pb.ListEntriesRequest(book_id=world.book_id, page_size=dice.choice((0, 7, 1000)))
    tests: list[Callable[[Entry], bool]] = []
    held = list(world.state.entries.values())
    some = dice.choice(held) if held else Entry("NONE", date.min, ())
    if world.chance(0.3):
        request.event = some.event
        tests.append(lambda entry: entry.event == some.event)
    if world.chance(0.3) and some.source:
        prefix = some.source[: dice.randint(1, 12)]
        request.source_prefix = prefix
        tests.append(lambda entry: entry.source.startswith(prefix))
    if world.chance(0.3):
        owner = pb.Owner(owner_type="LOAN", owner_id=world.owner_id("LOAN"))
        request.owner.CopyFrom(owner)
        suffix = f":{owner.owner_type}:{owner.owner_id}"
        tests.append(lambda entry: any(line.number.endswith(suffix) for line in entry.lines))
    if world.chance(0.3):
        first = world.past_day()
        request.from_booking_date.CopyFrom(from_date(first))
        tests.append(lambda entry: entry.booking_date >= first)
    if world.chance(0.3):
        last = world.past_day()
        request.to_booking_date.CopyFrom(from_date(last))
        tests.append(lambda entry: entry.booking_date <= last)
    answers = pages(callers.ledger.ListEntries, request)
    found = [entry for answer in answers for entry in answer.entries]
    expected = [
        world.state.entry_message(entry, now=True)
        for entry in held
        if all(test(entry) for test in tests)
    ]
    same(pb.ListEntriesResponse(entries=found), pb.ListEntriesResponse(entries=expected), request)


def statement(world: World, callers: Callers) -> None:
    """ListLines, page by page."""
    number = world.account_number()
    request = pb.ListLinesRequest(
        book_id=world.book_id, account_number=number, page_size=world.dice.choice((0, 3, 1000))
    )
    answers = pages(callers.ledger.ListLines, request)
    found = [line for answer in answers for line in answer.lines]
    expected = readings.statement(world.state, number)
    same(pb.ListLinesResponse(lines=found), pb.ListLinesResponse(lines=expected), request)


def prove(world: World, callers: Callers) -> None:
    """Prove, whose summary counts what the oracle counts."""
    request = pr.ProveRequest(book_id=world.book_id)
    parts = insist(lambda: list(callers.proof.Prove(request)))
    found = [brief(part.finding) for part in parts if part.HasField("finding")]
    assert not found, found
    summary = parts[-1].summary
    state = world.state
    held = (
        len(state.entries),
        sum(len(entry.lines) for entry in state.entries.values()),
        len(state.accounts),
    )
    assert (summary.entries, summary.lines, summary.accounts) == held, (brief(summary), held)


QUERIES: list[tuple[int, Query]] = [
    (4, balances),
    (2, trial_balance),
    (3, entries),
    (3, statement),
    (1, prove),
]
"""Weights and kinds of questions."""


def ask(world: World, callers: Callers) -> None:
    """One question."""
    kinds = [query for _, query in QUERIES]
    chosen: Query = world.dice.choices(kinds, [weight for weight, _ in QUERIES])[0]
    chosen(world, callers)
