"""DrawdownService: money asked for, agreed to, paid."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import contract_pb2 as pb
from tael.origination.v1 import contract_pb2_grpc
from tael_origination import customers, drawdowns, phone_codes
from tael_origination.payout import Payout
from tael_origination.requests import WRONG_CODE, made_before, made_once
from tael_runtime.server import Runtime


class Drawdowns(contract_pb2_grpc.DrawdownServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime, payout: Payout) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._payout = payout

    def RequestDrawdown(
        self, request: pb.RequestDrawdownRequest, context: grpc.ServicerContext
    ) -> pb.RequestDrawdownResponse:
        """Takes it in and asks risk; agreed, its schedule waits for the signature."""
        del context
        drawdown_id = made_before(self._db, "RequestDrawdown", request) or self._request(request)
        reached = self._payout.advance(drawdown_id)
        return pb.RequestDrawdownResponse(drawdown=reached.message())

    def _request(self, request: pb.RequestDrawdownRequest) -> str:
        draft = self._payout.draft(request)
        return made_once(
            self._db,
            "RequestDrawdown",
            request,
            lambda transaction: drawdowns.request(transaction, draft),
        )

    def SignDrawdown(
        self, request: pb.SignDrawdownRequest, context: grpc.ServicerContext
    ) -> pb.SignDrawdownResponse:
        """The customer's code, then the loan."""
        del context
        drawdown_id = request.drawdown_id
        with self._db.read() as snapshot:
            customer_id = drawdowns.get(snapshot, drawdown_id).customer_id

        def work(transaction: Connection) -> str:
            customers.lock(transaction, customer_id)
            drawdowns.require_open(drawdowns.get(transaction, drawdown_id, lock=True))
            now = self._clock.now()
            code_id = phone_codes.spend(transaction, self._cipher, customer_id, request.code, now)
            if code_id is None:
                return WRONG_CODE
            drawdowns.move(
                transaction,
                drawdown_id,
                ("RISK_OK",),
                state="SIGNED",
                assented_at=now,
                assent_code_id=code_id,
            )
            return drawdown_id

        if made_once(self._db, "SignDrawdown", request, work) == WRONG_CODE:
            raise phone_codes.refuse_wrong(customer_id)
        return pb.SignDrawdownResponse(drawdown=self._payout.advance(drawdown_id).message())

    def GetDrawdown(
        self, request: pb.GetDrawdownRequest, context: grpc.ServicerContext
    ) -> pb.GetDrawdownResponse:
        """One drawdown."""
        del context
        with self._db.read() as snapshot:
            found = drawdowns.get(snapshot, request.drawdown_id)
        return pb.GetDrawdownResponse(drawdown=found.message())
