"""VerificationService: the phone by a code; name, face and card by the registries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import customer_pb2 as pb
from tael.origination.v1 import customer_pb2_grpc
from tael.provider.v1 import identity_pb2, identity_pb2_grpc, message_pb2, message_pb2_grpc
from tael_client.values import from_instant
from tael_origination import cards, checks, consents, customers, events, phone_codes
from tael_origination.checks import Finding, Kind, Result
from tael_origination.customers import CustomerFile, Person
from tael_origination.face_stream import read_face
from tael_origination.identifiers import passes_luhn
from tael_origination.reasons import Reason
from tael_origination.requests import WRONG_CODE, made_once
from tael_origination.today import shanghai_day
from tael_origination.verification import Verifier, read_result
from tael_runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from tael_runtime.server import Runtime

CARD_TRIES_A_DAY = 3


class Verifications(customer_pb2_grpc.VerificationServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime, file: CustomerFile) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._file = file
        self._verifier = Verifier(runtime, file)
        self._registry = runtime.client("providers", identity_pb2_grpc.IdentityProviderServiceStub)
        self._messages = runtime.client("providers", message_pb2_grpc.MessageProviderServiceStub)

    def SendPhoneCode(
        self, request: pb.SendPhoneCodeRequest, context: grpc.ServicerContext
    ) -> pb.SendPhoneCodeResponse:
        """Sends a code; the same request again sends the same text, once."""
        del context
        code_id = made_once(
            self._db,
            "SendPhoneCode",
            request,
            lambda transaction: phone_codes.issue(
                transaction, request.customer_id, shanghai_day(self._clock), self._clock.now()
            ),
        )
        with self._db.read() as snapshot:
            expires_at = phone_codes.expiry(snapshot, code_id)
            mobile = self._file.person(snapshot, request.customer_id).mobile
        self._send(code_id, mobile)
        return pb.SendPhoneCodeResponse(expires_at=from_instant(expires_at))

    def _send(self, code_id: str, mobile: str) -> None:
        code = phone_codes.code_of(self._cipher, code_id)
        text = f"【Tael】验证码 {code}，10分钟内有效，请勿告知他人。"
        refused = Unavailable(Reason.TEXT_NOT_SENT, "the text was not sent; repeat the request")
        try:
            answer = self._messages.SendText(
                message_pb2.SendTextRequest(message_id=code_id, mobile=mobile, text=text)
            )
        except grpc.RpcError as error:
            raise refused from error
        if not answer.accepted:
            raise refused

    def VerifyPhone(
        self, request: pb.VerifyPhoneRequest, context: grpc.ServicerContext
    ) -> pb.VerifyPhoneResponse:
        """Proves the phone."""
        del context
        customer_id = request.customer_id

        def work(transaction: Connection) -> str:
            customers.lock(transaction, customer_id)
            now = self._clock.now()
            if not phone_codes.spend(transaction, self._cipher, customer_id, request.code, now):
                return WRONG_CODE
            day = shanghai_day(self._clock)
            check_id = checks.start(transaction, customer_id, Kind.PHONE, day, now)
            checks.settle(transaction, check_id, Finding(Result.MATCH))
            events.customer_changed(transaction, self._file.masked(transaction, customer_id))
            return check_id

        if made_once(self._db, "VerifyPhone", request, work) == WRONG_CODE:
            raise phone_codes.refuse_wrong(customer_id)
        return pb.VerifyPhoneResponse(status=self._status(customer_id))

    def VerifyRealName(
        self, request: pb.VerifyRealNameRequest, context: grpc.ServicerContext
    ) -> pb.VerifyRealNameResponse:
        """Asks the population registry; the status tells its verdict."""
        del context

        def ask(person: Person) -> Finding:
            answer = self._registry.CheckRealName(
                identity_pb2.CheckRealNameRequest(name=person.name, id_number=person.id_number)
            )
            return Finding(read_result(answer.result), answer.reference)

        self._verifier.check("VerifyRealName", request, Kind.REAL_NAME, ask)
        return pb.VerifyRealNameResponse(status=self._status(request.customer_id))

    def VerifyFace(
        self, request_iterator: Iterator[pb.VerifyFaceRequest], context: grpc.ServicerContext
    ) -> pb.VerifyFaceResponse:
        """Compares a face; the status tells the score. The image is not kept."""
        del context
        header, image = read_face(request_iterator)

        def admit(transaction: Connection) -> None:
            today = shanghai_day(self._clock)
            consents.require_live(transaction, header.customer_id, "FACE", today)

        def ask(person: Person) -> Finding:
            answer = self._registry.CompareFace(
                identity_pb2.CompareFaceRequest(
                    name=person.name, id_number=person.id_number, image=image
                )
            )
            result = checks.face_result(answer.score, live=answer.live)
            return Finding(result, answer.reference, answer.score, answer.live)

        image_hash = hashlib.sha256(image).digest()
        self._verifier.check(
            "VerifyFace", header, Kind.FACE, ask, admit=admit, image_hash=image_hash
        )
        return pb.VerifyFaceResponse(status=self._status(header.customer_id))

    def BindCard(
        self, request: pb.BindCardRequest, context: grpc.ServicerContext
    ) -> pb.BindCardResponse:
        """Binds a card whose four elements agree."""
        del context
        customer_id = request.customer_id
        if not passes_luhn(request.card_number):
            raise InvalidArgument("card_number", "its check digit is wrong (Luhn)")
        bound = identity_pb2.CheckFourElementsResponse()

        def admit(transaction: Connection) -> None:
            day = shanghai_day(self._clock)
            tries = checks.tries_of_day(transaction, customer_id, Kind.FOUR_ELEMENTS, day)
            if tries >= CARD_TRIES_A_DAY:
                raise ResourceExhausted(
                    Reason.TOO_MANY_CARD_TRIES, f"{tries} cards were tried on {day}"
                )

        def ask(person: Person) -> Finding:
            bound.CopyFrom(
                self._registry.CheckFourElements(
                    identity_pb2.CheckFourElementsRequest(
                        name=person.name,
                        id_number=person.id_number,
                        card_number=request.card_number,
                        mobile=request.mobile,
                        holder_id=customer_id,
                    )
                )
            )
            return Finding(read_result(bound.result), bound.reference)

        def effect(transaction: Connection) -> None:
            cards.bind(
                transaction,
                self._cipher,
                customer_id,
                request.card_number,
                bound.card_token,
                bound.bank,
                self._clock.now(),
            )

        finding = self._verifier.check(
            "BindCard", request, Kind.FOUR_ELEMENTS, ask, admit=admit, effect=effect
        )
        if finding.result is Result.MISMATCH:
            raise FailedPrecondition(
                Reason.CARD_MISMATCH,
                "name, identity number, card and mobile do not agree at the bank",
                customer_id,
            )
        with self._db.read() as snapshot:
            card = cards.by_number(snapshot, self._cipher, customer_id, request.card_number)
        return pb.BindCardResponse(card=card)

    def _status(self, customer_id: str) -> pb.VerificationStatus:
        with self._db.read() as snapshot:
            return checks.status(snapshot, customer_id)
