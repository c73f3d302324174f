"""WatchEntries: every entry once, in order, without a gap; then those to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import grpc
from ledger.ledger_case import LedgerUnderTest
from ledger.posting_case import CASH, WALLET, pay_in, pay_out, post, post_columns, refused
from ledger.test_concurrency import together

from support import House, rid, wait_until
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import ledger_pb2_grpc


def watch(book: LedgerUnderTest, after: int = 0, event: str = "") -> Any:
    """The stream."""
    return book.ledger.WatchEntries(
        pb.WatchEntriesRequest(book_id=book.book_id, after_sequence=after, event=event)
    )


def sequences(stream: Iterator[pb.WatchEntriesResponse], count: int) -> list[int]:
    """Of the next entries."""
    return [part.entry.sequence for part in islice(stream, count)]


def test_entries_are_told_from_the_first_or_after_a_sequence(book: LedgerUnderTest) -> None:
    post(book, pay_in(1), pay_in(2), pay_in(3))
    assert sequences(watch(book), 3) == [1, 2, 3]
    told = next(watch(book, after=2))
    assert (
        told.entry
        == book.ledger.GetEntry(pb.GetEntryRequest(book_id=book.book_id, sequence=3)).entry
    )
    assert told.lines == 2


def test_an_entry_is_told_as_soon_as_it_is_committed(book: LedgerUnderTest) -> None:
    stream = watch(book)
    post(book, pay_in(1))
    assert sequences(stream, 1) == [1]
    began = time.monotonic()
    later = threading.Timer(0.3, lambda: post(book, pay_in(2)))
    later.start()
    assert sequences(stream, 1) == [2]
    later.join()
    assert time.monotonic() - began < 2


def test_watchers_see_every_entry_in_order_while_many_post(book: LedgerUnderTest) -> None:
    streams = [watch(book) for _ in range(3)]
    together(16, lambda _: [post(book, pay_in(1), pay_in(1)) for _ in range(10)])
    for stream in streams:
        assert sequences(stream, 320) == list(range(1, 321))


def test_only_the_entries_of_an_event_are_told_where_one_is_named(book: LedgerUnderTest) -> None:
    stream = watch(book, event="FEE")
    post(book, pay_in(1), pay_out(1, event="FEE"), pay_in(1))
    post(book, pay_in(1, event="FEE"))
    assert sequences(stream, 2) == [2, 4]


def test_an_entry_of_more_than_a_thousand_lines_is_told_without_them(
    book: LedgerUnderTest,
) -> None:
    post(book, pay_in(1))
    post_columns(book, ([CASH, *[WALLET] * 1_000], [1_000, *[0] * 1_000], [0, *[1] * 1_000]))
    post_columns(book, ([CASH, *[WALLET] * 999], [999, *[0] * 999], [0, *[1] * 999]))
    found = list(islice(watch(book), 3))
    assert [part.lines for part in found] == [2, 1_001, 1_000]
    assert [len(part.entry.lines) for part in found] == [2, 0, 1_000]


def test_a_book_that_is_not_there_is_not_watched(book: LedgerUnderTest) -> None:
    stray = LedgerUnderTest(book.house, "nowhere")
    assert refused(lambda: next(watch(stray))) == "RESOURCE_NOT_FOUND"


def test_what_another_process_commits_is_told_too(data_dir: Any, book: LedgerUnderTest) -> None:
    stream = watch(book)
    second = House(data_dir, database_name=book.house.settings.database_name)
    try:
        second.start("ledger")
        stub = second.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
        stub.PostEntries(
            pb.PostEntriesRequest(request_id=rid(), book_id=book.book_id, entries=[pay_in(1)])
        )
        assert sequences(stream, 1) == [1]
    finally:
        second.stop_one("ledger")


def test_a_watch_ends_without_an_error_when_the_service_stops(
    data_dir: Any, book: LedgerUnderTest
) -> None:
    second = House(data_dir, database_name=book.house.settings.database_name)
    second.start("ledger")
    post(book, pay_in(1))
    stub = second.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
    stream = stub.WatchEntries(pb.WatchEntriesRequest(book_id=book.book_id))
    assert sequences(stream, 1) == [1]
    stopper = threading.Thread(target=second.stop_one, args=("ledger",))
    began = time.monotonic()
    stopper.start()
    assert list(stream) == []
    stopper.join()
    assert time.monotonic() - began < 5


def test_a_watcher_that_goes_away_holds_no_thread(book: LedgerUnderTest) -> None:
    post(book, pay_in(1))
    streams = [watch(book) for _ in range(book.house.settings.max_streams)]
    for stream in streams:
        assert sequences(stream, 1) == [1]
    assert refused(lambda: next(watch(book))) == "TOO_MANY_STREAMS"
    for stream in streams:
        stream.cancel()

    def watches_again() -> bool:
        try:
            return sequences(watch(book), 1) == [1]
        except grpc.RpcError:
            return False

    wait_until(watches_again, what="a free stream")


def test_a_page_of_watched_entries_is_no_end(book: LedgerUnderTest) -> None:
    entries = [pay_in(1) for _ in range(1_200)]
    post(book, *entries)
    assert sequences(watch(book), 1_200) == list(range(1, 1_201))
