"""Which accounts' lines are added up by day: those whose reads gain by it."""

from __future__ import annotations

from ledger.ledger_case import LedgerUnderTest
from ledger.posting_case import post_columns

BUSY = "2241.03:CUSTOMER:BUSY"
QUIET = "2241.03:CUSTOMER:QUIET"


def summed(book: LedgerUnderTest, number: str) -> tuple[int, int]:
    """(lines added up by day, days they make)."""
    rows = book.house.sql(
        "SELECT account.lines_summed, count(account_day.booking_date) FROM account "
        "LEFT JOIN account_day USING (book_id, account_id) "
        "WHERE book_id = :book AND number = :number GROUP BY 1",
        "ledger",
        book=book.book_id,
        number=number,
    )
    return tuple(rows[0])


def move(book: LedgerUnderTest, number: str, lines: int) -> None:
    """So many lines of one fen on an account, against the book's own."""
    numbers = [number] * lines + ["1003"]
    post_columns(book, (numbers, [0] * lines + [lines], [1] * lines + [0]))


def test_a_thousand_lines_of_one_day_are_added_up_and_of_as_many_days_are_not(
    book: LedgerUnderTest,
) -> None:
    for number in (BUSY, QUIET):
        move(book, number, 1)
    long_ago = "UPDATE account SET summed_on = summed_on - 999 WHERE number = :number"
    book.house.sql(long_ago, "ledger", write=True, number=QUIET)
    for number in (BUSY, QUIET):
        move(book, number, 999)
    assert summed(book, BUSY) == (1000, 1)
    assert summed(book, QUIET) == (0, 0)
    assert book.balance(BUSY, QUIET) == [1000, 1000]
    assert book.findings() == []


def test_of_an_account_with_few_lines_a_day_four_thousand_at_most_are_read(
    book: LedgerUnderTest,
) -> None:
    move(book, QUIET, 1)
    long_ago = "UPDATE account SET summed_on = summed_on - 9999 WHERE number = :number"
    book.house.sql(long_ago, "ledger", write=True, number=QUIET)
    move(book, QUIET, 3998)
    assert summed(book, QUIET) == (0, 0)
    move(book, QUIET, 1)
    assert summed(book, QUIET) == (4000, 1)
    assert book.balance(QUIET) == 4000
    assert book.findings() == []
