"""Logs, metrics and the audit record of every call. Bodies are never logged (DOMAIN.md §5.1)."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from json.encoder import encode_basestring as quoted
from typing import Any, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from structlog.typing import EventDict

from tael_client import context as call_context


def _with_call(_logger: Any, _name: str, event: EventDict) -> EventDict:
    if call := call_context.current():
        event.setdefault("trace_id", call.trace_id)
    return event


def configure_logging(service: str, level: str) -> None:
    """JSON lines on standard error; once a process."""

    def with_service(_logger: Any, _name: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    structlog.configure(
        processors=[
            with_service,
            _with_call,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


class AuditRecord(NamedTuple):
    """One call, as it ended."""

    at: float
    """When, in seconds since the epoch."""
    rpc: str
    caller: str
    subject: dict[str, str]
    """On what: the ids that the request names."""
    code: str
    seconds: float
    """How long it took."""
    traceparent: str


class AuditLog:
    """The audit records of a service, JSON lines on standard error whatever the log level.

    A record is with the operating system within GATHER seconds of its call's end, and when `close`
    returns: a killed process loses the records of its last moment, and no others. Records that
    wait are bounded: past MOST, calls write them themselves, and so at the reader's pace.
    """

    GATHER = 0.05
    MOST = 10_000

    def __init__(self, service: str) -> None:
        self._service = service
        self._waiting: deque[AuditRecord] = deque()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._writing = threading.Lock()
        self._writer = threading.Thread(target=self._run, name=f"{service}-audit", daemon=True)
        self._writer.start()

    def record(self, record: AuditRecord) -> None:
        """Takes one record."""
        self._waiting.append(record)
        if not self._wake.is_set():
            self._wake.set()
        if len(self._waiting) > self.MOST or self._closed.is_set():
            self._flush()

    def close(self) -> None:
        """Writes what waits."""
        self._closed.set()
        self._wake.set()
        self._writer.join()
        self._flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._closed.wait(self.GATHER)
            self._wake.clear()
            try:
                self._flush()
            except (OSError, ValueError):  # standard error is gone: nowhere to say so
                self._closed.wait(1)

    def _flush(self) -> None:
        with self._writing:
            lines: list[str] = []
            while self._waiting:
                lines.append(self._line(self._waiting.popleft()))
            if lines:
                sys.stderr.write("".join(lines))
                sys.stderr.flush()

    def _line(self, record: AuditRecord) -> str:
        """In the shape of the log's other lines; written out, because every call has one."""
        subject = ", ".join([f'"{name}": {quoted(id_)}' for name, id_ in record.subject.items()])
        stamp = datetime.fromtimestamp(record.at, UTC).isoformat(timespec="microseconds")
        return (
            f'{{"kind": "audit", "rpc": "{record.rpc}", "caller": {quoted(record.caller)}, '
            f'"subject": {{{subject}}}, "code": "{record.code}", '
            f'"ms": {record.seconds * 1000:.1f}, "trace_id": "{record.traceparent.split("-")[1]}", '
            f'"event": "call", "service": "{self._service}", "level": "info", '
            f'"timestamp": "{stamp[:-6]}Z"}}\n'
        )


class Metrics:
    """Calls by rpc and code, and their time."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "tael_rpc_calls",
            "Calls by rpc and status code",
            ["service", "rpc", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tael_rpc_seconds", "Time of a call", ["service", "rpc"], registry=self.registry
        )
        self._service = service
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def observe(self, rpc: str, code: str, seconds: float) -> None:
        """Counts one call."""
        counter, histogram = self._children.get((rpc, code)) or self._child(rpc, code)
        counter.inc()
        histogram.observe(seconds)

    def _child(self, rpc: str, code: str) -> tuple[Counter, Histogram]:
        """Looked up once an rpc and code: `labels` costs more than the counting."""
        made = (
            self._calls.labels(self._service, rpc, code),
            self._seconds.labels(self._service, rpc),
        )
        return self._children.setdefault((rpc, code), made)

    def serve(self, listen: str) -> Callable[[], None]:
        """Exposes them for Prometheus; returns what ends that."""
        host, _, port = listen.rpartition(":")
        server, thread = start_http_server(int(port), host, registry=self.registry)

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end
