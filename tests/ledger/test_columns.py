"""Events in columns: the same books as one by one, exactly once, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import grpc
import psycopg2
import pytest
from ledger.chain_page import address
from ledger.ledger_case import LedgerUnderTest, lines

from support import House, day, refusal, rid, violations
from tael.ledger.v1 import ledger_pb2 as pb

Chunk = tuple[Sequence[str], Sequence[Sequence[int]]]


def stream(
    book: LedgerUnderTest, chunks: Sequence[Chunk], **header: Any
) -> Iterator[pb.RecordEventColumnsRequest]:
    """A header for a night's interest, then chunks of (owners, columns)."""
    settings: dict[str, Any] = {
        "request_id": rid(),
        "book_id": book.book_id,
        "event": "INTEREST_ACCRUED",
        "value_date": day("2026-01-15"),
        "accrual_status": pb.ACCRUAL_STATUS_ACCRUAL,
        "owner_type": "LOAN",
        "amount_types": ["interest"],
        "source": "eod",
    }
    yield pb.RecordEventColumnsRequest(header=pb.EventColumnsHeader(**{**settings, **header}))
    for owners, columns in chunks:
        yield pb.RecordEventColumnsRequest(
            chunk=pb.EventColumnsChunk(
                owner_ids=owners,
                columns=[pb.AmountColumn(minor_units=column) for column in columns],
            )
        )


def record(
    book: LedgerUnderTest, chunks: Sequence[Chunk], **header: Any
) -> pb.RecordEventColumnsResponse:
    """Books columns."""
    return book.ledger.RecordEventColumns(stream(book, chunks, **header))


def wrong_field(book: LedgerUnderTest, chunks: Sequence[Chunk], **header: Any) -> str:
    """The field that columns are refused for."""
    with pytest.raises(grpc.RpcError) as error:
        record(book, chunks, **header)
    return next(iter(violations(error.value)))


def test_a_chunk_makes_one_compound_entry(book: LedgerUnderTest) -> None:
    answer = record(
        book,
        [(["A", "B", "C"], [[323, 0, -5], [0, 7, 0]]), (["D"], [[1], [0]])],
        amount_types=["interest", "penalty"],
    )
    assert (answer.first_sequence, answer.entries, answer.lines) == (1, 2, 7)
    entry = book.ledger.GetEntry(pb.GetEntryRequest(book_id=book.book_id, sequence=1)).entry
    assert lines(entry) == {
        "1132.01:LOAN:A": ("Dr", 323),
        "1132.01:LOAN:C": ("Dr", -5),
        "1132.03:LOAN:B": ("Dr", 7),
        "6011.01": ("Cr", 318),
        "6011.02": ("Cr", 7),
    }
    assert entry.source == "eod"
    assert book.findings() == []


def test_columns_are_booked_exactly_once(book: LedgerUnderTest) -> None:
    chunks: list[Chunk] = [(["A", "B"], [[1, 2]])]
    first = record(book, chunks, request_id="night")
    assert record(book, chunks, request_id="night") == first
    with pytest.raises(grpc.RpcError) as error:
        record(book, [(["A", "B"], [[1, 3]])], request_id="night")
    assert refusal(error.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert book.balance("6011.01") == 3


def test_columns_of_zeros_make_no_entry(book: LedgerUnderTest) -> None:
    answer = record(book, [(["A"], [[0]])], request_id="zeros")
    assert (answer.first_sequence, answer.entries, answer.lines) == (0, 0, 0)
    assert record(book, [(["A"], [[0]])], request_id="zeros") == answer


def test_columns_with_a_fault_book_nothing_and_name_it(book: LedgerUnderTest) -> None:
    good: Chunk = (["A"], [[1]])
    assert wrong_field(book, [good, (["B", "C"], [[1]])]) == "chunk[1].columns[0]"
    assert wrong_field(book, [good, (["B"], [[1], [2]])]) == "chunk[1].columns"
    assert wrong_field(book, [good, (["B", "no owner"], [[1, 1]])]) == "chunk[1].owner_ids[1]"
    assert wrong_field(book, [good, (["B", "B"], [[1, 1]])]) == "chunk[1].owner_ids"
    assert wrong_field(book, [good, (["B"], [[10**15]])]) == "chunk[1].columns[0]"
    assert wrong_field(book, [good], owner_type="CUSTOMER") == "header.owner_type"
    assert wrong_field(book, [good], value_date=day("3000-01-01")) == "header.value_date"
    assert wrong_field(book, []) == "chunk"
    assert wrong_field(book, [], event="NEVER_HEARD_OF") == "chunk"
    assert book.balance("6011.01") == 0


@pytest.mark.parametrize("wrong", ["B\nC", "B\n", "\nB", "\n", ""])
def test_two_owners_on_two_lines_are_not_one_owner(book: LedgerUnderTest, wrong: str) -> None:
    assert wrong_field(book, [(["A", wrong], [[1, 1]])]) == "chunk[0].owner_ids[1]"
    answer = book.ledger.ListAccounts(pb.ListAccountsRequest(book_id=book.book_id))
    assert not answer.accounts


def test_columns_the_rules_do_not_know_or_of_tomorrow_are_refused(book: LedgerUnderTest) -> None:
    chunks: list[Chunk] = [(["A"], [[1]])]

    def refused(**header: Any) -> str:
        with pytest.raises(grpc.RpcError) as error:
            record(book, chunks, **header)
        return refusal(error.value)[1]

    assert refused(amount_types=["tips"]) == "NO_POSTING_RULE"
    assert refused(value_date=day("2026-01-16")) == "VALUE_DATE_IN_FUTURE"
    assert refused(booking_date=day("2026-01-14")) == "DAY_CLOSED"


def test_a_stream_begins_with_one_header(book: LedgerUnderTest) -> None:
    parts = list(stream(book, [(["A"], [[1]])]))
    for wrong in (parts[1:], [parts[0], parts[0]], []):
        with pytest.raises(grpc.RpcError) as error:
            book.ledger.RecordEventColumns(iter(wrong))
        assert "header" in violations(error.value)


def test_fifty_thousand_owners_a_chunk_are_booked_and_proven(book: LedgerUnderTest) -> None:
    owners = [f"L{number}" for number in range(50_000)]
    amounts = [number % 997 for number in range(50_000)]
    answer = record(book, [(owners, [amounts])])
    assert answer.lines == sum(amount != 0 for amount in amounts) + 1
    assert book.balance("6011.01", "1132.01:LOAN:L996") == [sum(amounts), 996]
    assert book.findings() == []


def test_accounts_are_found_by_their_keys_where_the_store_believes_there_are_few(
    open_house: Callable[..., House],
) -> None:
    """A small book was busy while somebody read for long, and was vacuumed: the store has many pages of
    few accounts, and takes what comes after for as few. Going through them once a line takes six
    seconds.
    """
    book = LedgerUnderTest.opened(open_house("ledger"), "few")
    record(book, [([f"A{number}" for number in range(12)], [[5] * 12])])
    busy = (
        "DO 'BEGIN FOR i IN 1..1200 LOOP "
        "UPDATE ledger.account SET debits_pending = debits_pending; COMMIT; END LOOP; END'"
    )
    with (
        closing(psycopg2.connect(**address(book))) as reader,
        closing(psycopg2.connect(**address(book))) as other,
    ):
        reader.set_session(isolation_level="REPEATABLE READ")
        reader.cursor().execute("SELECT 1")
        other.autocommit = True
        other.cursor().execute(busy)
        other.cursor().execute("VACUUM (ANALYZE) ledger.account")
    owners, amounts = [f"L{number}" for number in range(10_000)], [[5] * 10_000]
    for _ in range(2):
        parts = stream(book, [(owners, amounts)])
        answer = book.ledger.RecordEventColumns(parts, timeout=4)
        assert answer.lines == len(owners) + 1


def test_sums_beyond_sixty_four_bits_are_refused_not_wrapped(book: LedgerUnderTest) -> None:
    owners = [f"L{number}" for number in range(20_000)]
    most = [900_000_000_000_000] * len(owners)
    least = [-amount for amount in most]
    for chunks in ([(owners, [most])], [(owners, [most]), (owners, [least])]):
        with pytest.raises(grpc.RpcError) as error:
            record(book, chunks)
        assert refusal(error.value) == ("FAILED_PRECONDITION", "ACCOUNT_LIMIT")
