"""The report of a day's end: what its run says, and what is kept beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_runtime.errors import NotFound
from tael_servicing.books import day_end_key
from tael_servicing.loan_ledger_file import Written
from tael_servicing.tables import day_report

CHECKS = ("checks", "recheck")
"""The steps that tell servicing's control totals: the last one made."""


def keep(
    transaction: Connection,
    book_id: str,
    day: date,
    written: Written,
    in_ledger: Mapping[str, int],
    of_loans: Mapping[str, int],
) -> None:
    """Keeps a day's, with the totals by GL code."""
    transaction.execute(
        insert(day_report).values(
            book_id=book_id,
            business_date=day,
            ledger_totals=in_ledger,
            loan_totals=of_loans,
            loans=written.loans,
            size=written.size,
            sha256=written.sha256,
        )
    )


def last(connection: Connection, book_id: str) -> date:
    """The last day that has one. Raises NotFound."""
    query = select(day_report.c.business_date).where(day_report.c.book_id == book_id)
    found: date | None = connection.execute(
        query.order_by(day_report.c.business_date.desc()).limit(1)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound("end of day report", book_id)
    return found


def get(connection: Connection, run: pb.EndOfDayRun, day: date) -> pb.EndOfDayReport:
    """The report of a run. Raises NotFound."""
    row = kept(connection, run.book_id, day)
    return pb.EndOfDayReport(
        run=run,
        events=_events(run),
        control_totals=_control_totals(run, row),
        loan_ledger=pb.LoanLedgerFile(loans=row.loans, size=row.size, sha256=row.sha256),
    )


def kept(connection: Connection, book_id: str, day: date) -> Row[Any]:
    """What is kept of a day's. Raises NotFound."""
    query = select(day_report).where(
        day_report.c.book_id == book_id, day_report.c.business_date == day
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("end of day report", day_end_key(book_id, day))
    return row


def _events(run: pb.EndOfDayRun) -> list[pb.EventTotal]:
    totals: Counter[str] = Counter()
    for step in run.steps:
        if step.step not in CHECKS:
            totals.update(step.amounts)
    return [
        pb.EventTotal(event=event, amount_type=amount_type, minor_units=total)
        for name, total in sorted(totals.items())
        for event, _, amount_type in [name.partition(".")]
    ]


def _control_totals(run: pb.EndOfDayRun, row: Row[Any]) -> list[pb.ControlTotal]:
    *_, made = (step for step in run.steps if step.step in CHECKS and step.chunks)
    ours: Mapping[str, int] = made.amounts
    codes = {code for totals in (ours, row.ledger_totals) for code in totals if totals[code]}
    return [
        pb.ControlTotal(
            gl_code=code,
            servicing=ours.get(code, 0),
            ledger=row.ledger_totals.get(code, 0),
            loan_ledger=row.loan_totals.get(code),
        )
        for code in sorted(codes)
    ]
