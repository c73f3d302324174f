"""WriteOffService: write-off by two people, and what is recovered after it."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc
from tael.servicing.v1 import loan_pb2, loan_pb2_grpc
from tael_collections import cases, recoveries, write_offs
from tael_collections.messages import case_answer, write_off_message
from tael_collections.reasons import Reason
from tael_collections.recoveries import Booking
from tael_collections.upstream import unless_silent
from tael_collections.write_offs import Posting
from tael_runtime.errors import FailedPrecondition
from tael_runtime.fields import read_amount
from tael_runtime.idempotency import claim, keep, once
from tael_runtime.server import Runtime


class WriteOffs(collections_pb2_grpc.WriteOffServiceServicer):
    """The rpcs."""

    def __init__(
        self,
        runtime: Runtime,
        servicing: loan_pb2_grpc.LoanServiceStub,
        posting: Posting,
        booking: Booking,
    ) -> None:
        self._db = runtime.database
        self._servicing = servicing
        self._posting = posting
        self._booking = booking

    def ProposeWriteOff(
        self, request: pb.ProposeWriteOffRequest, context: grpc.ServicerContext
    ) -> pb.ProposeWriteOffResponse:
        """Proposes; whether the loan is non-accrual is servicing's word."""
        loan = self._servicing.GetLoan(loan_pb2.GetLoanRequest(loan_id=request.loan_id)).loan

        def work(transaction: Connection) -> pb.ProposeWriteOffResponse:
            case = cases.lock_open(transaction, request.case_id)
            proposed = write_offs.propose(transaction, case, loan, request.evidence)
            return pb.ProposeWriteOffResponse(write_off=write_off_message(proposed))

        return once(self._db, "ProposeWriteOff", request, pb.ProposeWriteOffResponse, work)

    def ApproveWriteOff(
        self, request: pb.ApproveWriteOffRequest, context: grpc.ServicerContext
    ) -> pb.ApproveWriteOffResponse:
        """Decides, then has servicing post it; APPROVED where servicing has not answered yet."""

        def work(transaction: Connection) -> pb.ApproveWriteOffResponse:
            write_offs.decide(transaction, request.write_off_id, approve=request.approve)
            return pb.ApproveWriteOffResponse()

        once(self._db, "ApproveWriteOff", request, pb.ApproveWriteOffResponse, work)
        unless_silent(self._posting.carry_out, request.write_off_id)
        with self._db.read() as snapshot:
            decided = write_offs.get(snapshot, request.write_off_id)
        if decided["refusal"]:
            raise FailedPrecondition(
                Reason.WRITE_OFF_REFUSED, decided["refusal"], request.write_off_id
            )
        return pb.ApproveWriteOffResponse(write_off=write_off_message(decided))

    def GetWriteOff(
        self, request: pb.GetWriteOffRequest, context: grpc.ServicerContext
    ) -> pb.GetWriteOffResponse:
        """One proposal."""
        with self._db.read() as snapshot:
            found = write_offs.get(snapshot, request.write_off_id)
        return pb.GetWriteOffResponse(write_off=write_off_message(found))

    def RecordRecovery(
        self, request: pb.RecordRecoveryRequest, context: grpc.ServicerContext
    ) -> pb.RecordRecoveryResponse:
        """Keeps the money, then has servicing book it; repeat the call where it did not answer."""
        with self._db.begin() as transaction:
            kept = claim(transaction, self._db.cipher, "RecordRecovery", request)
            if kept is None:
                case = cases.lock_open(transaction, request.case_id)
                amount = read_amount("amount", request.amount, case.currency)
                recovery_id = recoveries.take(transaction, case, request.loan_id, amount)
                keep(transaction, "RecordRecovery", request, recovery_id.encode())
            else:
                recovery_id = kept.decode()
        self._booking.carry_out(recovery_id)
        with self._db.read() as snapshot:
            booked = recoveries.get(snapshot, recovery_id)
            if booked["refusal"]:
                raise FailedPrecondition(
                    Reason.RECOVERY_REFUSED, booked["refusal"], request.loan_id
                )
            return pb.RecordRecoveryResponse(
                case=case_answer(snapshot, cases.get(snapshot, request.case_id)),
                principal=booked["principal"],
                interest=booked["interest"],
                commission=booked["commission"],
            )
