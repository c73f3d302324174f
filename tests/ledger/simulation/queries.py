"""Random questions to the ledger, each answered by the oracle too. Nobody posts meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any

from google.protobuf.message import Message
from ledger.simulation import closing, exports, posting_requests, readings
from ledger.simulation.accounts import account_message
from ledger.simulation.callers import Callers, ask_until_answered, insist
from ledger.simulation.draws import CASH, HOT_INCOME, WALLETS, World
from ledger.simulation.operations import bare, brief
from ledger.simulation.posting import preview_events
from ledger.simulation.readings import EVER, ONE_DAY
from ledger.simulation.reservations import reservation_message
from ledger.simulation.rule_versions import version_message
from ledger.simulation.state import Account, Entry

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_client.values import from_date, to_date

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
    expected = readings.balances(world.state, numbers, booked_by, worth_by)
    same(answer, pb.GetBalancesResponse(balances=expected), request)


def trial_balance(world: World, callers: Callers) -> None:
    """TrialBalance, now or as of a day."""
    request = ac.TrialBalanceRequest(book_id=world.book_id)
    booked_by = worth_by = EVER
    if world.chance(0.5):
        booked_by = world.past_day()
        request.booking_date.CopyFrom(from_date(booked_by))
    if world.chance(0.4):
        worth_by = world.past_day()
        request.value_date.CopyFrom(from_date(worth_by))
    answer = insist(lambda: callers.accounting.TrialBalance(request))
    same(answer, readings.trial_balance(world.state, booked_by, worth_by), request)


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
    if world.chance(0.3):
        number = world.account_number()
        request.account_number = number
        tests.append(lambda entry: any(line.number == number for line in entry.lines))
    if world.chance(0.2):
        facts = dict(some.metadata) or {"channel": "app"}
        request.metadata.update(facts)
        tests.append(lambda entry: facts.items() <= entry.metadata.items())
    answers = pages(callers.ledger.ListEntries, request)
    found = [entry for answer in answers for entry in answer.entries]
    expected = [
        world.state.entry_message(entry, now=True)
        for entry in held
        if all(test(entry) for test in tests)
    ]
    same(pb.ListEntriesResponse(entries=found), pb.ListEntriesResponse(entries=expected), request)


def one_entry(world: World, callers: Callers) -> None:
    """GetEntry of any, or of one that is not there yet."""
    held = world.state.entries
    sequence = world.dice.randint(1, len(held) + 1)
    request = pb.GetEntryRequest(book_id=world.book_id, sequence=sequence)
    heard = ask_until_answered(lambda: callers.ledger.GetEntry(request))
    if sequence in held:
        assert not isinstance(heard, str), (brief(request), heard)
        told = world.state.entry_message(held[sequence], now=True)
        rpc, caller, request_id = world.state.posted_by[sequence]
        posted = pb.Posting(rpc=rpc, caller=caller, request_id=request_id)
        same(heard, pb.GetEntryResponse(entry=told, posting=posted), request)
    else:
        assert heard == "RESOURCE_NOT_FOUND", (brief(request), brief(heard))


def preview(world: World, callers: Callers) -> None:
    """PreviewEvents: what RecordEvents would post, or why it would not."""
    events = [posting_requests.event(world) for _ in range(world.dice.choice((1, 1, 2, 4)))]
    request = pb.PreviewEventsRequest(book_id=world.book_id, events=events)
    heard = ask_until_answered(lambda: callers.ledger.PreviewEvents(request))
    foretold = preview_events(world.state, request)
    if isinstance(foretold, set):
        assert isinstance(heard, str), (brief(request), brief(heard), foretold)
        assert heard in foretold, (brief(request), heard, foretold)
    else:
        assert not isinstance(heard, str), (brief(request), heard)
        same(heard, pb.PreviewEventsResponse(entries=foretold), request)


def statement(world: World, callers: Callers) -> None:
    """ListLines, page by page, of some days or of all."""
    number = world.account_number()
    request = pb.ListLinesRequest(
        book_id=world.book_id, account_number=number, page_size=world.dice.choice((0, 7, 1000))
    )
    first, last = date.min, EVER
    if world.chance(0.4):
        first = world.past_day()
        request.from_booking_date.CopyFrom(from_date(first))
    if world.chance(0.4):
        last = world.past_day()
        request.to_booking_date.CopyFrom(from_date(last))
    expected = [
        line
        for line in readings.statements(world.state, [number])[number]
        if first <= to_date(line.booking_date) <= last
    ]
    opening = 0
    if first > date.min:
        opening = readings.balances(world.state, [number], first - ONE_DAY)[0].balance
    found: list[pb.StatementLine] = []
    for answer in pages(callers.ledger.ListLines, request):
        before = found[-1].balance_after if found else opening
        assert answer.opening_balance == before, (brief(request), answer.opening_balance, before)
        found += answer.lines
    same(pb.ListLinesResponse(lines=found), pb.ListLinesResponse(lines=expected), request)


def prove(world: World, callers: Callers) -> None:
    """Prove, whose summary counts what the oracle counts."""
    summary = prove_against(callers, pr.ProveRequest(book_id=world.book_id))
    state = world.state
    held = (
        len(state.entries),
        sum(len(entry.lines) for entry in state.entries.values()),
        len(state.accounts),
    )
    assert (summary.entries, summary.lines, summary.accounts) == held, (brief(summary), held)


def prove_against(callers: Callers, request: pr.ProveRequest) -> pr.ProofSummary:
    """The summary of a proof that found nothing."""
    parts = insist(lambda: list(callers.proof.Prove(request)))
    found = [brief(part.finding) for part in parts if part.HasField("finding")]
    assert not found, (brief(request), found)
    return parts[-1].summary


def reports(world: World, callers: Callers) -> None:
    """General ledger, balance sheet, income statement, daily summary, periods."""
    first, last = sorted((world.past_day(), world.past_day()))
    book_id, state, accounting = world.book_id, world.state, callers.accounting
    days = {"from_booking_date": from_date(first), "to_booking_date": from_date(last)}
    gl_code = world.dice.choice(("", "1303.", "6011.", CASH, HOT_INCOME))
    since = max(first, last - timedelta(days=366))  # as far as one answer goes
    ledger = ac.GeneralLedgerRequest(
        book_id=book_id,
        gl_code=gl_code,
        from_booking_date=from_date(since),
        to_booking_date=from_date(last),
    )
    sheet = ac.BalanceSheetRequest(book_id=book_id)
    if world.chance(0.7):
        sheet.booking_date.CopyFrom(from_date(last))
    income = ac.IncomeStatementRequest(book_id=book_id, **days)
    summary = ac.DailySummaryRequest(book_id=book_id, booking_date=from_date(last))
    periods = ac.GetPeriodsRequest(book_id=book_id)
    until = last if sheet.HasField("booking_date") else EVER
    asked: list[tuple[Callable[[Any], Message], Message, Message]] = [
        (
            accounting.GeneralLedger,
            ledger,
            readings.general_ledger(state, gl_code, since, last),
        ),
        (accounting.BalanceSheet, sheet, readings.balance_sheet(state, until)),
        (accounting.IncomeStatement, income, readings.income_statement(state, first, last)),
        (accounting.DailySummary, summary, readings.daily_summary(state, last)),
        (accounting.GetPeriods, periods, ac.GetPeriodsResponse(periods=closing.periods(state))),
    ]
    for rpc, request, expected in asked:
        same(insist(partial(rpc, request)), expected, request)


def accounts(world: World, callers: Callers) -> None:
    """GetAccount of one, ListAccounts of a code or an owner."""
    state, dice = world.state, world.dice
    number = world.account_number()
    one = pb.GetAccountRequest(book_id=world.book_id, account_number=number)
    heard = ask_until_answered(lambda: callers.ledger.GetAccount(one))
    if number in state.accounts:
        assert not isinstance(heard, str), (brief(one), heard)
        held = account_message(state, state.accounts[number])
        same(heard, pb.GetAccountResponse(account=held), one)
    else:
        assert heard == "RESOURCE_NOT_FOUND", (brief(one), heard)
    request = pb.ListAccountsRequest(book_id=world.book_id, page_size=dice.choice((0, 5, 1000)))
    if world.chance(0.6):
        request.gl_code = dice.choice(("1303.", "2241.", number.split(":", maxsplit=1)[0]))
    if world.chance(0.5):
        request.owner_type, request.owner_id = "LOAN", world.owner_id("LOAN")
    found = [
        one for answer in pages(callers.ledger.ListAccounts, request) for one in answer.accounts
    ]
    expected = [
        account_message(state, account)
        for number, account in sorted(state.accounts.items())
        if _is_asked_for(account, request)
    ]
    same(
        pb.ListAccountsResponse(accounts=found), pb.ListAccountsResponse(accounts=expected), request
    )


def _is_asked_for(account: Account, request: pb.ListAccountsRequest) -> bool:
    suffix = f":{request.owner_type}:{request.owner_id}" if request.owner_id else ""
    code = request.gl_code
    fits = not code or account.gl_code == code
    return (fits or (code.endswith(".") and account.gl_code.startswith(code))) and (
        account.number.endswith(suffix)
    )


def reservations(world: World, callers: Callers) -> None:
    """GetReservation of one, ListReservations of an account or in a state."""
    state, dice = world.state, world.dice
    held = list(state.reservations.values())
    if held:
        one = dice.choice(held)
        get = pb.GetReservationRequest(book_id=world.book_id, reservation_id=one.reservation_id)
        answer = insist(lambda: callers.ledger.GetReservation(get))
        same(answer, pb.GetReservationResponse(reservation=reservation_message(one)), get)
    request = pb.ListReservationsRequest(
        book_id=world.book_id,
        account_number=dice.choice(("", *WALLETS)),
        state=pb.ReservationState.ValueType(dice.randint(0, 4)),
        page_size=dice.choice((0, 4, 1000)),
    )
    answers = pages(callers.ledger.ListReservations, request)
    found = [one for answer in answers for one in answer.reservations]
    expected = [
        reservation_message(one)
        for one in held
        if request.state in (0, one.state)
        and request.account_number in ("", *(line.number for line in one.lines))
    ]
    same(
        pb.ListReservationsResponse(reservations=found),
        pb.ListReservationsResponse(reservations=expected),
        request,
    )


def watch(world: World, callers: Callers) -> None:
    """WatchEntries from a random sequence on, perhaps of one event only."""
    held = list(world.state.entries.values())
    after = world.dice.randint(0, len(held))
    request = pb.WatchEntriesRequest(book_id=world.book_id, after_sequence=after)
    if held and world.chance(0.4):
        request.event = world.dice.choice(held).event
    expected = [entry for entry in held[after:] if request.event in ("", entry.event)]
    if not expected:
        return

    def first_of_them() -> list[pb.WatchEntriesResponse]:
        stream = callers.ledger.WatchEntries(request)
        found = list(islice(stream, len(expected)))
        stream.cancel()
        return found

    found = insist(first_of_them)
    assert [part.lines for part in found] == [len(entry.lines) for entry in expected]
    same(
        pb.ListEntriesResponse(entries=[part.entry for part in found]),
        pb.ListEntriesResponse(
            entries=[world.state.entry_message(entry, now=True) for entry in expected]
        ),
        request,
    )


def verify(world: World, callers: Callers) -> None:
    """VerifyEntry of any entry against the head."""
    if world.state.entries:
        head = insist(lambda: callers.proof.GetHead(pr.GetHeadRequest(book_id=world.book_id))).head
        verify_against(world, callers, pb.Anchor(sequence=head.sequence, digest=head.digest))


def verify_against(world: World, callers: Callers, anchor: pb.Anchor) -> None:
    """Some entry is in the chain that ends in an anchor: the digests given lead there by SHA-256."""
    request = pr.VerifyEntryRequest(
        book_id=world.book_id, sequence=world.dice.randint(1, anchor.sequence), anchor=anchor
    )
    answer = insist(lambda: callers.proof.VerifyEntry(request))
    assert answer.included, (brief(request), answer.message)
    digest = answer.previous_digest
    for content in (answer.content_digest, *answer.later_content_digests):
        digest = sha256(digest + content).digest()
    assert digest == answer.anchor.digest == anchor.digest, (brief(request), brief(answer))


def books(world: World, callers: Callers) -> None:
    """GetBook; ListBooks, which has it among others, by book_id."""
    held = pb.Book()
    held.CopyFrom(world.state.book)
    held.business_date.CopyFrom(from_date(world.state.business_date))
    one = pb.GetBookRequest(book_id=world.book_id)
    same(insist(lambda: callers.ledger.GetBook(one)), pb.GetBookResponse(book=held), one)
    request = pb.ListBooksRequest(page_size=world.dice.choice((0, 3, 500)))
    found = [book for answer in pages(callers.ledger.ListBooks, request) for book in answer.books]
    ids = [book.book_id for book in found]
    assert ids == sorted(set(ids)), ids
    assert held in found, (world.book_id, ids)


def rules(world: World, callers: Callers) -> None:
    """The versions of the posting rules, and the one in force."""
    state = world.state
    ask_all = ac.ListPostingRuleVersionsRequest(book_id=world.book_id)
    versions = [version_message(state.rules[number]) for number in sorted(state.rules)[::-1]]
    same(
        insist(lambda: callers.accounting.ListPostingRuleVersions(ask_all)),
        ac.ListPostingRuleVersionsResponse(versions=versions),
        ask_all,
    )
    request = ac.GetPostingRulesRequest(book_id=world.book_id)
    answer = insist(lambda: callers.accounting.GetPostingRules(request))
    held = state.rules_in_force()
    same(answer.version, version_message(held), request)
    assert len(answer.rules) == len(held.rules), brief(answer.version)


def glance(world: World, callers: Callers) -> None:
    """While others post: whatever is seen balances."""
    request = ac.TrialBalanceRequest(book_id=world.book_id)
    answer = insist(lambda: callers.accounting.TrialBalance(request))
    assert answer.total_debits == answer.total_credits, brief(answer)


QUERIES: list[tuple[int, Query]] = [
    (4, balances),
    (3, trial_balance),
    (3, entries),
    (1, one_entry),
    (3, preview),
    (3, statement),
    (3, reports),
    (3, accounts),
    (2, reservations),
    (1, rules),
    (1, books),
    (1, exports.journal),
    (1, watch),
    (1, verify),
    (1, prove),
]
"""Weights and kinds of questions."""


def ask(world: World, callers: Callers) -> None:
    """One question."""
    kinds = [query for _, query in QUERIES]
    chosen: Query = world.dice.choices(kinds, [weight for weight, _ in QUERIES])[0]
    chosen(world, callers)
