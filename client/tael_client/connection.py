"""Channels with tael's calling policy: deadline, retry where repeating is safe, credentials, trace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

from tael_client import context as call_context

StubT = TypeVar("StubT")

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
"""Of every channel of tael's: large messages, and a service that starts again is found again soon."""


@dataclass(frozen=True)
class Credentials:
    """How a caller proves itself."""

    caller: str = ""
    """Name sent where the server trusts loopback (no authentication configured)."""
    token: str = ""
    """Bearer JWT."""
    root_certificates: Path | None = None
    """PEM of the authority that signed the server's certificate; None = no TLS."""
    certificate: Path | None = None
    """PEM of the client's certificate, for mutual TLS."""
    private_key: Path | None = None
    """PEM of the client's key, for mutual TLS."""


class Connection:
    """One channel to one service. Thread-safe; close it, or use it in a with statement.

    Every unary call gets a deadline: the smaller of `timeout` seconds and what is left of the call
    under way in this thread. UNAVAILABLE is retried until the deadline where repeating is safe: the
    contract says NO_SIDE_EFFECTS or IDEMPOTENT, or the request carries a request_id.
    """

    def __init__(
        self, target: str, credentials: Credentials | None = None, timeout: float = 15.0
    ) -> None:
        self.target = target
        self._credentials = credentials or Credentials()
        options = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self._channel = _open(target, self._credentials, options)
        policy = _Policy(self._credentials, timeout)
        self._intercepted = grpc.intercept_channel(self._channel, policy)

    def stub(self, make: Callable[[grpc.Channel], StubT]) -> StubT:
        """A typed stub: `connection.stub(LedgerServiceStub)`."""
        return make(self._intercepted)

    def close(self) -> None:
        """Ends every call under way."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(target: str, by: Credentials, options: list[tuple[str, Any]]) -> grpc.Channel:
    if by.root_certificates is None:
        return grpc.insecure_channel(target, options=options)
    tls = grpc.ssl_channel_credentials(
        by.root_certificates.read_bytes(),
        by.private_key.read_bytes() if by.private_key else None,
        by.certificate.read_bytes() if by.certificate else None,
    )
    return grpc.secure_channel(target, tls, options=options)


@cache
def is_safe_to_repeat(method: str) -> bool:
    """Whether the contract marks /package.Service/Method NO_SIDE_EFFECTS or IDEMPOTENT."""
    service, _, name = method.lstrip("/").partition("/")
    try:
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    except KeyError:
        return False
    level: int = found.GetOptions().idempotency_level
    return level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN


def _may_repeat(method: str, request: object) -> bool:
    return is_safe_to_repeat(method) or bool(getattr(request, "request_id", ""))


@dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):
    """Call details with what the policy adds."""

    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class _Policy(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """The calling policy, for every kind of call."""

    def __init__(self, credentials: Credentials, timeout: float) -> None:
        self._credentials = credentials
        self._timeout = timeout

    def _details(self, details: grpc.ClientCallDetails, *, limit: bool) -> _Details:
        call = call_context.current()
        given = getattr(details, "timeout", None)
        timeout = given if given is not None else (self._timeout if limit else None)
        if call is not None and (left := call.seconds_left()) is not None and limit:
            timeout = max(0.001, left if timeout is None else min(timeout, left))
        trace = (
            call_context.child_traceparent(call.traceparent)
            if call
            else call_context.new_traceparent()
        )
        metadata: list[tuple[str, str | bytes]] = list(getattr(details, "metadata", None) or ())
        if not any(key == "traceparent" for key, _ in metadata):
            metadata.append(("traceparent", trace))
        if self._credentials.token:
            metadata.append(("authorization", f"Bearer {self._credentials.token}"))
        elif self._credentials.caller and not any(key == "tael-caller" for key, _ in metadata):
            metadata.append(("tael-caller", self._credentials.caller))
        return _Details(
            details.method,
            timeout,
            tuple(metadata),
            getattr(details, "credentials", None),
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        details = self._details(client_call_details, limit=True)
        end = time.monotonic() + (details.timeout or self._timeout)
        pause = 0.05
        while True:
            left = max(0.001, end - time.monotonic())
            call = continuation(_with_timeout(details, left), request)
            if call.code() is not grpc.StatusCode.UNAVAILABLE:
                return call
            if not _may_repeat(details.method, request) or time.monotonic() + pause >= end:
                return call
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter, not a secret
            pause = min(1.0, pause * 2)

    def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        return continuation(self._details(client_call_details, limit=False), request)

    def intercept_stream_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return continuation(self._details(client_call_details, limit=True), request_iterator)

    def intercept_stream_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Any,
    ) -> Any:
        return continuation(self._details(client_call_details, limit=False), request_iterator)


def _with_timeout(details: _Details, seconds: float) -> _Details:
    return _Details(
        details.method,
        seconds,
        details.metadata,
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )
