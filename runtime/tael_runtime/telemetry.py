"""Logs, metrics and the audit record of every call. Bodies are never logged (DOMAIN.md §5.1)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

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


def audit_logger() -> Any:
    """The logger of audit records: TAEL_LOG_LEVEL does not silence it."""
    return structlog.wrap_logger(
        None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), kind="audit"
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

    def observe(self, rpc: str, code: str, seconds: float) -> None:
        """Counts one call."""
        self._calls.labels(self._service, rpc, code).inc()
        self._seconds.labels(self._service, rpc).observe(seconds)

    def serve(self, listen: str) -> Callable[[], None]:
        """Exposes them for Prometheus; returns what ends that."""
        host, _, port = listen.rpartition(":")
        server, thread = start_http_server(int(port), host, registry=self.registry)

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end
