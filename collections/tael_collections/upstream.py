"""What servicing's or a provider's answer means for work that must be finished once."""

from __future__ import annotations

import grpc

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


def refusal(error: grpc.RpcError) -> str | None:
    """The other's words where it refused for good; None where asking again may help."""
    if isinstance(error, grpc.Call) and error.code() in REFUSALS:
        return error.details() or error.code().name
    return None
