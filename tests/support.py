"""Runs tael's services for tests: really, on loopback ports, over a real PostgreSQL."""

from __future__ import annotations

import importlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import create_engine, text

from tael_client import Connection, Credentials
from tael_client.values import from_date
from tael_runtime.clock import SHANGHAI, set_clock
from tael_runtime.database import open_database
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.server import RunningService, Service
from tael_runtime.settings import PORTS, ServiceSettings, Settings

StubT = TypeVar("StubT")
ROOT = Path(__file__).resolve().parents[1]
STORED = ("ledger", "servicing", "risk", "origination", "collections", "simulators")
"""Services that have tables."""


# A killed service's port is its own until it is started again: no port is given out twice, none that
# the kernel gives to callers is given out at all, and the suite's processes begin far apart.
_ports = itertools.cycle(range(10_000, 32_000))
for _ in range(os.getpid() * 331 % 22_000):
    next(_ports)


def free_port() -> int:
    """A port nobody listens on, and nobody else will be given."""
    return next(port for port in _ports if not _listens(port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def load(name: str) -> Service:
    """A service by name."""
    service: Service = importlib.import_module(f"tael_{name}.assembly").SERVICE
    return service


def rid() -> str:
    """A fresh request_id."""
    return str(uuid4())


def day(text_date: str) -> Any:
    """ "2026-01-15" in the contract's form."""
    return from_date(date.fromisoformat(text_date))


MIGRATED = "migrated"
"""The database that has every service's tables and no rows."""


@contextmanager
def administer(data_dir: Path) -> Iterator[SqlConnection | None]:
    """A superuser's connection to a data folder's cluster; None where it does not run."""
    cluster = EmbeddedPostgres(data_dir)
    if not cluster.is_running():
        yield None
        return
    admin = create_engine(cluster.url("postgres", "tael"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        yield connection
    admin.dispose()


def _has_database(connection: SqlConnection, name: str) -> bool:
    query = text("SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name)")
    return bool(connection.execute(query, {"name": name}).scalar_one())


def migrate_once(data_dir: Path) -> None:
    """Makes `MIGRATED`, once for all processes of a run."""
    EmbeddedPostgres(data_dir).start()
    settings = Settings(data_dir=data_dir, database_name=f"{MIGRATED}_new")
    with administer(data_dir) as connection:
        assert connection is not None
        connection.execute(text(f"SELECT pg_advisory_lock(hashtext('{MIGRATED}'))"))
        if _has_database(connection, MIGRATED):
            return
        for service in map(load, STORED):
            open_database(settings, service.name, service.package, service.metadata).close()
        connection.execute(text(f"ALTER DATABASE {MIGRATED}_new RENAME TO {MIGRATED}"))


class House:
    """Services in this process (`start`) or as processes of their own (`spawn`), one database."""

    def __init__(self, data_dir: Path, **overrides: Any) -> None:
        self.data_dir = data_dir
        self.clock = data_dir / f"clock-{uuid4().hex}"
        ports = {name: ServiceSettings(listen=f"127.0.0.1:{free_port()}") for name in PORTS}
        self.settings = Settings(
            **{
                "data_dir": data_dir,
                "database_name": f"t_{uuid4().hex[:12]}",
                "clock": self.clock,
                "log_level": "ERROR",
                "threads": 12,
                "drain_seconds": 2,
                **ports,
                **overrides,
            }
        )
        self._copied = False
        self.running: dict[str, RunningService] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._connections: dict[tuple[str, str], Connection] = {}

    def start(self, *names: str) -> Self:
        """Starts services in this process, in the order given."""
        self._copy_store()
        for name in names:
            self.running[name] = RunningService(load(name), self.settings)
        return self

    def spawn(self, *names: str, workers: int = 1) -> Self:
        """Starts services as processes; they can be killed. Their logs are in `log_of`.

        Of several workers each is a child of the process that is killed by `kill`.
        """
        self._copy_store()
        environment = {**os.environ, **self.environment(), "TAEL_WORKERS": str(workers)}
        for name in names:
            with self.log_of(name).open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", f"tael_{name}"],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                )
        for name in names:
            self.await_ready(name)
        return self

    def _copy_store(self) -> None:
        """Begins on a copy of what the migrations make, where the run has made it: they take longer."""
        if self._copied:
            return
        self._copied = True
        with administer(self.data_dir) as connection:
            name = self.settings.database_name
            if connection is None or _has_database(connection, name):
                return
            if _has_database(connection, MIGRATED):
                connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE {MIGRATED}'))

    def log_of(self, name: str) -> Path:
        """What a spawned service wrote."""
        return self.data_dir / f"{name}-{self.settings.database_name}.log"

    def environment(self) -> dict[str, str]:
        """The settings as TAEL_* variables."""
        listens = {
            f"TAEL_{name.upper()}__LISTEN": self.settings.service(name).listen for name in PORTS
        }
        return {
            **listens,
            "TAEL_DATA_DIR": str(self.settings.data_dir),
            "TAEL_DATABASE_NAME": self.settings.database_name,
            "TAEL_CLOCK": str(self.clock),
            "TAEL_THREADS": str(self.settings.threads),
            "TAEL_DRAIN_SECONDS": "2",
            "TAEL_LOG_LEVEL": "ERROR",
        }

    def await_ready(self, name: str, seconds: float = 90) -> None:
        """Waits until a service accepts connections."""
        host, _, port = self.settings.target(name).rpartition(":")
        wait_until(lambda: _accepts(host, int(port)), seconds, f"{name} to listen")

    def children(self, name: str) -> list[int]:
        """The processes that a spawned service has started: its workers."""
        found = Path(f"/proc/{self.processes[name].pid}/task").glob("*/children")
        return [int(pid) for each in found for pid in each.read_text().split()]

    def kill(self, name: str) -> None:
        """SIGKILL to a spawned service."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop_one(self, name: str) -> None:
        """Stops one service of this process."""
        self.running.pop(name).stop(grace=1)

    def client(
        self, name: str, make: Callable[[grpc.Channel], StubT], caller: str | None = None
    ) -> StubT:
        """A typed stub: `house.client("ledger", LedgerServiceStub)`.

        A tester calls; of those where people move no money alone, another service does, which gives
        no name.
        """
        if caller is None:
            caller = "" if name in ("ledger", "servicing") else "tester"
        key = (name, caller)
        if key not in self._connections:
            self._connections[key] = Connection(
                self.settings.target(name), Credentials(caller=caller), timeout=30
            )
        return self._connections[key].stub(make)

    def set_clock(self, text_instant: str) -> None:
        """Sets every service's clock: "2026-03-20T10:00" in Shanghai."""
        set_clock(self.clock, datetime.fromisoformat(text_instant).replace(tzinfo=SHANGHAI))

    def sql(self, statement: str, schema: str, *, write: bool = False, **values: Any) -> list[Any]:
        """A statement as the cluster's superuser: to look behind, or to tamper."""
        cluster = EmbeddedPostgres(self.settings.data_dir)
        engine = create_engine(
            cluster.url(self.settings.database_name, "tael"),
            connect_args={"options": f"-c search_path={schema}"},
        )
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            rows = [] if write and not result.returns_rows else list(result)
        engine.dispose()
        return rows

    def halt(self) -> None:
        """Stops everything; the database stays."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        for running in reversed(self.running.values()):
            running.stop(grace=1)
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
        self.processes.clear()

    def stop(self) -> None:
        """Stops everything and drops the database."""
        self.halt()
        with administer(self.data_dir) as connection:
            if connection is not None:
                name = self.settings.database_name
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _accepts(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def wait_until(holds: Callable[[], Any], seconds: float = 15, what: str = "it") -> Any:
    """Polls until `holds()` is true and returns its value; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def refusal(error: grpc.RpcError) -> tuple[str, str]:
    """(status code, reason) of a refused call: ("FAILED_PRECONDITION", "DAY_CLOSED")."""
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    reason = ""
    if status is not None:
        info = error_details_pb2.ErrorInfo()
        for detail in status.details:
            if detail.Unpack(info):
                reason = info.reason
    return error.code().name, reason


def violations(error: grpc.RpcError) -> dict[str, str]:
    """Violated fields and why, of an INVALID_ARGUMENT."""
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    assert status is not None, error
    found = {}
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(bad):
            found.update({v.field: v.description for v in bad.field_violations})
    return found
