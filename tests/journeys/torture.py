"""The end of a day, killed at random moments, against one that nothing disturbed.

    python -m journeys.torture --rounds 60 --seed 1

The eve of the day is built once: a portfolio with debits that came in and debits that failed. Each
round copies it, ends the day while workers, servicing, ledger and postmaster are killed, and holds
what came of it against the undisturbed day: the journal, the loan ledger and what others were told.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import grpc
import psycopg2
from sqlalchemy import make_url

from bench.building import Site, build
from bench.house import BOOK
from bench.portfolio import CONTRACTS, DUE_DAYS, identity
from support import House, refusal, wait_until
from tael.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from tael.ledger.v1.proof_pb2 import EXPORT_FORMAT_CANONICAL, ExportJournalRequest, ProveRequest
from tael.ledger.v1.proof_pb2_grpc import ProofServiceStub
from tael.provider.v1.simulator_pb2 import Behaviour, ScriptBehaviourRequest
from tael.provider.v1.simulator_pb2_grpc import SimulatorServiceStub
from tael.servicing.v1.end_of_day_pb2 import (
    RUN_STATE_DONE,
    DownloadLoanLedgerRequest,
    EndOfDayReport,
    EndOfDayRun,
    GetEndOfDayReportRequest,
    RunEndOfDayRequest,
)
from tael.servicing.v1.end_of_day_pb2_grpc import EndOfDayServiceStub
from tael.servicing.v1.product_pb2_grpc import ProductServiceStub
from tael_client.values import from_date
from tael_runtime.embedded_postgres import EmbeddedPostgres

LOANS = 20_000
EVE = date(2026, 2, 27)
DAY = EVE + timedelta(days=1)
"""The last of a month: debits of the day to allocate, allowances to set, a day to open."""
VICTIMS = ("worker", "ledger", "postmaster", "servicing")
PATIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN")
PATIENCE_SECONDS = 240.0
DEBIT = "tael.provider.v1.PaymentProviderService/Debit"


@dataclass(frozen=True)
class Outcome:
    """What came of a day."""

    journal: bytes
    """The canonical export."""
    loans: bytes
    """The loan ledger of the day, as the file of its report."""
    report: bytes
    """The report, without when things happened."""
    told: tuple[tuple[Any, ...], ...]
    """Events by type and how often."""
    findings: tuple[str, ...] = ()
    """What the books have against themselves."""

    def differing(self, other: Outcome) -> list[str]:
        """In which parts two are not the same."""
        names = (field.name for field in fields(self))
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class Round:
    """How a day is disturbed."""

    number: int
    victims: tuple[str, ...]
    workers: int
    dice: random.Random


def rounds(seed: int) -> Iterator[Round]:
    """Each begins with another victim; two workers share the run in two of three."""
    number = 0
    while True:
        dice = random.Random(f"{seed}/{number}")
        victims = [VICTIMS[number % len(VICTIMS)]]
        victims += dice.choices(VICTIMS, k=dice.choice((0, 0, 1, 2)))
        number += 1
        yield Round(number, tuple(victims), 1 + min(number % 3, 1), dice)


CHUNKS = "FROM work_chunk WHERE run_id = (SELECT run_id FROM work_run WHERE key = %(run)s)"
"""Of the day's run."""


class Torture:
    """Days that end in a cluster of their own. Use it in a with."""

    def __init__(self, loans: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._folder = Path(tempfile.mkdtemp(prefix="tael-torture-"))
        self._folder.chmod(0o755)  # so that the cluster lies in it, whoever PostgreSQL runs as
        self._chunks = 0
        self._seconds = 0.0
        self.killed: list[str] = []
        try:
            self._build_eve(loans)
            self.undisturbed = self._undisturbed()
        except BaseException:
            self.close()
            raise

    def disturbed(self, round_: Round) -> Outcome:
        """Ends the day in spite of everything."""
        with self._morning() as house:
            house.spawn("servicing", workers=round_.workers)
            with self._strikes(house, round_):
                end_day(house, DAY)
            end_day(house, DAY)  # answers as before, from what was started again last
            return outcome(house)

    def _undisturbed(self) -> Outcome:
        with self._morning() as house:
            house.spawn("servicing")
            begun = time.monotonic()
            run = end_day(house, DAY)
            self._seconds = time.monotonic() - begun
            self._chunks = sum(step.chunks for step in run.steps)
            self._say(f"the undisturbed day took {self._seconds:.1f} s")
            return outcome(house)

    def _build_eve(self, loans: int) -> None:
        begun = time.monotonic()
        with House(self._folder) as house:
            house.spawn("simulators", "ledger", "servicing")
            site = Site(
                house.client("ledger", LedgerServiceStub),
                house.client("servicing", ProductServiceStub),
                house.settings,
                lambda: self._connect(house.settings.database_name, "servicing"),
            )
            build(site, loans, EVE, lambda _: None)
            _let_some_debits_fail(house)
            with closing(site.connect()) as connection:
                connection.autocommit = True
                connection.cursor().execute("ANALYZE")
            end_day(house, EVE)
            wait_until(lambda: not _in_flight(house), 240, "the debits' results")
            house.halt()
            self._copy(house.settings.database_name, "eve")
        self._say(f"{loans:,} loans built in {time.monotonic() - begun:.0f} s")

    @contextmanager
    def _morning(self) -> Iterator[House]:
        """A copy of the eve, its ledger and its outside world running."""
        with House(self._folder) as house:
            self._copy("eve", house.settings.database_name)
            yield house.spawn("simulators", "ledger")

    @contextmanager
    def _strikes(self, house: House, round_: Round) -> Iterator[None]:
        """Kills the victims while the day is ended in the block: each when so many chunks are done,
        and then some time into the next.
        """
        dice = round_.dice
        places = sorted(dice.choices(range(self._chunks), k=len(round_.victims)))
        over = threading.Event()

        def strike() -> None:
            for victim, place in zip(round_.victims, places, strict=True):
                while not over.is_set() and self._done(house) < place:
                    over.wait(0.02)
                over.wait(dice.uniform(0, self._seconds / self._chunks))
                at = self._under_way(house)
                _kill(house, victim, round_)
                self.killed.append(victim)
                self._say(f"  {victim} killed {at}")

        striker = threading.Thread(target=strike)
        striker.start()
        try:
            yield
        finally:
            over.set()
            striker.join()

    def _done(self, house: House) -> int:
        """Chunks of the day that are done; -1 where the store is away."""
        try:
            ((done,),) = self._look(house, f"SELECT count(*) {CHUNKS} AND done = 1")
        except psycopg2.Error:
            return -1
        return int(done)

    def _under_way(self, house: House) -> str:
        """Which steps have chunks to do, as far as the store can be asked."""
        names = "SELECT name, count(*) FROM work_step NATURAL JOIN"
        query = f"{names} (SELECT run_id, step {CHUNKS} AND done = 0) AS left_over GROUP BY name"
        try:
            found = self._look(house, query)
        except psycopg2.Error:
            return "with the store away"
        left = ", ".join(f"{chunks} of {name}" for name, chunks in found)
        return f"after {self._done(house)} of {self._chunks} chunks, left {left or 'none'}"

    def _look(self, house: House, query: str) -> list[Any]:
        name = house.settings.database_name
        with closing(self._connect(name, "servicing")) as connection, connection.cursor() as cursor:
            cursor.execute(query, {"run": f"{BOOK}:{DAY}"})
            return list(cursor.fetchall())

    def _copy(self, template: str, name: str) -> None:
        with closing(self._connect("postgres", "public")) as connection:
            connection.autocommit = True
            connection.cursor().execute(
                f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'
            )

    def _connect(self, database: str, schema: str) -> Any:
        query = make_url(EmbeddedPostgres(self._folder).url(database, "tael")).query
        return psycopg2.connect(
            host=query["host"],
            port=query["port"],
            user="tael",
            dbname=database,
            options=f"-c search_path={schema}",
        )

    def close(self) -> None:
        """Takes everything away."""
        EmbeddedPostgres(self._folder).destroy()
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _let_some_debits_fail(house: House) -> None:
    """Of one contract in twenty that falls due on the day after the eve."""
    slot = DUE_DAYS.index(DAY.day)
    outside = house.client("simulators", SimulatorServiceStub)
    for number in range(slot, CONTRACTS, 7 * len(DUE_DAYS)):
        failure = Behaviour(failure_code="INSUFFICIENT_FUNDS")
        outside.ScriptBehaviour(
            ScriptBehaviourRequest(method=DEBIT, key=identity("ca", number), behaviours=[failure])
        )


def _in_flight(house: House) -> bool:
    known = "('SUCCESS', 'FAILED', 'CANCELLED')"
    return bool(
        house.sql(f"SELECT 1 FROM direct_debit WHERE state NOT IN {known} LIMIT 1", "servicing")
    )


def end_day(house: House, day: date) -> EndOfDayRun:
    """Ends a day, however often it takes; it must close."""
    stub = house.client("servicing", EndOfDayServiceStub)
    request = RunEndOfDayRequest(book_id=BOOK, business_date=from_date(day))
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            *_, last = stub.RunEndOfDay(request)
        except (grpc.RpcError, ValueError) as error:
            if isinstance(error, grpc.RpcError) and refusal(error)[0] not in PATIENT:
                raise
            last = None
        if last is not None and last.run.state == RUN_STATE_DONE:
            return last.run
        why = last.run.error if last is not None else "servicing does not answer"
        assert time.monotonic() < end, f"{day} does not close: {why}"
        time.sleep(0.1)


def _kill(house: House, victim: str, round_: Round) -> None:
    """SIGKILL, and a start again of what nobody else starts."""
    if victim == "postmaster":
        (pid_file,) = house.data_dir.rglob("postmaster.pid")
        with suppress(FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
    elif victim == "worker" and round_.workers > 1:
        if workers := house.children("servicing"):
            os.kill(round_.dice.choice(workers), signal.SIGKILL)
    else:
        name = "servicing" if victim == "worker" else victim
        for worker in house.children(name):
            os.kill(worker, signal.SIGKILL)
        house.kill(name)
        house.spawn(name, workers=round_.workers if name == "servicing" else 1)


def outcome(house: House) -> Outcome:
    """What came of the day."""
    proof = house.client("ledger", ProofServiceStub)
    export = ExportJournalRequest(book_id=BOOK, format=EXPORT_FORMAT_CANONICAL)
    parts = list(proof.Prove(ProveRequest(book_id=BOOK)))
    findings = [part.finding for part in parts if part.HasField("finding")]
    day_ends = house.client("servicing", EndOfDayServiceStub)
    asked = GetEndOfDayReportRequest(book_id=BOOK, business_date=from_date(DAY))
    file = DownloadLoanLedgerRequest(book_id=BOOK, business_date=from_date(DAY))
    told = house.sql("SELECT type, count(*) FROM outbox GROUP BY 1 ORDER BY 1", "servicing")
    return Outcome(
        journal=b"".join(part.chunk for part in proof.ExportJournal(export)),
        loans=b"".join(part.chunk for part in day_ends.DownloadLoanLedger(file)),
        report=_timeless(day_ends.GetEndOfDayReport(asked).report),
        told=tuple(map(tuple, told)),
        findings=tuple(f"{each.subject}: {each.message}" for each in findings),
    )


def _timeless(report: EndOfDayReport) -> bytes:
    for each in (report.run, *report.run.steps):
        each.ClearField("started_at")
        each.ClearField("finished_at")
    return report.SerializeToString(deterministic=True)


def main() -> int:
    """0 where every disturbed day came out as the undisturbed one."""
    parser = argparse.ArgumentParser(prog="python -m journeys.torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--first", type=int, default=1, help="the round to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loans", type=int, default=LOANS)
    given = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    failed = 0
    with Torture(given.loans, say) as torture:
        for each in rounds(given.seed):
            if each.number > given.rounds:
                break
            if each.number < given.first:
                continue
            say(f"round {each.number}, {each.workers} at work, against {', '.join(each.victims)}")
            begun = time.monotonic()
            differing = torture.disturbed(each).differing(torture.undisturbed)
            failed += bool(differing)
            verdict = f"differs in {', '.join(differing)}" if differing else "the same books"
            say(f"  {verdict} after {time.monotonic() - begun:.0f} s")
    say(f"{failed} of {given.rounds - given.first + 1} rounds differ (seed {given.seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
