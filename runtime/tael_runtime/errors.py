"""The errors domain code raises; the server turns each into a google.rpc.Status with details.

A service keeps its reasons in one `Reason` enum whose values explain them; docs/errors.md is
generated from these.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2


class ReasonEnum(StrEnum):
    """A service's reasons: NAME = "what it means and what to do"."""


class Reason(ReasonEnum):
    """Reasons that every service may give."""

    INVALID_FIELD = (
        "A field breaks its rule; the violations name each field, why, and what is right."
    )
    INVALID_DATE = "A date field is no calendar date."
    REQUEST_ID_REUSED = "The request_id was used before with other content; choose a new one."
    RESOURCE_NOT_FOUND = "Nothing has this id; the details name the type and the id."
    UNAUTHENTICATED = "The call carries no valid credentials."
    PERMISSION_DENIED = "The caller's roles do not allow this rpc."
    STORE_UNAVAILABLE = "The store did not answer; the call may be repeated."
    UPSTREAM_UNAVAILABLE = "A service this one needs did not answer; the call may be repeated."
    DEADLINE_TOO_SHORT = "The deadline passed before the work was done."
    TOO_MANY_STREAMS = "As many streams are open as the service allows; close one, or try later."
    FOUR_EYES_REQUIRED = (
        "It moves money by hand: one person proposes it (ApprovalService), another approves it."
    )
    MAKER_IS_CHECKER = "The same person may not propose and approve."
    CALLER_UNNAMED = (
        "Only a named person may propose or approve; the call came from nobody in particular."
    )
    INTERNAL = "A fault in tael itself; the log has it under the trace id."


class TaelError(Exception):
    """An outcome a caller is told precisely."""

    code: ClassVar[int] = code_pb2.INTERNAL

    def __init__(self, reason: ReasonEnum, message: str, details: tuple[Message, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.details = details

    def status(self, domain: str, trace_id: str = "") -> status_pb2.Status:
        """The rich status, with ErrorInfo first."""
        info = error_details_pb2.ErrorInfo(reason=self.reason.name, domain=domain)
        packed = [_pack(info), *(_pack(detail) for detail in self.details)]
        if trace_id:
            packed.append(_pack(error_details_pb2.RequestInfo(request_id=trace_id)))
        return status_pb2.Status(code=self.code, message=self.message, details=packed)


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


class InvalidArgument(TaelError):
    """A field is wrong whatever the state of the world."""

    code = code_pb2.INVALID_ARGUMENT

    def __init__(self, field: str, description: str, reason: ReasonEnum = Reason.INVALID_FIELD):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=field, description=description
        )
        bad = error_details_pb2.BadRequest(field_violations=[violation])
        super().__init__(reason, f"{field}: {description}", (bad,))


class InvalidFields(TaelError):
    """Several fields are wrong."""

    code = code_pb2.INVALID_ARGUMENT

    def __init__(self, violations: list[tuple[str, str]]):
        bad = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
                for field, description in violations
            ]
        )
        text = "; ".join(f"{field}: {description}" for field, description in violations)
        super().__init__(Reason.INVALID_FIELD, text, (bad,))


class NotFound(TaelError):
    """Nothing has this id."""

    code = code_pb2.NOT_FOUND

    def __init__(self, resource_type: str, resource_name: str):
        info = error_details_pb2.ResourceInfo(
            resource_type=resource_type, resource_name=resource_name
        )
        super().__init__(
            Reason.RESOURCE_NOT_FOUND, f"no {resource_type} {resource_name!r}", (info,)
        )


class FailedPrecondition(TaelError):
    """The state of the world forbids it now."""

    code = code_pb2.FAILED_PRECONDITION

    def __init__(self, reason: ReasonEnum, message: str, subject: str = ""):
        failure = error_details_pb2.PreconditionFailure(
            violations=[
                error_details_pb2.PreconditionFailure.Violation(
                    type=reason.name, subject=subject, description=message
                )
            ]
        )
        super().__init__(reason, message, (failure,))


class AlreadyExists(TaelError):
    """It is there, or the request_id was used for something else."""

    code = code_pb2.ALREADY_EXISTS


class PermissionDenied(TaelError):
    """The caller may not."""

    code = code_pb2.PERMISSION_DENIED


class Unauthenticated(TaelError):
    """The caller is not known."""

    code = code_pb2.UNAUTHENTICATED


class ResourceExhausted(TaelError):
    """Too much, too often."""

    code = code_pb2.RESOURCE_EXHAUSTED


class Unavailable(TaelError):
    """Something needed does not answer; repeat later."""

    code = code_pb2.UNAVAILABLE


class Aborted(TaelError):
    """Somebody else changed it first; read again."""

    code = code_pb2.ABORTED


class DeadlineExceeded(TaelError):
    """Time ran out."""

    code = code_pb2.DEADLINE_EXCEEDED


class Internal(TaelError):
    """A fault of ours, told without detail."""

    code = code_pb2.INTERNAL
