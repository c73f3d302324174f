"""How the outside world is told to behave, and what a bank statement and a phone would show."""

from __future__ import annotations

import grpc
from sqlalchemy import select

from tael.provider.v1 import simulator_pb2 as pb
from tael.provider.v1 import simulator_pb2_grpc
from tael_runtime.database import Database
from tael_runtime.errors import InvalidArgument
from tael_simulators import scripts
from tael_simulators.methods import METHODS, check
from tael_simulators.tables import payment, text_message


class Simulator(simulator_pb2_grpc.SimulatorServiceServicer):
    """For tests, demonstrations and playing; a real provider has none of it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def ScriptBehaviour(
        self, request: pb.ScriptBehaviourRequest, context: grpc.ServicerContext
    ) -> pb.ScriptBehaviourResponse:
        """All of the behaviours, or none and why."""
        del context
        method = METHODS.get(request.method)
        if method is None:
            raise InvalidArgument("method", f"must be one of {', '.join(METHODS)}")
        for index, behaviour in enumerate(request.behaviours):
            check(method, behaviour, f"behaviours[{index}]")
        with self._db.begin() as transaction:
            scripts.add(transaction, method, request.key, request.behaviours)
        return pb.ScriptBehaviourResponse()

    def ListPayments(
        self, request: pb.ListPaymentsRequest, context: grpc.ServicerContext
    ) -> pb.ListPaymentsResponse:
        """All that arrived."""
        del request, context
        with self._db.read() as transaction:
            rows = transaction.execute(select(payment).order_by(payment.c.number)).all()
        return pb.ListPaymentsResponse(
            payments=[
                pb.ObservedPayment(
                    payment_id=row.payment_id,
                    debit=row.debit,
                    card_token=row.card_token,
                    minor_units=row.minor_units,
                    times_sent=row.times_sent,
                    moved=not row.failure_code,
                )
                for row in rows
            ]
        )

    def ReadTexts(
        self, request: pb.ReadTextsRequest, context: grpc.ServicerContext
    ) -> pb.ReadTextsResponse:
        """What the phone received."""
        del context
        received = (
            select(text_message.c.text)
            .where(text_message.c.mobile == request.mobile, text_message.c.accepted)
            .order_by(text_message.c.number)
        )
        with self._db.read() as transaction:
            texts = transaction.execute(received).scalars().all()
        return pb.ReadTextsResponse(texts=texts)
