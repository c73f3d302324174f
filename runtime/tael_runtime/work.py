"""Long work as run → step → chunk in the store: resumable, shareable, each chunk done once.

A run's membership freezes when a step's chunks are planned. A worker claims a chunk by a lease, which
is to last until it begins; from then on the transaction of the chunk's effect and its completion has
the chunk, however long it takes, and a worker that dies leaves it to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    and_,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_runtime import later
from tael_runtime.ids import uuid7
from tael_runtime.tables import work_chunk, work_run, work_step


@dataclass(frozen=True)
class Run:
    """A run as it stands."""

    run_id: UUID
    state: str
    error: str | None


@dataclass(frozen=True)
class Step:
    """A step as it stands."""

    number: int
    name: str
    state: str
    chunks: int
    chunks_done: int
    summary: bytes
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Chunk:
    """A claimed piece of work."""

    run_id: UUID
    step: int
    number: int
    payload: bytes


def open_run(transaction: Connection, kind: str, key: str, steps: Sequence[str]) -> Run:
    """The run of this kind and key: made with its steps, or the one there is."""
    made = uuid7()
    inserted = transaction.execute(
        upsert(work_run).values(run_id=made, kind=kind, key=key).on_conflict_do_nothing()
    ).rowcount
    if inserted:
        transaction.execute(
            insert(work_step),
            [{"run_id": made, "step": n, "name": name} for n, name in enumerate(steps, 1)],
        )
    run = find_run(transaction, kind, key)
    assert run is not None
    return run


def find_run(transaction: Connection, kind: str, key: str) -> Run | None:
    """The run of this kind and key, where there is one."""
    row = transaction.execute(
        select(work_run.c.run_id, work_run.c.state, work_run.c.error).where(
            work_run.c.kind == kind, work_run.c.key == key
        )
    ).one_or_none()
    return Run(row.run_id, row.state, row.error) if row else None


def set_run_state(
    transaction: Connection, run_id: UUID, state: str, error: str | None = None
) -> None:
    """RUNNING, DONE or BLOCKED with the reason; what is DONE stays so."""
    transaction.execute(
        update(work_run)
        .where(work_run.c.run_id == run_id, work_run.c.state != "DONE")
        .values(state=state, error=error, finished_at=func.now() if state == "DONE" else None)
    )


def hold(transaction: Connection, run_id: UUID) -> None:
    """Keeps other workers of the run from looking for what follows until this transaction ends."""
    row = select(work_run.c.run_id).where(work_run.c.run_id == run_id)
    transaction.execute(row.with_for_update())


_COUNTED = (
    select(
        work_chunk.c.step,
        func.count().label("chunks"),
        func.sum(work_chunk.c.done).label("done"),
    )
    .where(work_chunk.c.run_id == bindparam("run"))
    .group_by(work_chunk.c.step)
    .subquery()
)
LIST_STEPS = (
    select(work_step, _COUNTED.c.chunks, _COUNTED.c.done)
    .outerjoin(_COUNTED, _COUNTED.c.step == work_step.c.step)
    .where(work_step.c.run_id == bindparam("run"))
    .order_by(work_step.c.step)
)


def list_steps(transaction: Connection, run_id: UUID) -> list[Step]:
    """The steps in order, with their chunks counted."""
    rows = transaction.execute(LIST_STEPS, {"run": run_id})
    return [
        Step(
            row.step,
            row.name,
            row.state,
            row.chunks or 0,
            int(row.done or 0),
            bytes(row.summary or b""),
            row.started_at,
            row.finished_at,
        )
        for row in rows
    ]


def plan_step(transaction: Connection, run_id: UUID, step: int, payloads: Sequence[bytes]) -> None:
    """Freezes a step's chunks and starts it; nothing where it was planned before."""
    state = transaction.execute(
        select(work_step.c.state)
        .where(work_step.c.run_id == run_id, work_step.c.step == step)
        .with_for_update()
    ).scalar_one()
    if state != "PENDING":
        return
    if payloads:
        transaction.execute(
            insert(work_chunk),
            [
                {"run_id": run_id, "step": step, "chunk": n, "payload": payload}
                for n, payload in enumerate(payloads, 1)
            ],
        )
    _set_step(transaction, run_id, step, state="RUNNING", started_at=func.clock_timestamp())


PASS_STEP = (
    update(work_step)
    .where(work_step.c.run_id == bindparam("of_run"), work_step.c.step == bindparam("of_step"))
    .values(
        state="DONE",
        summary=bindparam("of_summary", type_=LargeBinary),
        started_at=func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, bindparam("took")),
        finished_at=func.clock_timestamp(),
    )
)
PASSED = insert(work_chunk)


def pass_step(
    transaction: Connection,
    run_id: UUID,
    step: int,
    payloads: Sequence[bytes],
    summary: bytes,
    seconds: float,
) -> None:
    """Marks a step done whose chunks, one at most, this transaction has done as well."""
    done = {"run_id": run_id, "step": step, "done": 1, "result": summary}
    chunks = [{**done, "chunk": n, "payload": each} for n, each in enumerate(payloads, 1)]
    later.write(transaction, PASSED, *chunks)
    passed = {"of_run": run_id, "of_step": step, "of_summary": summary, "took": seconds}
    later.write(transaction, PASS_STEP, passed)


def let_go(transaction: Connection, run_id: UUID, worker: str) -> None:
    """The chunks that a worker did not finish are free at once, and not when their leases run out."""
    transaction.execute(
        update(work_chunk)
        .where(work_chunk.c.run_id == run_id, work_chunk.c.leased_by == worker)
        .values(leased_until=None)
    )


def add_chunk(
    transaction: Connection, run_id: UUID, step: int, payload: bytes, result: bytes
) -> None:
    """Adds one that this transaction has done to a step that was begun. The run is held."""
    of_step = (work_chunk.c.run_id == run_id, work_chunk.c.step == step)
    last = transaction.execute(select(func.max(work_chunk.c.chunk)).where(*of_step)).scalar()
    transaction.execute(
        insert(work_chunk).values(
            run_id=run_id,
            step=step,
            chunk=(last or 0) + 1,
            payload=payload,
            done=1,
            result=result,
        )
    )


def tell_step(transaction: Connection, run_id: UUID, step: int, summary: bytes) -> None:
    """Says anew what a step did."""
    _set_step(transaction, run_id, step, summary=summary)


def finish_step(transaction: Connection, run_id: UUID, step: int, summary: bytes = b"") -> None:
    """Marks a step done, with what it did."""
    now = func.clock_timestamp()
    began = func.coalesce(work_step.c.started_at, now)
    _set_step(
        transaction, run_id, step, state="DONE", summary=summary, started_at=began, finished_at=now
    )


def _set_step(transaction: Connection, run_id: UUID, step: int, **values: Any) -> None:
    transaction.execute(
        update(work_step)
        .where(work_step.c.run_id == run_id, work_step.c.step == step)
        .values(values)
    )


LEASE_SECONDS = 2.0
CLAIM = text(
    """
    UPDATE work_chunk
    SET leased_by = :worker, leased_until = clock_timestamp() + :lease * interval '1 second'
    WHERE (run_id, step, chunk) = (
        SELECT run_id, step, chunk FROM work_chunk
        WHERE run_id = :run_id AND step = :step AND done = 0
          AND (leased_until IS NULL OR leased_until < clock_timestamp() OR leased_by = :worker)
        ORDER BY chunk FOR UPDATE SKIP LOCKED LIMIT 1)
    RETURNING chunk, payload
    """
)


def claim_chunk(
    transaction: Connection,
    run_id: UUID,
    step: int,
    worker: str,
    lease_seconds: float = LEASE_SECONDS,
) -> Chunk | None:
    """The next free chunk, leased to this worker; None when none is free.

    One that the worker has leased before is free: it works one at a time, and was interrupted. One
    that is worked is not, though its lease has run out.
    """
    row = transaction.execute(
        CLAIM, {"worker": worker, "lease": lease_seconds, "run_id": run_id, "step": step}
    ).one_or_none()
    return Chunk(run_id, step, row.chunk, bytes(row.payload)) if row else None


def begin_chunk(transaction: Connection, chunk: Chunk, worker: str) -> bool:
    """Begins to work a claimed chunk, which nobody else can have until this transaction ends.

    False where the lease ran out before and another worker took it: leave it alone then.
    """
    own = select(work_chunk.c.chunk).where(
        _is(chunk), work_chunk.c.done == 0, work_chunk.c.leased_by == worker
    )
    # What it waits for meanwhile may be long, and is not for the store to judge.
    transaction.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    return transaction.execute(own.with_for_update(skip_locked=True)).first() is not None


def finish_chunk(transaction: Connection, chunk: Chunk, result: bytes = b"") -> None:
    """Marks a chunk done, in the transaction that began it and wrote its effect."""
    transaction.execute(update(work_chunk).where(_is(chunk)).values(done=1, result=result))


def _is(chunk: Chunk) -> ColumnElement[bool]:
    return and_(
        work_chunk.c.run_id == chunk.run_id,
        work_chunk.c.step == chunk.step,
        work_chunk.c.chunk == chunk.number,
    )


def chunk_results(transaction: Connection, run_id: UUID, step: int) -> list[bytes]:
    """What the chunks of a step left, in order."""
    rows = transaction.execute(
        select(work_chunk.c.result)
        .where(work_chunk.c.run_id == run_id, work_chunk.c.step == step, work_chunk.c.done == 1)
        .order_by(work_chunk.c.chunk)
    )
    return [bytes(row.result or b"") for row in rows]
