"""Prove of a long journal: how long, and in how much memory.

The journal is mixed: compound entries in columns, and entries of two lines in thousands. It is
proven at a tenth of its length and at the end, to see that memory does not grow with it. The
baseline is the least that reads every line: a count and two sums in SQL.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Annotated

import typer

from bench.house import BOOK, FIRST_DAY, Ledger, Store, timed
from bench.postings import COLUMN_LIMIT, entries_request, event_columns, request_id
from bench.report import Figure, rate, say, show
from bench.rounds import alternate, ratio
from tael.ledger.v1.proof_pb2 import ProofSummary, ProveRequest

TARGET_SECONDS = 60
TARGET_LINES = 10_000_000
"""For so many; a shorter journal has its share of the time."""
TARGET_GROWTH = 1.5
"""Peak memory at full length to that at a tenth: bounded, where it does not follow the journal."""
NAIVE = "SELECT count(*), sum(debit), sum(credit) FROM line"
BLOCKS = 4
"""Columnar requests until accounts repeat."""
CALLERS = 4


@dataclass(frozen=True)
class Proof:
    """One length of the journal, proven over some rounds."""

    lines: int
    seconds: list[float]
    naive: list[float]
    peak_mib: float


def prove(ledger: Ledger) -> ProofSummary:
    """The summary; raises RuntimeError where anything was found."""
    for answer in ledger.proof.Prove(ProveRequest(book_id=BOOK)):
        if answer.HasField("finding"):
            raise RuntimeError(f"the books do not prove: {answer.finding}")
    return answer.summary


def measure(ledger: Ledger, rounds: int) -> Proof:
    """Proves the journal as it stands and sums it in SQL, in turn."""
    ledger.rows("VACUUM ANALYZE")
    summaries: list[ProofSummary] = []
    ledger.process.reset_peak()
    seconds, naive = alternate(
        rounds,
        lambda: timed(lambda: summaries.append(prove(ledger))),
        lambda: timed(lambda: ledger.rows(NAIVE)),
    )
    proof = Proof(summaries[-1].lines, seconds, naive, ledger.process.peak_mib())
    say(f"{proof.lines:,} lines proven in {median(seconds):.1f} s, {proof.peak_mib:,.0f} MiB")
    return proof


class Journal:
    """Grows by requests of both kinds, in the proportion asked for."""

    def __init__(self, ledger: Ledger, singles: float) -> None:
        self._ledger = ledger
        self._singles = singles
        self._lines = 0
        self._block = 0

    def grow_to(self, lines: int) -> None:
        """Posts until the journal has at least so many lines."""
        with ThreadPoolExecutor(CALLERS) as callers:
            while self._lines < lines:
                owners = min(COLUMN_LIMIT, lines - self._lines)
                start = self._block % BLOCKS * COLUMN_LIMIT
                self._block += 1
                loans = range(start, start + owners)
                answer = self._ledger.journal.RecordEventColumns(
                    iter(event_columns(loans, FIRST_DAY))
                )
                self._lines += answer.lines
                entries = int(owners * self._singles / (1 - self._singles) / 2)
                self._lines += 2 * entries
                requests = [
                    entries_request(
                        range(first, min(first + 1000, entries)), FIRST_DAY, request_id()
                    )
                    for first in range(0, entries, 1000)
                ]
                answers = callers.map(self._ledger.journal.PostEntries, requests)
                assert not any(posted.refusals for posted in answers)
                if self._block % 20 == 0:
                    say(f"{self._lines:,} lines")


def main(
    lines: Annotated[int, typer.Option(min=1000)] = 10_000_000,
    singles: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of lines in entries of two.")
    ] = 0.2,
    rounds: Annotated[int, typer.Option(min=1)] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Prove of a long journal."""
    lines = min(lines, 200_000) if quick else lines
    with Store() as store:
        ledger = store.ledger("prove")
        journal = Journal(ledger, singles)
        journal.grow_to(lines // 10)
        tenth = measure(ledger, 1)
        journal.grow_to(lines)
        whole = measure(ledger, rounds)
    target = TARGET_SECONDS * whole.lines / TARGET_LINES
    seconds, growth = median(whole.seconds), whole.peak_mib / tenth.peak_mib
    figures = [
        Figure(
            f"Prove of {whole.lines:,} lines",
            f"{seconds:.1f} s, {rate(whole.lines / seconds)} lines",
            f"{median(whole.naive):.1f} s count and sums in SQL",
            ratio(whole.seconds, whole.naive),
            f"≤ {target:.1f} s",
            seconds <= target,
        ),
        Figure(
            "  peak memory of the ledger",
            f"{whole.peak_mib:,.0f} MiB",
            f"{tenth.peak_mib:,.0f} MiB at {tenth.lines:,} lines",
            growth,
            f"bounded: ≤ {TARGET_GROWTH} ×",
            growth <= TARGET_GROWTH,
        ),
    ]
    notes = [f"{singles:.0%} of the lines in entries of two, the rest in compound entries"]
    sys.exit(show("Prove", figures, notes, quick=quick))


if __name__ == "__main__":
    typer.run(main)
