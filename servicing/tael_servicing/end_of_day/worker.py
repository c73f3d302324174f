"""One worker at a day end; others, in this process's neighbours, work at the same run.

A chunk's effect commits with its completion, and until then nobody else has it. Before a step
begins, everything that those before it posted is in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import Self
from uuid import UUID

from sqlalchemy import Connection, bindparam, exists, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tael_runtime import work
from tael_runtime.work import Chunk
from tael_servicing import books, outgoing
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day import named, set_aside, supplement
from tael_servicing.end_of_day.set_aside import Isolation
from tael_servicing.end_of_day.step import Closing, OverLoans, Step, Summary
from tael_servicing.outgoing import Sender
from tael_servicing.tables import loan_set_aside

DELIVERY_SECONDS = 30.0
"""So long what is posted is sent again to a silent ledger."""
IDLE_SECONDS = 0.05
"""Between two looks for a chunk while others have them all."""


class _Next(Enum):
    """What a worker does where there is no chunk to work."""

    DELIVER = auto()
    WAIT = auto()
    CURE = auto()
    END = auto()


Following = Chunk | _Next
How = Callable[[Connection, Closing, Step, bytes, Batch], Summary]


class Worker:
    """Works at one run until its day is ended."""

    def __init__(self, closing: Closing, run_id: UUID, name: str) -> None:
        self._closing = closing
        self._book = closing.book_id
        self._db = closing.desk.database
        self._run = run_id
        self._me = name
        self._steps: dict[int, Step] = {}
        """Those the run was begun with, by number."""

    def attempt(self) -> Exception | None:
        """Works until the day is ended; else what stopped it."""
        try:
            self._steps = self._begun_with()
            self._closing.desk.sender.retry(self._book)
            self._supplement()
            self._closing.desk.sender.drain(self._book, DELIVERY_SECONDS)
            self._work()
        except Exception as error:  # noqa: BLE001  whatever it is, it is waited out or told
            with suppress(DBAPIError, PoolTimeout), self._db.begin() as transaction:
                work.let_go(transaction, self._run, self._me)
            return error
        return None

    def _begun_with(self) -> dict[int, Step]:
        with self._db.begin() as transaction:
            steps = work.list_steps(transaction, self._run)
        return {now.number: named(now.name) for now in steps}

    def _supplement(self) -> None:
        """Tries the loans that are set aside once more; those that fail stay so."""
        with self._db.begin() as transaction:
            left = set_aside.open_loans(transaction, self._book)
        for each in left:
            try:
                with self._db.begin() as transaction:
                    supplement.work(transaction, self._closing, self._run, each)
            except Exception as error:
                if outgoing.passes(error):
                    raise
                with self._db.begin() as transaction:
                    set_aside.put(transaction, self._closing, each.loan_id, each.step, error)

    def _work(self) -> None:
        with Courier(self._closing.desk.sender, self._book) as courier:
            following = self._tried(self._next)
            while following is not _Next.END:
                if isinstance(following, Chunk):
                    done, following = following, self._do(following)
                    courier.take(self._named(self._steps[done.step], done.number))
                else:
                    courier.wait()
                    self._pass_time(following)
                    following = self._tried(self._next)

    def _pass_time(self, following: _Next) -> None:
        if following is _Next.DELIVER:
            self._closing.desk.sender.drain(self._book, DELIVERY_SECONDS)
        elif following is _Next.CURE:
            with self._db.begin() as transaction:
                left = set_aside.open_loans(transaction, self._book)
            raise set_aside.missing(self._closing, left)
        else:
            time.sleep(IDLE_SECONDS)

    def _tried(self, go_on: Callable[[Connection, How], Following]) -> Following:
        """Goes on in one transaction; where a loan is at fault, once more without it."""
        try:
            with self._db.begin() as transaction:
                return go_on(transaction, _whole)
        except Exception as error:
            if outgoing.passes(error):
                raise
            with self._db.begin() as transaction:
                return go_on(transaction, _without_faulty)

    def _do(self, chunk: Chunk) -> Following:
        """Works a chunk, and finds what follows in the same transaction."""
        step = self._steps[chunk.step]

        def go_on(transaction: Connection, how: How) -> Following:
            if not work.begin_chunk(transaction, chunk, self._me):
                return _Next.WAIT
            step.prepare(self._closing, chunk.payload)
            summary = self._one(transaction, how, step, chunk.number, chunk.payload)
            work.finish_chunk(transaction, chunk, summary.dump())
            return self._next(transaction, how)

        return self._tried(go_on)

    def _next(self, transaction: Connection, how: How) -> Following:
        """The next chunk of the first step that is not done; steps done on the way are passed."""
        work.hold(transaction, self._run)
        view = View(transaction, self._book)
        for now in work.list_steps(transaction, self._run):
            following: Following | None = None
            if now.state == "PENDING":
                following = self._begin(transaction, how, now.number, view)
            elif now.chunks_done < now.chunks:
                following = self._claim(transaction, now.number)
            elif now.state == "RUNNING":
                self._finish(transaction, now)
            if following is not None:
                return following
        work.set_run_state(transaction, self._run, "DONE")
        return _Next.END

    def _begin(
        self, transaction: Connection, how: How, number: int, view: View
    ) -> Following | None:
        """Freezes a step's chunks. None where it is done at once: one of no chunk, or of a single one
        that asks nobody, so that a quiet day has few commits.
        """
        step = self._steps[number]
        if view.undelivered and step.needs_books:
            return _Next.DELIVER
        if view.aside and step.needs_all:
            return _Next.CURE
        payloads = step.plan(transaction, replace(self._closing, aside=view.aside))
        if len(payloads) > 1 or (payloads and step.asks_others):
            work.plan_step(transaction, self._run, number, payloads)
            return self._claim(transaction, number)
        began, summary = time.monotonic(), Summary()
        for payload in payloads:
            summary = self._one(transaction, how, step, 1, payload)
            view.look()
        step.finish(transaction, self._closing)
        took = time.monotonic() - began
        work.pass_step(transaction, self._run, number, payloads, summary.dump(), took)
        return None

    def _claim(self, transaction: Connection, number: int) -> Following:
        return work.claim_chunk(transaction, self._run, number, self._me) or _Next.WAIT

    def _one(
        self, transaction: Connection, how: How, step: Step, number: int, payload: bytes
    ) -> Summary:
        """The work of one chunk."""
        named = self._named(step, number)
        day = books.get(transaction, self._book).business_date
        return how(transaction, self._closing, step, payload, Batch(named, self._book, named, day))

    def _named(self, step: Step, number: int) -> str:
        """What a chunk's postings go under: their lane."""
        return f"eod:{self._book}:{self._closing.day}:{step.name}:{number}"

    def _finish(self, transaction: Connection, now: work.Step) -> None:
        self._steps[now.number].finish(transaction, self._closing)
        total = Summary.total(work.chunk_results(transaction, self._run, now.number))
        work.finish_step(transaction, self._run, now.number, total.dump())


class Courier:
    """Delivers what chunks posted, one after the other, while the next are worked. Use it in a with:
    what is not under way at its end stays where it is.
    """

    def __init__(self, sender: Sender, book_id: str) -> None:
        self._sender = sender
        self._book = book_id
        self._thread = ThreadPoolExecutor(1, "eod-courier")
        self._under_way: list[Future[None]] = []

    def take(self, lane: str) -> None:
        """Delivers a lane in its turn. What fails is left to who waits for it, and is told there."""
        self._under_way = [each for each in self._under_way if not each.done()]
        self._under_way.append(self._thread.submit(self._sender.deliver, self._book, lane))

    def wait(self) -> None:
        """Until all that was taken has been tried."""
        wait(self._under_way)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)


VIEW = select(
    exists().where(outgoing.undelivered(bindparam("book"))).label("undelivered"),
    func.array(
        select(loan_set_aside.c.loan_id)
        .where(loan_set_aside.c.book_id == bindparam("book"), loan_set_aside.c.cured.is_(False))
        .scalar_subquery()
    ).label("aside"),
)


class View:
    """What may keep the next step from beginning, as last looked at."""

    def __init__(self, transaction: Connection, book_id: str) -> None:
        self._transaction = transaction
        self._book = book_id
        self.look()

    def look(self) -> None:
        """Looks again."""
        row = self._transaction.execute(VIEW, {"book": self._book}).one()
        self.undelivered: bool = row.undelivered
        self.aside = frozenset(row.aside)


def _whole(
    transaction: Connection, closing: Closing, step: Step, payload: bytes, batch: Batch
) -> Summary:
    return step.work(transaction, closing, payload, batch)


def _without_faulty(
    transaction: Connection, closing: Closing, step: Step, payload: bytes, batch: Batch
) -> Summary:
    if not isinstance(step, OverLoans):
        return step.work(transaction, closing, payload, batch)
    loan_ids = step.members(transaction, closing, payload)
    return Isolation(transaction, closing, step, batch).work(loan_ids)
