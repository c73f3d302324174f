"""One entry a request, many callers, every entry into the same income account.

Held against the same server with its group size held at one, in rounds that alternate: both run
side by side on one PostgreSQL, and only one at a time has work.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

import typer
from google.protobuf.message import Message

from bench.house import FIRST_DAY, GROUP_OF_ONE, Ledger, Store
from bench.load import Requests, Rpc, Run, run_for
from bench.postings import (
    POST_ENTRIES,
    RECORD_EVENTS,
    entries_request,
    event_columns,
    events_request,
)
from bench.report import Figure, milliseconds, rate, say, show
from bench.rounds import ratio

TARGET_RATE = 2000
TARGET_RATIO = 2
TARGET_P99 = 0.060
ALONE_MARGIN = 0.95
"""One caller alone counts as not slower down to here: what rounds differ by anyway."""


@dataclass
class Side:
    """One server under one load, over all rounds."""

    ledger: Ledger
    rpc: Rpc
    requests: Requests
    callers: int
    runs: list[Run] = field(default_factory=list)
    costs: list[list[float]] = field(default_factory=list)
    """Seconds of CPU an entry: the server's, PostgreSQL's, the generator's."""
    together: list[float] = field(default_factory=list)
    """Entries a transaction."""

    def round(self, seconds: float) -> None:
        """Runs once more."""
        batches = self._batches()
        before = self._cpu()
        run = run_for(self.ledger.target, self.rpc, self.requests, self.callers, seconds)
        after = self._cpu()
        self.costs.append([(b - a) / run.entries for a, b in zip(before, after, strict=True)])
        self.together.append(run.entries / (self._batches() - batches))
        self.runs.append(run)

    def _cpu(self) -> tuple[float, float, float]:
        ledger = self.ledger
        return (
            ledger.process.cpu_seconds(),
            ledger.postgres.cpu_seconds(),
            time.process_time(),
        )

    def _batches(self) -> int:
        return int(self.ledger.rows("SELECT last_batch FROM book")[0][0])

    def forget(self) -> None:
        """Makes the rounds so far a warm-up."""
        self.runs.clear()
        self.costs.clear()
        self.together.clear()

    @property
    def rate(self) -> float:
        """Median of the rounds, entries a second."""
        return median(run.rate for run in self.runs)

    def latency(self, share: float) -> float:
        """Median of the rounds, seconds."""
        return median(run.latency(share) for run in self.runs)

    def against(self, baseline: Side) -> float:
        """This rate to the baseline's in the same rounds."""
        return ratio(*([run.rate for run in side.runs] for side in (self, baseline)))

    def cost(self) -> str:
        """Where the CPU goes."""
        server, postgres, generator = (median(part) * 1e6 for part in zip(*self.costs, strict=True))
        return (
            f"CPU an entry: server {server:,.0f} µs, PostgreSQL {postgres:,.0f} µs, "
            f"generator {generator:,.0f} µs; "
            f"{median(self.together):.1f} entries a transaction"
        )


@dataclass(frozen=True)
class Comparison:
    """An rpc with groups and without, many callers and one."""

    name: str
    grouped: Side
    single: Side
    alone: Side
    alone_single: Side

    def sides(self) -> tuple[Side, ...]:
        """In the order of a round."""
        return (self.grouped, self.single, self.alone, self.alone_single)

    def figures(self) -> list[Figure]:
        """Rows of the table."""
        times, p99 = self.grouped.against(self.single), self.grouped.latency(0.99)
        alone = self.alone.against(self.alone_single)
        callers = f"{self.grouped.callers} callers"
        return [
            Figure(
                f"{self.name}, {callers}",
                rate(self.grouped.rate),
                f"{rate(self.single.rate)} group of one",
                times,
                f"≥ {TARGET_RATIO} ×, ≥ {rate(TARGET_RATE)}",
                times >= TARGET_RATIO and self.grouped.rate >= TARGET_RATE,
            ),
            Figure(
                "  latency p50",
                milliseconds(self.grouped.latency(0.5)),
                milliseconds(self.single.latency(0.5)),
            ),
            Figure(
                "  latency p99",
                milliseconds(p99),
                milliseconds(self.single.latency(0.99)),
                target=f"≤ {milliseconds(TARGET_P99)}",
                met=p99 <= TARGET_P99,
            ),
            Figure(
                f"{self.name}, one caller alone",
                f"{rate(self.alone.rate)}, p99 {milliseconds(self.alone.latency(0.99))}",
                f"{rate(self.alone_single.rate)} group of one",
                alone,
                f"not slower (≥ {ALONE_MARGIN} ×)",
                alone >= ALONE_MARGIN,
            ),
        ]


def compare(
    name: str, rpc: Rpc, ledgers: tuple[Ledger, Ledger], bodies: Sequence[Message], callers: int
) -> Comparison:
    """Four sides of one rpc; each has requests of its own."""

    def side(ledger: Ledger, number: int) -> Side:
        return Side(ledger, rpc, Requests(bodies), number)

    grouped, single = ledgers
    return Comparison(
        name, side(grouped, callers), side(single, callers), side(grouped, 1), side(single, 1)
    )


def main(
    callers: Annotated[int, typer.Option(min=2)] = 64,
    loans: Annotated[int, typer.Option(min=1, help="Accounts debited in turn.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of a round of each side.")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Single entries: group commit against a group of one."""
    rounds, seconds, loans = (2, 1.0, 1000) if quick else (rounds, seconds, loans)
    with Store() as store:
        ledgers = store.ledger("grouped"), store.ledger("single", GROUP_OF_ONE)
        for ledger in ledgers:
            ledger.journal.RecordEventColumns(iter(event_columns(range(loans), FIRST_DAY)))
        posted = [entries_request([loan], FIRST_DAY) for loan in range(loans)]
        events = [events_request(loan, FIRST_DAY) for loan in range(loans)]
        comparisons = [
            compare("PostEntries", POST_ENTRIES, ledgers, posted, callers),
            compare("RecordEvents", RECORD_EVENTS, ledgers, events, callers),
        ]
        sides = [side for comparison in comparisons for side in comparison.sides()]
        say("warming up")
        for side in sides:
            side.round(min(2.0, seconds))
            side.forget()
        for number in range(rounds):
            for side in sides:
                side.round(seconds)
            say(f"round {number + 1} of {rounds}: {rate(comparisons[0].grouped.runs[-1].rate)}")
    for comparison in comparisons:
        if (together := median(comparison.single.together)) > 1:
            raise RuntimeError(f"the group size was not held at one: {together:.1f} a transaction")
    figures = [figure for comparison in comparisons for figure in comparison.figures()]
    notes = [
        f"{comparison.name}, {name}: {side.cost()}"
        for comparison in comparisons
        for name, side in (("grouped", comparison.grouped), ("group of one", comparison.single))
    ]
    sys.exit(show("One entry a request, one income account", figures, notes, quick=quick))


if __name__ == "__main__":
    typer.run(main)
