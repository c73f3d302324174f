"""The end of a day over a large portfolio: servicing, ledger and PostgreSQL on this machine.

The portfolio (portfolio.py) is built once a size and day, kept as a template database and copied for
each run. The accrual of the night is held against the least that a store does for it (eod_floor.py).
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import psycopg2
import typer
from rich.table import Table

from bench import building, opening, portfolio
from bench.bank import check
from bench.building import Site
from bench.eod_floor import Floor
from bench.house import BOOK, Ledger, Server, Store
from bench.processes import Process
from bench.report import Figure, console, rate, say, show
from tael.servicing.v1.end_of_day_pb2 import RUN_STATE_DONE, RunEndOfDayRequest
from tael.servicing.v1.end_of_day_pb2_grpc import EndOfDayServiceStub
from tael.servicing.v1.product_pb2_grpc import ProductServiceStub
from tael_client.values import from_date
from tael_runtime.settings import Settings

LOANS = 1_000_000
"""Targets are for so many; fewer have their share of the time."""
FEW = 10_000
"""What a loan costs among so many is what it costs among all."""
KEPT = Path(tempfile.gettempdir(), "tael-bench-eod")
TARGET_RATIO = 2.0
TARGET_GROWTH = 1.25
TARGET_MIB = 1024

DECIDES = (
    "core_ledger/tael_ledger/migrations",
    "servicing/tael_servicing/migrations",
    "servicing/tael_servicing/arithmetic",
)
"""Beside the portfolio's own source, what decides how it is stored."""


class Day(StrEnum):
    """Which day is ended."""

    QUIET = "quiet"
    DUE = "due"
    MONTH_END = "month_end"


DATES = {
    Day.QUIET: date(2026, 3, portfolio.QUIET_DAY - 1),
    Day.DUE: date(2026, 3, 20),
    Day.MONTH_END: date(2026, 3, 31),
}
"""On the day that opens after it nothing falls due; one loan in thirty does."""
TARGET_SECONDS = {Day.QUIET: 60, Day.DUE: 120, Day.MONTH_END: 180}


class House:
    """Ledger, servicing and the outside world on one database of a store; workers: processes of
    servicing, that share a run.
    """

    def __init__(self, store: Store, name: str, workers: int = 1) -> None:
        self.ledger = store.started(Ledger(store, name, {}))
        shared = {
            "TAEL_DATABASE_NAME": self.ledger.database,
            "TAEL_LEDGER__LISTEN": self.ledger.target,
        }
        outside = store.started(Server(store, "simulators", "simulators", shared))
        shared["TAEL_SIMULATORS__LISTEN"] = outside.target
        self.servicing, *others = (
            store.started(Server(store, "servicing", "servicing", shared)) for _ in range(workers)
        )
        self.processes = {
            "servicing": self.servicing.process,
            **{f"servicing {place}": each.process for place, each in enumerate(others, 2)},
            "ledger": self.ledger.process,
            "PostgreSQL": store.postgres,
        }


def template(store: Store, loans: int, day: Day) -> str:
    """The database of a portfolio as it stands on a day; built where there is none yet."""
    name = f"eod_{day.value}_{loans}_{_version()}"
    with _administration(store) as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone() is not None:
            return name
    begun = time.perf_counter()
    _build(store, loans, DATES[day])
    with _administration(store) as cursor:
        cursor.execute(f"ALTER DATABASE bench_build RENAME TO {name}")
    say(f"{loans:,} loans built in {time.perf_counter() - begun:.0f} s")
    return name


def _version() -> str:
    """Of what decides how a portfolio is stored: another one is built anew."""
    digest = hashlib.sha256()
    sources = [Path(portfolio.__file__), Path(opening.__file__)]
    for folder in DECIDES:
        sources += sorted((Path(__file__).parents[1] / folder).rglob("*.py"))
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


@contextmanager
def _administration(store: Store) -> Iterator[Any]:
    with closing(psycopg2.connect(**store.address("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


@contextmanager
def copied(store: Store, name: str) -> Iterator[None]:
    """The portfolio for the house "run", until its servers have ended."""
    begun = time.perf_counter()
    with _administration(store) as cursor:
        cursor.execute("DROP DATABASE IF EXISTS bench_run")
        cursor.execute(f"CREATE DATABASE bench_run TEMPLATE {name} STRATEGY FILE_COPY")
    say(f"copied in {time.perf_counter() - begun:.0f} s")
    yield
    with _administration(store) as cursor:
        cursor.execute("DROP DATABASE bench_run")


def _build(store: Store, loans: int, day: date) -> None:
    with _administration(store) as cursor:
        cursor.execute("DROP DATABASE IF EXISTS bench_build")
    house = House(store, "build")
    site = Site(
        house.ledger.journal,
        house.servicing.connection.stub(ProductServiceStub),
        Settings(data_dir=store.folder, database_name=house.ledger.database),
        lambda: house.ledger.connect("servicing"),
    )
    building.build(site, loans, day, say)
    store.end_servers()
    with closing(house.ledger.connect("servicing")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE, FREEZE)")


@dataclass(frozen=True)
class Taken:
    """What a step took."""

    step: str
    loans: int
    seconds: float
    cpu: dict[str, float]
    """Seconds by process."""


def end(house: House, day: date) -> list[Taken]:
    """Ends a day and tells what each step took; raises RuntimeError where it does not close."""
    request = RunEndOfDayRequest(book_id=BOOK, business_date=from_date(day))
    taken: list[Taken] = []
    for process in house.processes.values():
        process.reset_peak()
    with closing(house.ledger.connect("servicing")) as connection:
        connection.autocommit = True
        then, before = time.perf_counter(), _cpu(house)
        for told in house.servicing.connection.stub(EndOfDayServiceStub).RunEndOfDay(request):
            run = told.run
            done = [step for step in run.steps if step.state == RUN_STATE_DONE][len(taken) :]
            if done:
                _await_delivery(connection)
                now, after = time.perf_counter(), _cpu(house)
                spent = {name: used - before[name] for name, used in after.items()}
                # Steps that are told together were one transaction: the last bears what they took.
                nothing = dict.fromkeys(spent, 0.0)
                taken += [Taken(step.step, step.loans, 0, nothing) for step in done[:-1]]
                taken.append(Taken(done[-1].step, done[-1].loans, now - then, spent))
                then, before = now, after
    check(run)
    return taken


def _await_delivery(connection: Any) -> None:
    """What a step posts is its own cost; the next step does not begin before the ledger has it."""
    waiting = "SELECT 1 FROM outgoing_posting WHERE state <> 'DELIVERED' LIMIT 1"
    with connection.cursor() as cursor:
        cursor.execute(waiting)
        while cursor.fetchone():
            time.sleep(0.02)
            cursor.execute(waiting)


def _cpu(house: House) -> dict[str, float]:
    return {name: process.cpu_seconds() for name, process in house.processes.items()}


def chart(taken: list[Taken], processes: dict[str, Process]) -> Table:
    """A row a step."""
    table = Table(title="Steps", title_justify="left", title_style="bold")
    table.add_column("step")
    for name in ("loans", "seconds", "loans/s", *(f"CPU {name}" for name in processes)):
        table.add_column(name, justify="right")
    for each in taken:
        table.add_row(
            each.step,
            f"{each.loans:,}",
            f"{each.seconds:.2f}",
            f"{each.loans / each.seconds:,.0f}" if each.seconds else "",
            *(f"{each.cpu[name]:.2f}" for name in processes),
        )
    return table


@dataclass(frozen=True)
class Measured:
    """What ending a day took."""

    loans: int
    taken: list[Taken]
    least: float
    """Seconds of the floor."""
    peaks: dict[str, float]
    """MiB by process."""

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(each.seconds for each in self.taken)


def measure(store: Store, loans: int, day: Day, workers: int = 1) -> Measured:
    """Ends the day of a portfolio, copied for it."""
    with copied(store, template(store, loans, day)):
        house = House(store, "run", workers)
        taken = end(house, DATES[day])
        peaks = {name: process.largest_mib() for name, process in house.processes.items()}
        with Floor(house.ledger) as floor:
            least = floor.night()
        store.end_servers()
    console.print(chart(taken, house.processes))
    return Measured(loans, taken, least, peaks)


def main(
    loans: Annotated[int, typer.Option(min=1000)] = LOANS,
    day: Annotated[Day, typer.Option(help="Nothing due, 1/30 due, or a month's last.")] = Day.QUIET,
    workers: Annotated[int, typer.Option(min=1, help="Processes of servicing.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where built portfolios are kept.")] = KEPT,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """The end of a day."""
    with Store(folder) as store:
        few = measure(store, 1000 if quick else FEW, day, workers)
        many = few if loans == few.loans else measure(store, 3000 if quick else loans, day, workers)
    sys.exit(show(f"End of a {day.value} day", _figures(day, few, many), quick=quick))


def _figures(day: Day, few: Measured, many: Measured) -> list[Figure]:
    loans, whole, least, peaks = many.loans, many.seconds, many.least, many.peaks
    night = sum(each.seconds for each in many.taken if each.step == "accrue")
    target = TARGET_SECONDS[day] * loans / LOANS
    growth = (whole / loans) / (few.seconds / few.loans)
    return [
        Figure(
            f"{loans:,} loans",
            f"{whole:.1f} s, {rate(loans / whole)}",
            target=f"≤ {target:.1f} s",
            met=whole <= target,
        ),
        Figure(
            "  a loan, beside one of few",
            f"{whole / loans * 1e6:,.0f} µs",
            f"{few.seconds / few.loans * 1e6:,.0f} µs of {few.loans:,}",
            growth,
            f"≤ {TARGET_GROWTH} ×",
            growth <= TARGET_GROWTH,
        ),
        Figure(
            "  the night's accrual",
            f"{night:.1f} s",
            f"{least:.1f} s the least",
            night / least,
            f"≤ {TARGET_RATIO} ×",
            night / least <= TARGET_RATIO,
        ),
        *(
            Figure(
                f"  peak memory of {name}, one process",
                f"{peak:,.0f} MiB",
                target=f"≤ {TARGET_MIB:,} MiB",
                met=peak <= TARGET_MIB,
            )
            for name, peak in peaks.items()
        ),
    ]


if __name__ == "__main__":
    typer.run(main)
