"""A day end in the contract's words."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import Connection, func, select

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_client.values import from_date, from_instant
from tael_runtime import work
from tael_runtime.errors import NotFound
from tael_runtime.tables import work_run
from tael_servicing.books import DAY_END, day_end_key
from tael_servicing.end_of_day import set_aside
from tael_servicing.end_of_day.set_aside import Aside
from tael_servicing.end_of_day.step import Summary
from tael_servicing.reasons import Reason

RUN_STATES = {
    "RUNNING": pb.RUN_STATE_RUNNING,
    "DONE": pb.RUN_STATE_DONE,
    "BLOCKED": pb.RUN_STATE_BLOCKED,
    "PENDING": pb.RUN_STATE_UNSPECIFIED,
}


def find(connection: Connection, book_id: str, day: date | None) -> UUID:
    """The run of a day, the newest where none is given. Raises NotFound."""
    if day is None:
        found = newest(connection, book_id, date.max, 1)
    else:
        run = work.find_run(connection, DAY_END, day_end_key(book_id, day))
        found = [run.run_id] if run else []
    if not found:
        raise NotFound("end of day", day_end_key(book_id, day) if day else book_id)
    return found[0]


def newest(connection: Connection, book_id: str, before: date, size: int) -> list[UUID]:
    """The runs of a book's days before a date, the newest day first."""
    query = (
        select(work_run.c.run_id)
        .where(
            work_run.c.kind == DAY_END,
            func.starts_with(work_run.c.key, day_end_key(book_id, None)),
            work_run.c.key < day_end_key(book_id, before),
        )
        .order_by(work_run.c.key.desc())
        .limit(size)
    )
    return list(connection.execute(query).scalars())


def describe(connection: Connection, run_id: UUID) -> pb.EndOfDayRun:
    """The run in the contract's words."""
    row = connection.execute(select(work_run).where(work_run.c.run_id == run_id)).one()
    book_id, _, day = row.key.rpartition(":")
    closed = date.fromisoformat(day)
    message = pb.EndOfDayRun(
        book_id=book_id,
        business_date=from_date(closed),
        state=RUN_STATES[row.state],
        steps=[_progress(connection, run_id, step) for step in work.list_steps(connection, run_id)],
        error=row.error or "",
        started_at=from_instant(row.started_at),
        loans_set_aside=set_aside.count_open(connection, book_id, closed),
    )
    if row.state == "DONE":
        message.next_business_date.CopyFrom(from_date(date.fromordinal(closed.toordinal() + 1)))
        message.finished_at.CopyFrom(from_instant(row.finished_at))
    return message


def _progress(connection: Connection, run_id: UUID, step: work.Step) -> pb.StepProgress:
    summary = Summary.parse(step.summary)
    if step.state == "RUNNING":
        summary = Summary.total(work.chunk_results(connection, run_id, step.number))
    return pb.StepProgress(
        step=step.name,
        state=RUN_STATES[step.state],
        chunks_done=step.chunks_done,
        chunks=step.chunks,
        loans=summary.loans,
        amounts=summary.amounts,
        started_at=from_instant(step.started_at) if step.started_at else None,
        finished_at=from_instant(step.finished_at) if step.finished_at else None,
    )


def aside(each: Aside) -> pb.LoanSetAside:
    """A loan set aside."""
    return pb.LoanSetAside(
        loan_id=each.loan_id,
        business_date=from_date(each.business_date),
        step=each.step,
        reason=each.reason,
        cured=each.cured,
        remedy=_remedy(each.reason),
    )


def _remedy(reason: str) -> str:
    name = reason.partition(":")[0]
    if name in Reason.__members__:
        return f"{Reason[name].value} Cure that, then resume the day."
    return "The loan's own data are at fault: have them corrected, then resume the day."
