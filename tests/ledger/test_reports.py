"""Trial balance, general ledger, balance sheet, income statement, day: a small bank's two days."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from ledger.accounting_case import (
    balance_sheet,
    fen,
    income,
    income_statement,
    post,
    sheet,
    table,
    trial_balance,
    voucher,
    written,
    yuan,
)
from ledger.ledger_case import LedgerUnderTest

from support import day, refusal, violations
from tael.ledger.v1 import accounting_pb2 as ac
from tael_client.values import to_date

NewBook = Callable[..., LedgerUnderTest]
LENT = "Dr 1303.01:LOAN:L1 10,000.00 \n Cr 2011.01:CUSTOMER:C1 10,000.00"
COMMITTED = "Dr 7201:LINE:N1 20,000.00 \n Cr 7999 20,000.00"
ACCRUED = "Dr 1132.01:LOAN:L1 106.00 \n Cr 6011.01 100.00 \n Cr 2221.06 6.00"
PROVIDED = "Dr 6702 150.00 \n Cr 1304.01:LOAN:L1 150.00"
INPUT_VAT = "Dr 6601 100.00 \n Dr 2221.01.01 13.00 \n Cr 1003 113.00"
CAPITAL = "Dr 1003 5,000.00 \n Cr 4102 5,000.00"
CLEARED = "Dr 2011.01:CUSTOMER:C1 30.00 \n Cr 3001 30.00"
FEE_OFF = "Dr 2011.01:CUSTOMER:C1 50.00 \n Cr 1303.04:LOAN:L1 50.00"


@pytest.fixture(scope="module")
def bank(new_book: NewBook) -> LedgerUnderTest:
    """Opened on 15 January, now on the 17th; nothing was booked on the 16th."""
    book = new_book()
    texts = (CAPITAL, COMMITTED, LENT, FEE_OFF, ACCRUED)
    post(book, *(voucher(text, "2026-01-15") for text in texts))
    book.close_day("2026-01-15")
    book.close_day("2026-01-16")
    post(book, *(voucher(text, "2026-01-17") for text in (PROVIDED, INPUT_VAT, CLEARED)))
    post(book, voucher("Dr 1132.01:LOAN:L1 -6.00 \n Cr 6011.01 -6.00", "2026-01-15", "CORRECTED"))
    return book


def test_the_balance_sheet_balances_with_each_kind_of_account_on_its_side(
    bank: LedgerUnderTest,
) -> None:
    """Allowances lower the assets, input tax the liabilities; clearing stands with the assets."""
    assert sheet(bank) == written(
        """
        assets              14,757.00
          1003               4,887.00
          1132.01              100.00
          1303.01           10,000.00
          1303.04              -50.00
          1304.01             -150.00
          3001                 -30.00
        liabilities          9,913.00
          2011.01            9,920.00
          2221.01.01           -13.00
          2221.06                6.00
        equity               5,000.00
          4102               5,000.00
        profit                -156.00
        liabilities+equity  14,757.00
        memo                20,000.00
          7201              20,000.00
        """
    )


def test_the_balance_sheet_of_a_day_is_as_it_closed(bank: LedgerUnderTest) -> None:
    first = sheet(bank, booking_date=day("2026-01-15"))
    assert first == written(
        """
        assets              15,056.00
          1003               5,000.00
          1132.01              106.00
          1303.01           10,000.00
          1303.04              -50.00
        liabilities          9,956.00
          2011.01            9,950.00
          2221.06                6.00
        equity               5,000.00
          4102               5,000.00
        profit                 100.00
        liabilities+equity  15,056.00
        memo                20,000.00
          7201              20,000.00
        """
    )
    assert sheet(bank, booking_date=day("2026-01-16")) == first


def test_the_income_statement_is_of_booking_dates(bank: LedgerUnderTest) -> None:
    assert income(bank, "2026-01-17", "2026-01-31") == written(
        """
        income     -6.00
          6011.01  -6.00
        expense   250.00
          6601    100.00
          6702    150.00
        profit   -256.00
        """
    )
    assert income_statement(bank, "2026-01-15", "2026-01-17").profit == fen("-156.00")
    assert income_statement(bank, "2026-01-16", "2026-01-16") == ac.IncomeStatementResponse(
        income=ac.StatementSection(), expense=ac.StatementSection()
    )


def test_the_trial_balance_takes_a_booking_date_a_value_date_or_both(
    bank: LedgerUnderTest,
) -> None:
    def interest(**dates: Any) -> str:
        rows = trial_balance(bank, **dates).splitlines()
        return "; ".join(row for row in rows if row[:7] in ("1132.01", "6011.01") or "Σ" in row)

    fifteenth = day("2026-01-15")
    assert interest() == (
        "1132.01 100.00 0.00 100.00; 6011.01 0.00 94.00 94.00; Σ 35443.00 35443.00"
    )
    assert interest(booking_date=fifteenth) == (
        "1132.01 106.00 0.00 106.00; 6011.01 0.00 100.00 100.00; Σ 35156.00 35156.00"
    )
    assert interest(value_date=fifteenth) == (
        "1132.01 100.00 0.00 100.00; 6011.01 0.00 94.00 94.00; Σ 35150.00 35150.00"
    )
    assert interest(value_date=fifteenth, booking_date=fifteenth) == interest(
        booking_date=fifteenth
    )


def general_ledger(book: LedgerUnderTest, gl_code: str, first: str, last: str) -> str:
    """A code's opening, its days (lines, debits, credits, balance), its sums and closing."""
    answer = book.accounting.GeneralLedger(
        ac.GeneralLedgerRequest(
            book_id=book.book_id,
            gl_code=gl_code,
            from_booking_date=day(first),
            to_booking_date=day(last),
        )
    )
    rows: list[tuple[object, ...]] = []
    for account in answer.accounts:
        rows.append((account.account.code, "opening", yuan(account.opening_balance)))
        rows += [
            (
                to_date(one.booking_date),
                one.lines,
                yuan(one.debits),
                yuan(one.credits),
                yuan(one.balance),
            )
            for one in account.days
        ]
        sums = yuan(account.debits), yuan(account.credits), yuan(account.closing_balance)
        rows.append(("closing", *sums))
    return table(rows)


def test_the_general_ledger_has_a_row_a_day_that_had_any(bank: LedgerUnderTest) -> None:
    assert general_ledger(bank, "2011.01", "2026-01-15", "2026-01-31") == written(
        """
        2011.01 opening               0.00
        2026-01-15  2  50.00  10,000.00  9,950.00
        2026-01-17  1  30.00       0.00  9,920.00
        closing        80.00  10,000.00  9,920.00
        """
    )
    assert general_ledger(bank, "1132.", "2026-01-16", "2026-01-17") == written(
        """
        1132.01 opening           106.00
        2026-01-17  1  -6.00  0.00  100.00
        closing        -6.00  0.00  100.00
        """
    )


def test_the_general_ledger_of_quiet_days_still_says_what_stands(bank: LedgerUnderTest) -> None:
    assert general_ledger(bank, "2221.", "2026-01-16", "2026-01-16") == written(
        """
        2221.06 opening  6.00
        closing  0.00  0.00  6.00
        """
    )
    every = general_ledger(bank, "", "2026-01-15", "2026-01-17")
    codes = [row.split()[0] for row in every.splitlines() if "opening" in row]
    assert codes == [row.split()[0] for row in trial_balance(bank).splitlines()[:-1]]


def summary(book: LedgerUnderTest, text_date: str) -> ac.DailySummaryResponse:
    """The day's summary."""
    return book.accounting.DailySummary(
        ac.DailySummaryRequest(book_id=book.book_id, booking_date=day(text_date))
    )


def test_the_days_summary_has_lines_and_turnover_of_each_code(bank: LedgerUnderTest) -> None:
    answer = summary(bank, "2026-01-17")
    rows = [
        (
            row.account.code,
            row.lines,
            yuan(row.opening_balance),
            yuan(row.debits),
            yuan(row.credits),
            yuan(row.closing_balance),
        )
        for row in answer.rows
    ]
    assert table(rows) == written(
        """
        1003        1  5,000.00    0.00  113.00  4,887.00
        1132.01     1    106.00   -6.00    0.00    100.00
        1304.01     1      0.00    0.00  150.00    150.00
        2011.01     1  9,950.00   30.00    0.00  9,920.00
        2221.01.01  1      0.00   13.00    0.00     13.00
        3001        1      0.00    0.00   30.00    -30.00
        6011.01     1    100.00    0.00   -6.00     94.00
        6601        1      0.00  100.00    0.00    100.00
        6702        1      0.00  150.00    0.00    150.00
        """
    )
    assert (answer.entries, answer.closed) == (4, False)
    assert yuan(answer.total_debits) == yuan(answer.total_credits) == "287.00"


def test_the_days_summary_says_whether_it_is_final(bank: LedgerUnderTest) -> None:
    closed = summary(bank, "2026-01-15")
    assert (closed.entries, closed.closed, len(closed.rows)) == (5, True, 10)
    quiet = summary(bank, "2026-01-16")
    assert quiet == ac.DailySummaryResponse(closed=True)


def test_before_the_book_opened_there_is_nothing(bank: LedgerUnderTest) -> None:
    for before in ("2026-01-14", "0001-01-01"):
        empty = balance_sheet(bank, booking_date=day(before))
        assert (empty.assets.total, empty.profit, list(empty.memo.rows)) == (0, 0, [])
        assert empty.booking_date == day(before)
        assert trial_balance(bank, booking_date=day(before)) == "Σ 0.00 0.00"
        assert general_ledger(bank, "", before, before) == ""
        assert summary(bank, before) == ac.DailySummaryResponse()
    assert income_statement(bank, "0001-01-01", "2026-01-14").profit == 0


def test_days_to_come_are_answered_as_now(bank: LedgerUnderTest) -> None:
    to_come = day("9999-12-31")
    assert balance_sheet(bank, booking_date=to_come) == balance_sheet(bank)
    assert balance_sheet(bank).booking_date == day("2026-01-17")
    assert trial_balance(bank, booking_date=to_come, value_date=to_come) == trial_balance(bank)
    assert summary(bank, "2026-01-18") == ac.DailySummaryResponse()
    assert income_statement(bank, "0001-01-01", "9999-12-31").profit == fen("-156.00")
    later = general_ledger(bank, "1003", "2027-01-01", "2027-01-31")
    assert later == written("1003 opening 4,887.00 \n closing 0.00 0.00 4,887.00")


@pytest.mark.parametrize(
    ("gl_code", "first", "last", "field"),
    [
        ("", "2026-01-02", "2026-01-01", "to_booking_date"),
        ("", "2026-01-01", "2027-01-03", "to_booking_date"),
        ("1132", "2026-01-01", "2026-01-01", "gl_code"),
        ("9.", "2026-01-01", "2026-01-01", "gl_code"),
    ],
)
def test_what_a_general_ledger_cannot_be_of_is_named(
    bank: LedgerUnderTest, gl_code: str, first: str, last: str, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as error:
        general_ledger(bank, gl_code, first, last)
    assert list(violations(error.value)) == [field]


def test_a_general_ledger_may_be_of_a_leap_year_and_a_day(bank: LedgerUnderTest) -> None:
    assert general_ledger(bank, "1003", "2026-01-01", "2027-01-02")


def test_an_income_statement_runs_forwards_over_real_days(bank: LedgerUnderTest) -> None:
    with pytest.raises(grpc.RpcError) as error:
        income_statement(bank, "2026-01-02", "2026-01-01")
    assert list(violations(error.value)) == ["to_booking_date"]
    request = ac.IncomeStatementRequest(
        book_id=bank.book_id, from_booking_date=day("2026-01-02"), to_booking_date=day("2026-01-02")
    )
    request.to_booking_date.day = 32
    with pytest.raises(grpc.RpcError) as error:
        bank.accounting.IncomeStatement(request)
    assert refusal(error.value) == ("INVALID_ARGUMENT", "INVALID_DATE")


def test_reports_of_no_book_are_refused(bank: LedgerUnderTest) -> None:
    nowhere = LedgerUnderTest(bank.house, "nowhere")
    asked: list[Callable[[], object]] = [
        lambda: sheet(nowhere),
        lambda: trial_balance(nowhere),
        lambda: income(nowhere, "2026-01-01", "2026-01-02"),
        lambda: general_ledger(nowhere, "", "2026-01-01", "2026-01-02"),
        lambda: summary(nowhere, "2026-01-01"),
        lambda: nowhere.accounting.GetPeriods(ac.GetPeriodsRequest(book_id="nowhere")),
    ]
    for ask in asked:
        with pytest.raises(grpc.RpcError) as error:
            ask()
        assert refusal(error.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("seed", range(3))
def test_random_books_balance_and_their_reports_agree(new_book: NewBook, seed: int) -> None:
    """Any accounts of the chart against any, red ink and late value dates included."""
    dice = random.Random(seed)
    book, today = new_book(), date(2026, 1, 15)
    request = ac.GetChartOfAccountsRequest(book_id=book.book_id)
    chart = book.accounting.GetChartOfAccounts(request).accounts
    memo = [row.code for row in chart if row.code.startswith("7")]
    codes = [row.code for row in chart if not row.code.startswith("7")]
    for _ in range(8):
        for _ in range(dice.randint(0, 12)):
            debit, credit = dice.sample(dice.choice((codes, codes, memo)), 2)
            amount = yuan(dice.choice((1, 1, -1)) * dice.randint(1, 10**9))
            worth = today - timedelta(days=dice.choice((0, 0, 1, 40)))
            post(book, voucher(f"Dr {debit} {amount} \n Cr {credit} {amount}", str(worth)))
        book.close_day(str(today))
        today += timedelta(days=1)
    for back in range(10):
        text_date = str(today - timedelta(days=back))
        of_day = {"booking_date": day(text_date)}
        totals = book.trial_balance(**of_day)
        assert totals.total_debits == totals.total_credits
        statement = balance_sheet(book, **of_day)
        assert statement.profit == income_statement(book, "2026-01-01", text_date).profit
        opening = {row.account.code: row.opening_balance for row in summary(book, text_date).rows}
        before = str(today - timedelta(days=back + 1))
        balances = {
            row.account.code: row.balance
            for row in book.trial_balance(booking_date=day(before)).rows
        }
        assert opening == {code: balances.get(code, 0) for code in opening}
