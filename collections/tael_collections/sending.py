"""Texts sent and calls placed through the message provider, under a permit.

The number is asked of origination for each contact and kept nowhere. The provider's id is made from
the contact's (a reminder's from its own), so that sending again sends nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from tael.origination.v1 import customer_pb2, customer_pb2_grpc
from tael.provider.v1 import message_pb2, message_pb2_grpc
from tael_collections.contact_rules import Channel
from tael_collections.outcomes import Result
from tael_runtime.server import Runtime

CALL_KINDS = {
    Channel.IVR: message_pb2.CALL_KIND_IVR,
    Channel.AI_CALL: message_pb2.CALL_KIND_AI,
    Channel.HUMAN_CALL: message_pb2.CALL_KIND_HUMAN,
    Channel.AGENCY_CALL: message_pb2.CALL_KIND_HUMAN,
}
BY_PEOPLE = (Channel.HUMAN_CALL, Channel.AGENCY_CALL)
NOT_CONNECTED = {
    message_pb2.CALL_OUTCOME_NO_ANSWER: Result.NO_ANSWER,
    message_pb2.CALL_OUTCOME_BUSY: Result.BUSY,
    message_pb2.CALL_OUTCOME_DEAD_NUMBER: Result.DEAD_NUMBER,
}


@dataclass(frozen=True)
class Delivery:
    """What the provider said."""

    result: Result
    """UNSPECIFIED after a connected call by a person, who reports it."""
    connected: bool | None
    """Of a call; None of a text."""
    recording: str = ""


class Sender:
    """The way out to debtors; used by nothing but what holds a permit."""

    def __init__(self, runtime: Runtime) -> None:
        self._customers = runtime.client("origination", customer_pb2_grpc.CustomerServiceStub)
        self._provider = runtime.client("providers", message_pb2_grpc.MessageProviderServiceStub)
        self._cipher = runtime.cipher

    def reveal(self, customer_id: str, reason: str) -> str:
        """The debtor's mobile in clear; the reveal is recorded where it is made."""
        answer = self._customers.RevealContact(
            customer_pb2.RevealContactRequest(customer_id=customer_id, reason=reason)
        )
        return answer.mobile

    def number_index(self, mobile: str) -> bytes:
        """The keyed hash that counts dials to a number."""
        return self._cipher.blind_index("mobile", mobile)

    def send(self, channel: Channel, delivery_id: str, mobile: str, content: str) -> Delivery:
        """Sends or calls; an RpcError leaves the outcome unknown and the slots taken."""
        if channel is Channel.SMS:
            sent = self._provider.SendText(
                message_pb2.SendTextRequest(message_id=delivery_id, mobile=mobile, text=content)
            )
            return Delivery(Result.SENT if sent.accepted else Result.DEAD_NUMBER, None)
        call = self._provider.PlaceCall(
            message_pb2.PlaceCallRequest(
                call_id=delivery_id, mobile=mobile, kind=CALL_KINDS[channel], script=content
            )
        )
        if call.outcome in NOT_CONNECTED:
            return Delivery(NOT_CONNECTED[call.outcome], False, call.recording)
        # origination proved the phone to be the debtor's own; a person reports who answered it
        heard = Result.UNSPECIFIED if channel in BY_PEOPLE else Result.CONNECTED_DEBTOR
        return Delivery(heard, True, call.recording)
