"""Entries taken back: in red ink or on the other sides, small ones and large ones alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ledger.ledger_case import LedgerUnderTest, lines
from ledger.posting_case import (
    CASH,
    WALLET,
    Columns,
    account,
    get,
    pay_in,
    post,
    post_columns,
    refused,
    reverse,
    turn,
)

from support import day
from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger.group_commit import BULK_LINES
from tael_ledger.journal import RequestKey
from tael_ledger.reversal import SINGLE_LINES, Reversal

RED_INK, CONTRA = pb.REVERSAL_KIND_RED_INK, pb.REVERSAL_KIND_CONTRA


def test_an_entry_is_reversed_in_red_ink_or_on_the_other_sides(book: LedgerUnderTest) -> None:
    facts = {"metadata": {"a": "b"}, "source": "s", "event": "FEE"}
    post(book, pay_in(5, **facts), pay_in(7, **facts))
    red = reverse(book, 1, RED_INK).entry
    assert lines(red) == {CASH: ("Dr", -5), WALLET: ("Cr", -5)}
    contra = reverse(book, 2, CONTRA).entry
    assert lines(contra) == {WALLET: ("Dr", 7), CASH: ("Cr", 7)}
    for reversal, origin in ((red, 1), (contra, 2)):
        assert (reversal.reversal_of, reversal.event, reversal.source) == (origin, "FEE", "s")
        assert dict(reversal.metadata) == {"a": "b"}
        assert get(book, origin).reversed_by == reversal.sequence
    held = account(book, CASH)
    assert (held.debits_posted, held.credits_posted) == (7, 7)
    assert book.findings() == []


def test_a_repayment_in_red_ink_is_the_same_voucher_with_negative_amounts(
    book: LedgerUnderTest,
) -> None:
    """E19: 红字冲销 of a repayment of 888.49 that came from an account at the bank (E05a)."""
    paid = book.post("REPAYMENT_RECEIVED", interest_due=10000, principal_normal=78849).entries[0]
    book.close_day("2026-01-15")
    red = reverse(book, paid.sequence, RED_INK).entry
    assert lines(red) == {
        "2011.01:CUSTOMER:C1": ("Dr", -88849),
        "1132.02:LOAN:L1": ("Cr", -10000),
        "1303.01:LOAN:L1": ("Cr", -78849),
    }
    assert (red.value_date, red.booking_date) == (day("2026-01-15"), day("2026-01-16"))
    assert (red.reversal_of, get(book, paid.sequence).reversed_by) == (1, 2)


def test_a_reversal_on_a_frozen_account_waits_until_it_is_unfrozen(book: LedgerUnderTest) -> None:
    post(book, pay_in(5))
    turn(book, "Freeze", WALLET)
    kind = RED_INK
    assert refused(lambda: reverse(book, 1, kind)) == "ACCOUNT_FROZEN"
    turn(book, "Unfreeze", WALLET)
    reverse(book, 1, kind)


def many(count: int) -> Columns:
    """So many lines on as many accounts: debits of 1, 2, 3, …, then their sum as credits."""
    half = count // 2
    amounts = list(range(1, half + 1))
    numbers = [f"1303.01:LOAN:L{number}" for number in range(half)]
    wallets = [f"2011.01:CUSTOMER:W{number}" for number in range(half)]
    return numbers + wallets, amounts + [0] * half, [0] * half + amounts


@pytest.mark.parametrize("kind", [RED_INK, CONTRA])
@pytest.mark.parametrize("count", [SINGLE_LINES, SINGLE_LINES + 2, 20_000])
def test_a_large_entry_is_taken_back_line_by_line(
    book: LedgerUnderTest, kind: pb.ReversalKind.ValueType, count: int
) -> None:
    columns = many(count)
    sequence = post_columns(book, columns).sequence
    request = {"request_id": "back"}
    answer = reverse(book, sequence, kind, **request)
    assert reverse(book, sequence, kind, **request) == answer
    back, origin = answer.entry, get(book, sequence)
    assert len(back.lines) == count
    contra = kind == CONTRA
    turned = {"Dr": "Cr", "Cr": "Dr"} if contra else {"Dr": "Dr", "Cr": "Cr"}
    assert lines(back) == {
        number: (turned[side], amount if contra else -amount)
        for number, (side, amount) in lines(origin).items()
    }
    sides = [line.side for line in back.lines]
    assert sides == sorted(sides)
    assert get(book, back.sequence) == back
    for number in (columns[0][0], columns[0][count // 2 - 1], columns[0][-1]):
        assert book.balance(number) == 0
    assert book.findings() == []


def test_a_book_newer_than_the_stores_statistics_is_read_by_its_keys(
    new_book: Callable[..., LedgerUnderTest],
) -> None:
    """The store has analysed forty books, and takes the forty-first for empty: reading the book once a
    line would outlast the call's deadline.
    """
    for _ in range(40):
        post(new_book(), pay_in(5))
    book = new_book()
    book.house.sql("ANALYZE account", "ledger", write=True)
    sequence = post_columns(book, many(20_000)).sequence
    assert len(reverse(book, sequence, RED_INK).entry.lines) == 20_000


def test_an_entry_weighs_its_lines_when_it_is_reversed() -> None:
    def weight(line_count: int) -> int:
        key = RequestKey("ReverseEntry", "system", "one")
        reversal = Reversal(1, "wrong", line_count=line_count, key=key, content_hash=b"")
        return reversal.weight

    assert weight(2) == 2
    assert weight(BULK_LINES + 1) > BULK_LINES


def test_a_reversal_may_name_the_booking_date_that_it_must_be(book: LedgerUnderTest) -> None:
    post(book, pay_in(5))
    book.close_day("2026-01-15")
    on = lambda text: reverse(book, 1, RED_INK, booking_date=day(text))  # noqa: E731
    assert refused(lambda: on("2026-01-15")) == "DAY_CLOSED"
    assert refused(lambda: on("2026-01-17")) == "NOT_THE_BUSINESS_DATE"
    assert on("2026-01-16").entry.booking_date == day("2026-01-16")


def test_an_entry_that_is_not_there_is_not_reversed(book: LedgerUnderTest) -> None:
    assert refused(lambda: reverse(book, 7, RED_INK)) == "RESOURCE_NOT_FOUND"
