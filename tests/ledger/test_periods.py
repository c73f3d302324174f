"""Months and years: income and expense carried to equity once, by what was booked in them."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta

import grpc
import pytest
from ledger.accounting_case import (
    balance_sheet,
    close_period,
    fen,
    income,
    income_statement,
    periods,
    post,
    read_voucher,
    sheet,
    voucher,
    written,
    yuan,
)
from ledger.ledger_case import LedgerUnderTest

from support import day, refusal, rid
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb

NewBook = Callable[..., LedgerUnderTest]
ACCRUED = """
    Dr 1132.01:LOAN:L1  100.00
    Cr 6011.01           94.34
    Cr 2221.06            5.66
"""
COMMISSION = """
    Dr 6421     20.00
    Cr 2241.06  20.00
"""
LATE = """
    Dr 1132.01:LOAN:L1  7.00
    Cr 6011.01          7.00
"""


def close_days(book: LedgerUnderTest, first: str, last: str) -> None:
    """Closes days, both included."""
    one = date.fromisoformat(first)
    while one <= date.fromisoformat(last):
        book.close_day(str(one))
        one += timedelta(days=1)


def refused(book: LedgerUnderTest, month: str) -> str:
    """Why a month is not closed."""
    with pytest.raises(grpc.RpcError) as error:
        close_period(book, month)
    code, reason = refusal(error.value)
    assert code == "FAILED_PRECONDITION"
    return reason


def shown(period: ac.Period) -> tuple[str, str, str, int, int, str]:
    """A period as a row."""
    first, state = period.first_day, ac.PeriodState.Name(period.state)
    return (
        f"{first.year}-{first.month:02}",
        state.removeprefix("PERIOD_STATE_"),
        yuan(period.profit),
        period.sequence,
        period.year_end_sequence,
        period.closed_by,
    )


@pytest.fixture
def january(new_book: NewBook) -> LedgerUnderTest:
    """A book whose January has interest and a commission, on 1 February with more interest."""
    book = new_book(business_date=day("2026-01-30"))
    post(book, voucher(ACCRUED, "2026-01-30"), voucher(COMMISSION, "2026-01-30"))
    close_days(book, "2026-01-30", "2026-01-31")
    post(book, voucher(LATE, "2026-02-01"))
    return book


def test_a_months_income_and_expense_go_into_the_profit_for_the_year(
    january: LedgerUnderTest,
) -> None:
    closed = close_period(january, "2026-01").period
    assert shown(closed) == ("2026-01", "CLOSED", "74.34", 4, 0, "tester")
    assert (closed.first_day, closed.last_day) == (day("2026-01-01"), day("2026-01-31"))
    assert read_voucher(january, 4) == written(
        """
        PERIOD_CLOSED worth 2026-01-31 booked 2026-02-01
        Dr 6011.01  94.34
        Cr 6421     20.00
        Cr 4103     74.34
        """
    )
    assert sheet(january) == written(
        """
        assets              107.00
          1132.01           107.00
        liabilities          25.66
          2221.06             5.66
          2241.06            20.00
        equity               74.34
          4103               74.34
        profit                7.00
        liabilities+equity  107.00
        memo                  0.00
        """
    )


def test_what_is_booked_after_the_periods_end_stays(january: LedgerUnderTest) -> None:
    close_period(january, "2026-01")
    assert january.balance("6011.01", "6421", "4103") == [fen("7.00"), 0, fen("74.34")]
    assert [shown(period)[:3] for period in periods(january)] == [
        ("2026-01", "CLOSED", "74.34"),
        ("2026-02", "OPEN", "7.00"),
    ]


def test_the_income_statement_leaves_the_carry_out(january: LedgerUnderTest) -> None:
    before = income_statement(january, "2026-01-01", "2026-02-28")
    close_period(january, "2026-01")
    assert income_statement(january, "2026-01-01", "2026-02-28") == before
    assert income(january, "2026-01-01", "2026-01-31") == written(
        """
        income      94.34
          6011.01   94.34
        expense     20.00
          6421      20.00
        profit      74.34
        """
    )


def test_the_years_last_month_carries_the_profit_on_to_appropriation(new_book: NewBook) -> None:
    book = new_book(business_date=day("2025-12-31"))
    post(
        book,
        voucher("Dr 1132.01:LOAN:L1 94.34 \n Cr 6011.01 94.34", "2025-12-31"),
        voucher("Dr 1003 200.00 \n Cr 4103 200.00", "2025-12-31", "PROFIT_OF_THE_OLD_SYSTEM"),
    )
    book.close_day("2025-12-31")
    closed = close_period(book, "2025-12").period
    assert shown(closed) == ("2025-12", "CLOSED", "94.34", 3, 4, "tester")
    assert read_voucher(book, 3) == written(
        """
        PERIOD_CLOSED worth 2025-12-31 booked 2026-01-01
        Dr 6011.01  94.34
        Cr 4103     94.34
        """
    )
    assert read_voucher(book, 4) == written(
        """
        YEAR_CLOSED worth 2025-12-31 booked 2026-01-01
        Dr 4103  294.34
        Cr 4104  294.34
        """
    )
    reserved = book.post(
        "GENERAL_RESERVE_APPROPRIATED", value_date="2026-01-01", general_reserve=fen("150.00")
    )
    assert read_voucher(book, reserved.entries[0].sequence) == written(
        """
        GENERAL_RESERVE_APPROPRIATED worth 2026-01-01 booked 2026-01-01
        Dr 4104  150.00
        Cr 4102  150.00
        """
    )
    assert book.balance("4102", "4103", "4104") == [fen("150"), 0, fen("144.34")]
    assert book.findings() == []


def test_a_loss_is_carried_on_the_other_side(new_book: NewBook) -> None:
    book = new_book(business_date=day("2025-12-31"))
    post(book, voucher("Dr 6702 150.00 \n Cr 1304.01 150.00", "2025-12-31"))
    book.close_day("2025-12-31")
    assert close_period(book, "2025-12").period.profit == fen("-150.00")
    assert [read_voucher(book, sequence) for sequence in (2, 3)] == [
        written("PERIOD_CLOSED worth 2025-12-31 booked 2026-01-01\nDr 4103 150.00\nCr 6702 150.00"),
        written("YEAR_CLOSED worth 2025-12-31 booked 2026-01-01\nDr 4104 150.00\nCr 4103 150.00"),
    ]


def test_each_account_is_brought_to_zero_and_not_only_its_code(new_book: NewBook) -> None:
    book = new_book(business_date=day("2026-01-31"))
    texts = ("Dr 1003 3.00 \n Cr 6021.01:LOAN:A 3.00", "Dr 6021.01:LOAN:B 1.00 \n Cr 1003 1.00")
    post(book, *(voucher(text, "2026-01-31") for text in texts))
    book.close_day("2026-01-31")
    sequence = close_period(book, "2026-01").period.sequence
    assert read_voucher(book, sequence) == written(
        """
        PERIOD_CLOSED worth 2026-01-31 booked 2026-02-01
        Dr 6021.01:LOAN:A  3.00
        Cr 6021.01:LOAN:B  1.00
        Cr 4103            2.00
        """
    )


def test_a_month_without_income_closes_without_an_entry(new_book: NewBook) -> None:
    book = new_book(business_date=day("2026-01-31"))
    book.close_day("2026-01-31")
    answer = close_period(book, "2026-01")
    assert shown(answer.period) == ("2026-01", "CLOSED", "0.00", 0, 0, "tester")
    assert answer == close_period(book, "2026-01")


def test_closing_again_answers_as_before_whoever_asks(january: LedgerUnderTest) -> None:
    first = close_period(january, "2026-01", "the-close")
    post(january, voucher(LATE, "2026-01-15"))
    assert close_period(january, "2026-01", "the-close") == first
    assert close_period(january, "2026-01") == first
    assert january.balance("4103") == fen("74.34")
    with pytest.raises(grpc.RpcError) as error:
        close_period(january, "2026-02", "the-close")
    assert refusal(error.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


def test_months_close_in_order_once_their_last_day_is_closed(new_book: NewBook) -> None:
    book = new_book(business_date=day("2026-02-27"))
    assert refused(book, "2026-01") == "NOT_A_PERIOD"
    assert refused(book, "2026-02") == "PERIOD_STILL_OPEN"
    book.close_day("2026-02-27")
    assert refused(book, "2026-02") == "PERIOD_STILL_OPEN"
    close_days(book, "2026-02-28", "2026-03-31")
    assert refused(book, "2026-03") == "EARLIER_PERIOD_OPEN"
    assert refused(book, "9999-12") == "PERIOD_STILL_OPEN"
    close_period(book, "2026-02")
    close_period(book, "2026-03")
    assert [shown(period)[:2] for period in periods(book)] == [
        ("2026-02", "CLOSED"),
        ("2026-03", "CLOSED"),
        ("2026-04", "OPEN"),
    ]


def test_a_late_entry_changes_value_date_balances_only_and_is_carried_with_its_booking(
    january: LedgerUnderTest,
) -> None:
    close_period(january, "2026-01")
    closed = sheet(january, booking_date=day("2026-01-31"))
    worth = january.balance("6011.01", value_date=day("2026-01-31"))
    post(january, voucher(LATE, "2026-01-20"))
    assert sheet(january, booking_date=day("2026-01-31")) == closed
    assert income_statement(january, "2026-01-01", "2026-01-31").profit == fen("74.34")
    assert january.balance("6011.01", value_date=day("2026-01-31")) == worth + fen("7.00")
    close_days(january, "2026-02-01", "2026-02-28")
    period = close_period(january, "2026-02").period
    assert read_voucher(january, period.sequence) == written(
        """
        PERIOD_CLOSED worth 2026-02-28 booked 2026-03-01
        Dr 6011.01  14.00
        Cr 4103     14.00
        """
    )


def test_carries_cannot_be_reversed_nor_imitated(january: LedgerUnderTest) -> None:
    sequence = close_period(january, "2026-01").period.sequence
    with pytest.raises(grpc.RpcError) as error:
        january.ledger.ReverseEntry(
            pb.ReverseEntryRequest(
                request_id=rid(), book_id=january.book_id, sequence=sequence, reason="wrong"
            )
        )
    assert refusal(error.value) == ("FAILED_PRECONDITION", "REVERSAL_NOT_REVERSIBLE")
    with pytest.raises(grpc.RpcError) as error:
        post(january, voucher(COMMISSION, "2026-02-01", "PERIOD_CLOSED"))
    assert refusal(error.value) == ("INVALID_ARGUMENT", "RESERVED_EVENT")


def test_the_chain_keeps_who_closed_what(january: LedgerUnderTest) -> None:
    answer = close_period(january, "2026-01")
    assert january.findings(anchor=answer.anchor) == []
    ((subject, content),) = january.house.sql(
        "SELECT subject, content FROM record WHERE book_id = :book AND kind = 'PERIOD_CLOSED'",
        "ledger",
        book=january.book_id,
    )
    assert (subject, json.loads(content)) == (
        "2026-01-01",
        {
            "closed_by": "tester",
            "last_day": "2026-01-31",
            "profit": fen("74.34"),
            "sequence": 4,
            "year_end_sequence": 0,
        },
    )


def test_a_busy_account_is_carried_from_the_days_it_was_added_up_to(new_book: NewBook) -> None:
    book = new_book(business_date=day("2026-01-31"))
    many = [voucher("Dr 1003 0.01 \n Cr 6011.01 0.01", "2026-01-31")] * 1500
    post(book, *many)
    book.close_day("2026-01-31")
    assert close_period(book, "2026-01").period.profit == 1500
    post(book, *many[:1200])
    assert _days_added_up(book) > 1
    post(book, *many[:30])
    close_days(book, "2026-02-01", "2026-02-28")
    assert close_period(book, "2026-02").period.profit == 1230
    assert book.balance("6011.01", "4103") == [0, 2730]
    assert book.findings() == []


def _days_added_up(book: LedgerUnderTest) -> int:
    ((days,),) = book.house.sql(
        "SELECT count(*) FROM account_day JOIN account USING (book_id, account_id) "
        "WHERE book_id = :book AND number = '6011.01'",
        "ledger",
        book=book.book_id,
    )
    return int(days)


RESULT = ("6011.01", "6011.02:LOAN:A", "6011.02:LOAN:B", "6021.01", "6403", "6421", "6702")
OTHERS = ("1003", "1303.04", "1304.01", "2011.01:CUSTOMER:C", "2221.01.04", "3001", "4103", "4104")


@pytest.mark.parametrize("seed", range(3))
def test_random_months_close_to_what_was_booked_in_them(new_book: NewBook, seed: int) -> None:
    dice = random.Random(seed)
    first, end = date(2025, 11, 29), date(2026, 1, 2)
    book = new_book(business_date=day(str(first)))
    booked: dict[tuple[int, str], int] = defaultdict(int)
    today = first
    while today < end:
        for _ in range(dice.choice((0, 1, 3))):
            debit, credit = dice.sample(RESULT + OTHERS, 2)
            amount = dice.choice((1, -1)) * dice.randint(1, 10**6)
            worth = today - timedelta(days=dice.choice((0, 0, 1, 20)))
            text = f"Dr {debit} {yuan(amount)} \n Cr {credit} {yuan(amount)}"
            post(book, voucher(text, str(worth)))
            booked[today.month, debit] -= amount
            booked[today.month, credit] += amount
        if today.month != 11 and dice.random() < 0.2:
            close_period(book, "2025-11")
        book.close_day(str(today))
        today += timedelta(days=1)
    closed = [close_period(book, month).period for month in ("2025-11", "2025-12")]
    for month, period in zip((11, 12), closed, strict=True):
        assert period.profit == sum(booked[month, number] for number in RESULT)
    january = {number: booked[1, number] for number in RESULT}
    net = [row if number[:2] == "60" else -row for number, row in january.items()]
    assert book.balance(*RESULT) == net
    assert book.balance("4103") == booked[1, "4103"]
    assert [period.profit for period in periods(book)][2] == sum(january.values())
    for back in range((end - first).days + 1):
        balance_sheet(book, booking_date=day(str(end - timedelta(days=back))))
    assert book.findings() == []


def test_an_account_closed_before_its_month_is_carried_all_the_same(new_book: NewBook) -> None:
    book = new_book(business_date=day("2026-01-30"))
    own = "6011.01:LOAN:L9"
    post(book, voucher(f"Dr 1003 5.00\nCr {own} 5.00", "2026-01-30"))
    close_days(book, "2026-01-30", "2026-01-31")
    post(book, voucher(f"Dr {own} 5.00\nCr 6011.01 5.00", "2026-02-01"))
    book.ledger.CloseAccount(
        pb.CloseAccountRequest(
            request_id=rid(), book_id=book.book_id, account_number=own, reason="loan repaid"
        )
    )
    assert yuan(close_period(book, "2026-01").period.profit) == "5.00"
    assert book.balance(own) == -500  # what February moved away from it
    assert book.findings() == []
