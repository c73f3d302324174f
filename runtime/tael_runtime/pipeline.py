"""What happens around every rpc: trace, identity, deadline, validation, errors, metrics, audit."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from tael_client import context as call_context
from tael_client.connection import MAX_MESSAGE_BYTES
from tael_client.context import CallContext, entered
from tael_runtime.auth import Authenticator, Authorizer
from tael_runtime.errors import Reason, ResourceExhausted
from tael_runtime.faces import Handler
from tael_runtime.faults import Faults
from tael_runtime.telemetry import AuditLog, AuditRecord, Metrics
from tael_runtime.validation import Received, receiver, validated

MOST_AWAITED_BYTES = 8 * 1024 * 1024
"""Of a request that is read and validated on an event loop, where everybody waits meanwhile."""

AnyContext: TypeAlias = "grpc.ServicerContext | grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True)
class Pipeline:
    """Of one service: puts everything around each of its handlers, whichever face serves them."""

    authenticator: Authenticator
    authorizer: Authorizer
    metrics: Metrics
    audit: AuditLog
    faults: Faults
    streams: threading.BoundedSemaphore
    """One for each answer that may stream at once."""
    uploads: threading.BoundedSemaphore
    """One for each request that may."""

    def around(self, rpc: str, handler: Handler) -> Handler:
        """The handler of "/package.Service/Method" as it is served.

        A coroutine function (a unary one) stays one; every other handler stays synchronous.
        """
        assert handler.request_deserializer is not None
        awaited = inspect.iscoroutinefunction(handler.unary_unary)
        most = MOST_AWAITED_BYTES if awaited else MAX_MESSAGE_BYTES
        codec: dict[str, Any] = {
            "request_deserializer": receiver(handler.request_deserializer, most),
            "response_serializer": handler.response_serializer,
        }
        for streaming in (handler.unary_stream, handler.stream_unary):
            if inspect.iscoroutinefunction(streaming) or inspect.isasyncgenfunction(streaming):
                raise TypeError(f"{rpc} is async def: only unary rpcs may be")
        if handler.response_streaming:
            assert handler.unary_stream is not None, "no bidirectional streams in tael's contracts"
            return grpc.unary_stream_rpc_method_handler(
                self._stream(rpc, handler.unary_stream), **codec
            )
        if handler.request_streaming:
            assert handler.stream_unary is not None
            return grpc.stream_unary_rpc_method_handler(
                self._upload(rpc, handler.stream_unary), **codec
            )
        assert handler.unary_unary is not None
        inner = handler.unary_unary
        wrap = self._awaited if awaited else self._unary
        return grpc.unary_unary_rpc_method_handler(wrap(rpc, inner), **codec)

    def _unary(self, rpc: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def serve(request: Received, context: grpc.ServicerContext) -> Any:
            with _Call(self, rpc, context) as call, entered(call.admitted()):
                return inner(call.validated(request), context)
            return context.abort_with_status(call.refusal())

        return serve

    def _awaited(self, rpc: str, inner: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def serve(request: Received, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            with _Call(self, rpc, context) as call, entered(call.admitted()):
                return await inner(call.validated(request), context)
            return await context.abort_with_status(call.refusal())

        return serve

    def _upload(self, rpc: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def serve(requests: Iterator[Received], context: grpc.ServicerContext) -> Any:
            with (
                _Call(self, rpc, context) as call,
                entered(call.admitted()),
                _one_of(self.uploads),
            ):
                return inner(map(validated, requests), context)
            return context.abort_with_status(call.refusal())

        return serve

    def _stream(self, rpc: str, inner: Callable[..., Iterator[Any]]) -> Callable[..., Any]:
        def serve(request: Received, context: grpc.ServicerContext) -> Iterator[Any]:
            with _Call(self, rpc, context) as call, entered(call.admitted()):
                message = call.validated(request)
                with _one_of(self.streams):
                    yield from inner(message, context)
                return
            context.abort_with_status(call.refusal())

        return serve


@contextmanager
def _one_of(streams: threading.BoundedSemaphore) -> Iterator[None]:
    """A stream holds a thread while it lasts: so many, and the threads for calls stay free."""
    if not streams.acquire(blocking=False):
        raise ResourceExhausted(Reason.TOO_MANY_STREAMS, "too many streams are open here")
    try:
        yield
    finally:
        streams.release()


class _Call:
    """One call on its way. What is raised within it becomes its status; its end is recorded."""

    __slots__ = (
        "_began",
        "_caller",
        "_context",
        "_metadata",
        "_pipeline",
        "_rpc",
        "_status",
        "_subject",
        "_traceparent",
    )

    def __init__(self, pipeline: Pipeline, rpc: str, context: AnyContext) -> None:
        self._began = time.monotonic()
        self._pipeline = pipeline
        self._rpc = rpc
        self._context = context
        self._metadata = cast("dict[str, str]", dict(context.invocation_metadata() or ()))
        self._traceparent = _traceparent(self._metadata.get("traceparent", ""))
        self._caller = ""
        self._subject: dict[str, str] = {}
        self._status: status_pb2.Status | None = None

    def admitted(self) -> CallContext:
        """Knows the caller, and asks whether they may."""
        principal = self._pipeline.authenticator.authenticate(self._metadata)
        self._caller = principal.name
        self._pipeline.authorizer.check(principal, self._rpc)
        left = self._context.time_remaining()
        deadline = None if left is None else time.monotonic() + left
        return CallContext(self._traceparent, deadline, self._caller, principal.roles)

    def validated(self, request: Received) -> Any:
        """The request's message, held against its contract."""
        if request.message is not None:
            self._subject = _subject(request.message)
        return validated(request)

    def refusal(self) -> grpc.Status:
        """What the caller is told, where there is no answer."""
        assert self._status is not None
        return cast("grpc.Status", rpc_status.to_status(self._status))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        code = "OK"
        if isinstance(error, Exception):
            faults = self._pipeline.faults
            self._status = faults.status(error, self._rpc, self._traceparent.split("-")[1])
            code = code_pb2.Code.Name(self._status.code)
        elif isinstance(error, asyncio.CancelledError):
            late = self._context.time_remaining() == 0
            code = "DEADLINE_EXCEEDED" if late else "CANCELLED"
        self._record(code)
        return self._status is not None

    def _record(self, code: str) -> None:
        seconds = time.monotonic() - self._began
        self._pipeline.metrics.observe(self._rpc, code, seconds)
        self._pipeline.audit.record(
            AuditRecord(
                time.time(),
                self._rpc,
                self._caller,
                self._subject,
                code,
                seconds,
                self._traceparent,
            )
        )


def _traceparent(parent: str) -> str:
    """Of a new span, in the caller's trace where it names one."""
    parts = parent.split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16:
        return call_context.child_traceparent(parent)
    return call_context.new_traceparent()


@cache
def _ids(kind: Descriptor) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in kind.fields
        if field.name.endswith("_id")
        and field.type == FieldDescriptor.TYPE_STRING
        and not field.is_repeated
    )


def _subject(request: Message) -> dict[str, str]:
    """The request's own ids, request_id among them; ids of tael's are no personal data."""
    return {name: value for name in _ids(request.DESCRIPTOR) if (value := getattr(request, name))}
