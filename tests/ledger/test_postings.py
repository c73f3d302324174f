"""Entries on named accounts: alone or together, in columns, as opening balances; each exactly once."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest, lines
from ledger.posting_case import (
    CASH,
    WALLET,
    Columns,
    account,
    commit,
    cr,
    create,
    dr,
    entry,
    get,
    import_balances,
    new_account,
    pay_in,
    pay_out,
    post,
    post_columns,
    refused,
    reserve,
    reverse,
    turn,
)
from ledger.test_concurrency import together

from support import House, day, refusal, violations
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import ledger_pb2_grpc

MOST = 900_000_000_000_000
"""The contract's bound of one amount."""


def test_an_entry_on_named_accounts_reads_back_as_it_was_posted(book: LedgerUnderTest) -> None:
    wanted = pay_in(5, source="desk/7", narrative="注资", metadata={"branch": "b1", "app": "x"})
    answer = post(book, wanted)
    assert list(answer.sequences) == [1]
    found = get(book, 1)
    assert lines(found) == {CASH: ("Dr", 5), WALLET: ("Cr", 5)}
    assert (found.source, found.narrative, found.rules_version) == ("desk/7", "注资", 0)
    assert dict(found.metadata) == {"branch": "b1", "app": "x"}
    assert book.findings() == []


def test_an_entry_tells_which_request_posted_it(book: LedgerUnderTest) -> None:
    pairs = together(8, lambda n: post(book, pay_in(1), pay_in(2), request_id=f"pair-{n}"))
    red = reverse(book, 5, pb.REVERSAL_KIND_RED_INK).entry
    told = {}
    for sequence in range(1, red.sequence + 1):
        asked = pb.GetEntryRequest(book_id=book.book_id, sequence=sequence)
        told[sequence] = book.ledger.GetEntry(asked).posting
    for n, answer in enumerate(pairs):
        for sequence in answer.sequences:
            posting = told[sequence]
            assert (posting.rpc, posting.caller) == ("PostEntries", "system")
            assert posting.request_id == f"pair-{n}"
            assert posting.HasField("committed_at")
    assert told[red.sequence].rpc == "ReverseEntry"


def test_several_lines_of_an_entry_may_name_one_account(book: LedgerUnderTest) -> None:
    post(book, entry(dr(CASH, 3), dr(CASH, 4), cr(WALLET, 9), dr(WALLET, 2)))
    assert [line.amount for line in get(book, 1).lines] == [3, 4, 9, 2]
    assert (account(book, CASH).debits_posted, account(book, WALLET).lines_posted) == (7, 2)


def test_entries_each_stand_alone_and_those_refused_say_why(book: LedgerUnderTest) -> None:
    turn_away = "2011.01:CUSTOMER:FROZEN"
    create(book, new_account(turn_away))
    turn(book, "Freeze", turn_away)
    wrong = [
        entry(dr(CASH, 5), cr(WALLET, 6)),
        pay_in(1, "9999"),
        pay_in(1, event="OPENING_BALANCE"),
        pay_in(1, value_date="2026-01-16"),
        entry(dr(CASH, 5), cr("7001", 5)),
        pay_in(1, turn_away),
    ]
    answer = post(book, pay_in(1), *wrong, pay_in(2), atomic=False, request_id="each")
    assert list(answer.sequences) == [1, 0, 0, 0, 0, 0, 0, 2]
    assert [(one.entry, one.reason) for one in answer.refusals] == [
        (1, "UNBALANCED_ENTRY"),
        (2, "UNKNOWN_GL_CODE"),
        (3, "RESERVED_EVENT"),
        (4, "VALUE_DATE_IN_FUTURE"),
        (5, "UNBALANCED_ENTRY"),
        (6, "ACCOUNT_FROZEN"),
    ]
    turn(book, "Unfreeze", turn_away)
    assert post(book, pay_in(1), *wrong, pay_in(2), atomic=False, request_id="each") == answer
    assert book.findings() == []


def test_entries_all_refused_are_an_answer_too_for_ever(book: LedgerUnderTest) -> None:
    wrong = entry(dr(CASH, 5), cr(WALLET, 6))
    answer = post(book, wrong, atomic=False, request_id="none")
    assert (list(answer.sequences), len(answer.refusals)) == ([0], 1)
    assert post(book, wrong, atomic=False, request_id="none") == answer
    assert book.findings() == []


def test_atomic_entries_are_posted_all_or_none(book: LedgerUnderTest) -> None:
    wrong = entry(dr(CASH, 5), cr(WALLET, 6))
    with pytest.raises(grpc.RpcError) as error:
        post(book, pay_in(1), wrong)
    assert refusal(error.value) == ("INVALID_ARGUMENT", "UNBALANCED_ENTRY")
    assert "entries[1].lines" in violations(error.value)
    assert refused(lambda: get(book, 1)) == "RESOURCE_NOT_FOUND"


def test_a_request_with_other_content_or_mode_is_not_the_same(book: LedgerUnderTest) -> None:
    first = post(book, pay_in(1), request_id="mine")
    assert post(book, pay_in(1), request_id="mine") == first
    reused = "REQUEST_ID_REUSED"
    assert refused(lambda: post(book, pay_in(2), request_id="mine")) == reused
    assert refused(lambda: post(book, pay_in(1), request_id="mine", atomic=False)) == reused
    other = pay_in(1, metadata={"a": "b"})
    assert refused(lambda: post(book, other, request_id="mine")) == reused


def test_on_balance_and_off_balance_each_balance_apart(book: LedgerUnderTest) -> None:
    post(book, entry(dr("7001", 5), cr("7999", 5), dr(CASH, 3), cr(WALLET, 3)))
    crossed = entry(dr("7001", 5), cr(WALLET, 5))
    assert refused(lambda: post(book, crossed)) == "UNBALANCED_ENTRY"
    assert book.findings() == []


@pytest.mark.parametrize(
    ("debit", "credit", "told"),
    [(5, 6, "credits exceed debits by 1"), (9, 6, "debits exceed credits by 3")],
)
def test_an_entry_out_of_balance_is_told_which_side_has_more(
    book: LedgerUnderTest, debit: int, credit: int, told: str
) -> None:
    with pytest.raises(grpc.RpcError, match=f"on balance, {told} minor units"):
        post(book, entry(dr(CASH, debit), cr(WALLET, credit)))


@pytest.mark.parametrize("value_date", ["1899-12-31", "3000-01-01"])
def test_what_is_worth_a_day_beyond_the_years_of_books_is_refused(
    book: LedgerUnderTest, value_date: str
) -> None:
    good: Columns = ([CASH, WALLET], [1, 0], [0, 1])
    held = reserve(book, dr(CASH, 1), cr(WALLET, 1)).reservation.reservation_id
    for field, call in (
        ("entries[1].value_date", lambda: post(book, pay_in(1), pay_in(1, value_date=value_date))),
        ("header.value_date", lambda: post_columns(book, good, value_date=day(value_date))),
        (
            "events[0].value_date",
            lambda: book.record(book.event("LOAN_DISBURSED", value_date, principal=1)),
        ),
        ("value_date", lambda: commit(book, held, value_date=day(value_date))),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call()
        assert field in violations(error.value)


def test_many_entries_are_read_beside_the_loop_and_belong_to_their_caller(
    book: LedgerUnderTest,
) -> None:
    entries = [pay_in(1, source=f"desk/{place}") for place in range(600)]
    answer = post(book, *entries, request_id="many")
    assert list(answer.sequences) == list(range(1, 601))
    assert post(book, *entries, request_id="many") == answer
    events = [book.event("LOAN_DISBURSED", principal=place + 1) for place in range(200)]
    first = book.record(*events, request_id="many")
    assert book.record(*events, request_id="many") == first
    callers = book.house.sql(
        "SELECT DISTINCT caller FROM posting_request WHERE book_id = :book AND request_id = 'many'",
        "ledger",
        book=book.book_id,
    )
    assert [caller for (caller,) in callers] == ["system"]
    assert book.findings() == []


def test_of_many_entries_those_refused_say_why_as_of_few(book: LedgerUnderTest) -> None:
    wrong = {
        3: entry(dr(CASH, 5), cr(WALLET, 6)),
        40: pay_in(1, "9999"),
        41: pay_in(1, event="OPENING_BALANCE"),
        97: pay_in(1, value_date="2026-01-16"),
    }
    reasons = ["UNBALANCED_ENTRY", "UNKNOWN_GL_CODE", "RESERVED_EVENT", "VALUE_DATE_IN_FUTURE"]
    for number in (None, *wrong):  # one thing wrong at a time, then all
        some = wrong if number is None else {number: wrong[number]}
        entries = [some.get(place, pay_in(place + 1)) for place in range(100)]
        answer = post(book, *entries, atomic=False)
        assert [place for place, one in enumerate(answer.sequences) if not one] == [*some]
        told = {one.entry: one.reason for one in answer.refusals}
        assert told == {place: dict(zip(wrong, reasons, strict=True))[place] for place in some}
        with pytest.raises(grpc.RpcError) as error:
            post(book, *entries)
        assert refusal(error.value)[1] == reasons[[*wrong].index(min(some))]
    assert book.findings() == []


def test_many_entries_on_a_limited_account_stand_alone(book: LedgerUnderTest) -> None:
    spender = "2011.01:CUSTOMER:SPENDER"
    create(book, new_account(spender, no_debit_balance=True))
    entries = [pay_in(10, spender), *[entry(dr(spender, 1), cr(CASH, 1))] * 49]
    answer = post(book, *entries, atomic=False)
    assert [one.entry for one in answer.refusals] == list(range(11, 50))
    assert {one.reason for one in answer.refusals} == {"ACCOUNT_LIMIT"}
    assert account(book, spender).debits_posted == 10
    assert book.findings() == []


def test_a_booking_date_asked_for_must_be_the_open_one(book: LedgerUnderTest) -> None:
    post(book, pay_in(1), booking_date=day("2026-01-15"))
    book.close_day("2026-01-15")
    closed = lambda: post(book, pay_in(1), booking_date=day("2026-01-15"))  # noqa: E731
    ahead = lambda: post(book, pay_in(1), booking_date=day("2026-01-17"))  # noqa: E731
    assert refused(closed) == "DAY_CLOSED"
    assert refused(ahead) == "NOT_THE_BUSINESS_DATE"


def test_more_lines_than_a_request_may_have_are_refused(book: LedgerUnderTest) -> None:
    wide = entry(*[dr(CASH, 1)] * 500, *[cr(WALLET, 1)] * 500)
    with pytest.raises(grpc.RpcError) as error:
        post(book, *[wide] * 51)
    assert "entries" in violations(error.value)


def test_columns_make_one_compound_entry_exactly_once(book: LedgerUnderTest) -> None:
    parts: list[Columns] = [([CASH], [3], [0]), ([WALLET, WALLET], [0, 0], [1, 2])]
    answer = post_columns(book, *parts, request_id="once", narrative="n")
    assert (answer.sequence, answer.lines) == (1, 3)
    joined = ([CASH, WALLET, WALLET], [3, 0, 0], [0, 1, 2])
    assert post_columns(book, joined, request_id="once", narrative="n") == answer
    assert [line.amount for line in get(book, 1).lines] == [3, 1, 2]
    assert refused(lambda: post_columns(book, joined, request_id="once")) == "REQUEST_ID_REUSED"
    assert book.findings() == []


def test_columns_with_a_fault_post_nothing_and_name_it(book: LedgerUnderTest) -> None:
    def field(*parts: Columns) -> str:
        with pytest.raises(grpc.RpcError) as error:
            post_columns(book, *parts)
        return next(iter(violations(error.value)))

    good: Columns = ([CASH, WALLET], [1, 0], [0, 1])
    assert field(good, ([CASH], [1, 1], [0])) == "chunk[1].debits"
    assert field(good, ([CASH], [1], [])) == "chunk[1].credits"
    assert field(([CASH], [1], [1])) == "chunk[0].debits[0]"
    assert field(([CASH, CASH], [1, 0], [0, 0])) == "chunk[0].debits[1]"
    assert field(([WALLET, "no account"], [1, 0], [0, 1])) == "chunk[0].account_numbers[1]"
    assert field(([CASH, WALLET], [MOST + 1, 0], [0, MOST + 1])) == "chunk[0].debits"
    assert field() == "chunk"
    unbalanced = ([CASH, WALLET], [2, 0], [0, 1])
    assert refused(lambda: post_columns(book, unbalanced)) == "UNBALANCED_ENTRY"
    strange = (["9999", WALLET], [1, 0], [0, 1])
    assert refused(lambda: post_columns(book, strange)) == "UNKNOWN_GL_CODE"
    own = lambda: post_columns(book, good, event="YEAR_CLOSED")  # noqa: E731
    assert refused(own) == "RESERVED_EVENT"
    assert book.balance(CASH) == 0


def test_columns_that_add_up_beyond_sixty_four_bits_are_refused(book: LedgerUnderTest) -> None:
    count = 25_000
    columns: Columns = (
        [CASH] * count + [WALLET] * count,
        [MOST] * count + [0] * count,
        [0] * count + [MOST] * count,
    )
    assert refused(lambda: post_columns(book, columns)) == "ACCOUNT_LIMIT"
    post(book, pay_in(1))
    assert book.findings() == []


TWO_LINES = ["1303.01:LOAN:A\n1303.01:LOAN:B", "1303.01:LOAN:A\n", "\n1303.01:LOAN:A", "1003\n1004"]


@pytest.mark.parametrize("wrong", TWO_LINES)
def test_two_numbers_on_two_lines_are_no_account(book: LedgerUnderTest, wrong: str) -> None:
    columns: Columns = ([CASH, wrong, WALLET], [1, 1, 0], [0, 0, 2])
    event = book.event("LOAN_DISBURSED", principal=2, owners={"LOAN": wrong, "CUSTOMER": "W1"})
    for field, call in (
        ("chunk[0].account_numbers[1]", lambda: post_columns(book, columns)),
        (
            "chunk[0].account_numbers[1]",
            lambda: import_balances(book, columns, accounts=3, debits=2, credits=2),
        ),
        ("entries[0].lines[0].account_number", lambda: post(book, pay_out(1, wrong))),
        ("events[0].owners[0].owner_id", lambda: book.record(event)),
        ("accounts[0].owner.owner_id", lambda: create(book, new_account(f"1303.01:LOAN:{wrong}"))),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call()
        assert list(violations(error.value)) == [field]
    assert not book.ledger.ListAccounts(pb.ListAccountsRequest(book_id=book.book_id)).accounts


def test_at_the_turnover_bound_only_the_guilty_request_of_a_group_fails(
    book: LedgerUnderTest,
) -> None:
    full: Columns = ([CASH] * 4_444 + [WALLET] * 4_444, [MOST] * 4_444 + [0] * 4_444, [])
    post_columns(book, (full[0], full[1], [0] * 4_444 + [MOST] * 4_444))

    def call(place: int) -> Any:
        if place % 4 == 0:
            return post(book, pay_in(MOST))
        return post(book, entry(dr("1303.01:LOAN:L1", 1), cr("4104", 1)))

    answers = together(16, call)
    assert answers.count(("FAILED_PRECONDITION", "ACCOUNT_LIMIT")) == 4
    assert book.balance("4104") == 12
    assert book.findings() == []


def test_what_another_process_opened_limited_or_froze_is_taken_in(
    data_dir: Any, book: LedgerUnderTest
) -> None:
    second = House(data_dir, database_name=book.house.settings.database_name)
    second.start("ledger")
    other = LedgerUnderTest(second, book.book_id)
    assert isinstance(other.ledger, ledger_pb2_grpc.LedgerServiceStub)
    try:
        post(book, pay_in(1))
        post(other, pay_in(2, "2011.01:CUSTOMER:W2"))
        post(book, pay_in(3, "2011.01:CUSTOMER:W2"), pay_in(1, "2011.01:CUSTOMER:W3"))
        create(other, new_account("2011.01:CUSTOMER:W4", no_debit_balance=True))
        turn(other, "Freeze", WALLET)
        out = entry(dr("2011.01:CUSTOMER:W4", 1), cr(CASH, 1))
        assert refused(lambda: post(book, out)) == "ACCOUNT_LIMIT"
        assert refused(lambda: post(book, pay_in(1))) == "ACCOUNT_FROZEN"
        turn(book, "Unfreeze", WALLET)
        post(other, pay_in(1))
        assert book.balance(WALLET, "2011.01:CUSTOMER:W2") == [2, 5]
        assert book.findings() == []
    finally:
        second.stop_one("ledger")
