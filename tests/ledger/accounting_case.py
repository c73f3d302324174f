"""Vouchers and reports as an accountant writes and reads them: codes, sides and yuan."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from ledger.ledger_case import LedgerUnderTest

from support import day, rid
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import to_date

SIDES = {"Dr": pb.SIDE_DEBIT, "Cr": pb.SIDE_CREDIT}


def fen(yuan: str) -> int:
    """ "1,234.50" → 123450."""
    return int(Decimal(yuan.replace(",", "")).scaleb(2))


def yuan(minor_units: int) -> str:
    """123450 → "1234.50"."""
    return str(Decimal(minor_units).scaleb(-2))


def voucher(text: str, value_date: str, event: str = "MANUAL_VOUCHER") -> pb.NewEntry:
    """A voucher, a line each: "Dr 1003 100.00"."""
    lines = [line.split() for line in text.strip().splitlines()]
    return pb.NewEntry(
        event=event,
        value_date=day(value_date),
        lines=[
            pb.PostingLine(account_number=number, side=SIDES[side], amount=fen(amount))
            for side, number, amount in lines
        ],
    )


def post(book: LedgerUnderTest, *vouchers: pb.NewEntry) -> list[int]:
    """Posts vouchers; their sequences."""
    request = pb.PostEntriesRequest(
        request_id=rid(), book_id=book.book_id, entries=vouchers, atomic=True
    )
    return list(book.ledger.PostEntries(request).sequences)


def entry_of(book: LedgerUnderTest, sequence: int) -> pb.Entry:
    """An entry of the journal."""
    return book.ledger.GetEntry(pb.GetEntryRequest(book_id=book.book_id, sequence=sequence)).entry


def read_voucher(book: LedgerUnderTest, sequence: int) -> str:
    """An entry as `voucher` takes it, after its event and dates."""
    entry = entry_of(book, sequence)
    sides = {side: name for name, side in SIDES.items()}
    dates = f"worth {to_date(entry.value_date)} booked {to_date(entry.booking_date)}"
    lines = [f"{sides[one.side]} {one.account_number} {yuan(one.amount)}" for one in entry.lines]
    return "\n".join([f"{entry.event} {dates}", *lines])


def table(rows: Iterable[Iterable[object]]) -> str:
    """Rows of cells as lines of text."""
    return "\n".join(" ".join(str(cell) for cell in row) for row in rows)


def written(text: str) -> str:
    """What a test writes in a block of its own: indentation and width do not matter."""
    return table(line.replace(",", "").split() for line in text.strip().splitlines())


def trial_balance(book: LedgerUnderTest, **dates: Any) -> str:
    """Code, debits, credits, balance; then the sums."""
    answer = book.trial_balance(**dates)
    rows = [
        (row.account.code, yuan(row.debits), yuan(row.credits), yuan(row.balance))
        for row in answer.rows
    ]
    return table([*rows, ("Σ", yuan(answer.total_debits), yuan(answer.total_credits))])


def balance_sheet(book: LedgerUnderTest, **dates: Any) -> ac.BalanceSheetResponse:
    """The balance sheet, which balances."""
    answer = book.accounting.BalanceSheet(ac.BalanceSheetRequest(book_id=book.book_id, **dates))
    assert answer.assets.total == answer.liabilities_and_equity
    return answer


def sheet(book: LedgerUnderTest, **dates: Any) -> str:
    """The balance sheet: a section's name and total, then its rows."""
    answer = balance_sheet(book, **dates)
    return table(
        [
            *section("assets", answer.assets),
            *section("liabilities", answer.liabilities),
            *section("equity", answer.equity),
            ("profit", yuan(answer.profit)),
            ("liabilities+equity", yuan(answer.liabilities_and_equity)),
            *section("memo", answer.memo),
        ]
    )


def income_statement(book: LedgerUnderTest, first: str, last: str) -> ac.IncomeStatementResponse:
    """Income and expense over some booking dates."""
    return book.accounting.IncomeStatement(
        ac.IncomeStatementRequest(
            book_id=book.book_id, from_booking_date=day(first), to_booking_date=day(last)
        )
    )


def income(book: LedgerUnderTest, first: str, last: str) -> str:
    """The income statement as a table."""
    answer = income_statement(book, first, last)
    return table(
        [
            *section("income", answer.income),
            *section("expense", answer.expense),
            ("profit", yuan(answer.profit)),
        ]
    )


def section(name: str, value: ac.StatementSection) -> list[tuple[str, str]]:
    """Its name and total, then its rows."""
    rows = [(row.account.code, yuan(row.amount)) for row in value.rows]
    return [(name, yuan(value.total)), *rows]


def close_period(book: LedgerUnderTest, month: str, request_id: str = "") -> ac.ClosePeriodResponse:
    """Closes a month: "2026-01"."""
    return book.accounting.ClosePeriod(
        ac.ClosePeriodRequest(
            request_id=request_id or rid(), book_id=book.book_id, period=day(f"{month}-01")
        )
    )


def periods(book: LedgerUnderTest) -> list[ac.Period]:
    """The book's months."""
    request = ac.GetPeriodsRequest(book_id=book.book_id)
    return list(book.accounting.GetPeriods(request).periods)
