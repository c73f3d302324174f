"""What happens around every rpc: trace, identity, deadline, validation, errors, metrics, audit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import grpc
import protovalidate
import structlog
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tael_client import context as call_context
from tael_client.context import CallContext
from tael_runtime.auth import Authenticator, Authorizer
from tael_runtime.database import is_lost
from tael_runtime.errors import (
    DeadlineExceeded,
    Internal,
    InvalidFields,
    Reason,
    ResourceExhausted,
    TaelError,
    Unavailable,
)
from tael_runtime.telemetry import Metrics, audit_logger

log = structlog.get_logger()
audit = audit_logger()

FOREIGN = ("/grpc.health.", "/grpc.reflection.")


@dataclass(frozen=True)
class Pipeline(grpc.ServerInterceptor):
    """The one interceptor of a service."""

    service: str
    authenticator: Authenticator
    authorizer: Authorizer
    metrics: Metrics
    streams: threading.BoundedSemaphore
    """One for each answer that may stream at once."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the handler of one of our rpcs; leaves health and reflection alone."""
        handler = continuation(handler_call_details)
        rpc = handler_call_details.method
        if handler is None or rpc.startswith(FOREIGN):
            return handler
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            assert handler.unary_stream is not None, "no bidirectional streams in tael's contracts"
            inner_stream = handler.unary_stream
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._stream(rpc, inner_stream, request, context), **codec
            )
        if handler.request_streaming:
            assert handler.stream_unary is not None
            inner_upload = handler.stream_unary
            return grpc.stream_unary_rpc_method_handler(
                lambda requests, context: self._unary(
                    rpc, inner_upload, _validated(requests), context
                ),
                **codec,
            )
        assert handler.unary_unary is not None
        inner = handler.unary_unary
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._unary(rpc, inner, request, context), **codec
        )

    def _unary(
        self,
        rpc: str,
        inner: Callable[[Any, grpc.ServicerContext], Any],
        request: Any,
        context: grpc.ServicerContext,
    ) -> Any:
        call = _Call(rpc, context)
        with self._reported(call), self._admitted(call):
            if isinstance(request, Message):
                call.subject = _subject(request)
                validate(request)
            return inner(request, context)
        return _abort(context, call)

    def _stream(
        self,
        rpc: str,
        inner: Callable[[Any, grpc.ServicerContext], Iterator[Any]],
        request: Any,
        context: grpc.ServicerContext,
    ) -> Iterator[Any]:
        call = _Call(rpc, context)
        with self._reported(call), self._admitted(call):
            call.subject = _subject(request)
            validate(request)
            with self._one_stream():
                yield from inner(request, context)
            return
        _abort(context, call)

    @contextmanager
    def _one_stream(self) -> Iterator[None]:
        """A stream holds a thread while it lasts: so many, and the threads for calls stay free."""
        if not self.streams.acquire(blocking=False):
            raise ResourceExhausted(Reason.TOO_MANY_STREAMS, "too many streams are open here")
        try:
            yield
        finally:
            self.streams.release()

    @contextmanager
    def _admitted(self, call: _Call) -> Iterator[None]:
        """Knows the caller, asks whether they may, makes the call the current one."""
        principal = self.authenticator.authenticate(call.metadata)
        call.context = replace(call.context, caller=principal.name)
        self.authorizer.check(principal, call.rpc)
        with call_context.entered(call.context):
            yield

    @contextmanager
    def _reported(self, call: _Call) -> Iterator[None]:
        """Turns what is raised into call.status, and records the call."""
        try:
            yield
        except TaelError as error:
            call.status = error.status(f"tael.{self.service}", call.context.trace_id)
        except grpc.RpcError as error:
            call.status = self._upstream(error, call.context)
        except (DBAPIError, PoolTimeout) as error:
            call.status = self._store(error, call)
        except Exception:  # a fault of ours: told without detail, logged with it
            log.exception("fault", rpc=call.rpc, trace_id=call.context.trace_id)
            call.status = self._internal(call.context)
        finally:
            self._record(call)

    def _internal(self, call: CallContext) -> status_pb2.Status:
        error = Internal(Reason.INTERNAL, f"a fault in tael.{self.service}; see its log")
        return error.status(f"tael.{self.service}", call.trace_id)

    def _store(self, error: Exception, call: _Call) -> status_pb2.Status:
        trace = call.context.trace_id
        if isinstance(error, DBAPIError) and not is_lost(error):
            # The rest of the store's message quotes the values of rows, and so personal data.
            why = getattr(getattr(error.orig, "diag", None), "message_primary", None)
            kind = type(error.orig).__name__
            log.error("store refused", rpc=call.rpc, kind=kind, error=why, trace_id=trace)
            return self._internal(call.context)
        log.warning("store lost", rpc=call.rpc, error=str(error)[:200])
        lost = Unavailable(Reason.STORE_UNAVAILABLE, "the store did not answer; repeat the call")
        return lost.status(f"tael.{self.service}", trace)

    def _upstream(self, error: grpc.RpcError, call: CallContext) -> status_pb2.Status:
        """A refusal by a service called is passed on as it is; silence becomes UNAVAILABLE."""
        code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
        domain = f"tael.{self.service}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            late = DeadlineExceeded(Reason.DEADLINE_TOO_SHORT, "a service called took too long")
            return late.status(domain, call.trace_id)
        if isinstance(error, grpc.Call) and code is not grpc.StatusCode.UNAVAILABLE:
            status = rpc_status.from_call(error)
            if status is not None:
                return status
        silent = Unavailable(
            Reason.UPSTREAM_UNAVAILABLE, f"a service called did not answer ({code.name})"
        )
        return silent.status(domain, call.trace_id)

    def _record(self, call: _Call) -> None:
        seconds = time.monotonic() - call.began
        code = code_pb2.Code.Name(call.status.code) if call.status else "OK"
        self.metrics.observe(call.rpc, code, seconds)
        audit.info(
            "call",
            rpc=call.rpc,
            caller=call.context.caller,
            subject=call.subject,
            code=code,
            ms=round(seconds * 1000, 1),
            trace_id=call.context.trace_id,
        )


class _Call:
    """One call on its way through the pipeline."""

    def __init__(self, rpc: str, context: grpc.ServicerContext) -> None:
        self.rpc = rpc
        self.began = time.monotonic()
        self.metadata = {
            key: value if isinstance(value, str) else value.decode("latin-1")
            for key, value in context.invocation_metadata()
        }
        self.context = _call_context(self.metadata, context)
        self.subject: dict[str, str] = {}
        """On what: the ids that the request names."""
        self.status: status_pb2.Status | None = None


def _subject(request: Message) -> dict[str, str]:
    """The request's own ids, request_id among them; ids of tael's are no personal data."""
    return {
        field.name: value
        for field, value in request.ListFields()
        if field.name.endswith("_id") and isinstance(value, str)
    }


def _abort(context: grpc.ServicerContext, call: _Call) -> NoReturn:
    assert call.status is not None
    context.abort_with_status(rpc_status.to_status(call.status))


def _call_context(metadata: dict[str, str], context: grpc.ServicerContext) -> CallContext:
    left = context.time_remaining()
    deadline = None if left is None else time.monotonic() + left
    parent = metadata.get("traceparent", "")
    parts = parent.split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16:
        return CallContext(call_context.child_traceparent(parent), deadline)
    return CallContext(deadline=deadline)


def validate(message: Message) -> None:
    """Holds a message against its contract's rules (protovalidate).

    Raises InvalidFields with every violated field, why, and what would be right.
    """
    violations = protovalidate.collect_violations(message)
    found = [(path, "holds a NUL character") for path in _nul_fields(message, "")]
    if not violations and not found:
        return
    for violation in violations:
        elements = violation.proto.field.elements if violation.proto.field else ()
        path = ".".join(_element(element) for element in elements)
        found.append((path or "request", violation.proto.message))
    raise InvalidFields(found)


def _nul_fields(message: Message, prefix: str) -> Iterator[str]:
    """Text fields with a NUL character, which PostgreSQL cannot keep."""
    if b"\0" not in message.SerializeToString():
        return
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            texts = [text for pair in value.items() for text in pair if isinstance(text, str)]
            yield from [path] * any("\0" in text for text in texts)
            continue
        for place, item in enumerate(value) if field.is_repeated else [(None, value)]:
            here = path if place is None else f"{path}[{place}]"
            if isinstance(item, Message):
                yield from _nul_fields(item, f"{here}.")
            elif isinstance(item, str) and "\0" in item:
                yield here


def _element(element: Any) -> str:
    name: str = element.field_name
    kind = getattr(element, "subscript", None)
    return f"{name}[{kind.value}]" if kind is not None else name


def _validated(requests: Iterator[Any]) -> Iterator[Any]:
    for request in requests:
        validate(request)
        yield request
