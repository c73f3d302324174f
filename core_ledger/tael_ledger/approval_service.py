"""ApprovalService: what people do to a book by hand, proposed by one and approved by another."""

from __future__ import annotations

from typing import TypeAlias

import grpc
from google.protobuf.message import Message

from tael.ledger.v1 import approval_pb2 as pb
from tael.ledger.v1 import approval_pb2_grpc, ledger_pb2
from tael_client.values import from_instant
from tael_ledger import books, journal, messages, proposals
from tael_ledger.face import Face, key_of
from tael_ledger.journal import Receipt
from tael_ledger.operations import (
    lines_of,
    posted_entries,
    recorded_events,
    reversal,
    state_change,
)
from tael_ledger.proposals import APPROVED, DECLINED, WITHDRAWN, Decision, Proposal, Proposing
from tael_ledger.requests import PostingRequest
from tael_runtime import idempotency
from tael_runtime.auth import Authorizer
from tael_runtime.errors import InvalidArgument
from tael_runtime.paging import number_key, token
from tael_runtime.validation import Received, validated

Word: TypeAlias = pb.ApproveRequest | pb.DeclineRequest | pb.WithdrawRequest
RPCS = "/tael.ledger.v1.LedgerService/"
OF_THE_PROPOSAL = ("request_id", "book_id", "reason")
"""Fields of an operation's request that are the proposal's."""


class Approvals(approval_pb2_grpc.ApprovalServiceServicer):
    """Proposes, decides, tells."""

    def __init__(self, face: Face, authorizer: Authorizer) -> None:
        self._face = face
        self._authorizer = authorizer

    def Propose(
        self, request: pb.ProposeRequest, context: grpc.ServicerContext
    ) -> pb.ProposeResponse:
        """Keeps an operation for a second person."""
        operation = _whole(request)
        proposing = Proposing(
            self._asked(operation),
            operation.SerializeToString(deterministic=True),
            request.reason,
            key=key_of("Propose", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        receipt = self._face.submit(request.book_id, proposing)
        made = self._get(request.book_id, int(receipt.outcome)).as_proposed()
        return pb.ProposeResponse(proposal=_message(made), anchor=messages.anchor(receipt.anchor))

    def Approve(
        self, request: pb.ApproveRequest, context: grpc.ServicerContext
    ) -> pb.ApproveResponse:
        """Carries out what was proposed, in one transaction with the word for it."""
        found = self._get(request.book_id, request.proposal_id)
        operation = self._asked(pb.Operation.FromString(found.operation))
        receipt, decided = self._decide(request, APPROVED, operation=operation)
        chart = self._face.chart(request.book_id)
        with self._face.database.read() as connection:
            entries = journal.entries_of(connection, request.book_id, receipt)
        return pb.ApproveResponse(
            proposal=decided,
            entries=messages.entries(entries, chart),
            anchor=messages.anchor(receipt.anchor),
        )

    def Decline(
        self, request: pb.DeclineRequest, context: grpc.ServicerContext
    ) -> pb.DeclineResponse:
        """The second person's word against it."""
        receipt, decided = self._decide(request, DECLINED, request.reason)
        return pb.DeclineResponse(proposal=decided, anchor=messages.anchor(receipt.anchor))

    def Withdraw(
        self, request: pb.WithdrawRequest, context: grpc.ServicerContext
    ) -> pb.WithdrawResponse:
        """The maker takes it back."""
        receipt, decided = self._decide(request, WITHDRAWN, request.reason)
        return pb.WithdrawResponse(proposal=decided, anchor=messages.anchor(receipt.anchor))

    def GetProposal(
        self, request: pb.GetProposalRequest, context: grpc.ServicerContext
    ) -> pb.GetProposalResponse:
        """One proposal."""
        found = self._get(request.book_id, request.proposal_id)
        return pb.GetProposalResponse(proposal=_message(found))

    def ListProposals(
        self, request: pb.ListProposalsRequest, context: grpc.ServicerContext
    ) -> pb.ListProposalsResponse:
        """A page of proposals."""
        size = request.page_size or messages.DEFAULT_PAGE
        state = pb.ProposalState.Name(request.state).removeprefix("PROPOSAL_STATE_")
        with self._face.database.read() as connection:
            books.get(connection, request.book_id)
            found = proposals.page(
                connection,
                request.book_id,
                "" if state == "UNSPECIFIED" else state,
                number_key(request.page_token),
                size + 1,
            )
        return pb.ListProposalsResponse(
            proposals=[_message(each) for each in found[:size]],
            next_page_token=token(found[size - 1].proposal_id) if len(found) > size else "",
        )

    def _decide(
        self, request: Word, to: str, reason: str = "", operation: PostingRequest | None = None
    ) -> tuple[Receipt, pb.Proposal]:
        """Decides, once; the proposal as decided."""
        rpc = type(request).__name__.removesuffix("Request")
        self._face.chart(request.book_id)
        decision = Decision(
            request.proposal_id,
            to,
            reason,
            operation,
            key=key_of(rpc, request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        receipt = self._face.submit(request.book_id, decision)
        return receipt, _message(self._get(request.book_id, request.proposal_id))

    def _get(self, book_id: str, proposal_id: int) -> Proposal:
        with self._face.database.read() as connection:
            return proposals.get(connection, book_id, proposal_id)

    def _asked(self, operation: pb.Operation) -> PostingRequest:
        """The operation as its rpc would bring it.

        Raises PermissionDenied where the caller's roles do not allow that rpc; InvalidArgument.
        """
        asked = _request(operation)
        self._authorizer.check_caller(RPCS + asked.DESCRIPTOR.name.removesuffix("Request"))
        match asked:
            case ledger_pb2.PostEntriesRequest():
                chart = self._face.chart(asked.book_id)
                return posted_entries(asked, lines_of(asked), chart)
            case ledger_pb2.RecordEventsRequest():
                return recorded_events(asked)
            case ledger_pb2.ReverseEntryRequest():
                return reversal(asked)
            case ledger_pb2.UnfreezeAccountRequest() | ledger_pb2.CloseAccountRequest():
                return state_change(asked)
        raise AssertionError(f"{asked.DESCRIPTOR.name} is not done by hand")


def _request(operation: pb.Operation) -> Message:
    name = operation.WhichOneof("request")
    assert name is not None, "the contract requires one"
    asked: Message = getattr(operation, name)
    return asked


def _whole(request: pb.ProposeRequest) -> pb.Operation:
    """The operation with what is the proposal's in it, held against the contract of its rpc.

    Raises InvalidArgument, InvalidFields.
    """
    made = pb.Operation()
    made.CopyFrom(request.operation)
    asked = _request(made)
    for field in OF_THE_PROPOSAL:
        if field in asked.DESCRIPTOR.fields_by_name:
            if getattr(asked, field):
                raise InvalidArgument(field, "is the proposal's; leave it empty")
            setattr(asked, field, getattr(request, field))
    if isinstance(asked, ledger_pb2.PostEntriesRequest):
        asked.atomic = True
    validated(Received(asked))
    return made


def _message(value: Proposal) -> pb.Proposal:
    return pb.Proposal(
        book_id=value.book_id,
        proposal_id=value.proposal_id,
        state=pb.ProposalState.Value(f"PROPOSAL_STATE_{value.state}"),
        operation=pb.Operation.FromString(value.operation) if value.operation else None,
        reason=value.reason,
        maker=value.maker,
        proposed_at=from_instant(value.proposed_at),
        decided_by=value.decided_by,
        decided_at=from_instant(value.decided_at) if value.decided_at else None,
        decision_reason=value.decision_reason,
        first_sequence=value.sequence,
    )
