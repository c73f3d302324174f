"""Texts and calls."""

from __future__ import annotations

import grpc
from sqlalchemy import select

from tael.provider.v1 import message_pb2 as pb
from tael.provider.v1 import message_pb2_grpc
from tael.provider.v1.simulator_pb2 import Behaviour
from tael_runtime.database import Database
from tael_simulators.arrivals import receive, reference
from tael_simulators.methods import PLACE_CALL, SEND_TEXT
from tael_simulators.tables import phone_call, text_message

SHORTEST_TALK = 10
CHARACTERS_A_SECOND = 4


class Messages(message_pb2_grpc.MessageProviderServiceServicer):
    """Keys: mobile and the message's or call's id. Texts arrive, calls connect unless scripted."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def SendText(
        self, request: pb.SendTextRequest, context: grpc.ServicerContext
    ) -> pb.SendTextResponse:
        """A text; what is not accepted does not reach the phone."""

        def values(behaviour: Behaviour) -> dict[str, object]:
            accepted = bool(behaviour.figures.get("accepted", 1))
            return {"mobile": request.mobile, "text": request.text, "accepted": accepted}

        keys = (request.mobile, request.message_id)
        receive(self._db, text_message, SEND_TEXT, request, keys, values, context)
        kept = select(text_message).where(text_message.c.message_id == request.message_id)
        with self._db.read() as transaction:
            row = transaction.execute(kept).one()
        return pb.SendTextResponse(
            accepted=row.accepted, reference=reference("text", request.message_id)
        )

    def PlaceCall(
        self, request: pb.PlaceCallRequest, context: grpc.ServicerContext
    ) -> pb.PlaceCallResponse:
        """A call; connected ones last as long as their words take, and are recorded."""

        def values(behaviour: Behaviour) -> dict[str, object]:
            outcome = pb.CallOutcome.Value(f"CALL_OUTCOME_{behaviour.outcome or 'CONNECTED'}")
            talk = 0
            if outcome == pb.CALL_OUTCOME_CONNECTED:
                talk = max(SHORTEST_TALK, len(request.script) // CHARACTERS_A_SECOND)
            return {"outcome": outcome, "seconds": behaviour.figures.get("seconds", talk)}

        keys = (request.mobile, request.call_id)
        receive(self._db, phone_call, PLACE_CALL, request, keys, values, context)
        kept = select(phone_call).where(phone_call.c.call_id == request.call_id)
        with self._db.read() as transaction:
            row = transaction.execute(kept).one()
        connected = row.outcome == pb.CALL_OUTCOME_CONNECTED
        return pb.PlaceCallResponse(
            outcome=row.outcome,
            seconds=row.seconds,
            recording=f"{reference('recording', request.call_id)}.wav" if connected else "",
        )
