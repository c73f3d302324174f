"""ImportOpeningBalances over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest
from ledger.posting_case import (
    CASH,
    WALLET,
    Columns,
    get,
    import_balances,
    pay_in,
    post,
    refused,
    reverse,
)

from support import day, refusal, violations
from tael.ledger.v1 import ledger_pb2 as pb

BALANCES: list[Columns] = [
    (["1303.01:LOAN:A", "1303.01:LOAN:B", CASH], [70, 30, 50], [0, 0, 0]),
    ([WALLET, "4104"], [0, 0], [60, 90]),
]
TOTALS: dict[str, Any] = {
    "accounts": 5,
    "debits": 150,
    "credits": 150,
    "gl_codes": [pb.ControlTotal(gl_code="1303.01", net=100)],
}


def test_opening_balances_that_meet_their_control_totals_are_booked_once(
    book: LedgerUnderTest,
) -> None:
    answer = import_balances(book, *BALANCES, request_id="migrate", **TOTALS)
    assert (answer.sequence, answer.accounts) == (1, 5)
    assert import_balances(book, *BALANCES, request_id="migrate", **TOTALS) == answer
    assert book.balance("1303.01:LOAN:A", WALLET) == [70, 60]
    assert get(book, 1).event == "OPENING_BALANCE"
    assert book.findings() == []


def test_opening_balances_come_once_whatever_they_are_sent_as(book: LedgerUnderTest) -> None:
    import_balances(book, *BALANCES, **TOTALS)
    with pytest.raises(grpc.RpcError) as error:
        import_balances(book, *BALANCES, **TOTALS)
    assert refusal(error.value)[1] == "ACCOUNT_HAS_BALANCE"
    assert "1303.01:LOAN:A are 70 already" in (error.value.details() or "")
    assert book.balance("1303.01:LOAN:A", WALLET, CASH) == [70, 60, 50]

    reverse(book, 1, pb.REVERSAL_KIND_RED_INK)
    assert import_balances(book, *BALANCES, **TOTALS).sequence == 3
    assert book.balance("1303.01:LOAN:A", WALLET, CASH) == [70, 60, 50]


def test_the_books_own_accounts_are_the_other_side_of_several_imports(
    book: LedgerUnderTest,
) -> None:
    for owner in ("A", "B"):
        half: Columns = ([f"1303.01:LOAN:{owner}", "4104"], [7, 0], [0, 7])
        import_balances(book, half, accounts=2, debits=7, credits=7)
    assert book.balance("1303.01:LOAN:A", "1303.01:LOAN:B", "4104") == [7, 7, 14]


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": 6},
        {"debits": 151},
        {"credits": 149},
        {"gl_codes": [pb.ControlTotal(gl_code="1303.01", net=99)]},
        {"gl_codes": [pb.ControlTotal(gl_code="1303.02", net=1)]},
    ],
)
def test_opening_balances_that_miss_a_control_total_are_refused(
    book: LedgerUnderTest, wrong: dict[str, Any]
) -> None:
    wanted = {**TOTALS, **wrong}
    assert refused(lambda: import_balances(book, *BALANCES, **wanted)) == "CONTROL_TOTAL_MISMATCH"
    assert book.balance(CASH) == 0


def test_opening_balances_name_an_account_once_and_balance(book: LedgerUnderTest) -> None:
    twice: Columns = ([CASH, CASH, WALLET], [1, 1, 0], [0, 0, 2])
    totals = {"accounts": 3, "debits": 2, "credits": 2}
    assert refused(lambda: import_balances(book, twice, **totals)) == "INVALID_FIELD"
    open_side: Columns = ([CASH, WALLET], [2, 0], [0, 1])
    totals = {"accounts": 2, "debits": 2, "credits": 1}
    assert refused(lambda: import_balances(book, open_side, **totals)) == "UNBALANCED_ENTRY"


def test_opening_balances_with_a_code_named_twice_are_refused(book: LedgerUnderTest) -> None:
    wanted = {
        **TOTALS,
        "gl_codes": [pb.ControlTotal(gl_code="1303.01", net=net) for net in (1, 100)],
    }
    with pytest.raises(grpc.RpcError) as error:
        import_balances(book, *BALANCES, **wanted)
    assert "header.totals.gl_codes" in violations(error.value)


def test_opening_balances_may_name_the_booking_date_too(book: LedgerUnderTest) -> None:
    ahead = lambda: import_balances(  # noqa: E731
        book, *BALANCES, booking_date=day("2026-01-16"), **TOTALS
    )
    assert refused(ahead) == "NOT_THE_BUSINESS_DATE"
    import_balances(book, *BALANCES, booking_date=day("2026-01-15"), **TOTALS)


def test_opening_balances_of_more_lines_than_are_told_come_without_them(
    book: LedgerUnderTest,
) -> None:
    count = 50_000
    numbers = [f"1303.01:LOAN:L{number}" for number in range(count)]
    chunks: list[Columns] = [(numbers, [1] * count, [0] * count), ([WALLET], [0], [count])]
    answer = import_balances(book, *chunks, accounts=count + 1, debits=count, credits=count)
    assert answer.accounts == count + 1
    post(book, pay_in(1))
    assert not get(book, 1).lines
    listed = book.ledger.ListEntries(pb.ListEntriesRequest(book_id=book.book_id)).entries
    assert [(one.sequence, len(one.lines)) for one in listed] == [(1, 0), (2, 2)]
    red = reverse(book, 1, pb.REVERSAL_KIND_RED_INK).entry
    assert (red.sequence, len(red.lines)) == (3, 0)
    assert book.balance(numbers[-1], WALLET) == [0, 1]
    assert book.findings() == []
