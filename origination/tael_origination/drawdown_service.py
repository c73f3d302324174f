"""DrawdownService: money asked for, agreed to, paid."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import contract_pb2 as pb
from tael.origination.v1 import contract_pb2_grpc
from tael_client.values import to_decimal
from tael_origination import consents, contracts, customers, drawdowns, phone_codes
from tael_origination.contracts import Contract
from tael_origination.drawdowns import Drawdown
from tael_origination.fields import read_amount
from tael_origination.payout import Payout
from tael_origination.reasons import Reason
from tael_origination.requests import WRONG_CODE, made_once
from tael_origination.upstream import Servicing
from tael_runtime.errors import FailedPrecondition
from tael_runtime.ids import new_id
from tael_runtime.server import Runtime


class Drawdowns(contract_pb2_grpc.DrawdownServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime, payout: Payout, servicing: Servicing) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._payout = payout
        self._servicing = servicing

    def RequestDrawdown(
        self, request: pb.RequestDrawdownRequest, context: grpc.ServicerContext
    ) -> pb.RequestDrawdownResponse:
        """Takes it in and asks risk; agreed, its schedule waits for the signature."""
        del context
        with self._db.read() as snapshot:
            contract = contracts.get(snapshot, request.contract_id)
        drawdown_id = made_once(
            self._db,
            "RequestDrawdown",
            request,
            lambda transaction: drawdowns.request(
                transaction, self._asked(transaction, contract, request)
            ),
        )
        reached = self._payout.advance(drawdown_id)
        return pb.RequestDrawdownResponse(drawdown=reached.message())

    def _asked(
        self, transaction: Connection, contract: Contract, request: pb.RequestDrawdownRequest
    ) -> Drawdown:
        """Guards in order: money, contract, card, free part of the line, consent; then the quote."""
        amount = read_amount("amount", request.amount, contract.currency)
        contracts.require_signed(contract)
        drawdowns.require_card(transaction, contract.customer_id, request.card_token)
        available = self._servicing.line(contract.line_id).available.minor_units
        if amount > available:
            raise FailedPrecondition(
                Reason.LINE_EXCEEDED, f"{available} minor units are free", contract.line_id
            )
        today = self._servicing.product(contract.product_code).business_date
        consent = consents.require_live(transaction, contract.customer_id, "BUREAU_QUERY", today)
        quote = self._servicing.quote(
            contract.product_code,
            amount,
            contract.currency,
            request.periods,
            contract.rate,
            request.repay_day,
        )
        return Drawdown(
            drawdown_id=new_id("dd"),
            contract_id=contract.contract_id,
            customer_id=contract.customer_id,
            currency=contract.currency,
            amount=amount,
            periods=request.periods,
            repay_day=request.repay_day,
            card_token=request.card_token,
            consent_id=consent.consent_id,
            requested_on=today,
            apr=to_decimal(quote.disclosure.apr),
            schedule=drawdowns.schedule_rows(quote),
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
