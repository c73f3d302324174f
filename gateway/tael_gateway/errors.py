"""Refusals over HTTP: google.rpc.Status as JSON, with the HTTP code that belongs to its code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import grpc
from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from starlette.responses import JSONResponse

from tael_gateway.reasons import Reason
from tael_runtime.errors import DeadlineExceeded, TaelError, Unavailable
from tael_runtime.errors import Reason as Common

DOMAIN = "tael.gateway"
STATUS_DETAILS = "grpc-status-details-bin"

HTTP_CODES = {
    code_pb2.OK: 200,
    code_pb2.CANCELLED: 499,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.UNAUTHENTICATED: 401,
}
"""google.rpc.Code's own mapping; whatever is not here is 500."""


class HttpRefusal(TaelError):
    """A refusal of the bridge itself that HTTP has a better code for than gRPC."""

    http_code: ClassVar[int]
    headers: dict[str, str]


class MethodNotAllowed(HttpRefusal):
    """The path is known, with other verbs."""

    code = code_pb2.UNIMPLEMENTED
    http_code = 405

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(Reason.METHOD_NOT_ALLOWED, f"this path takes {', '.join(allowed)}")
        self.headers = {"allow": ", ".join(allowed)}


class BodyTooLarge(HttpRefusal):
    """More than the bridge reads."""

    code = code_pb2.OUT_OF_RANGE
    http_code = 413

    def __init__(self, limit: int) -> None:
        super().__init__(Reason.BODY_TOO_LARGE, f"a request body is at most {limit} bytes")
        self.headers = {"connection": "close"}


class NotJson(HttpRefusal):
    """A body of another media type."""

    code = code_pb2.INVALID_ARGUMENT
    http_code = 415

    def __init__(self, media_type: str) -> None:
        super().__init__(Reason.NOT_JSON, f"send application/json, not {media_type!r}")
        self.headers = {}


def refused(error: TaelError, trace_id: str) -> JSONResponse:
    """A refusal of the bridge itself."""
    status = error.status(DOMAIN, trace_id)
    if isinstance(error, HttpRefusal):
        return JSONResponse(as_json(status), error.http_code, error.headers)
    return JSONResponse(as_json(status), HTTP_CODES.get(error.code, 500))


def passed_on(error: grpc.aio.AioRpcError, trace_id: str) -> JSONResponse:
    """A service's refusal."""
    status = status_of(error, trace_id)
    return JSONResponse(as_json(status), HTTP_CODES.get(status.code, 500))


def status_of(error: grpc.aio.AioRpcError, trace_id: str) -> status_pb2.Status:
    """What the service said, unchanged; where it said nothing, that, without its address."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        silent = Unavailable(Common.UPSTREAM_UNAVAILABLE, "the service behind did not answer")
        return silent.status(DOMAIN, trace_id)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        late = DeadlineExceeded(Common.DEADLINE_TOO_SHORT, "the service behind took too long")
        return late.status(DOMAIN, trace_id)
    return status_pb2.Status(code=code.value[0], message=error.details() or "")


def as_json(status: status_pb2.Status) -> dict[str, Any]:
    """{"code": 3, "message": "…", "details": [{"@type": "…ErrorInfo", …}]}."""
    details = [_detail(packed) for packed in status.details]
    return {"code": status.code, "message": status.message, "details": details}


def _detail(packed: Any) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json_format.MessageToDict(packed)
    except TypeError:  # of a type that this process does not know
        return {"@type": packed.type_url}
    return told
