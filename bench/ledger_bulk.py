"""PostEntries in thousands, held against pgbench's TPC-B on the same PostgreSQL, round by round."""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Annotated

import typer

from bench.house import FIRST_DAY, Store
from bench.load import Requests, Run, run_for
from bench.postings import COLUMN_LIMIT, POST_ENTRIES, entries_request, event_columns
from bench.report import Figure, milliseconds, rate, say, show
from bench.rounds import alternate, ratio
from bench.tpc_b import TpcB

TARGET_RATE = 20_000
TARGET_RATIO = 8


def main(
    callers: Annotated[int, typer.Option(min=1)] = 4,
    entries: Annotated[int, typer.Option(min=1, help="In a request.")] = 1000,
    loans: Annotated[int, typer.Option(min=1, help="Accounts debited in turn.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="Of a round of each side.")] = 6,
    clients: Annotated[int, typer.Option(min=1, help="pgbench's.")] = 4,
    scale: Annotated[int, typer.Option(min=1, help="pgbench's.")] = 10,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Entries in thousands against TPC-B."""
    rounds, seconds, loans = (2, 2, 10_000) if quick else (rounds, seconds, loans)
    with Store() as store:
        ledger = store.ledger("bulk")
        for start in range(0, loans, COLUMN_LIMIT):
            some = range(start, min(start + COLUMN_LIMIT, loans))
            ledger.journal.RecordEventColumns(iter(event_columns(some, FIRST_DAY)))
        say("preparing requests and pgbench")
        # Neighbours in a request are far apart in the book, as the day brings them.
        step = max(1, loans // entries)
        requests = Requests(
            [entries_request(range(start, loans, step), FIRST_DAY) for start in range(step)]
        )
        pgbench = TpcB(store, scale, clients)
        runs: list[Run] = []
        cpu: list[float] = []

        def post() -> float:
            before = ledger.process.cpu_seconds(), time.process_time()
            run = run_for(ledger.target, POST_ENTRIES, requests, callers, seconds)
            runs.append(run)
            cpu.append((ledger.process.cpu_seconds() - before[0]) / run.entries)
            say(f"{rate(run.rate)}; generator {time.process_time() - before[1]:.2f} s of CPU")
            return run.rate

        sides = [
            post,
            lambda: pgbench.transactions_a_second(seconds, "simple"),
            lambda: pgbench.transactions_a_second(seconds, "prepared"),
        ]
        say("warming up")
        alternate(1, *sides)
        runs.clear()
        cpu.clear()
        posted, transactions, prepared = alternate(rounds, *sides)
    times, found = ratio(posted, transactions), median(posted)
    latencies = [latency for run in runs for latency in run.latencies]
    whole = Run(latencies=latencies)
    figures = [
        Figure(
            f"PostEntries of {entries:,}, {callers} callers",
            f"{rate(found)} entries",
            f"{rate(median(transactions))} TPC-B",
            times,
            f"≥ {TARGET_RATIO} ×, ≥ {rate(TARGET_RATE)}",
            times >= TARGET_RATIO and found >= TARGET_RATE,
        ),
        Figure(
            "  against prepared statements",
            "",
            f"{rate(median(prepared))} TPC-B",
            ratio(posted, prepared),
        ),
        Figure(
            "  latency p50, p99 of a request",
            f"{milliseconds(whole.latency(0.5))}, {milliseconds(whole.latency(0.99))}",
        ),
        Figure("  server's CPU an entry", f"{median(cpu) * 1e6:.1f} µs"),
    ]
    notes = [f"pgbench: {clients} clients, scale {scale}"]
    sys.exit(show("Entries in thousands, one income account", figures, notes, quick=quick))


if __name__ == "__main__":
    typer.run(main)
