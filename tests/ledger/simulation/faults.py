"""What goes wrong while callers call."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psycopg2
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from support import House, wait_until
from tael_runtime.embedded_postgres import EmbeddedPostgres

Fault = Callable[[Sequence[House], random.Random], None]
"""What happens to ledgers over one store, with what is left to chance."""


def kill_ledger(houses: Sequence[House], dice: random.Random) -> None:
    """SIGKILL to a ledger, and a start again."""
    house = dice.choice(houses)
    time.sleep(dice.uniform(0, 0.05))
    house.kill("ledger")
    house.spawn("ledger")


def kill_postmaster(houses: Sequence[House], dice: random.Random) -> None:
    """SIGKILL to the postmaster; the ledgers revive the cluster."""
    time.sleep(dice.uniform(0, 0.05))
    (pid_file,) = houses[0].data_dir.rglob("postmaster.pid")
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
    wait_until(lambda: _reachable(houses[0]), 60, "the cluster to be revived")


def _reachable(house: House) -> bool:
    with suppress(DBAPIError, psycopg2.Error):
        return bool(house.sql("SELECT 1", "public"))
    return False


def _store(house: House) -> str:
    return EmbeddedPostgres(house.data_dir).url(house.settings.database_name, "tael")


def cut_connections(houses: Sequence[House], dice: random.Random) -> None:
    """Ends the ledgers' connections, some times."""
    for _ in range(dice.randint(1, 4)):
        time.sleep(dice.uniform(0, 0.03))
        houses[0].sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = 'tael_ledger'",
            "ledger",
        )


def hold_the_book(houses: Sequence[House], dice: random.Random) -> None:
    """Another connection holds the rows of the books, so that every commit waits."""
    engine = create_engine(_store(houses[0]))
    with engine.begin() as side:
        side.execute(text("SELECT FROM ledger.book FOR UPDATE"))
        time.sleep(dice.uniform(0.05, 0.3))
    engine.dispose()


def slow_commits(houses: Sequence[House], dice: random.Random) -> None:
    """Every commit takes a tenth of a second longer."""
    engine = create_engine(_store(houses[0]), isolation_level="AUTOCOMMIT")
    with engine.connect() as side:
        for setting in ("commit_delay = 100000", "commit_siblings = 0"):
            side.execute(text(f"ALTER SYSTEM SET {setting}"))
        side.execute(text("SELECT pg_reload_conf()"))
        time.sleep(dice.uniform(0.1, 0.5))
        side.execute(text("ALTER SYSTEM RESET ALL"))
        side.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


FAULTS: dict[str, tuple[int, Fault]] = {
    "kill a ledger": (2, kill_ledger),
    "kill the postmaster": (1, kill_postmaster),
    "cut the connections": (4, cut_connections),
    "hold the book": (3, hold_the_book),
    "slow commits": (2, slow_commits),
}
"""Weights and deeds by name."""


@contextmanager
def misfortune(houses: Sequence[House], name: str, dice: random.Random) -> Iterator[None]:
    """A fault by name while the block runs; it is over when the block is left. "" = none."""
    if not name:
        yield
        return
    _, fault = FAULTS[name]
    with ThreadPoolExecutor(1) as saboteur:
        under_way = saboteur.submit(fault, houses, dice)
        yield
        under_way.result()
