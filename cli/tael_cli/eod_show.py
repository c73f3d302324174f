"""How the end of a day looks: bars while it runs, what keeps it from closing, its report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_client.values import to_date, yuan

PLAIN_SECONDS = 10.0
"""Between two lines of a step where there are no bars."""


@dataclass
class _Seen:
    """A step when it was first seen at work: rates are of what happened since."""

    at: float
    chunks: int
    loans: int


class Bars:
    """A bar a step with its rate and the time left; lines where the console is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[work]}", justify="right"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._day: date | None = None
        self._whole = TaskID(0)
        self._bars: dict[str, TaskID] = {}
        self._seen: dict[str, _Seen] = {}
        self._told: dict[str, float] = {}
        """Steps that a line was printed of, and when; done ones at infinity."""

    def show(self, run: pb.EndOfDayRun) -> None:
        """Shows how a run stands."""
        day = to_date(run.business_date)
        if day != self._day:
            self._begin(day, len(run.steps))
        for step in run.steps:
            if step.state != pb.RUN_STATE_UNSPECIFIED:
                self._step(step)
        done = sum(step.state == pb.RUN_STATE_DONE for step in run.steps)
        self._progress.update(self._whole, completed=done, work=f"{done} of {len(run.steps)} steps")
        if run.state == pb.RUN_STATE_DONE:
            self._console.print(_closed(run), highlight=False)

    def _begin(self, day: date, steps: int) -> None:
        """A day's own bars; those of the day before go."""
        for bar in self._progress.task_ids:
            self._progress.remove_task(bar)
        self._bars, self._seen, self._told, self._day = {}, {}, {}, day
        name = f"[bold]end of {day}[/bold]"
        self._whole = self._progress.add_task(name, total=steps, work="")
        if not self._console.is_terminal:
            self._console.print(f"end of {day}", highlight=False)

    def _step(self, step: pb.StepProgress) -> None:
        work = self._work(step)
        if not self._console.is_terminal:
            self._line(step, work)
            return
        total = max(step.chunks, 1)
        if step.step not in self._bars:
            self._bars[step.step] = self._progress.add_task(f"  {step.step}", total=total, work="")
        done = total if step.state == pb.RUN_STATE_DONE else step.chunks_done
        self._progress.update(self._bars[step.step], total=total, completed=done, work=work)

    def _line(self, step: pb.StepProgress, work: str) -> None:
        """Once when it is done, and now and then before."""
        now, last = time.monotonic(), self._told.setdefault(step.step, time.monotonic())
        done = step.state == pb.RUN_STATE_DONE
        if last == float("inf") or not (done or now - last >= PLAIN_SECONDS):
            return
        self._told[step.step] = float("inf") if done else now
        if done and not step.loans and _seconds(step) < 1:
            return
        place = "done" if done else f"{step.chunks_done} of {step.chunks} chunks"
        self._console.print(f"  {step.step:<18} {place:<20} {work}", highlight=False)

    def _work(self, step: pb.StepProgress) -> str:
        """Loans, their rate, and the time it took or will take."""
        if step.state == pb.RUN_STATE_DONE:
            seconds = _seconds(step)
            rate = f"  {_rate(step.loans, seconds)}" if step.loans else ""
            return f"{_loans(step.loans)}{rate}  {seconds:.1f} s"
        now = time.monotonic()
        seen = self._seen.setdefault(step.step, _Seen(now, step.chunks_done, step.loans))
        seconds, chunks = now - seen.at, step.chunks_done - seen.chunks
        if not chunks:
            return _loans(step.loans)
        left = seconds / chunks * (step.chunks - step.chunks_done)
        rate = _rate(step.loans - seen.loans, seconds)
        return f"{_loans(step.loans)}  {rate}  {left:.0f} s left"

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _loans(count: int) -> str:
    return f"{count:,} {'loan' if count == 1 else 'loans'}" if count else ""


def _rate(loans: int, seconds: float) -> str:
    return f"{loans / seconds:,.0f}/s" if seconds > 0 else ""


def _seconds(timed: pb.StepProgress | pb.EndOfDayRun) -> float:
    return timed.finished_at.ToMilliseconds() / 1000 - timed.started_at.ToMilliseconds() / 1000


def _closed(run: pb.EndOfDayRun) -> str:
    opened = to_date(run.next_business_date)
    return f"{to_date(run.business_date)} is closed after {_seconds(run):.1f} s; {opened} is open"


def blocked(console: Console, run: pb.EndOfDayRun, loans: Sequence[pb.LoanSetAside]) -> None:
    """Why a day is not closed, and what to do."""
    day, count = to_date(run.business_date), run.loans_set_aside
    if not loans:
        console.print(f"[red]{day} is not closed[/red]: {run.error}", highlight=False)
        console.print("cure the cause, then `tael eod --resume`", highlight=False)
        return
    console.print(
        f"[red]{day} is not closed[/red]: {_loans(count)} set aside; the others' day is done as far"
        " as it can be without",
        highlight=False,
    )
    console.print(_aside(loans))
    if count > len(loans):
        console.print(f"… and {count - len(loans):,} more", highlight=False)
    console.print("then `tael eod --resume`, which tries them again", highlight=False)


def _aside(loans: Iterable[pb.LoanSetAside]) -> Table:
    table = Table()
    for name in ("loan", "from step", "why", "what to do"):
        table.add_column(name, overflow="fold")
    for each in loans:
        table.add_row(each.loan_id, each.step, each.reason, each.remedy)
    return table


def rehearsal(console: Console, day: date, told: pb.RehearseEndOfDayResponse) -> None:
    """What the end of a day would do."""
    table = _titled(f"What the end of {day} would do", "step", "loans", "what is posted", "")
    for step in told.steps:
        if not step.loans and not step.amounts:
            continue
        amounts = sorted(step.amounts.items())
        names = "\n".join(name for name, _ in amounts)
        table.add_row(
            step.step, f"{step.loans:,}", names, "\n".join(yuan(each) for _, each in amounts)
        )
    console.print(table)
    if told.loans_set_aside:
        console.print(f"[red]{_loans(len(told.loans_set_aside))} would be set aside[/red]")
        console.print(_aside(told.loans_set_aside))
    console.print("nothing is kept, nothing is sent", highlight=False)


def report(console: Console, told: pb.EndOfDayReport, names: Mapping[str, str]) -> bool:
    """Prints a report; names are those of the GL codes. Whether all control totals agree."""
    run, file = told.run, told.loan_ledger
    console.print(
        f"[bold]{run.book_id}, end of {to_date(run.business_date)}[/bold]: {_seconds(run):.1f} s",
        highlight=False,
    )
    console.print(_steps(run))
    events = _titled("Posted", "event", "amount", "total")
    for each in told.events:
        events.add_row(each.event, each.amount_type, yuan(each.minor_units))
    console.print(events)
    console.print(_control_totals(told.control_totals, names))
    console.print(
        f"loan ledger 贷款台账: {_loans(file.loans) or 'no loans'}, {file.size:,} bytes, "
        f"SHA-256 {file.sha256.hex()}",
        highlight=False,
        soft_wrap=True,
    )
    return all(map(_agrees, told.control_totals))


def _steps(run: pb.EndOfDayRun) -> Table:
    table = _titled("Steps", "step", "loans", "seconds", "loans/s")
    for step in run.steps:
        seconds = _seconds(step)
        rate = _rate(step.loans, seconds).removesuffix("/s") if step.loans else ""
        table.add_row(step.step, f"{step.loans:,}", f"{seconds:.2f}", rate)
    return table


def _control_totals(totals: Iterable[pb.ControlTotal], names: Mapping[str, str]) -> Table:
    columns = ("code", "account 科目", "servicing", "ledger", "loan ledger 台账", "")
    table = _titled("Control totals", *columns)
    for each in totals:
        of_loans = yuan(each.loan_ledger) if each.HasField("loan_ledger") else ""
        sign = "=" if _agrees(each) else "[red]≠[/red]"
        ours, theirs = yuan(each.servicing), yuan(each.ledger)
        table.add_row(each.gl_code, names.get(each.gl_code, ""), ours, theirs, of_loans, sign)
    return table


def _agrees(total: pb.ControlTotal) -> bool:
    of_loans = total.loan_ledger if total.HasField("loan_ledger") else total.ledger
    return total.servicing == total.ledger == of_loans


WORDS = ("step", "code", "account 科目", "event", "amount", "what is posted")
"""Columns of words; figures stand to the right."""


def _titled(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name in WORDS else "right")
    return table
