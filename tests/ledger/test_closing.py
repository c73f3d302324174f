"""The business date: closed by CloseDay alone, and then closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from ledger.accounting_case import close_period, post, voucher
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy.exc import DBAPIError

from support import House, day, refusal, rid
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr

NewBook = Callable[..., LedgerUnderTest]
SIXTEENTH = day("2026-01-16")


def test_closing_opens_the_next_day_and_answers_the_same_again(book: LedgerUnderTest) -> None:
    anchor = book.post("LOAN_DISBURSED", principal=100).anchor
    first = book.close_day("2026-01-15")
    assert first.next_business_date == SIXTEENTH
    assert first.head.sequence == anchor.sequence
    assert first.head == _head(book)
    book.post("LOAN_DISBURSED", principal=1)
    assert book.close_day("2026-01-15") == first
    booked = book.post("LOAN_DISBURSED", principal=1).entries[0]
    assert booked.booking_date == SIXTEENTH


def _head(book: LedgerUnderTest) -> pb.Head:
    return book.proof.GetHead(pr.GetHeadRequest(book_id=book.book_id)).head


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
            "INSERT INTO entry VALUES "
            "(:book, 1, '2026-01-15', '2026-01-15', 0, 0, 2, 'E', '', '', '')",
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


def reserve(book: LedgerUnderTest, expires_on: str) -> int:
    """Reserves 5.00 of a commission; its id."""
    lines = voucher("Dr 6421 5.00 \n Cr 2241.06 5.00", expires_on).lines
    request = pb.ReserveRequest(
        request_id=rid(),
        book_id=book.book_id,
        event="COMMISSION_RESERVED",
        expires_on=day(expires_on),
        lines=lines,
    )
    return book.ledger.Reserve(request).reservation.reservation_id


def states(book: LedgerUnderTest, reservation_ids: Sequence[int]) -> list[str]:
    """States of reservations."""
    asked = (
        pb.GetReservationRequest(book_id=book.book_id, reservation_id=one)
        for one in reservation_ids
    )
    return [
        pb.ReservationState.Name(book.ledger.GetReservation(one).reservation.state).rpartition("_")[
            2
        ]
        for one in asked
    ]


def pending(book: LedgerUnderTest, number: str) -> tuple[int, int]:
    """Debits and credits pending on an account."""
    request = pb.GetBalancesRequest(book_id=book.book_id, account_numbers=[number])
    balance = book.ledger.GetBalances(request).balances[0]
    return balance.debits_pending, balance.credits_pending


def test_a_close_gives_back_what_was_reserved_until_its_day_and_nothing_else(
    book: LedgerUnderTest,
) -> None:
    made = [reserve(book, until) for until in ("2026-01-15", "2026-01-15", "2026-01-16")]
    book.ledger.CommitReservation(
        pb.CommitReservationRequest(
            request_id=rid(), book_id=book.book_id, reservation_id=reserve(book, "2026-01-15")
        )
    )
    assert pending(book, "6421") == (1500, 0)
    book.close_day("2026-01-15")
    assert states(book, made) == ["EXPIRED", "EXPIRED", "PENDING"]
    assert (pending(book, "6421"), pending(book, "2241.06")) == ((500, 0), (0, 500))
    book.close_day("2026-01-16")
    assert states(book, made) == ["EXPIRED"] * 3
    assert (pending(book, "6421"), book.balance("6421")) == ((0, 0), 500)
    assert book.findings() == []


def test_what_expired_is_not_committed_on_the_next_day(book: LedgerUnderTest) -> None:
    made = reserve(book, "2026-01-15")
    book.close_day("2026-01-15")
    with pytest.raises(grpc.RpcError) as error:
        book.ledger.CommitReservation(
            pb.CommitReservationRequest(request_id=rid(), book_id=book.book_id, reservation_id=made)
        )
    assert refusal(error.value) == ("FAILED_PRECONDITION", "RESERVATION_EXPIRED")
    with pytest.raises(grpc.RpcError) as error:
        reserve(book, "2026-01-15")
    assert refusal(error.value) == ("FAILED_PRECONDITION", "EXPIRY_PASSED")


@pytest.fixture
def neighbours(data_dir: Path, new_book: NewBook) -> Iterator[tuple[LedgerUnderTest, ...]]:
    """One book on the last day of a month, as two processes serve it."""
    book = new_book(business_date=day("2026-01-31"))
    second = House(data_dir, database_name=book.house.settings.database_name)
    second.spawn("ledger")
    yield book, LedgerUnderTest(second, book.book_id)
    second.kill("ledger")


def test_of_processes_that_close_at_once_one_does_and_all_hear_the_same(
    neighbours: tuple[LedgerUnderTest, ...],
) -> None:
    book = neighbours[0]
    post(book, voucher("Dr 1003 5.00 \n Cr 6011.01 5.00", "2026-01-31"))
    with ThreadPoolExecutor(8) as pool:
        days = list(pool.map(lambda one: one.close_day("2026-01-31"), neighbours * 4))
        assert all(answer == days[0] for answer in days)
        months = list(pool.map(lambda one: close_period(one, "2026-01"), neighbours * 4))
    assert all(answer == months[0] for answer in months)
    assert (months[0].period.profit, months[0].period.sequence) == (500, 2)
    assert book.balance("6011.01", "4103") == [0, 500]
    for one in neighbours:
        post(one, voucher("Dr 1003 5.00 \n Cr 6011.01 5.00", "2026-02-01"))
    assert book.trial_balance(booking_date=day("2026-01-31")).total_debits == 500
    assert book.findings() == []


def bulk(book: LedgerUnderTest, accounts: int) -> pb.PostColumnsResponse:
    """One entry of many lines, sent in chunks."""
    header = pb.PostColumnsHeader(
        request_id=rid(), book_id=book.book_id, event="BULK", value_date=day("2026-01-15")
    )

    def parts() -> Iterator[pb.PostColumnsRequest]:
        yield pb.PostColumnsRequest(header=header)
        for first in range(0, accounts, 5000):
            names = [f"1303.01:LOAN:{n}" for n in range(first, first + 5000)]
            chunk = pb.LineColumns(
                account_numbers=[*names, "1003"],
                debits=[1] * len(names) + [0],
                credits=[0] * len(names) + [len(names)],
            )
            yield pb.PostColumnsRequest(chunk=chunk)

    return book.ledger.PostColumns(parts())


def test_a_day_closed_during_bulk_loads_has_each_of_them_whole_or_not_at_all(
    book: LedgerUnderTest,
) -> None:
    def call(place: int) -> Any:
        return book.close_day("2026-01-15") if place == 2 else bulk(book, 20_000)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(call, range(5)))
    booked = [
        book.trial_balance(booking_date=day(until)).total_debits
        for until in ("2026-01-15", "2026-01-16")
    ]
    assert booked[0] in (0, 20_000, 40_000, 60_000, 80_000)
    assert booked[1] == 80_000
    assert book.findings() == []


def _months(book: LedgerUnderTest) -> list[str]:
    rows = book.house.sql(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'line'::regclass ORDER BY relname",
        "ledger",
    )
    return [name for (name,) in rows]


def test_the_journal_has_room_for_the_next_month_before_it_comes(new_book: NewBook) -> None:
    book = new_book(business_date=day("2031-11-30"))
    assert {"line_2031_11", "line_2031_12"} <= set(_months(book))
    assert "line_2032_01" not in _months(book)
    book.close_day("2031-11-30")
    assert "line_2032_01" in _months(book)
    for number in range(31):
        book.close_day(f"2031-12-{number + 1:02}")
    assert "line_2032_02" in _months(book)
    post(book, voucher("Dr 1003 5.00 \n Cr 6011.01 5.00", "2031-12-31"))
    rows = book.house.sql(
        "SELECT count(*) FROM line_2032_01 WHERE book_id = :book", "ledger", book=book.book_id
    )
    assert rows == [(2,)]
    with pytest.raises(DBAPIError, match="the journal is never changed"):
        book.house.sql("DELETE FROM line_2032_01", "ledger", write=True)


def test_days_follow_one_another_through_a_leap_day(new_book: NewBook) -> None:
    book = new_book(business_date=day("2028-02-28"))
    assert book.close_day("2028-02-28").next_business_date == day("2028-02-29")
    assert book.close_day("2028-02-29").next_business_date == day("2028-03-01")
