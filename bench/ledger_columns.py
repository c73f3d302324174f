"""RecordEventColumns and PostColumns, one account a line, against the floor of the same store.

Each request is followed by its floor (bench/floor.py), so that both tables grow alike and both
sides see the same noise. Requests that open accounts are reported apart from those that do not.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

import typer

from bench.floor import Floor
from bench.house import FIRST_DAY, Ledger, Store, timed
from bench.load import Requests, Run, run, run_for
from bench.postings import COLUMN_LIMIT, POST_ENTRIES, entries_request, event_columns, line_columns
from bench.report import Figure, milliseconds, rate, say, show
from bench.rounds import ratio

TARGET_RATIO = 1.5
TARGET_P99 = 1.0

Load = Callable[[Sequence[int]], float]
"""Posts one line a loan; seconds."""


@dataclass
class Measured:
    """One rpc's requests and their floors, in seconds."""

    subject: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    def add(self, subject: float, floor: float) -> None:
        """One round."""
        self.subject.append(subject)
        self.floor.append(floor)

    def figure(self, name: str, lines: int, *, judged: bool) -> Figure:
        """A row of the table."""
        times = ratio(self.subject, self.floor)
        return Figure(
            name,
            f"{rate(lines / median(self.subject))} lines",
            f"{rate(lines / median(self.floor))} floor",
            times,
            f"≤ {TARGET_RATIO} × the floor's time" if judged else "",
            times <= TARGET_RATIO if judged else None,
        )


def loads(ledger: Ledger, chunk: int) -> dict[str, Load]:
    """The two columnar rpcs."""

    def record(loans: Sequence[int]) -> float:
        parts = event_columns(loans, FIRST_DAY, chunk)
        return timed(lambda: ledger.journal.RecordEventColumns(iter(parts)))

    def post(loans: Sequence[int]) -> float:
        parts = line_columns(loans, FIRST_DAY, chunk)
        return timed(lambda: ledger.journal.PostColumns(iter(parts)))

    return {"RecordEventColumns": record, "PostColumns": post}


def beside(ledger: Ledger, load: Load, blocks: Sequence[range], callers: int) -> tuple[Run, float]:
    """Single entries posted while columns load; with the columns' seconds a request."""
    seconds: list[float] = []
    faults: list[BaseException] = []

    def load_all() -> None:
        try:
            seconds.extend(load(block) for block in blocks)
        except BaseException as fault:
            faults.append(fault)
            raise

    thread = threading.Thread(target=load_all)
    requests = Requests([entries_request([loan], FIRST_DAY) for loan in range(1000)])
    run_for(ledger.target, POST_ENTRIES, requests, callers, 1)
    thread.start()
    found = run(ledger.target, POST_ENTRIES, requests, callers, lambda _: thread.is_alive())
    thread.join()
    if faults:
        raise RuntimeError("a load beside single entries failed") from faults[0]
    return found, median(seconds)


def online_figures(found: Run, callers: int) -> list[Figure]:
    """What single entries got beside the load."""
    p99 = found.latency(0.99)
    return [
        Figure(
            f"beside a load: single entries, {callers} callers",
            f"{rate(found.rate)}, p50 {milliseconds(found.latency(0.5))}",
        ),
        Figure(
            "  latency p99",
            f"{milliseconds(p99)}, most {milliseconds(max(found.latencies))}",
            target=f"≤ {milliseconds(TARGET_P99)}",
            met=p99 <= TARGET_P99,
        ),
        Figure("  failed", str(len(found.failures)), target="none", met=not found.failures),
    ]


def main(
    lines: Annotated[int, typer.Option(min=2, max=COLUMN_LIMIT, help="In a request.")] = 50_000,
    chunk: Annotated[int, typer.Option(min=1, max=COLUMN_LIMIT, help="Owners a message.")] = 50_000,
    blocks: Annotated[int, typer.Option(min=1, help="Requests until accounts repeat.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Requests of each rpc that are judged.")] = 10,
    callers: Annotated[int, typer.Option(min=1, help="Of single entries.")] = 16,
    online: Annotated[
        bool, typer.Option("--online/--no-online", help="Single entries meanwhile too.")
    ] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Columns against the floor."""
    lines, rounds, blocks = (min(lines, 10_000), 4, 2) if quick else (lines, rounds, blocks)
    with Store() as store:
        ledger = store.ledger("columns")
        rpcs = loads(ledger, chunk)
        first, repeated = Measured(), {name: Measured() for name in rpcs}
        portfolio = [range(block * lines, (block + 1) * lines) for block in range(blocks)]
        # The first request makes the partition, the plans and the connections.
        rpcs["RecordEventColumns"](range(blocks * lines, blocks * lines + 100))
        with Floor(ledger) as floor:
            floor.follow()
            for block in portfolio:
                first.add(rpcs["RecordEventColumns"](block), floor.follow())
            floor.settle()
            # A warm-up and then rounds: both rpcs in turn, block after block.
            for number in range(-1, rounds):
                for name, load in rpcs.items():
                    found = load(portfolio[number % blocks]), floor.follow()
                    if number >= 0:
                        repeated[name].add(*found)
                say(f"round {number + 1} of {rounds}")
        figures = [first.figure("first load, accounts opened", lines, judged=False)]
        figures += [repeated[name].figure(name, lines, judged=True) for name in rpcs]
        if online:
            many = [portfolio[number % blocks] for number in range(2 * rounds)]
            singles, seconds = beside(ledger, rpcs["RecordEventColumns"], many, callers)
            figures += online_figures(singles, callers)
            figures.append(Figure("  the load meanwhile", f"{rate(lines / seconds)} lines"))
        peak = ledger.process.peak_mib()
    notes = [
        f"{lines:,} lines a request in chunks of {chunk:,}; {blocks * lines:,} accounts",
        f"the ledger's peak of memory: {peak:,.0f} MiB",
    ]
    sys.exit(show("Columns, one account a line", figures, notes, quick=quick))


if __name__ == "__main__":
    typer.run(main)
