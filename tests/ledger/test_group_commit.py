"""The group commit itself: who shares a transaction, and what becomes of them when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from support import wait_until
from tael_ledger.catalogue import Catalogue
from tael_ledger.drafts import Draft, Line
from tael_ledger.group_commit import BULK_LINES, GROUP_LINES, GroupCommit, _Line, _Waiting
from tael_ledger.journal import RequestKey
from tael_ledger.posting import Posted, Repeated
from tael_ledger.requests import ALONE, Desk, Plan, PostingRequest
from tael_runtime.database import Database
from tael_runtime.errors import Unavailable

DAY = date(2026, 1, 15)
GROUP_SIZE = 8


@dataclass(frozen=True)
class Handmade(PostingRequest):
    """A request with lines of its own, balanced or not."""

    request_id: str
    lines: Sequence[Line] = (Line("1002", 5, 0), Line("6011.01", 0, 5))
    key: RequestKey = field(init=False)
    content_hash: bytes = field(default=bytes(32), kw_only=True)
    weight: int = 2
    shares: object = None
    """What it excludes others by, beside itself."""

    def __post_init__(self) -> None:
        """Its identity."""
        object.__setattr__(self, "key", RequestKey("Handmade", "tester", self.request_id))

    @property
    def excludes(self) -> frozenset[object]:
        """Itself and, where it shares something, whoever shares it too."""
        return frozenset((self.key,) if self.shares is None else (self.key, self.shares))

    def plan(self, desk: Desk) -> Plan:
        """One entry."""
        return Plan([Draft("HANDMADE", DAY, "", "", self.lines, desk.rules.version)])


UNBALANCED = (Line("1002", 5, 0), Line("6011.01", 0, 6))


@dataclass
class Committing:
    """A group commit on a book, and a way to make requests wait for one another."""

    book: LedgerUnderTest
    database: Database
    group_commit: GroupCommit
    pool: ThreadPoolExecutor

    def submit(self, request: Handmade) -> Future[Posted | Repeated]:
        """Submits from a thread of its own."""
        return self.pool.submit(self.group_commit.submit, self.book.book_id, request)

    def together(self, *requests: Handmade) -> list[Future[Posted | Repeated]]:
        """Submits while the book is held, so that all but the first come in one group."""
        with self.database.engine.begin() as holder:
            self._hold(holder)
            futures = [self.submit(Handmade("first"))]
            wait_until(self._waiting, what="the first to reach the book")
            futures += [self.submit(request) for request in requests]
            committer = self.group_commit._committers[self.book.book_id]
            wait_until(lambda: committer.queue.qsize() == len(requests), what="the rest to queue")
        return futures

    def _hold(self, holder: Connection) -> None:
        holder.exec_driver_sql(
            "SELECT 1 FROM book WHERE book_id = %s FOR UPDATE", (self.book.book_id,)
        )

    def _waiting(self) -> bool:
        # A transaction sees one picture of the activity: so a new one each time.
        with self.database.engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(found.scalar())


@pytest.fixture
def committing(book: LedgerUnderTest) -> Iterator[Committing]:
    """A group commit of its own on a fresh book."""
    database = book.house.running["ledger"].runtime.database
    group_commit = GroupCommit(database, Catalogue(), GROUP_SIZE)
    with ThreadPoolExecutor(32) as pool:
        yield Committing(book, database, group_commit, pool)
        group_commit.close()


small = st.builds(
    Handmade,
    request_id=st.integers(0, 5).map(str),
    weight=st.sampled_from((1, 2, BULK_LINES)),
    shares=st.sampled_from((None, None, "A", "B")),
)
bulk = st.builds(
    Handmade,
    request_id=st.integers(6, 9).map(str),
    weight=st.sampled_from((BULK_LINES + 1, ALONE)),
)


def grouped(requests: Sequence[Handmade], size: int) -> list[list[Handmade]]:
    """The groups that requests which wait together are committed in."""
    line = _Line()
    for request in requests:
        line.join(_Waiting(request, Future()))
    groups = []
    while line:
        groups.append([cast("Handmade", one.request) for one in line.group(size)])
    return groups


def ids(requests: Iterable[Handmade]) -> list[int]:
    """Which they are, even where two are equal."""
    return [id(request) for request in requests]


@given(st.lists(small | bulk), st.integers(1, 5))
def test_everyone_who_waits_is_in_one_group_and_nobody_twice(
    requests: list[Handmade], size: int
) -> None:
    requests = [replace(request) for request in requests]
    groups = grouped(requests, size)
    assert sorted(ids(one for group in groups for one in group)) == sorted(ids(requests))
    for group in groups:
        assert 1 <= len(group) <= size
        assert sum(one.weight for one in group[:-1]) < GROUP_LINES
        excluded = [each for one in group for each in one.excludes]
        assert len(excluded) == len(set(excluded))


@given(st.lists(small), st.integers(1, 5))
def test_those_who_exclude_one_another_keep_their_order(
    requests: list[Handmade], size: int
) -> None:
    requests = [replace(request) for request in requests]
    served = [one for group in grouped(requests, size) for one in group]
    for what in {each for request in requests for each in request.excludes}:
        came = ids(one for one in requests if what in one.excludes)
        assert ids(one for one in served if what in one.excludes) == came


@given(st.lists(small), st.integers(1, 5))
def test_those_who_exclude_nobody_are_served_as_they_came(
    requests: list[Handmade], size: int
) -> None:
    requests = [
        replace(request, request_id=str(place), shares=None)
        for place, request in enumerate(requests)
    ]
    assert ids(one for group in grouped(requests, size) for one in group) == ids(requests)


@given(st.lists(small, min_size=1), st.lists(bulk, min_size=1))
def test_who_writes_much_goes_alone_and_lets_others_between(
    few: list[Handmade], many: list[Handmade]
) -> None:
    groups = grouped([*many, *few], GROUP_SIZE)
    marks = [group[0].weight > BULK_LINES for group in groups]
    assert all(len(group) == 1 for group, mark in zip(groups, marks, strict=True) if mark)
    assert marks[0] is False
    for place, (mark, following) in enumerate(pairwise(marks)):
        if mark == following:
            assert set(marks[place:]) == {mark}, "the others had all been served"


def anchors(futures: Sequence[Future[Posted | Repeated]]) -> list[bytes]:
    """The digest each was answered with."""
    outcomes = [future.result(10) for future in futures]
    return [outcome.receipt.anchor.digest for outcome in outcomes if isinstance(outcome, Posted)]


def test_what_arrives_during_a_commit_shares_the_next_one(committing: Committing) -> None:
    first, *rest = anchors(committing.together(*(Handmade(str(n)) for n in range(8))))
    assert len(set(rest)) == 1
    assert first not in rest
    assert committing.book.findings() == []


def test_when_the_store_refuses_a_group_only_the_guilty_fail(committing: Committing) -> None:
    _, *futures = committing.together(
        Handmade("a"), Handmade("wrong", UNBALANCED), Handmade("b"), Handmade("c")
    )
    with pytest.raises(DBAPIError, match="does not balance"):
        futures[1].result(10)
    alone, *others = anchors([futures[0], futures[2], futures[3]])
    assert others == [others[0]] * 2, "they share a transaction"
    assert alone != others[0]
    assert committing.book.balance("1002") == 4 * 5
    assert committing.book.findings() == []


def test_a_large_group_is_answered_though_the_next_one_fails(committing: Committing) -> None:
    large = [Handmade(str(n), weight=BULK_LINES) for n in range(GROUP_LINES // BULK_LINES)]
    *posted, refused = committing.together(*large, Handmade("wrong", UNBALANCED))
    assert len(set(anchors(posted))) == 2, "the first, and the large ones together"
    with pytest.raises(DBAPIError, match="does not balance"):
        refused.result(10)


def test_the_same_request_twice_in_a_group_is_posted_once(committing: Committing) -> None:
    _, *futures = committing.together(Handmade("twin"), Handmade("twin"))
    outcomes = sorted(type(future.result(10)).__name__ for future in futures)
    assert outcomes == ["Posted", "Repeated"]
    assert committing.book.balance("1002") == 2 * 5


def test_a_commit_whose_answer_was_lost_is_found_and_not_done_again(
    committing: Committing,
) -> None:
    engine = committing.database.engine
    lost = threading.Event()

    def commit_and_die(connection: Connection) -> None:
        ours = threading.current_thread().name == f"commit-{committing.book.book_id}"
        if ours and not lost.is_set():
            lost.set()
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.commit()
            raw.close()

    event.listen(engine, "commit", commit_and_die)
    try:
        outcome = committing.submit(Handmade("lost")).result(10)
    finally:
        event.remove(engine, "commit", commit_and_die)
    assert lost.is_set()
    assert isinstance(outcome, Repeated)
    assert committing.book.balance("1002") == 5
    assert committing.book.findings() == []


def test_closing_answers_everyone_who_came_before_and_nobody_after(committing: Committing) -> None:
    futures = committing.together(*(Handmade(str(n)) for n in range(8)))
    committing.group_commit.close()
    assert len(anchors(futures)) == 9
    with pytest.raises(Unavailable):
        committing.submit(Handmade("late")).result(10)
