"""A service as a gRPC server: built from settings, runs beside others in one process or alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

import grpc
import structlog
from sqlalchemy import MetaData

from tael_client import Connection
from tael_runtime import outbox
from tael_runtime.asynchronous import LoopFace
from tael_runtime.auth import Authenticator, Authorizer, credentials
from tael_runtime.clock import Clock, FileClock, SystemClock
from tael_runtime.crypto import Cipher
from tael_runtime.database import Database, open_database
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.faces import Face, Handlers, Served, ThreadedFace
from tael_runtime.faults import Faults
from tael_runtime.pipeline import Pipeline
from tael_runtime.settings import Settings
from tael_runtime.telemetry import AuditLog, Metrics

log = structlog.get_logger()

StubT = TypeVar("StubT")
Loop = Callable[[threading.Event], None]
"""Background work: runs until the event is set; begun again after a pause when it fails."""


@dataclass(frozen=True)
class Service:
    """What a service is, before it runs."""

    name: str
    """"ledger": its schema, its settings, its error domain."""
    package: str
    """"tael_ledger": where its migrations lie."""
    metadata: MetaData
    """Every table of its schema (`tables.with_floor`)."""
    build: Callable[[Runtime], Assembly]
    """Makes its servicers and loops."""
    asynchronous: bool = False
    """Whether it is served from an event loop, so that unary rpcs may be `async def`: for rpcs that
    only await what another thread does. Threads serve better where handlers use the store."""


@dataclass(frozen=True)
class Assembly:
    """What a service runs."""

    protos: Sequence[ModuleType]
    """The _pb2 modules whose services it implements."""
    servicers: Sequence[tuple[Callable[[Any, Any], None], Any]]
    """(add_XServicer_to_server, servicer)."""
    loops: dict[str, Loop] = field(default_factory=dict)
    """By name."""
    close: Callable[[], None] = lambda: None
    """Called last."""


@dataclass
class Runtime:
    """What a service is given."""

    settings: Settings
    database: Database
    clock: Clock
    cipher: Cipher
    authorizer: Authorizer
    _connections: dict[str, Connection] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str, make: Callable[[grpc.Channel], StubT]) -> StubT:
        """A stub of another service ("ledger", "providers", …); connects at the first call."""
        with self._lock:
            if service not in self._connections:
                self._connections[service] = Connection(
                    self.settings.target(service), credentials(self.settings)
                )
            return self._connections[service].stub(make)

    def close(self) -> None:
        """Closes channels and the pool."""
        for connection in self._connections.values():
            connection.close()
        self.database.close()


def _keep_store(settings: Settings) -> Loop:
    """Revives the embedded cluster when its postmaster was killed."""
    cluster = EmbeddedPostgres(settings.data_dir, settings.pg_bindir)

    def run(stop: threading.Event) -> None:
        while not stop.wait(1):
            if cluster.revive():
                log.warning("the embedded PostgreSQL was killed and runs again")

    return run


class RunningService:
    """A started service. `stop()` drains it."""

    def __init__(self, service: Service, settings: Settings, *, reuse_port: bool = False) -> None:
        self.service = service
        self.settings = settings
        own = settings.service(service.name)
        settings.check_exposure(own.listen)
        database = open_database(settings, service.name, service.package, service.metadata)
        clock: Clock = FileClock(settings.clock) if settings.clock else SystemClock()
        authorizer = Authorizer(settings.policy_file)
        self.runtime = Runtime(settings, database, clock, database.cipher, authorizer)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        with ExitStack() as ends:
            ends.callback(self.runtime.close)
            self._assembly = service.build(self.runtime)
            ends.callback(self._assembly.close)
            self._face = self._make_face(ends, reuse_port)
            self.address = self._face.bind(own.listen)
            self._ends = ends.pop_all()
        self._start()

    def _make_face(self, ends: ExitStack, reuse_port: bool) -> Face:
        settings, name = self.settings, self.service.name
        metrics = Metrics(name)
        if listen := settings.service(name).metrics_listen:
            ends.callback(metrics.serve(listen))
        audit = AuditLog(name)
        ends.callback(audit.close)
        pipeline = Pipeline(
            Authenticator(settings),
            self.runtime.authorizer,
            metrics,
            audit,
            Faults(name),
            threading.BoundedSemaphore(settings.max_streams),
            threading.BoundedSemaphore(settings.max_uploads),
        )
        handlers = Handlers.of(self._assembly.servicers)
        services = [
            descriptor.full_name
            for module in self._assembly.protos
            for descriptor in module.DESCRIPTOR.services_by_name.values()
        ]
        around = {rpc: pipeline.around(rpc, each) for rpc, each in handlers.by_rpc.items()}
        served = Served(name, Handlers(around), services, settings, reuse_port)
        face = LoopFace(served) if self.service.asynchronous else ThreadedFace(served)
        ends.callback(face.close)
        return face

    def _start(self) -> None:
        loops = {"publisher": outbox.publisher(self.runtime.database), **self._assembly.loops}
        if not self.settings.service(self.service.name).database_url:
            loops["store"] = _keep_store(self.settings)
        for name, loop in loops.items():
            thread = threading.Thread(
                target=self._keep,
                args=(name, loop),
                name=f"{self.service.name}-{name}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()
        self._face.start()
        log.info("serving", service=self.service.name, address=self.address)

    def _keep(self, name: str, loop: Loop) -> None:
        """Runs a loop again after it fails, ever more patiently up to two seconds."""
        pause = 0.05
        while not self._stop.is_set():
            try:
                loop(self._stop)
                pause = 0.05
            except grpc.RpcError as error:
                if not self._stop.is_set():
                    code = error.code() if isinstance(error, grpc.Call) else None
                    log.info("loop waits for a service", loop=name, code=str(code))
            except Exception:  # a loop outlives its faults; each is logged
                if not self._stop.is_set():
                    log.exception("loop failed", loop=name)
            self._stop.wait(pause)
            pause = min(2.0, pause * 2)

    def stop(self, grace: float | None = None) -> None:
        """Refuses new calls, lets those under way end, stops the loops, closes the store. Once."""
        if self._stop.is_set():
            return
        ended = self._face.stop(self.settings.drain_seconds if grace is None else grace)
        self.runtime.database.closing.set()
        self._stop.set()
        self.runtime.database.committed.set()
        self.runtime.database.published.ring()
        ended.wait()
        for thread in self._threads:
            thread.join(timeout=5)
        self._ends.close()

    def wait(self) -> None:
        """Blocks until stopped."""
        self._stop.wait()
