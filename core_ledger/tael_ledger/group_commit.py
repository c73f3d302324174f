"""Group commit: requests that arrive while a transaction commits share the next one.

One committer thread a book; it alone holds a connection for posting, handlers only wait. A hot
account costs one row update a commit and not one a request.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from sqlalchemy.exc import DBAPIError

from tael_ledger.catalogue import Catalogue
from tael_ledger.posting import Outcome, Posted, Repeated, post
from tael_ledger.requests import PostingRequest
from tael_runtime.database import Database, is_lost
from tael_runtime.errors import Reason, TaelError, Unavailable

GROUP_SIZE = 512
"""Requests in one transaction, at most."""


class _Waiting:
    """A request whose caller waits."""

    def __init__(self, request: PostingRequest) -> None:
        self.request = request
        self.outcome: Future[Posted | Repeated] = Future()


class GroupCommit:
    """The committers of this process, one a book, begun when first needed."""

    def __init__(
        self, database: Database, catalogue: Catalogue, group_size: int = GROUP_SIZE
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._group_size = group_size
        self._lock = threading.Lock()
        self._committers: dict[str, _Committer] = {}
        self._closed = False

    def submit(self, book_id: str, request: PostingRequest) -> Posted | Repeated:
        """Executes a request exactly once; returns when it is committed.

        The book exists. Raises the refusal; Unavailable once closed; DBAPIError where the store is
        lost: then the same request_id tells what became of it.
        """
        waiting = _Waiting(request)
        with self._lock:
            if self._closed:
                raise Unavailable(Reason.STORE_UNAVAILABLE, "the service stops; repeat the call")
            self._committer(book_id).queue.put(waiting)
        return waiting.outcome.result()

    def _committer(self, book_id: str) -> _Committer:
        committer = self._committers.get(book_id)
        if committer is None:
            committer = _Committer(self._database, self._catalogue, book_id, self._group_size)
            self._committers[book_id] = committer
        return committer

    def close(self) -> None:
        """Answers everyone who came, and takes nobody else."""
        with self._lock:
            self._closed = True
        for committer in self._committers.values():
            committer.close()


class _Committer:
    """Posts one book's requests, group by group."""

    def __init__(
        self, database: Database, catalogue: Catalogue, book_id: str, group_size: int
    ) -> None:
        self.queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._database = database
        self._catalogue = catalogue
        self._book_id = book_id
        self._group_size = group_size
        self._deferred: deque[_Waiting] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"commit-{book_id}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Waiting]:
        """Waits for a request, then takes what else is there; those that exclude one another wait.

        Empty = closed.
        """
        group: list[_Waiting] = []
        taken: set[object] = set()
        turned_away: deque[_Waiting] = deque()
        while len(group) < self._group_size:
            waiting = self._next(block=not group)
            if waiting is None:
                break
            if taken & waiting.request.excludes:
                turned_away.append(waiting)
            else:
                taken |= waiting.request.excludes
                group.append(waiting)
        turned_away.extend(self._deferred)
        self._deferred = turned_away
        return group

    def _next(self, *, block: bool) -> _Waiting | None:
        if self._deferred:
            return self._deferred.popleft()
        if self._closing:
            return None
        try:
            waiting = self.queue.get(block=block)
        except Empty:
            return None
        self._closing = waiting is None
        return waiting

    def _commit(self, group: Sequence[_Waiting]) -> None:
        """Posts a group. One that the store refuses is posted one by one, so that only the guilty
        fail.
        """
        try:
            outcomes = self._post_surely([waiting.request for waiting in group])
        except BaseException as failure:  # noqa: BLE001  handed to the callers, who would wait for ever
            if len(group) > 1 and not (isinstance(failure, DBAPIError) and is_lost(failure)):
                for waiting in group:
                    self._commit([waiting])
                return
            for waiting in group:
                waiting.outcome.set_exception(failure)
            return
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, TaelError):
                waiting.outcome.set_exception(outcome)
            else:
                waiting.outcome.set_result(outcome)

    def _post_surely(self, requests: Sequence[PostingRequest]) -> list[Outcome]:
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

    def _post(self, requests: Sequence[PostingRequest]) -> list[Outcome]:
        # Not Database.begin: postings write no outbox, so there is no publisher to wake.
        with self._database.engine.begin() as transaction:
            return post(transaction, self._catalogue, self._book_id, requests)
