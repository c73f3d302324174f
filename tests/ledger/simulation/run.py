"""Episodes: a fresh book, bursts and questions from one seed, and everything compared at the end."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from ledger.simulation import everything, queries
from ledger.simulation.callers import Callers, insist
from ledger.simulation.closing_requests import close
from ledger.simulation.draws import World
from ledger.simulation.faults import misfortune
from ledger.simulation.linearise import Call, settle
from ledger.simulation.operations import STANDING, Operation, brief
from ledger.simulation.state import Rules, State
from ledger.simulation.workload import Burst, draw_burst

from support import House
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_client.values import from_date, to_date
from tael_runtime.embedded_postgres import EmbeddedPostgres

CALLERS = 6
FIRST_DAYS = (date(2025, 11, 20), date(2025, 12, 21), date(2026, 1, 21), date(2026, 2, 18))
REMEMBERED = 12
"""Bursts that a failure tells."""
ANCHORS = 50
"""Anchors that are looked for in the chain at the end of an episode."""
PROVEN = 3
"""Anchors against which the whole book is proven."""
NIGHTS = 100
"""Places of a step from which on nights are told apart."""
LOGGED = 200
"""Last lines of a ledger's log of which a failure tells those that are no audit records."""


class SimulationError(AssertionError):
    """The ledger is not what the oracle says; the message has the seed, the step and what was done."""


@dataclass(frozen=True)
class Shape:
    """How long an episode is, and how rough."""

    steps: int = 150
    fault_chance: float = 0.06
    question_chance: float = 0.4
    leap_chance: float = 0.02
    """That some weeks pass in which nothing is booked."""


class Episode:
    """One book's life, drawn from one seed."""

    def __init__(self, houses: Sequence[House], callers: Callers, seed: int, shape: Shape) -> None:
        self.houses, self.callers, self.seed, self.shape = houses, callers, seed, shape
        self.step = 0
        self.sent: list[Operation] = []
        self.answers: dict[tuple[str, str, str], Any] = {}
        """What was answered first, in full."""
        self.told: deque[str] = deque(maxlen=REMEMBERED)
        self.faults: list[str] = []
        """What went wrong on the way."""
        self.state = self._open_book()

    def run(self) -> None:
        """Every step, then everything compared. Raises SimulationError."""
        try:
            while self.step < self.shape.steps:
                self.step += 1
                self._advance()
            self._compare_all()
        except (AssertionError, grpc.RpcError) as error:
            raise SimulationError("\n".join(self._story(error))) from error

    def _story(self, error: Exception) -> Iterator[str]:
        """What a failure tells: where, how to see it again, and what came before it."""
        yield f"seed {self.seed}, step {self.step}: {error}"
        yield (
            f"\nagain: python -m ledger.simulation --seed {self.seed} --minutes 0"
            f" --steps {self.shape.steps} --fault-chance {self.shape.fault_chance}"
            f" --ledgers {len(self.houses)}"
        )
        yield "\nbefore it:"
        yield from self.told
        yield "\nthe ledgers' logs:"
        for log in {house.log_of("ledger") for house in self.houses}:
            lines = log.read_text().splitlines()[-LOGGED:]
            yield from (line for line in lines if '"kind": "audit"' not in line)

    def _open_book(self) -> State:
        dice = random.Random(f"{self.seed}/book")
        first_day = dice.choice(FIRST_DAYS) + timedelta(days=dice.randint(0, 9))
        request = pb.CreateBookRequest(
            request_id=str(uuid4()),
            book_id=f"seed-{self.seed}-{uuid4().hex[:8]}",
            legal_entity="Simulated",
            currency_code="CNY",
            business_date=from_date(first_day),
            lender_type=pb.LenderType.ValueType(dice.randint(0, 3)),
            vat_mode=pb.VatMode.ValueType(dice.randint(0, 3)),
        )
        book = insist(lambda: self.callers.ledger.CreateBook(request)).book
        accounting = self.callers.accounting
        chart = insist(
            lambda: accounting.GetChartOfAccounts(
                ac.GetChartOfAccountsRequest(book_id=book.book_id)
            )
        )
        published = insist(
            lambda: accounting.GetPostingRules(ac.GetPostingRulesRequest(book_id=book.book_id))
        )
        state = State(book, first_day, {row.code: row for row in chart.accounts})
        version = published.version
        state.rules[1] = Rules(
            1,
            to_date(version.effective_from),
            tuple(published.rules),
            version.description,
            version.maker,
            version.checker,
        )
        return state

    def _world(self, purpose: str) -> World:
        dice = random.Random(f"{self.seed}/{self.step}/{purpose}")
        return World(self.state, dice, self.step, sent=self.sent)

    def _advance(self) -> None:
        leap = self._world("leap")
        if leap.chance(self.shape.leap_chance):
            for place in range(leap.dice.randint(5, 40)):
                night = self._world("night").at(NIGHTS + place)
                self._do(Burst([close(night, self.state.business_date)]))
        chance = self.shape.fault_chance
        self._do(draw_burst(self._world("burst"), most=CALLERS, fault_chance=chance))
        if self._world("ask").chance(self.shape.question_chance):
            queries.ask(self._world("question"), self.callers)

    def _do(self, burst: Burst) -> None:
        """Sends a burst and finds an order that explains what was heard."""
        self.told.append(f"step {self.step}, fault: {burst.fault or 'none'}")
        self.told[-1] += "".join(f"\n  {str(operation)[:1000]}" for operation in burst.operations)
        if burst.fault:
            self.faults.append(burst.fault)
        with misfortune(self.houses, burst.fault, self._world("fault").dice):
            glance = self.callers.beside(
                lambda: queries.glance(self._world("glance"), self.callers)
            )
            heard = self.callers.all_at_once(burst.operations, burst.hang_ups)
            glance.result()
        calls = [Call(*pair) for pair in zip(burst.operations, heard, strict=True)]
        self.told[-1] += "".join(f"\n  heard {brief(call.heard)[:300]}" for call in calls)
        settle(self.state, calls)
        self._keep(calls)

    def _keep(self, calls: list[Call]) -> None:
        """The same request is answered the same, anchor and all, whoever repeats it."""
        self.sent += [call.operation for call in calls]
        for call in calls:
            if isinstance(call.heard, str):
                continue
            first = self.answers.setdefault(call.operation.key, call.heard)
            assert first == call.heard or isinstance(first, STANDING), (
                f"{call.operation} was answered {brief(first)} and then {brief(call.heard)}"
            )

    def _compare_all(self) -> None:
        for place, (_, query) in enumerate(queries.QUERIES):
            query(self._world(f"end/{place}"), self.callers)
        everything.compare(self.state, self.callers)
        self._check_anchors()

    def _check_anchors(self) -> None:
        """Every anchor that an answer carried lies on the chain, or so many of them."""
        anchors = {
            answer.anchor.digest: answer.anchor
            for answer in self.answers.values()
            if getattr(answer, "anchor", None) and answer.anchor.sequence
        }
        world = self._world("anchors")
        chosen = world.dice.sample(sorted(anchors), min(ANCHORS, len(anchors)))
        for place, digest in enumerate(chosen):
            queries.verify_against(world, self.callers, anchors[digest])
            if place < PROVEN:
                request = pr.ProveRequest(book_id=self.state.book.book_id, anchor=anchors[digest])
                queries.prove_against(self.callers, request)


@contextmanager
def own_houses(count: int) -> Iterator[list[House]]:
    """Ledgers as processes over one store in a cluster of its own: all of it can be killed."""
    folder = Path(tempfile.mkdtemp(prefix="tael-simulation-"))
    folder.chmod(0o755)  # so that the cluster lies in it, whoever PostgreSQL runs as
    try:
        with ExitStack() as stack:
            first = stack.enter_context(House(folder))
            name = first.settings.database_name
            others = [House(folder, database_name=name) for _ in range(1, count)]
            houses = [first, *map(stack.enter_context, others)]
            for house in houses:
                house.spawn("ledger")
            yield houses
    finally:
        EmbeddedPostgres(folder).destroy()
        shutil.rmtree(folder)


def simulate(houses: Sequence[House], seed: int, shape: Shape) -> Episode:
    """One episode, to its end. Raises SimulationError."""
    targets = [house.settings.target("ledger") for house in houses]
    with Callers(targets, CALLERS) as callers:
        episode = Episode(houses, callers, seed, shape)
        episode.run()
    return episode
