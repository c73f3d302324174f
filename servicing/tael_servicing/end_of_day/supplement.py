"""Loans that were set aside, worked in the steps they missed once their cause is cured."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from tael_runtime import work as runs
from tael_servicing import books, loan_store
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day import named, set_aside
from tael_servicing.end_of_day.accrue import Accrue
from tael_servicing.end_of_day.set_aside import Aside
from tael_servicing.end_of_day.step import Closing, OverLoans, Summary, payload_of


def work(transaction: Connection, closing: Closing, run_id: UUID, aside: Aside) -> None:
    """Does for one loan what the steps that were begun without it have done for the others, and counts
    it to them.

    Its postings go under `eod:<book>:<day>:<step>:supplement:<loan>`. Raises what the steps raise:
    the loan then stays set aside.
    """
    # Whoever books on the loan online meanwhile is done before, or finds it cured.
    loan_store.hold(transaction, aside.loan_id)
    if not set_aside.take(transaction, aside):
        return
    made: dict[int, Summary] = {}
    _work_missed(transaction, closing, run_id, aside, made)
    runs.hold(transaction, run_id)
    _work_missed(transaction, closing, run_id, aside, made)  # what others began meanwhile
    for number, summary in made.items():
        _count(transaction, run_id, number, aside, summary)
    set_aside.cure(transaction, aside)


def _work_missed(
    transaction: Connection,
    closing: Closing,
    run_id: UUID,
    aside: Aside,
    made: dict[int, Summary],
) -> None:
    """Adds what is made, by the number of the step."""
    begun = [now for now in runs.list_steps(transaction, run_id) if now.state != "PENDING"]
    names = [now.name for now in begun]
    missed = begun[names.index(aside.step) :] if aside.step in names else ()
    for now in missed:
        step = named(now.name)
        if now.number not in made and isinstance(step, OverLoans):
            made[now.number] = _one(transaction, closing, step, aside)


def _one(transaction: Connection, closing: Closing, step: OverLoans, aside: Aside) -> Summary:
    summary = Summary()
    if step.takes(transaction, closing, aside.loan_id):
        name = f"eod:{closing.book_id}:{closing.day}:{step.name}:supplement:{aside.loan_id}"
        day = books.get(transaction, closing.book_id).business_date
        batch = Batch(name, closing.book_id, name, day)
        summary = step.work(transaction, closing, payload_of([aside.loan_id]), batch)
    if isinstance(step, Accrue):
        set_aside.accrued(transaction, aside, closing.next_day)
    return summary


def _count(
    transaction: Connection, run_id: UUID, number: int, aside: Aside, summary: Summary
) -> None:
    """As a chunk of the step, which is held; one that is done has told already what it did."""
    payload = payload_of([aside.loan_id])
    runs.add_chunk(transaction, run_id, number, payload, summary.dump())
    results = runs.chunk_results(transaction, run_id, number)
    runs.tell_step(transaction, run_id, number, Summary.total(results).dump())
