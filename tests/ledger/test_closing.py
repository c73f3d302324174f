"""The business date: closed by CloseDay alone, and then closed."""

from __future__ import annotations

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy.exc import DBAPIError

from support import day, refusal, rid
from tael.ledger.v1 import ledger_pb2 as pb


def test_closing_opens_the_next_day_and_answers_the_same_again(book: LedgerUnderTest) -> None:
    anchor = book.post("LOAN_DISBURSED", principal=100).anchor
    first = book.close_day("2026-01-15")
    assert first.next_business_date == day("2026-01-16")
    assert (first.head.sequence, first.head.digest) == (anchor.sequence, anchor.digest)
    book.post("LOAN_DISBURSED", principal=1)
    assert book.close_day("2026-01-15") == first
    booked = book.post("LOAN_DISBURSED", principal=1).entries[0]
    assert booked.booking_date == day("2026-01-16")


def test_another_day_than_the_open_one_is_not_closed(book: LedgerUnderTest) -> None:
    for other in ("2026-01-14", "2026-01-16"):
        with pytest.raises(grpc.RpcError) as error:
            book.close_day(other)
        assert refusal(error.value) == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")


def test_a_closed_day_takes_no_booking(book: LedgerUnderTest) -> None:
    book.close_day("2026-01-15")

    def asking_for(text_date: str) -> tuple[str, str]:
        request = pb.RecordEventsRequest(
            request_id=rid(),
            book_id=book.book_id,
            events=[book.event("LOAN_DISBURSED", principal=1)],
            booking_date=day(text_date),
        )
        with pytest.raises(grpc.RpcError) as error:
            book.ledger.RecordEvents(request)
        return refusal(error.value)

    assert asking_for("2026-01-15") == ("FAILED_PRECONDITION", "DAY_CLOSED")
    assert asking_for("2026-01-17") == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")
    with pytest.raises(DBAPIError, match="not the open business date"):
        book.house.sql(
            "INSERT INTO entry VALUES (:book, 1, 'E', '2026-01-15', '2026-01-15', '', '', 1, 0)",
            "ledger",
            write=True,
            book=book.book_id,
        )


def test_the_trial_balance_tells_each_day_as_it_closed(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100, commitment=100)
    book.close_day("2026-01-15")
    book.post("LOAN_DISBURSED", principal=11)
    now = book.trial_balance()
    then = book.trial_balance(booking_date=day("2026-01-15"))
    assert (now.total_debits, now.total_credits) == (211, 211)
    assert (then.total_debits, then.total_credits) == (200, 200)
    rows = {row.account.code: row.balance for row in then.rows}
    assert rows == {"1303.01": 100, "2011.01": 100, "7201": -100, "7999": -100}
