"""One PostgreSQL cluster for the whole run, shared by the workers; databases of their own for tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from support import House, migrate_once
from tael_runtime.embedded_postgres import EmbeddedPostgres

# The suite draws the same examples every time; TAEL_HYPOTHESIS=explore draws others.
# Slow machines and picky strategies are no failures.
PATIENT = (HealthCheck.filter_too_much, HealthCheck.too_slow)
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=PATIENT)
settings.register_profile("explore", deadline=None, suppress_health_check=PATIENT)
settings.load_profile(os.environ.get("TAEL_HYPOTHESIS", "suite"))

# What services that run within a test log: tracebacks as Python has them, not drawn.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

FOLDER = "TAEL_TEST_FOLDER"


def pytest_configure(config: pytest.Config) -> None:
    """The first process makes the folder; xdist's workers inherit its name.

    Services that are killed are started again and again: they are compiled once, whatever the
    machine's way is.
    """
    if not hasattr(config, "workerinput"):
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="tael-test-")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that made the folder stops the cluster and takes it away."""
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ.pop(FOLDER))
    EmbeddedPostgres(folder).destroy()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The data folder whose cluster the run shares."""
    folder = Path(os.environ[FOLDER])
    migrate_once(folder)
    return folder


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    """A house of its own for one test: `house.start("ledger", "simulators")`."""
    with House(data_dir) as own:
        yield own


@pytest.fixture(scope="module")
def open_house(data_dir: Path) -> Iterator[Callable[..., House]]:
    """Makes houses that a whole test module shares: `open_house("ledger", "servicing")`."""
    houses: list[House] = []

    def make(*services: str, **overrides: object) -> House:
        house = House(data_dir, **overrides)
        houses.append(house)
        house.start(*services)
        return house

    yield make
    for house in houses:
        house.stop()
