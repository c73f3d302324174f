"""Online callers while a day ends: repayments, quotes and single entries beside the batch.

The portfolio is that of `eod`; one loan in thirty falls due and one in twenty is overdue, and the
overdue are those that are repaid, for as long as the day takes.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from bench import portfolio
from bench.bank import end_day
from bench.eod import DATES, KEPT, Day, House, copied, template
from bench.house import BOOK, Store, timed
from bench.load import Requests, Rpc, Run, run
from bench.postings import POST_ENTRIES, entry
from bench.report import Figure, milliseconds, rate, show
from bench.servicing_repay import REPAY, repay_bodies
from tael.ledger.v1.ledger_pb2 import PostEntriesRequest
from tael.servicing.v1.loan_pb2 import QuoteScheduleRequest, QuoteScheduleResponse
from tael_client.values import money

QUOTE = Rpc("/tael.servicing.v1.LoanService/QuoteSchedule", QuoteScheduleResponse, lambda _: 0)
TARGET_P99 = 1.0


@dataclass(frozen=True)
class Callers:
    """Who calls one rpc, each again as soon as it is answered."""

    name: str
    count: int
    target: str
    rpc: Rpc
    requests: Iterator[bytes]

    def call(self, busy: Callable[[], bool]) -> Run:
        """Until nobody is busy any more."""
        return run(self.target, self.rpc, self.requests, self.count, lambda _: busy())


def callers(house: House, loans: int, day: date) -> list[Callers]:
    """Sixteen, of three kinds."""
    servicing, ledger = house.servicing.target, house.ledger.target
    repayments = Requests(repay_bodies(overdue(loans)))
    return [
        Callers("Repay", 6, servicing, REPAY, repayments),
        Callers("QuoteSchedule", 5, servicing, QUOTE, itertools.cycle(quotes())),
        Callers("PostEntries", 5, ledger, POST_ENTRIES, Requests(deposits(day))),
    ]


def overdue(loans: int) -> list[str]:
    """Loans that have something to pay: the first variant's of each due day."""
    kinds = (number % portfolio.CONTRACTS for number in range(loans))
    return [
        portfolio.identity("ln", number)
        for number, kind in enumerate(kinds)
        if kind < len(portfolio.DUE_DAYS)
    ]


def quotes() -> list[bytes]:
    """Of every product, some sizes and tenors; serialised, for they carry no request_id."""
    return [
        QuoteScheduleRequest(
            product_code=code, principal=money(amount), periods=periods
        ).SerializeToString()
        for code in portfolio.products()
        for amount in (120_000, 5_000_000)
        for periods in (6, 12, 36)
    ]


def deposits(day: date) -> list[PostEntriesRequest]:
    """Money that customers pay in: no account of a loan."""
    return [
        PostEntriesRequest(
            book_id=BOOK,
            entries=[
                entry("1002", f"2011.01:CUSTOMER:W{number}", 100, day, f"bench/deposit/{number}")
            ],
        )
        for number in range(1000)
    ]


def beside(house: House, day: date, online: list[Callers]) -> tuple[float, list[Run]]:
    """Seconds of the day's end, and what each kind of caller got meanwhile."""
    over = threading.Event()
    with ThreadPoolExecutor(len(online)) as threads:
        under_way = [threads.submit(each.call, lambda: not over.is_set()) for each in online]
        try:
            seconds = timed(lambda: end_day(house.servicing, day))
        finally:
            over.set()
        return seconds, [each.result() for each in under_way]


def main(
    loans: Annotated[int, typer.Option(min=1000)] = 100_000,
    folder: Annotated[Path, typer.Option(help="Where built portfolios are kept.")] = KEPT,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """A due day beside sixteen online callers."""
    loans, day = 3000 if quick else loans, DATES[Day.DUE]
    with Store(folder) as store:
        name = template(store, loans, Day.DUE)
        with copied(store, name):
            house = House(store, "run")
            online = callers(house, loans, day)
            seconds, runs = beside(house, day, online)
            store.end_servers()
    figures = [Figure(f"{loans:,} loans, a due day", f"{seconds:.1f} s, {rate(loans / seconds)}")]
    for each, found in zip(online, runs, strict=True):
        figures += _figures(each, found)
    sys.exit(show("Online while a day ends", figures, quick=quick))


def _figures(each: Callers, found: Run) -> list[Figure]:
    p99 = found.latency(0.99)
    return [
        Figure(
            f"{each.name}, {each.count} callers",
            f"{rate(len(found.latencies) / found.seconds)}, p50 {milliseconds(found.latency(0.5))}",
        ),
        Figure(
            "  latency p99",
            f"{milliseconds(p99)}, most {milliseconds(max(found.latencies))}",
            target=f"≤ {milliseconds(TARGET_P99)}",
            met=p99 <= TARGET_P99,
        ),
        Figure(
            "  failed",
            f"{len(found.failures)}{': ' + found.failures[0] if found.failures else ''}",
            target="none",
            met=not found.failures,
        ),
    ]


if __name__ == "__main__":
    typer.run(main)
