"""The payment channel: money moves once an id, and sometimes nobody can say yet whether it did."""

from __future__ import annotations

import grpc
from sqlalchemy import Row, select, update

from tael.provider.v1 import payment_pb2 as pb
from tael.provider.v1 import payment_pb2_grpc
from tael.provider.v1.simulator_pb2 import Behaviour
from tael_client.values import money
from tael_runtime.database import Database
from tael_runtime.errors import InvalidArgument, NotFound
from tael_runtime.fields import read_date
from tael_runtime.paging import text_key, token
from tael_simulators import card_holders, methods, scripts
from tael_simulators.arrivals import receive, reference
from tael_simulators.identity_service import match_result
from tael_simulators.methods import DEBIT, PAY, Method
from tael_simulators.tables import payment

FEE = 100
"""The channel's fee for a debit, minor units, at most all of it."""
MOST_LINES = 1000


class Payments(payment_pb2_grpc.PaymentProviderServiceServicer):
    """Keys: card or account token, payment id. A card has money enough unless scripted otherwise."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def Pay(self, request: pb.PayRequest, context: grpc.ServicerContext) -> pb.PayResponse:
        """Money to a card or a merchant's account."""
        self._receive(PAY, request, context)
        return pb.PayResponse(payment=self._answer(request.payment_id))

    def VerifyCardHolder(
        self, request: pb.VerifyCardHolderRequest, context: grpc.ServicerContext
    ) -> pb.VerifyCardHolderResponse:
        """Whose the card is."""
        keys = (request.card_token, request.holder_id)
        behaviour = scripts.behave(self._db, methods.VERIFY_CARD_HOLDER, keys, context)
        outcome = behaviour.outcome or card_holders.outcome(self._db, *keys)
        return pb.VerifyCardHolderResponse(
            result=match_result(outcome), reference=reference("holder", *keys)
        )

    def Debit(self, request: pb.DebitRequest, context: grpc.ServicerContext) -> pb.DebitResponse:
        """Money from a card."""
        self._receive(DEBIT, request, context)
        return pb.DebitResponse(payment=self._answer(request.payment_id))

    def DebitBatch(
        self, request: pb.DebitBatchRequest, context: grpc.ServicerContext
    ) -> pb.DebitBatchResponse:
        """Money from many cards; a debit scripted to fail as a call ends the batch there."""
        with self._db.begin() as transaction:
            behaviour = scripts.take(transaction, methods.DEBIT_BATCH, ())
        if behaviour.taken or not behaviour.status_code:
            for debit in request.debits:
                self._receive(DEBIT, debit, context)
        scripts.show(behaviour, context)
        return pb.DebitBatchResponse(
            payments=[self._answer(debit.payment_id) for debit in request.debits]
        )

    def ListSettlementLines(
        self, request: pb.ListSettlementLinesRequest, context: grpc.ServicerContext
    ) -> pb.ListSettlementLinesResponse:
        """The debits of a date that moved money."""
        size = request.page_size or MOST_LINES
        query = (
            select(payment)
            .where(
                payment.c.debit,
                payment.c.date == read_date("date", request.date),
                payment.c.failure_code == "",
                payment.c.payment_id > text_key(request.page_token),
            )
            .order_by(payment.c.payment_id)
            .limit(size + 1)
        )
        with self._db.read() as transaction:
            rows = transaction.execute(query).all()
        return pb.ListSettlementLinesResponse(
            lines=[
                pb.SettledDebit(
                    payment_id=row.payment_id,
                    amount=money(row.minor_units, row.currency_code),
                    fee_minor_units=min(FEE, row.minor_units),
                )
                for row in rows[:size]
            ],
            next_page_token=token(rows[size - 1].payment_id) if len(rows) > size else "",
        )

    def QueryPayment(
        self, request: pb.QueryPaymentRequest, context: grpc.ServicerContext
    ) -> pb.QueryPaymentResponse:
        """What became of it."""
        card = select(payment.c.card_token).where(payment.c.payment_id == request.payment_id)
        with self._db.read() as transaction:
            token = transaction.execute(card).scalar()
        keys = (request.payment_id, *([token] if token else ()))
        scripts.behave(self._db, methods.QUERY_PAYMENT, keys, context)
        return pb.QueryPaymentResponse(payment=self._answer(request.payment_id))

    def _receive(
        self,
        method: Method,
        request: pb.PayRequest | pb.DebitRequest,
        context: grpc.ServicerContext,
    ) -> None:
        if request.amount.minor_units <= 0:
            raise InvalidArgument("amount.minor_units", "must be positive")
        business_date = read_date("date", request.date)
        account = request.card_token
        if isinstance(request, pb.PayRequest):
            account = account or request.account_token

        def values(behaviour: Behaviour) -> dict[str, object]:
            taken, failure_code = _funded(request, behaviour)
            return {
                "debit": method is DEBIT,
                "card_token": account,
                "currency_code": request.amount.currency_code,
                "minor_units": taken,
                "date": business_date,
                "failure_code": failure_code,
                "unknown_left": behaviour.unknown_answers,
            }

        keys = (account, request.payment_id)
        receive(self._db, payment, method, request, keys, values, context)

    def _answer(self, payment_id: str) -> pb.Payment:
        """The payment as the provider tells it now: UNKNOWN while answers of that kind are left."""
        of_id = payment.c.payment_id == payment_id
        with self._db.begin() as transaction:
            row = transaction.execute(select(payment).where(of_id).with_for_update()).first()
            if row is None:
                raise NotFound("payment", payment_id)
            if row.unknown_left:
                left = {"unknown_left": row.unknown_left - 1}
                transaction.execute(update(payment).where(of_id).values(left))
        return _told(row)


def _funded(request: pb.PayRequest | pb.DebitRequest, behaviour: Behaviour) -> tuple[int, str]:
    """How much moves, and why nothing does."""
    asked = request.amount.minor_units
    if behaviour.failure_code or not behaviour.HasField("funds_minor_units"):
        return asked, behaviour.failure_code
    funds = behaviour.funds_minor_units
    if funds >= asked:
        return asked, ""
    allowed = isinstance(request, pb.DebitRequest) and 0 < request.minimum_minor_units <= funds
    return (funds, "") if allowed else (asked, "INSUFFICIENT_FUNDS")


def _told(row: Row[tuple[object, ...]]) -> pb.Payment:
    told = pb.Payment(
        payment_id=row.payment_id,
        status=pb.PAYMENT_STATUS_SUCCESS,
        amount=money(row.minor_units, row.currency_code),
        reference=reference("payment", row.payment_id),
    )
    if row.unknown_left:
        told.status = pb.PAYMENT_STATUS_UNKNOWN
    elif row.failure_code:
        told.status = pb.PAYMENT_STATUS_FAILED
        told.failure_code = row.failure_code
    return told
