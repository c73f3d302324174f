"""The population registry and the cards' banks."""

from __future__ import annotations

import hashlib

import grpc

from tael.provider.v1 import identity_pb2 as pb
from tael.provider.v1 import identity_pb2_grpc
from tael_runtime.database import Database
from tael_simulators import card_holders, methods, scripts
from tael_simulators.arrivals import reference
from tael_simulators.methods import apply_figures
from tael_simulators.people import CLEAN_FACE, person

BANKS = {
    "621700": "中国建设银行",
    "622202": "中国工商银行",
    "622588": "招商银行",
    "622848": "中国农业银行",
    "621660": "中国银行",
}
"""By the card number's first six digits."""
OTHER_BANK = "模拟银行"


def card_token(card_number: str) -> str:
    """The token that stands for a card: the same for the same card, in every run."""
    return f"card_{hashlib.sha256(card_number.encode()).hexdigest()[:32]}"


def match_result(outcome: str) -> pb.MatchResult.ValueType:
    """A registry's word in the contract's."""
    return pb.MatchResult.Value(f"MATCH_RESULT_{outcome}")


class Identity(identity_pb2_grpc.IdentityProviderServiceServicer):
    """Answers by people.py unless scripted; key: ID number, and for a card its number and mobile."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def CheckRealName(
        self, request: pb.CheckRealNameRequest, context: grpc.ServicerContext
    ) -> pb.CheckRealNameResponse:
        """Name and number."""
        keys = (request.id_number,)
        behaviour = scripts.behave(self._db, methods.CHECK_REAL_NAME, keys, context)
        outcome = behaviour.outcome or person(request.id_number).real_name
        return pb.CheckRealNameResponse(
            result=match_result(outcome),
            reference=reference("name", request.name, request.id_number),
        )

    def CompareFace(
        self, request: pb.CompareFaceRequest, context: grpc.ServicerContext
    ) -> pb.CompareFaceResponse:
        """Score and liveness."""
        keys = (request.id_number,)
        behaviour = scripts.behave(self._db, methods.COMPARE_FACE, keys, context)
        image = hashlib.sha256(request.image).hexdigest()
        answer = pb.CompareFaceResponse(reference=reference("face", request.id_number, image))
        figures = {**CLEAN_FACE, **person(request.id_number).face, **behaviour.figures}
        apply_figures(answer, figures)
        return answer

    def CheckFourElements(
        self, request: pb.CheckFourElementsRequest, context: grpc.ServicerContext
    ) -> pb.CheckFourElementsResponse:
        """The four elements; a token where they agree."""
        keys = (request.id_number, request.card_number, request.mobile)
        behaviour = scripts.behave(self._db, methods.CHECK_FOUR_ELEMENTS, keys, context)
        outcome = behaviour.outcome or person(request.id_number).four_elements
        token = card_token(request.card_number) if outcome == "MATCH" else ""
        if token and request.holder_id:
            card_holders.keep(self._db, token, request.holder_id)
        return pb.CheckFourElementsResponse(
            result=match_result(outcome),
            card_token=token,
            bank=BANKS.get(request.card_number[:6], OTHER_BANK),
            reference=reference("card", request.name, *keys),
        )
