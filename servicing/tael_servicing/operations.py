"""An operation by hand as its own rpc carries it out: rehearsed first, done with its approval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from sqlalchemy import Connection

from tael.servicing.v1 import approval_pb2 as pb
from tael_runtime import idempotency, later
from tael_runtime.errors import InvalidArgument
from tael_runtime.faces import Handler
from tael_runtime.validation import Received, validated

KEYS = ("request_id", "approval")
"""Fields of an operation's request that are the proposal's id."""


class _Rehearsed(Exception):
    def __init__(self, answer: Message) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True)
class Operation:
    """The request of an rpc and the rpc's handler."""

    rpc: str
    """/package.Service/Method."""
    request: Message
    handler: Callable[[Any, Any], Message]

    def rehearse(self, context: grpc.ServicerContext) -> Message:
        """What the rpc would answer now; nothing of it is kept. Raises as the rpc does."""
        try:
            with idempotency.together_with(_give_up):
                self.handler(self.request, context)
        except _Rehearsed as rehearsed:
            return rehearsed.answer
        raise AssertionError(f"{self.rpc} does its work outside idempotency.once")

    def carry_out(self, context: grpc.ServicerContext, effect: idempotency.Effect) -> Message:
        """Does it in one transaction with `effect`. Raises as either does, and neither is done."""
        with idempotency.together_with(effect):
            return self.handler(self.request, context)


def _give_up(transaction: Connection, answer: Message) -> None:
    later.send(transaction)
    raise _Rehearsed(answer)


class Operations:
    """What can be done by hand."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        """handlers: of every rpc of the service."""
        self._by_method = {rpc.rpartition("/")[2]: (rpc, each) for rpc, each in handlers.items()}

    def of(self, kept: pb.Operation) -> Operation:
        """The operation of a proposal."""
        name = kept.WhichOneof("request")
        assert name is not None, "the contract requires one"
        request = getattr(kept, name)
        rpc, handler = self._by_method[request.DESCRIPTOR.name.removesuffix("Request")]
        assert handler.unary_unary is not None
        return Operation(rpc, request, handler.unary_unary)


def keyed(given: pb.Operation, proposal_id: str) -> pb.Operation:
    """The operation with a proposal's id in it, held against the contract of its rpc.

    Raises InvalidArgument, InvalidFields.
    """
    made = pb.Operation()
    made.CopyFrom(given)
    request = getattr(made, made.WhichOneof("request") or "")
    for field in KEYS:
        if field in request.DESCRIPTOR.fields_by_name:
            if getattr(request, field):
                raise InvalidArgument(field, "is the proposal's id; leave it empty")
            setattr(request, field, proposal_id)
    validated(Received(request))
    return made
