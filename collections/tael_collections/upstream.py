"""What servicing's or a provider's answer means for work that must be finished once."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import structlog

from tael_runtime.refusals import reason_of

log = structlog.get_logger()

SECONDS = 3.0
"""How long a step waits for another service; what is left undone is taken up by a loop."""

REFUSALS = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


UNPOSTED = "POSTING_REFUSED"
"""Servicing has done what was asked; the ledger does not take it yet."""


def refusal(error: grpc.RpcError) -> str | None:
    """The other's words where it refused for good; None where asking again may help."""
    if not isinstance(error, grpc.Call) or error.code() not in REFUSALS:
        return None
    if reason_of(error) == UNPOSTED:
        return None
    return error.details() or error.code().name


def unless_silent(carry_out: Callable[[str], None], subject: str) -> None:
    """Carries out what the other service answers; where it does not, the subject waits."""
    try:
        carry_out(subject)
    except grpc.RpcError as error:
        log.info("waits", subject=subject, why=str(error))
