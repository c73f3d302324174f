"""Runs a day end: resumable, shared by whoever works on it, watched by whoever likes.

Everything is in the store as run → step → chunk. A worker takes the next chunk by lease, commits its
effect with its completion, delivers its postings, and goes on; before a step begins, everything the
ones before it posted is in the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

import grpc
import structlog
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_runtime import work
from tael_runtime.errors import FailedPrecondition, NotFound, TaelError
from tael_runtime.ids import new_id
from tael_runtime.tables import work_chunk, work_run
from tael_runtime.work import Chunk, Run
from tael_servicing import books, outgoing
from tael_servicing.bookings import Batch
from tael_servicing.books import DAY_END, BookDay, day_end_key
from tael_servicing.desk import Desk
from tael_servicing.end_of_day import STEPS, progress, set_aside, supplement
from tael_servicing.end_of_day.set_aside import Isolation
from tael_servicing.end_of_day.step import Closing, LoanStep, Step, Summary, members
from tael_servicing.reasons import Reason

log = structlog.get_logger()

LEASE_SECONDS = 5
"""A worker that dies keeps its chunk from the others for so long."""
PATIENCE_SECONDS = 30.0
"""So long a ledger that is away does not block the day."""


class _Next(Enum):
    """What a worker does where there is no chunk to work."""

    DELIVER = auto()
    WAIT = auto()
    CURE = auto()
    END = auto()


class DayEnds:
    """The day ends of this process: one worker thread a run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database
        self._changed = threading.Condition()
        self._working: dict[str, threading.Thread] = {}
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
        with self._changed:
            working = day_end_key(book_id, day) in self._working
        if not working:
            with self._db.begin() as transaction:
                work.set_run_state(transaction, run.run_id, "RUNNING")
        self._join(book_id, day, run)
        return run.run_id

    def watch(self, run_id: UUID, going: Any) -> Iterator[pb.EndOfDayRun]:
        """The run each time it changed; ends with DONE or BLOCKED."""
        told: pb.EndOfDayRun | None = None
        while going():
            with self._db.read() as connection:
                now = progress.describe(connection, run_id)
            if now != told:
                yield now
                told = now
            if now.state in (pb.RUN_STATE_DONE, pb.RUN_STATE_BLOCKED):
                return
            with self._changed:
                self._changed.wait(0.05)

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

    def _join(self, book_id: str, day: date, run: Run) -> None:
        name = day_end_key(book_id, day)
        with self._changed:
            if name in self._working:
                return
            closing = Closing(self._desk, book_id, day)
            worker = threading.Thread(
                target=self._work, args=(closing, run.run_id), name=f"eod-{name}", daemon=True
            )
            self._working[name] = worker
        worker.start()

    def _work(self, closing: Closing, run_id: UUID) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        try:
            while (error := self._attempt(closing, run_id)) is not None:
                if not outgoing.passes(error) or time.monotonic() > end:
                    self._block(run_id, error)
                    return
                time.sleep(0.2)
        finally:
            with self._changed:
                del self._working[day_end_key(closing.book_id, closing.day)]
                self._changed.notify_all()

    def _attempt(self, closing: Closing, run_id: UUID) -> Exception | None:
        """Works until the day is ended; else what stopped it."""
        try:
            self._desk.sender.retry(closing.book_id)
            self._supplement(closing, run_id)
            self._steps(closing, run_id)
        except Exception as error:  # noqa: BLE001  whatever it is, it is waited out or told
            with suppress(DBAPIError, PoolTimeout):
                self._let_go(run_id)
            return error
        return None

    def _supplement(self, closing: Closing, run_id: UUID) -> None:
        """Tries the loans that are set aside once more; those that fail stay so."""
        with self._db.begin() as transaction:
            left = set_aside.open_loans(transaction, closing.book_id)
            finished = work.list_steps(transaction, run_id)
        done = [STEPS[step.number - 1] for step in finished if step.state != "PENDING"]
        for each in left:
            try:
                with self._db.begin() as transaction:
                    supplement.work(transaction, closing, each, done)
            except Exception as error:
                if outgoing.passes(error):
                    raise
                with self._db.begin() as transaction:
                    set_aside.put(transaction, closing, each.loan_id, each.step, error)

    def _let_go(self, run_id: UUID) -> None:
        """The chunk that was not finished is free at once, and not when its lease runs out."""
        with self._db.begin() as transaction:
            transaction.execute(
                update(work_chunk)
                .where(work_chunk.c.run_id == run_id, work_chunk.c.leased_by == self._me)
                .values(leased_until=None)
            )

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

    def _steps(self, closing: Closing, run_id: UUID) -> None:
        with self._db.begin() as transaction:
            following = self._next(transaction, closing, run_id)
        while following is not _Next.END:
            if isinstance(following, Chunk):
                following = self._do(closing, following)
            else:
                self._pass_time(closing, following)
                with self._db.begin() as transaction:
                    following = self._next(transaction, closing, run_id)

    def _pass_time(self, closing: Closing, following: _Next) -> None:
        if following is _Next.DELIVER:
            self._desk.sender.drain(closing.book_id, PATIENCE_SECONDS)
            return
        if following is _Next.CURE:
            with self._db.begin() as transaction:
                raise set_aside.missing(closing, set_aside.open_loans(transaction, closing.book_id))
        with self._changed:
            self._changed.wait(0.05)

    def _do(self, closing: Closing, chunk: Chunk) -> Chunk | _Next:
        """Works a chunk and takes the next one, in one transaction.

        Small steps that ask nobody follow one another in it: a quiet day has few commits. Where one
        of its loans is at fault it is done again without.
        """
        STEPS[chunk.step - 1].prepare(closing, chunk.payload)
        try:
            return self._together(closing, chunk, _whole)
        except Exception as error:
            if outgoing.passes(error):
                raise
            return self._together(closing, chunk, _without_faulty)

    def _together(self, closing: Closing, chunk: Chunk, how: How) -> Chunk | _Next:
        with self._db.begin() as transaction:
            while True:
                following = self._chunk(transaction, closing, chunk, how)
                if not isinstance(following, Chunk) or following.step == chunk.step:
                    return following
                if STEPS[following.step - 1].asks_others:
                    return following
                chunk = following

    def _chunk(
        self, transaction: Connection, closing: Closing, chunk: Chunk, how: How
    ) -> Chunk | _Next:
        step = STEPS[chunk.step - 1]
        named = f"eod:{closing.book_id}:{closing.day}:{step.name}:{chunk.number}"
        day = books.get(transaction, closing.book_id).business_date
        batch = Batch(named, closing.book_id, named, day)
        summary = how(transaction, closing, step, chunk.payload, batch)
        if not work.finish_chunk(transaction, chunk, summary.dump()):
            transaction.rollback()
            return _Next.WAIT
        return self._next(transaction, closing, chunk.run_id)

    def _next(self, transaction: Connection, closing: Closing, run_id: UUID) -> Chunk | _Next:
        """The next chunk of the first step that is not done; a step without chunks is passed."""
        steps = [step for step in work.list_steps(transaction, run_id) if step.state != "DONE"]
        undelivered = outgoing.waiting(transaction, closing.book_id)
        for now in steps:
            chunks = now.chunks - now.chunks_done
            if now.state == "PENDING":
                if undelivered:
                    return _Next.DELIVER
                aside = set_aside.open_loans(transaction, closing.book_id)
                missing = frozenset(each.loan_id for each in aside)
                step = STEPS[now.number - 1]
                if aside and step.needs_all:
                    return _Next.CURE
                payloads = step.plan(transaction, replace(closing, aside=missing))
                chunks = len(payloads)
                if chunks:
                    work.plan_step(transaction, run_id, now.number, payloads)
            if chunks:
                chunk = work.claim_chunk(transaction, run_id, now.number, self._me, LEASE_SECONDS)
                return chunk or _Next.WAIT
            self._finish(transaction, run_id, now)
        work.set_run_state(transaction, run_id, "DONE")
        return _Next.END

    def _finish(self, transaction: Connection, run_id: UUID, step: work.Step) -> None:
        total = Summary()
        for result in work.chunk_results(transaction, run_id, step.number) if step.chunks else ():
            total.add(Summary.parse(result))
        work.finish_step(transaction, run_id, step.number, total.dump())


def _due(transaction: Connection, book: BookDay) -> date:
    """The day to be ended next, or being ended: its book may stand on the day after already."""
    day = book.business_date
    begun = work.find_run(transaction, DAY_END, day_end_key(book.book_id, day))
    return day - timedelta(days=1) if book.closing and begun is None else day


How = Callable[[Connection, Closing, Step, bytes, Batch], Summary]


def _whole(
    transaction: Connection, closing: Closing, step: Step, payload: bytes, batch: Batch
) -> Summary:
    return step.work(transaction, closing, payload, batch)


def _without_faulty(
    transaction: Connection, closing: Closing, step: Step, payload: bytes, batch: Batch
) -> Summary:
    if not isinstance(step, LoanStep):
        return step.work(transaction, closing, payload, batch)
    return Isolation(transaction, closing, step, batch).work(members(payload))
