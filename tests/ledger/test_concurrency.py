"""Many callers at once, several processes, connections that die: still exactly once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from ledger.ledger_case import FIRST_DAY, OWNERS, LedgerUnderTest

from support import House, day, refusal, rid
from tael.ledger.v1 import approval_pb2 as ap
from tael.ledger.v1 import approval_pb2_grpc, ledger_pb2_grpc
from tael.ledger.v1 import ledger_pb2 as pb

PRINCIPAL = "1303.01:LOAN:L1"


def together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Calls at the same moment from as many threads; answers, or (code, reason) where refused."""
    gate = threading.Barrier(count)

    def one(place: int) -> Any:
        gate.wait()
        try:
            return call(place)
        except grpc.RpcError as error:
            return refusal(error)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_sixteen_callers_with_one_request_id_post_once_and_hear_the_same(
    book: LedgerUnderTest,
) -> None:
    event = book.event("LOAN_DISBURSED", principal=100)
    answers = together(16, lambda _: book.record(event, request_id="same"))
    assert all(answer == answers[0] for answer in answers)
    assert book.balance(PRINCIPAL) == 100


def test_of_callers_with_one_request_id_and_different_content_one_wins(
    book: LedgerUnderTest,
) -> None:
    answers = together(
        8,
        lambda place: book.record(
            book.event("LOAN_DISBURSED", principal=1 + place), request_id="same"
        ),
    )
    reused = ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert answers.count(reused) == 7
    won = next(answer for answer in answers if answer != reused)
    assert book.balance(PRINCIPAL) == won.entries[0].lines[0].amount


def test_of_many_reversals_of_one_entry_one_is_made(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100)
    answers = together(
        8,
        lambda _: book.ledger.ReverseEntry(
            pb.ReverseEntryRequest(
                request_id=rid(), book_id=book.book_id, sequence=1, reason="wrong"
            )
        ),
    )
    assert answers.count(("FAILED_PRECONDITION", "ALREADY_REVERSED")) == 7
    assert book.balance(PRINCIPAL) == 0


def test_a_bad_request_fails_alone_among_those_it_is_committed_with(book: LedgerUnderTest) -> None:
    def call(place: int) -> Any:
        name = "LOAN_DANCED" if place % 4 == 0 else "LOAN_DISBURSED"
        return book.post(name, principal=1)

    answers = together(32, call)
    refused = [answer for answer in answers if isinstance(answer, tuple)]
    assert refused == [("FAILED_PRECONDITION", "NO_POSTING_RULE")] * 8
    assert book.balance(PRINCIPAL) == 24
    assert book.findings() == []


def test_requests_that_come_together_share_a_commit(book: LedgerUnderTest) -> None:
    answers = together(
        32,
        lambda place: book.post(
            "LOAN_DISBURSED", owners={**OWNERS, "LOAN": f"L{place}"}, principal=1
        ),
    )
    batches = Counter(answer.anchor.digest for answer in answers)
    assert len(batches) < 32
    sequences = sorted(entry.sequence for answer in answers for entry in answer.entries)
    assert sequences == list(range(1, 33))
    assert book.findings() == []


def test_days_closed_between_postings_leave_every_entry_on_an_open_day(
    book: LedgerUnderTest,
) -> None:
    def call(place: int) -> Any:
        if place == 0:
            return book.close_day(FIRST_DAY)
        return book.post("LOAN_DISBURSED", principal=1)

    together(16, call)
    first = book.trial_balance(booking_date=day(FIRST_DAY)).total_debits
    assert first + _booked_on(book, "2026-01-16") == 15
    assert book.findings() == []


def _booked_on(book: LedgerUnderTest, text_date: str) -> int:
    request = pb.ListEntriesRequest(book_id=book.book_id, from_booking_date=day(text_date))
    return len(book.ledger.ListEntries(request).entries)


def test_two_processes_post_to_one_book_without_a_gap_or_a_double(
    data_dir: Any, book: LedgerUnderTest
) -> None:
    second = House(data_dir, database_name=book.house.settings.database_name)
    second.spawn("ledger")
    stubs = (book.ledger, second.client("ledger", ledger_pb2_grpc.LedgerServiceStub))
    event = book.event("LOAN_DISBURSED", principal=1)

    def call(place: int) -> Any:
        return stubs[place % 2].RecordEvents(
            pb.RecordEventsRequest(
                request_id=f"r{place // 2}", book_id=book.book_id, events=[event]
            )
        )

    try:
        answers = together(32, call)
    finally:
        second.kill("ledger")
    assert all(answer.entries for answer in answers)
    assert book.balance(PRINCIPAL) == 16
    assert book.findings() == []


@contextmanager
def cutting(book: LedgerUnderTest) -> Iterator[None]:
    """The ledger's connections are cut again and again."""
    stop = threading.Event()

    def cut() -> None:
        while not stop.wait(0.05):
            book.house.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = 'tael_ledger'",
                "ledger",
            )

    saboteur = threading.Thread(target=cut)
    saboteur.start()
    try:
        yield
    finally:
        stop.set()
        saboteur.join()


def test_connections_that_die_lose_and_double_nothing(book: LedgerUnderTest) -> None:
    event = book.event("LOAN_DISBURSED", principal=1)

    def call(place: int) -> Any:
        # The client repeats what was UNAVAILABLE under the same request_id.
        return [book.record(event, request_id=f"{place}-{n}") for n in range(10)]

    with cutting(book):
        answers = together(8, call)
    assert not [answer for answer in answers if isinstance(answer, tuple)]
    assert book.balance(PRINCIPAL) == 80
    assert book.findings() == []


def test_an_approval_whose_connection_dies_is_carried_out_once(book: LedgerUnderTest) -> None:
    maker, checker = (
        book.house.client("ledger", approval_pb2_grpc.ApprovalServiceStub, caller=who)
        for who in ("maker", "checker")
    )
    event = book.event("LOAN_DISBURSED", principal=1)
    operation = ap.Operation(record_events=pb.RecordEventsRequest(events=[event]))

    def call(place: int) -> Any:
        # The client repeats what was UNAVAILABLE under the same request_id.
        about = {"request_id": f"approval-{place}", "book_id": book.book_id}
        asked = maker.Propose(ap.ProposeRequest(operation=operation, reason="by hand", **about))
        number = asked.proposal.proposal_id
        return checker.Approve(ap.ApproveRequest(proposal_id=number, **about))

    with cutting(book):
        answers = together(32, call)
    assert {answer.proposal.state for answer in answers} == {ap.PROPOSAL_STATE_APPROVED}
    assert len({answer.entries[0].sequence for answer in answers}) == 32
    assert book.balance(PRINCIPAL) == 32
    assert book.findings() == []
