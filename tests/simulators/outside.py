"""The outside world's stubs for the tests, and short names for what they send."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from support import House, day
from tael.provider.v1 import (
    bureau_pb2_grpc,
    identity_pb2_grpc,
    message_pb2_grpc,
    payment_pb2,
    payment_pb2_grpc,
    simulator_pb2,
    simulator_pb2_grpc,
)
from tael_client.values import money

MOBILE = "13800138000"
CARD = "6222021234567890123"


def fresh_id_number(digits: str = "00") -> str:
    """An ID number nobody else uses, with digits 15 and 16 as given."""
    return f"110105{uuid4().int % 10**8:08d}{digits}1X"


@dataclass
class Outside:
    """Every port of a running simulator."""

    house: House

    def __post_init__(self) -> None:
        client = self.house.client
        self.identity = client("simulators", identity_pb2_grpc.IdentityProviderServiceStub)
        self.bureau = client("simulators", bureau_pb2_grpc.BureauProviderServiceStub)
        self.data = client("simulators", bureau_pb2_grpc.ExternalDataProviderServiceStub)
        self.payments = client("simulators", payment_pb2_grpc.PaymentProviderServiceStub)
        self.messages = client("simulators", message_pb2_grpc.MessageProviderServiceStub)
        self.simulator = client("simulators", simulator_pb2_grpc.SimulatorServiceStub)

    def script(self, method: str, key: str, *behaviours: simulator_pb2.Behaviour) -> None:
        """Scripts "PaymentProviderService/Pay" and the like."""
        self.simulator.ScriptBehaviour(
            simulator_pb2.ScriptBehaviourRequest(
                method=f"tael.provider.v1.{method}", key=key, behaviours=behaviours
            )
        )

    def pay(
        self, payment_id: str, card: str = "card_a", minor_units: int = 100_000
    ) -> payment_pb2.Payment:
        """Pays to a card."""
        request = payment_pb2.PayRequest(
            payment_id=payment_id,
            card_token=card,
            amount=money(minor_units),
            date=day("2026-01-15"),
        )
        return self.payments.Pay(request).payment

    def debit(self, payment_id: str, card: str = "card_a") -> payment_pb2.Payment:
        """Asks a card for money."""
        request = payment_pb2.DebitRequest(
            payment_id=payment_id, card_token=card, amount=money(100_000), date=day("2026-01-15")
        )
        return self.payments.Debit(request).payment

    def query(self, payment_id: str) -> payment_pb2.Payment:
        """What became of a payment."""
        request = payment_pb2.QueryPaymentRequest(payment_id=payment_id)
        return self.payments.QueryPayment(request).payment

    def observed(self, payment_id: str) -> simulator_pb2.ObservedPayment | None:
        """A payment on the bank's statement, where it is there."""
        listed = self.simulator.ListPayments(simulator_pb2.ListPaymentsRequest()).payments
        return next((found for found in listed if found.payment_id == payment_id), None)
