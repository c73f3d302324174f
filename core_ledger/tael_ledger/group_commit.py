"""Group commit: requests that arrive while a transaction commits share the next one.

One committer thread a book; it alone holds a connection for posting, callers only wait. A hot
account costs one row update a commit and not one a request. What writes many lines goes alone, and
between two of those whatever else waits goes first.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tael_ledger.catalogue import Catalogue
from tael_ledger.commits import Commits
from tael_ledger.posting import Outcome, Posted, Repeated, post
from tael_ledger.reasons import Reason
from tael_ledger.registry import Registry
from tael_ledger.requests import PostingRequest
from tael_runtime.database import Database, is_lost
from tael_runtime.errors import FailedPrecondition, Unavailable
from tael_runtime.errors import Reason as FloorReason

GROUP_LINES = 20_000
"""Lines in one transaction of several requests, about."""
IDLE_SECONDS = 0.2
"""A committer that nobody comes to keeps its connection no longer."""
MANY_LINES = 1_000
"""A group that wrote so many is answered once the next, if one waits, is on its way to the store: its
callers take up the interpreter with what they send then, and the store would stand idle."""
BULK_LINES = 5_000
"""A request that writes more waits for those that write less."""

Answer = Posted | Repeated | BaseException
OVERFLOWS = ("account_turnover",)
"""Constraints that say an account would hold more than it can."""
OUT_OF_RANGE = "22003"
"""The SQLSTATE of a total beyond the store's 64 bits."""


class _Waiting:
    """A request whose caller waits, on a thread or on an event loop."""

    def __init__(
        self,
        request: PostingRequest,
        future: Future[Posted | Repeated] | asyncio.Future[Posted | Repeated],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.request = request
        self.loop = loop
        self._future = future

    def settle(self, answer: Answer) -> None:
        """Answers; on the caller's loop where it has one."""
        if self._future.done():  # its caller went away
            return
        if isinstance(answer, BaseException):
            self._future.set_exception(answer)
        else:
            self._future.set_result(answer)


class GroupCommit:
    """The committers of this process, one a book, begun when first needed."""

    def __init__(self, database: Database, catalogue: Catalogue, group_size: int) -> None:
        """`group_size`: requests in one transaction, at most."""
        self._database = database
        self._catalogue = catalogue
        self._group_size = group_size
        self.commits = Commits()
        self._lock = threading.Lock()
        self._committers: dict[str, _Committer] = {}
        self._closed = False

    def submit(self, book_id: str, request: PostingRequest) -> Posted | Repeated:
        """Executes a request exactly once; returns when it is committed.

        The book exists. Raises the refusal; Unavailable once closed; DBAPIError where the store is
        lost: then the same request_id tells what became of it.
        """
        future: Future[Posted | Repeated] = Future()
        self._enqueue(book_id, _Waiting(request, future))
        return future.result()

    async def post(self, book_id: str, request: PostingRequest) -> Posted | Repeated:
        """As `submit`, for a caller on an event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Posted | Repeated] = loop.create_future()
        self._enqueue(book_id, _Waiting(request, future, loop))
        return await future

    def _enqueue(self, book_id: str, waiting: _Waiting) -> None:
        with self._lock:
            if self._closed:
                raise Unavailable(
                    FloorReason.STORE_UNAVAILABLE, "the service stops; repeat the call"
                )
            self._committer(book_id).queue.put(waiting)

    def _committer(self, book_id: str) -> _Committer:
        committer = self._committers.get(book_id)
        if committer is None:
            committer = _Committer(
                self._database, self._catalogue, book_id, self._group_size, self.commits
            )
            self._committers[book_id] = committer
        return committer

    def close(self) -> None:
        """Answers everyone who came, and takes nobody else."""
        with self._lock:
            self._closed = True
        for committer in self._committers.values():
            committer.close()


class _Line:
    """Who waits for a book: those that write little, and those that write much."""

    def __init__(self) -> None:
        self._small: deque[_Waiting] = deque()
        self._bulk: deque[_Waiting] = deque()
        self._bulk_next = False

    def __bool__(self) -> bool:
        return bool(self._small or self._bulk)

    def join(self, waiting: _Waiting) -> None:
        """At the end."""
        bulk = waiting.request.weight > BULK_LINES
        (self._bulk if bulk else self._small).append(waiting)

    def group(self, size: int) -> list[_Waiting]:
        """Who shares the next transaction: in order of arrival, those that exclude one another
        apart. Someone waits.
        """
        if self._bulk and (self._bulk_next or not self._small):
            self._bulk_next = False
            return [self._bulk.popleft()]
        self._bulk_next = True
        group: list[_Waiting] = []
        turned_away: list[_Waiting] = []
        taken: set[object] = set()
        lines = 0
        while self._small and len(group) < size and lines < GROUP_LINES:
            waiting = self._small.popleft()
            excluded = not taken.isdisjoint(waiting.request.excludes)
            # Whoever excludes one that is turned away comes after it too.
            taken |= waiting.request.excludes
            if excluded:
                turned_away.append(waiting)
                continue
            lines += waiting.request.weight
            group.append(waiting)
        self._small.extendleft(reversed(turned_away))
        return group


class _Committer:
    """Posts one book's requests, group by group."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        book_id: str,
        group_size: int,
        commits: Commits,
    ) -> None:
        self.queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._database = database
        self._catalogue = catalogue
        self._book_id = book_id
        self._group_size = group_size
        self._commits = commits
        self._registry: Registry | None = None
        self._connection: Connection | None = None
        self._line = _Line()
        self._untold: list[tuple[Sequence[_Waiting], Sequence[Answer]]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"commit-{book_id}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._gather():
            group = self._line.group(self._group_size)
            lines = sum([waiting.request.weight for waiting in group])
            if lines > GROUP_LINES:
                self._tell()
            self._commit(group)
            if lines < MANY_LINES:
                self._tell()
        self._tell()
        self._give_back()

    def _give_back(self) -> None:
        """The connection, to the pool that all books share."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _next(self) -> _Waiting | None:
        """Who comes next; raises Empty where someone waits already."""
        if self._line:
            return self.queue.get_nowait()
        with suppress(Empty):
            return self.queue.get_nowait()
        self._tell()
        try:
            return self.queue.get(timeout=IDLE_SECONDS)
        except Empty:
            self._give_back()
            return self.queue.get()

    def _gather(self) -> bool:
        """Takes in who has come, waiting where nobody is there; False once closed and all served."""
        while not self._closing:
            try:
                waiting = self._next()
            except Empty:
                return True
            if waiting is None:
                self._closing = True
            else:
                self._line.join(waiting)
        return bool(self._line)

    def _commit(self, group: Sequence[_Waiting]) -> None:
        """Posts a group. One that the store refuses is posted by halves, so that only the guilty fail
        and most others still share a transaction.
        """
        try:
            answers: Sequence[Answer] = self._post_surely([waiting.request for waiting in group])
        except BaseException as failure:  # noqa: BLE001  handed to the callers, who would wait for ever
            if len(group) > 1 and not is_lost(failure):
                middle = len(group) // 2
                self._commit(group[:middle])
                self._commit(group[middle:])
                return
            answers = [_told(failure)] * len(group)
        self._tell()
        self._untold.append((group, answers))

    def _tell(self) -> None:
        """Answers whoever is not answered yet."""
        while self._untold:
            _settle(*self._untold.pop())

    def _post_surely(self, requests: Sequence[PostingRequest]) -> Sequence[Outcome]:
        """Posts; where the connection is lost, once more on another.

        If the lost transaction did commit, the second finds its requests executed, so nobody is
        answered before the outcome is known.
        """
        try:
            return self._post(requests)
        except DBAPIError as error:
            if not is_lost(error):
                raise
            return self._post(requests)

    def _post(self, requests: Sequence[PostingRequest]) -> Sequence[Outcome]:
        registry = self._registry
        try:
            # Not Database.begin: postings write no outbox, so there is no publisher to wake.
            with self._transaction() as transaction:
                if registry is None:
                    chart = self._catalogue.chart(transaction, self._book_id)
                    registry = self._registry = Registry(self._book_id, chart)
                group = post(
                    transaction, self._catalogue, registry, self._book_id, requests, self._tell
                )
        except BaseException:
            if registry is not None:
                registry.failed()
            raise
        registry.committed(group.last_batch, group.digest, guards_changed=group.guards_changed)
        self._commits.committed(self._book_id)
        return group.outcomes

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """On a connection kept from one group to the next; another one after any fault."""
        connection = self._connection or self._database.engine.connect()
        self._connection = None
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._connection = connection


def _told(failure: BaseException) -> BaseException:
    """A failure as its caller should know it."""
    orig = getattr(failure, "orig", None)
    constraint = getattr(getattr(orig, "diag", None), "constraint_name", None)
    if constraint in OVERFLOWS or getattr(orig, "pgcode", None) == OUT_OF_RANGE:
        return FailedPrecondition(
            Reason.ACCOUNT_LIMIT, "an account or code would turn over more than 4·10^18 minor units"
        )
    return failure


def _settle(group: Sequence[_Waiting], answers: Sequence[Answer]) -> None:
    """Answers everyone; each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Answer]]] = defaultdict(list)
    for waiting, answer in zip(group, answers, strict=True):
        if waiting.loop is None:
            waiting.settle(answer)
        else:
            by_loop[waiting.loop].append((waiting, answer))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: its callers have gone
            loop.call_soon_threadsafe(_settle_all, pairs)


def _settle_all(pairs: Sequence[tuple[_Waiting, Answer]]) -> None:
    for waiting, answer in pairs:
        waiting.settle(answer)
