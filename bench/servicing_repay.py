"""Repayments of what is due, one a request, answered once the ledger has them.

Held against the same ledger's RecordEvents, one event a request from as many callers, and against
pgbench's TPC-B from as many clients on the same PostgreSQL, in rounds that alternate.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

import typer

from bench.bank import Bank
from bench.house import Ledger, Store
from bench.load import Requests, Rpc, Run, run_for
from bench.postings import RECORD_EVENTS, event_columns, events_request
from bench.processes import Process
from bench.report import Figure, milliseconds, rate, say, show
from bench.rounds import ratio
from bench.tpc_b import TpcB
from tael.servicing.v1.repayment_pb2 import REPAYMENT_KIND_DUE, RepayRequest, RepayResponse
from tael_client.values import money

REPAY = Rpc(
    "/tael.servicing.v1.RepaymentService/Repay",
    RepayResponse,
    lambda answer: len(answer.repayment.entry_sequences),
)
TARGET_RATE = 120
TARGET_P99 = 0.250
PAID = 100
"""Minor units of a repayment: an instalment takes some thousands of them."""


@dataclass
class Side:
    """One server under one load, over all rounds."""

    target: str
    rpc: Rpc
    requests: Requests
    callers: int
    used: dict[str, Process]
    """Whose CPU a request costs, by name."""
    runs: list[Run] = field(default_factory=list)
    costs: list[dict[str, float]] = field(default_factory=list)
    """Seconds of CPU a request, round by round."""

    def round(self, seconds: float) -> None:
        """Runs once more."""
        before = self._cpu()
        run = run_for(self.target, self.rpc, self.requests, self.callers, seconds)
        spent = {name: used - before[name] for name, used in self._cpu().items()}
        self.costs.append({name: used / len(run.latencies) for name, used in spent.items()})
        self.runs.append(run)

    def _cpu(self) -> dict[str, float]:
        return {
            **{name: process.cpu_seconds() for name, process in self.used.items()},
            "generator": time.process_time(),
        }

    @property
    def rates(self) -> list[float]:
        """Requests a second, round by round."""
        return [len(run.latencies) / run.seconds for run in self.runs]

    def latency(self, share: float) -> float:
        """Median of the rounds, seconds."""
        return median(run.latency(share) for run in self.runs)

    def cost(self) -> str:
        """Where the CPU goes."""
        parts = {name: median(cost[name] for cost in self.costs) * 1e6 for name in self.costs[0]}
        return ", ".join(f"{name} {used:,.0f} µs" for name, used in parts.items())


def repay_bodies(loans: Sequence[str]) -> list[RepayRequest]:
    """One repayment a loan: bodies for `load.Requests`."""
    return [
        RepayRequest(loan_id=loan, amount=money(PAID), kind=REPAYMENT_KIND_DUE) for loan in loans
    ]


def sides(bank: Bank, ledger: Ledger, loans: Sequence[str], callers: int) -> tuple[Side, Side]:
    """Repayments, and the ledger's events alone."""
    shared = {"ledger": ledger.process, "PostgreSQL": ledger.postgres}
    servicing = {"servicing": bank.server.process, **shared}
    events = [events_request(number, bank.day) for number in range(len(loans))]
    return (
        Side(bank.server.target, REPAY, Requests(repay_bodies(loans)), callers, servicing),
        Side(ledger.target, RECORD_EVENTS, Requests(events), callers, shared),
    )


def main(
    callers: Annotated[int, typer.Option(min=1)] = 16,
    loans: Annotated[int, typer.Option(min=1, help="Repaid in turn.")] = 400,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="Of a round of each side.")] = 6,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Repay over gRPC, the ledger's posting included."""
    rounds, seconds, loans = (2, 2, 40) if quick else (rounds, seconds, loans)
    with Store() as store:
        ledger = store.ledger("repay")
        bank = Bank(store, ledger)
        say(f"lending {loans} loans")
        lent = bank.lend(loans)
        bank.end_day()
        # No day ends any more: what the ledger gets from elsewhere disturbs no check.
        ledger.journal.RecordEventColumns(iter(event_columns(range(loans), bank.day)))
        tpc_b = TpcB(store, scale=callers, clients=callers)
        repaid, recorded = sides(bank, ledger, lent, callers)
        transactions: list[float] = []
        steps: tuple[Callable[[], object], ...] = (
            lambda: repaid.round(seconds),
            lambda: recorded.round(seconds),
            lambda: transactions.append(tpc_b.transactions_a_second(seconds, "simple")),
        )
        for side in (repaid, recorded):
            side.round(2)
            side.runs.clear()
            side.costs.clear()
        for number in range(rounds):
            for step in steps:
                step()
            say(f"round {number + 1} of {rounds}: {rate(repaid.rates[-1])}")
    sys.exit(
        show(
            "Repayments",
            _figures(repaid, recorded, transactions),
            _notes(repaid, recorded),
            quick=quick,
        )
    )


def _figures(repaid: Side, recorded: Side, transactions: Sequence[float]) -> list[Figure]:
    measured, p99 = median(repaid.rates), repaid.latency(0.99)
    return [
        Figure(
            f"Repay, {repaid.callers} callers",
            rate(measured),
            f"{rate(median(recorded.rates))} RecordEvents",
            ratio(repaid.rates, recorded.rates),
            f"≥ {rate(TARGET_RATE)}",
            measured >= TARGET_RATE,
        ),
        Figure(
            "  beside TPC-B",
            rate(measured),
            f"{rate(median(transactions))} TPC-B",
            ratio(repaid.rates, transactions),
        ),
        Figure(
            "  latency p50",
            milliseconds(repaid.latency(0.5)),
            milliseconds(recorded.latency(0.5)),
        ),
        Figure(
            "  latency p99",
            milliseconds(p99),
            milliseconds(recorded.latency(0.99)),
            target=f"≤ {milliseconds(TARGET_P99)}",
            met=p99 <= TARGET_P99,
        ),
    ]


def _notes(repaid: Side, recorded: Side) -> list[str]:
    return [
        f"CPU a Repay: {repaid.cost()}",
        f"CPU a RecordEvents: {recorded.cost()}",
    ]


if __name__ == "__main__":
    typer.run(main)
