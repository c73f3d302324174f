"""ApprovalService: what people do by hand, proposed by one and approved by another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from sqlalchemy import Connection

from tael.servicing.v1 import approval_pb2 as pb
from tael.servicing.v1 import approval_pb2_grpc
from tael_runtime import idempotency
from tael_runtime.clock import Clock
from tael_runtime.faces import Handler
from tael_runtime.four_eyes import named_caller
from tael_runtime.idempotency import current_caller
from tael_runtime.ids import new_id
from tael_runtime.paging import text_key, token
from tael_runtime.server import Runtime
from tael_servicing import operations, proposals
from tael_servicing.operations import Operation, Operations
from tael_servicing.proposals import Proposal

EndedT = TypeVar("EndedT", pb.DeclineResponse, pb.WithdrawResponse)

VALID_DAYS = 7


class Approvals(approval_pb2_grpc.ApprovalServiceServicer):
    """Proposes, decides, tells."""

    def __init__(self, runtime: Runtime, handlers: Mapping[str, Handler]) -> None:
        """handlers: of every rpc of the service."""
        self._db = runtime.database
        self._clock: Clock = runtime.clock
        self._authorizer = runtime.authorizer
        self._operations = Operations(handlers)

    def Propose(
        self, request: pb.ProposeRequest, context: grpc.ServicerContext
    ) -> pb.ProposeResponse:
        """Rehearses an operation and keeps it for a second person."""
        done = idempotency.find(self._db, "Propose", request, pb.ProposeResponse, seal=True)
        if done is not None:
            return done
        maker, now = named_caller(), self._clock.now()
        proposal_id = new_id("pr")
        kept = operations.keyed(request.operation, proposal_id)
        operation = self._allowed(kept)
        outlook = operation.rehearse(context)
        made = Proposal(
            proposal_id=proposal_id,
            operation=self._db.cipher.seal(kept.SerializeToString()),
            reason=request.reason,
            maker=maker,
            proposed_at=now,
            expires_at=now + timedelta(days=request.valid_days or VALID_DAYS),
            loan_id=_named("loan_id", operation.request),
            customer_id=_named("customer_id", operation.request, *_parts(outlook)),
        )

        def work(transaction: Connection) -> pb.ProposeResponse:
            proposals.add(transaction, made)
            return pb.ProposeResponse(proposal=self._told(made), outlook=_packed(outlook))

        return idempotency.once(self._db, "Propose", request, pb.ProposeResponse, work, seal=True)

    def Approve(
        self, request: pb.ApproveRequest, context: grpc.ServicerContext
    ) -> pb.ApproveResponse:
        """Carries out what was proposed, in one transaction with the word for it.

        Asked again, the operation's own rpc answers again: its request_id is the proposal's.
        """
        checker, now = current_caller(), self._clock.now()
        found = self._get(request.proposal_id)
        operation = self._allowed(found.opened(self._db.cipher))
        if idempotency.find(self._db, "Approve", request, pb.ApproveResponse) is None:
            found.approved(checker, now)

        def approve(transaction: Connection, _answer: Message) -> None:
            idempotency.claim(transaction, self._db.cipher, "Approve", request)
            locked = proposals.lock(transaction, request.proposal_id)
            proposals.save(transaction, locked.approved(checker, now))

        outcome = operation.carry_out(context, approve)
        return pb.ApproveResponse(
            proposal=self._told(self._get(request.proposal_id)), outcome=_packed(outcome)
        )

    def Decline(
        self, request: pb.DeclineRequest, context: grpc.ServicerContext
    ) -> pb.DeclineResponse:
        """The second person's word against it."""
        return self._end("Decline", request, pb.DeclineResponse, Proposal.declined)

    def Withdraw(
        self, request: pb.WithdrawRequest, context: grpc.ServicerContext
    ) -> pb.WithdrawResponse:
        """The maker takes it back."""
        return self._end("Withdraw", request, pb.WithdrawResponse, Proposal.withdrawn)

    def GetProposal(
        self, request: pb.GetProposalRequest, context: grpc.ServicerContext
    ) -> pb.GetProposalResponse:
        """One proposal."""
        return pb.GetProposalResponse(proposal=self._told(self._get(request.proposal_id)))

    def ListProposals(
        self, request: pb.ListProposalsRequest, context: grpc.ServicerContext
    ) -> pb.ListProposalsResponse:
        """A page of proposals."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            found = proposals.page(connection, request, self._clock.now(), after, size + 1)
        return pb.ListProposalsResponse(
            proposals=[self._told(each) for each in found[:size]],
            next_page_token=token(found[size - 1].proposal_id) if len(found) > size else "",
        )

    def _end(
        self,
        rpc: str,
        request: pb.DeclineRequest | pb.WithdrawRequest,
        response_type: type[EndedT],
        ending: Callable[[Proposal, str, datetime, str], Proposal],
    ) -> EndedT:
        """A proposal that is not carried out."""

        def work(transaction: Connection) -> EndedT:
            found = proposals.lock(transaction, request.proposal_id)
            ended = ending(found, current_caller(), self._clock.now(), request.reason)
            proposals.save(transaction, ended)
            return response_type(proposal=self._told(ended))

        return idempotency.once(self._db, rpc, request, response_type, work, seal=True)

    def _get(self, proposal_id: str) -> Proposal:
        with self._db.read() as connection:
            return proposals.get(connection, proposal_id)

    def _told(self, proposal: Proposal) -> pb.Proposal:
        return proposal.message(self._db.cipher, self._clock.now())

    def _allowed(self, kept: pb.Operation) -> Operation:
        """Raises PermissionDenied where the caller's roles do not allow the operation's rpc."""
        operation = self._operations.of(kept)
        self._authorizer.check_caller(operation.rpc)
        return operation


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _parts(message: Message) -> list[Message]:
    return [value for _, value in message.ListFields() if isinstance(value, Message)]


def _named(field: str, *messages: Message) -> str:
    """The first value that any of the messages has in a field of that name."""
    found = (getattr(message, field, "") for message in messages)
    return next(filter(None, found), "")
