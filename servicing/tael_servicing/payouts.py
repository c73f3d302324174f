"""The payout of a loan: sent once under one id, asked after until it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from sqlalchemy import Connection, func, insert, select, text, update

from tael.provider.v1 import payment_pb2 as provider
from tael.provider.v1 import payment_pb2_grpc
from tael_client.values import from_date, money
from tael_runtime.database import Database
from tael_servicing.loans import Contract
from tael_servicing.tables import payout

ANSWER_SECONDS = 4
"""So long an answer is waited for: a call is over before its payment counts as lost."""

IN_FLIGHT_SECONDS = 5
"""So long a payment may be on its way before NOT_FOUND means that it never arrived."""

STALE_SECONDS = 1
"""What was not touched for so long lost whoever cared for it."""


@dataclass(frozen=True)
class Outcome:
    """What the provider says."""

    status: provider.PaymentStatus.ValueType
    failure_code: str = ""
    reference: str = ""


NOBODY_KNOWS = Outcome(provider.PAYMENT_STATUS_UNKNOWN)


def prepare(transaction: Connection, loan_id: str) -> None:
    """The payout is to be made."""
    transaction.execute(insert(payout).values(loan_id=loan_id))


def conclude(transaction: Connection, loan_id: str, state: str, outcome: Outcome) -> None:
    """It is known: PAID or FAILED."""
    transaction.execute(
        update(payout)
        .where(payout.c.loan_id == loan_id)
        .values(state=state, failure_code=outcome.failure_code, reference=outcome.reference)
    )


def left_open(database: Database) -> list[str]:
    """Loans whose payout nobody has cared for lately."""
    old = func.now() - text(f"interval '{STALE_SECONDS} seconds'")
    query = select(payout.c.loan_id).where(
        payout.c.state.in_(("READY", "SENT")), payout.c.touched_at < old
    )
    with database.engine.connect() as connection:
        return list(connection.execute(query.order_by(payout.c.touched_at).limit(200)).scalars())


SENT = {"state": "SENT", "sent_at": func.now()}
"""Written before it is sent."""


class Payouts:
    """Sends payouts and asks after them."""

    def __init__(
        self, database: Database, payments: payment_pb2_grpc.PaymentProviderServiceStub
    ) -> None:
        self._db = database
        self._payments = payments

    def settle(self, contract: Contract) -> Outcome:
        """Sends the payout where it was not sent, else asks what became of it."""
        if self._take(contract.loan_id, "state = 'READY'", SENT):
            return self._send(contract)
        return self._ask(contract)

    def care(self, loan_id: str) -> None:
        """Keeps it from the loop for a while."""
        self._take(loan_id, "state IN ('READY', 'SENT')")

    def _send(self, contract: Contract) -> Outcome:
        request = provider.PayRequest(
            payment_id=contract.payment_id,
            card_token=contract.card_token,
            amount=money(contract.principal, contract.currency_code),
            date=from_date(contract.start_date),
            memo=contract.loan_id,
        )
        try:
            return told(self._payments.Pay(request, timeout=ANSWER_SECONDS).payment)
        except grpc.RpcError:
            return NOBODY_KNOWS

    def _ask(self, contract: Contract) -> Outcome:
        request = provider.QueryPaymentRequest(payment_id=contract.payment_id)
        self._take(contract.loan_id, "state = 'SENT'")
        try:
            return told(self._payments.QueryPayment(request).payment)
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.NOT_FOUND:
                return NOBODY_KNOWS
        lost = f"sent_at < now() - interval '{IN_FLIGHT_SECONDS} seconds'"
        if self._take(contract.loan_id, f"state = 'SENT' AND {lost}", SENT):
            return self._send(contract)
        return NOBODY_KNOWS

    def _take(self, loan_id: str, condition: str, values: Mapping[str, Any] | None = None) -> bool:
        """Notes that it is being cared for; False where the condition does not hold (any more)."""
        with self._db.begin() as transaction:
            taken = transaction.execute(
                update(payout)
                .where(payout.c.loan_id == loan_id, text(condition))
                .values(touched_at=func.now(), **(values or {}))
            )
        return bool(taken.rowcount)


def told(payment: provider.Payment) -> Outcome:
    """The provider's answer."""
    return Outcome(payment.status, payment.failure_code, payment.reference)
