"""Runs a day end: resumable, shared by whoever works on it, watched by whoever likes.

Everything is in the store as run → step → chunk, so that any process goes on where another stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import grpc
import structlog
from sqlalchemy import Connection, select

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_runtime import work
from tael_runtime.errors import FailedPrecondition, NotFound, TaelError
from tael_runtime.ids import new_id
from tael_runtime.tables import work_run
from tael_runtime.work import Run
from tael_servicing import books, outgoing
from tael_servicing.books import DAY_END, BookDay, day_end_key
from tael_servicing.desk import Desk
from tael_servicing.end_of_day import STEPS, progress, set_aside
from tael_servicing.end_of_day.step import Closing
from tael_servicing.end_of_day.worker import Worker
from tael_servicing.reasons import Reason

log = structlog.get_logger()

PATIENCE_SECONDS = 30.0
"""So long a ledger that is away does not block the day."""
LOOK_SECONDS = 0.2
"""Who watches is told so often at most, and at once when the run ends here."""


class DayEnds:
    """The day ends of this process: one worker thread a run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database
        self._lock = threading.Lock()
        self._working: dict[UUID, threading.Thread] = {}
        self._me = new_id("worker")

    def start(self, book_id: str, day: date) -> UUID:
        """Joins the run of a day, or begins it; a finished one stays as it is.

        Raises FailedPrecondition NOT_THE_BUSINESS_DATE, naming the day that is due.
        """
        with self._db.begin() as transaction:
            run = self._open(transaction, book_id, day)
        return self._go_on(book_id, day, run)

    def due(self, book_id: str) -> date:
        """The day that is to be ended next. Raises NotFound."""
        with self._db.begin() as transaction:
            return _due(transaction, books.get(transaction, book_id))

    def resume(self, book_id: str, day: date) -> UUID:
        """As `start`, of a day whose end was begun. Raises NotFound."""
        with self._db.begin() as transaction:
            run = work.find_run(transaction, DAY_END, day_end_key(book_id, day))
        if run is None:
            raise NotFound("end of day", day_end_key(book_id, day))
        return self._go_on(book_id, day, run)

    def _go_on(self, book_id: str, day: date, run: Run) -> UUID:
        if run.state == "DONE":
            return run.run_id
        with self._lock:
            if run.run_id in self._working:
                return run.run_id
            with self._db.begin() as transaction:
                work.set_run_state(transaction, run.run_id, "RUNNING")
            self._begin(book_id, day, run)
        return run.run_id

    def watch(self, run_id: UUID, going: Any) -> Iterator[pb.EndOfDayRun]:
        """The run each time it changed; ends with DONE or BLOCKED."""
        told: pb.EndOfDayRun | None = None
        while going():
            with self._lock:
                worker = self._working.get(run_id)
            with self._db.read() as connection:
                now = progress.describe(connection, run_id)
            if now != told:
                yield now
                told = now
            if now.state in (pb.RUN_STATE_DONE, pb.RUN_STATE_BLOCKED):
                return
            if worker is None:
                time.sleep(LOOK_SECONDS)
            else:
                worker.join(LOOK_SECONDS)

    def run(self, stop: threading.Event) -> None:
        """The loop that takes up runs which a process that died left under way."""
        query = select(work_run.c.key).where(
            work_run.c.kind == DAY_END, work_run.c.state == "RUNNING"
        )
        while not stop.wait(1.0):
            with self._db.engine.connect() as connection:
                left = list(connection.execute(query).scalars())
            for each in left:
                book_id, _, day = each.rpartition(":")
                self.start(book_id, date.fromisoformat(day))

    def _open(self, transaction: Connection, book_id: str, day: date) -> Run:
        book = books.get(transaction, book_id)
        found = work.find_run(transaction, DAY_END, day_end_key(book_id, day))
        if found is not None:
            return found
        due = _due(transaction, book)
        if day != due or book.closing:
            raise FailedPrecondition(
                Reason.NOT_THE_BUSINESS_DATE, f"{due} is due to be ended, not {day}", book_id
            )
        return work.open_run(
            transaction, DAY_END, day_end_key(book_id, day), [step.name for step in STEPS]
        )

    def _begin(self, book_id: str, day: date, run: Run) -> None:
        worker = threading.Thread(
            target=self._work,
            args=(Closing(self._desk, book_id, day), run.run_id),
            name=f"eod-{day_end_key(book_id, day)}",
            daemon=True,
        )
        self._working[run.run_id] = worker
        worker.start()

    def _work(self, closing: Closing, run_id: UUID) -> None:
        error = self._attempt(Worker(closing, run_id, self._me))
        # In one, so that whoever sees a day blocked and resumes it begins it anew.
        with self._lock:
            del self._working[run_id]
            if error is not None:
                self._block(run_id, error)

    def _attempt(self, worker: Worker) -> Exception | None:
        """Works until the day is ended, the ledger given time; else what stopped it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (error := worker.attempt()) is not None:
            if not outgoing.passes(error) or time.monotonic() > end:
                return error
            time.sleep(0.2)
        return None

    def _block(self, run_id: UUID, error: Exception) -> None:
        if isinstance(error, TaelError):
            why = set_aside.reason_of(error)
        elif isinstance(error, grpc.Call):
            why = f"{error.code().name}: {error.details()}"
        else:
            why = f"a fault in tael: {type(error).__name__}"
            log.error("day end failed", run=str(run_id), exc_info=error)
        with self._db.begin() as transaction:
            work.set_run_state(transaction, run_id, "BLOCKED", why)


def _due(transaction: Connection, book: BookDay) -> date:
    """The day to be ended next, or being ended: its book may stand on the day after already."""
    day = book.business_date
    begun = work.find_run(transaction, DAY_END, day_end_key(book.book_id, day))
    return day - timedelta(days=1) if book.closing and begun is None else day
