"""What a bench measures, started fresh: a PostgreSQL of its own, and services as processes on it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import psycopg2
from sqlalchemy import make_url

from bench.processes import Process, parent_of
from tael.ledger.v1.accounting_pb2 import CloseDayRequest
from tael.ledger.v1.accounting_pb2_grpc import AccountingServiceStub
from tael.ledger.v1.ledger_pb2 import CreateBookRequest
from tael.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from tael.ledger.v1.proof_pb2_grpc import ProofServiceStub
from tael_client import Connection
from tael_client.values import from_date
from tael_runtime.embedded_postgres import SUPERUSER, EmbeddedPostgres

ServerT = TypeVar("ServerT", bound="Server")

BOOK = "main"
FIRST_DAY = date(2026, 1, 1)
GROUP_OF_ONE = {"TAEL_LEDGER_GROUP_SIZE": "1"}
"""The ledger whose transactions hold one request each."""


class Store:
    """A fresh data folder and its PostgreSQL, both gone at the end; or a given folder, which stays."""

    def __init__(self, folder: Path | None = None) -> None:
        self._kept = folder is not None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="tael-bench-"))
        self._cluster = EmbeddedPostgres(self.folder)
        self._cluster.start()
        self._servers: list[Server] = []
        with closing(psycopg2.connect(**self.address("postgres"))) as connection:
            self.postgres = parent_of(connection.info.backend_pid)
            """The postmaster with its backends."""

    def ledger(self, name: str, environment: Mapping[str, str] | None = None) -> Ledger:
        """A ledger with a database of its own, and a book in it."""
        ledger = self.started(Ledger(self, name, environment or {}))
        ledger.create_book()
        return ledger

    def started(self, server: ServerT) -> ServerT:
        """The server once it answers; it ends with the store."""
        self._servers.append(server)
        server.await_ready()
        return server

    def end_servers(self) -> None:
        """Ends what was started."""
        while self._servers:
            self._servers.pop().close()

    def address(self, database: str) -> dict[str, Any]:
        """How libpq reaches a database as the superuser."""
        url = make_url(self._cluster.url(database, SUPERUSER))
        return {
            "host": url.query["host"],
            "port": url.query["port"],
            "user": SUPERUSER,
            "dbname": database,
        }

    def close(self) -> None:
        """Ends the servers and deletes everything, or leaves it for the next time."""
        self.end_servers()
        if self._kept:
            self._cluster.stop()
            return
        self._cluster.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        # PostgreSQL is detached: a bench that is told to end takes it along.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            for server in self._servers:
                print(server.log_end(), file=sys.stderr)
        self.close()


class Server:
    """One service as a process on a store; `environment` beside what every service needs."""

    def __init__(
        self, store: Store, service: str, log: str, environment: Mapping[str, str]
    ) -> None:
        self.postgres = store.postgres
        self.target = f"127.0.0.1:{_free_port()}"
        self.service = service
        self._log = store.folder / f"{log}.log"
        with self._log.open("ab") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"tael_{service}"],
                env={
                    **os.environ,
                    "TAEL_DATA_DIR": str(store.folder),
                    f"TAEL_{service.upper()}__LISTEN": self.target,
                    "TAEL_LOG_LEVEL": "WARNING",
                    **environment,
                },
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        self.process = Process(self._process.pid)
        self.connection = Connection(self.target, timeout=600)

    def await_ready(self, seconds: float = 60) -> None:
        """Returns once it answers; raises RuntimeError with its log where it ended or does not."""
        end = time.monotonic() + seconds
        with grpc.insecure_channel(self.target) as channel:
            ready = grpc.channel_ready_future(channel)
            while self._process.poll() is None and time.monotonic() < end:
                try:
                    ready.result(timeout=0.2)
                except grpc.FutureTimeoutError:
                    continue
                return
        raise RuntimeError(f"{self.service} does not start: {self.log_end()}")

    def log_end(self) -> str:
        """The last lines it wrote, its audit trail left out."""
        written = self._log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in written if '"kind": "audit"' not in line][-20:])

    def close(self) -> None:
        """Ends the process."""
        self.connection.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Ledger(Server):
    """One ledger process. Built by `Store.ledger`."""

    def __init__(self, store: Store, name: str, environment: Mapping[str, str]) -> None:
        self.database = f"bench_{name}"
        self._store = store
        super().__init__(
            store, "ledger", name, {"TAEL_DATABASE_NAME": self.database, **environment}
        )
        self.journal = self.connection.stub(LedgerServiceStub)
        self.accounting = self.connection.stub(AccountingServiceStub)
        self.proof = self.connection.stub(ProofServiceStub)

    def create_book(self) -> None:
        """Opens the book that benches post in, on FIRST_DAY."""
        self.journal.CreateBook(
            CreateBookRequest(
                request_id="book",
                book_id=BOOK,
                legal_entity="Bench",
                currency_code="CNY",
                business_date=from_date(FIRST_DAY),
            )
        )

    def close_day(self, day: date) -> None:
        """Closes the open business date; the next calendar day opens."""
        self.accounting.CloseDay(
            CloseDayRequest(request_id=f"close-{day}", book_id=BOOK, business_date=from_date(day))
        )

    def connect(self, schema: str = "ledger") -> Any:
        """A psycopg2 connection as the superuser, in a schema; close it."""
        address = self._store.address(self.database)
        return psycopg2.connect(**address, options=f"-c search_path={schema}")

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What a statement gives, run and committed on its own."""
        with closing(self.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall()) if cursor.description else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
