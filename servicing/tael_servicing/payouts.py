"""The payouts of a loan: each sent once under one id, asked after until it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import grpc
from sqlalchemy import Connection, Row, func, insert, select, text, update

from tael.provider.v1 import identity_pb2, payment_pb2_grpc
from tael.provider.v1 import payment_pb2 as provider
from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition
from tael_servicing.loans import Contract
from tael_servicing.reasons import Reason
from tael_servicing.tables import payout as payouts

ANSWER_SECONDS = 4
"""So long an answer is waited for: a call is over before its payment counts as lost."""

IN_FLIGHT_SECONDS = 5
"""So long a payment may be on its way before NOT_FOUND means that it never arrived."""

STALE_SECONDS = 1
"""What was not touched for so long lost whoever cared for it."""

NOT_OWN = "CARD_NOT_OWN"
"""Why nothing is paid to a card that is not the borrower's."""

OPEN = ("READY", "SENT")
REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
)
"""Answers by which the provider takes no such payment, now or later: there is none."""


@dataclass(frozen=True)
class Payout:
    """One payout, amounts in minor units."""

    loan_id: str
    number: int
    """1 is the loan's own, the others are tranches."""
    principal: int
    """Our part of the amount."""
    amount: int
    ordered_on: date
    account_token: str
    """The payment provider's, of the borrower's card or the merchant's account."""
    source: str
    merchant_id: str = ""
    """Of an entrusted payment (受托支付)."""
    banks_with_us: bool = False
    """The merchant's account is with us: the provider has nothing to do."""
    purpose_proof: str = ""
    fee_funds: str = ""
    """The amount type that says where fees are paid from; a deposit with us where empty."""
    state: str = "READY"
    known_on: date | None = None
    failure_code: str = ""
    reference: str = ""

    @property
    def key(self) -> str:
        """Names what belongs to it: unique, the loan's own id for its first payout."""
        return self.loan_id if self.number == 1 else f"{self.loan_id}:{self.number}"

    @property
    def payment_id(self) -> str:
        """Its id with the payment provider, for ever."""
        return f"pay:{self.key}"

    @property
    def fee_payment_id(self) -> str:
        """The payment by which a channel collects its fees."""
        return f"fee:{self.key}"

    def message(self, currency_code: str) -> pb.Payout:
        """In the contract's words."""
        message = pb.Payout(
            number=self.number,
            amount=money(self.amount, currency_code),
            state=pb.PayoutState.Value(f"PAYOUT_STATE_{self.state}"),
            payment_mode=pb.PAYMENT_MODE_CASH,
            payment_id=self.payment_id,
            ordered_on=from_date(self.ordered_on),
            known_on=from_date(self.known_on) if self.known_on else None,
            failure_code=self.failure_code,
            reference=self.reference,
            source=self.source,
        )
        if not self.merchant_id:
            message.card_token = self.account_token
            return message
        message.payment_mode = pb.PAYMENT_MODE_ENTRUSTED
        payee = pb.MerchantPayee(
            merchant_id=self.merchant_id,
            account_token=self.account_token,
            purpose_proof=self.purpose_proof,
            banks_with_us=self.banks_with_us,
        )
        message.payee.CopyFrom(payee)
        return message


COLUMNS = [payouts.c[name] for name in Payout.__dataclass_fields__]


@dataclass(frozen=True)
class Outcome:
    """What the provider says."""

    status: provider.PaymentStatus.ValueType
    failure_code: str = ""
    reference: str = ""


NOBODY_KNOWS = Outcome(provider.PAYMENT_STATUS_UNKNOWN)
CREDITED = Outcome(provider.PAYMENT_STATUS_SUCCESS)
"""An account with us needs no provider."""


def prepare(transaction: Connection, payout: Payout) -> None:
    """The payout is to be made."""
    transaction.execute(insert(payouts).values(vars(payout)))


def conclude(
    transaction: Connection, payout: Payout, state: str, outcome: Outcome, day: date
) -> None:
    """It is known: PAID or FAILED."""
    transaction.execute(
        update(payouts)
        .where(payouts.c.loan_id == payout.loan_id, payouts.c.number == payout.number)
        .values(
            state=state,
            known_on=day,
            failure_code=outcome.failure_code,
            reference=outcome.reference,
        )
    )


def under_way(connection: Connection, loan_id: str) -> Payout | None:
    """The payout of a loan that is not yet known, where there is one."""
    found = connection.execute(
        select(*COLUMNS).where(payouts.c.loan_id == loan_id, payouts.c.state.in_(OPEN))
    ).first()
    return _payout(found) if found else None


def check_none_under_way(connection: Connection, loan_id: str) -> None:
    """Raises FailedPrecondition PAYOUT_UNDER_WAY."""
    if found := under_way(connection, loan_id):
        raise FailedPrecondition(
            Reason.PAYOUT_UNDER_WAY, f"payout {found.number} is not known yet", loan_id
        )


def page(connection: Connection, loan_id: str, after: int, size: int) -> list[Payout]:
    """A page of a loan's payouts, by number."""
    rows = connection.execute(
        select(*COLUMNS)
        .where(payouts.c.loan_id == loan_id, payouts.c.number > after)
        .order_by(payouts.c.number)
        .limit(size)
    )
    return [_payout(row) for row in rows]


def made(connection: Connection, loan_id: str) -> list[Payout]:
    """A loan's payouts that were made, by number."""
    rows = connection.execute(
        select(*COLUMNS)
        .where(payouts.c.loan_id == loan_id, payouts.c.state == "PAID")
        .order_by(payouts.c.number)
    )
    return [_payout(row) for row in rows]


def next_number(connection: Connection, loan_id: str) -> int:
    """The number of a locked loan's next payout."""
    last = connection.execute(
        select(func.max(payouts.c.number)).where(payouts.c.loan_id == loan_id)
    ).scalar()
    return int(last or 0) + 1


def _payout(row: Row[Any]) -> Payout:
    return Payout(**row._asdict())


def left_open(database: Database) -> list[Payout]:
    """Payouts that nobody has cared for lately."""
    old = func.now() - text(f"interval '{STALE_SECONDS} seconds'")
    query = select(*COLUMNS).where(payouts.c.state.in_(OPEN), payouts.c.touched_at < old)
    with database.engine.connect() as connection:
        rows = connection.execute(query.order_by(payouts.c.touched_at).limit(200)).all()
    return [_payout(row) for row in rows]


UNSENT = "state = 'READY' AND failure_code = ''"
SENT = {"state": "SENT", "sent_at": func.now()}
"""Written before it is sent."""
LOST = f"state = 'SENT' AND sent_at < now() - interval '{IN_FLIGHT_SECONDS} seconds'"


class Payouts:
    """Sends payouts and asks after them."""

    def __init__(
        self, database: Database, payments: payment_pb2_grpc.PaymentProviderServiceStub
    ) -> None:
        self._db = database
        self._payments = payments

    def settle(self, payout: Payout, contract: Contract) -> Outcome:
        """Sends the payout where it was not sent, else asks what became of it.

        A card is paid once it is known to be the borrower's own; until somebody can say, it waits.
        """
        if payout.banks_with_us:
            return CREDITED
        if payout.state == "READY" and not payout.merchant_id:
            withheld = self._withheld(payout, contract.customer_id)
            if withheld is not None:
                return withheld
        if self._take(payout, UNSENT, SENT):
            return self._send(payout, contract.currency_code)
        return self._ask(payout, contract.currency_code)

    def _withheld(self, payout: Payout, customer_id: str) -> Outcome | None:
        """Why the card is not paid, now or ever; None where it is the customer's.

        A refusal is kept before anybody is told: whatever is answered next time, it is not paid.
        """
        if payout.failure_code:
            return Outcome(provider.PAYMENT_STATUS_FAILED, payout.failure_code)
        found = self._doubt(payout, customer_id)
        if found is None or found.status != provider.PAYMENT_STATUS_FAILED:
            return found
        kept = self._take(payout, UNSENT, {"failure_code": found.failure_code})
        return found if kept else NOBODY_KNOWS

    def _doubt(self, payout: Payout, customer_id: str) -> Outcome | None:
        """What the provider has against the card's being the customer's."""
        request = provider.VerifyCardHolderRequest(
            card_token=payout.account_token, holder_id=customer_id
        )
        try:
            answer = self._payments.VerifyCardHolder(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            return refused(error)
        if answer.result == identity_pb2.MATCH_RESULT_MATCH:
            return None
        if answer.result == identity_pb2.MATCH_RESULT_MISMATCH:
            return Outcome(provider.PAYMENT_STATUS_FAILED, NOT_OWN, answer.reference)
        return NOBODY_KNOWS

    def care(self, payout: Payout) -> None:
        """Keeps it from the loop for a while."""
        self._take(payout, "state IN ('READY', 'SENT')")

    def _send(self, payout: Payout, currency_code: str) -> Outcome:
        try:
            return self._pay(payout, currency_code)
        except grpc.RpcError as error:
            return refused(error)

    def _send_again(self, payout: Payout, currency_code: str) -> Outcome:
        """A refusal now says nothing of what was sent before: it is kept, and is the last word once the
        provider has known of neither for as long as they may be on their way.
        """
        try:
            return self._pay(payout, currency_code)
        except grpc.RpcError as error:
            code = refused(error).failure_code
        self._take(payout, "state = 'SENT'", {"failure_code": code})
        return NOBODY_KNOWS

    def _pay(self, payout: Payout, currency_code: str) -> Outcome:
        to = "account_token" if payout.merchant_id else "card_token"
        request = provider.PayRequest(
            payment_id=payout.payment_id,
            amount=money(payout.amount, currency_code),
            date=from_date(payout.ordered_on),
            memo=payout.loan_id,
            **{to: payout.account_token},
        )
        return told(self._payments.Pay(request, timeout=ANSWER_SECONDS).payment)

    def _ask(self, payout: Payout, currency_code: str) -> Outcome:
        request = provider.QueryPaymentRequest(payment_id=payout.payment_id)
        self._take(payout, "state = 'SENT'")
        try:
            return told(self._payments.QueryPayment(request, timeout=ANSWER_SECONDS).payment)
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.NOT_FOUND:
                return NOBODY_KNOWS
        if not self._take(payout, LOST, {} if payout.failure_code else SENT):
            return NOBODY_KNOWS
        if payout.failure_code:
            return Outcome(provider.PAYMENT_STATUS_FAILED, payout.failure_code)
        return self._send_again(payout, currency_code)

    def _take(
        self, payout: Payout, condition: str, values: Mapping[str, Any] | None = None
    ) -> bool:
        """Notes that it is being cared for; False where the condition does not hold (any more)."""
        mine = (payouts.c.loan_id == payout.loan_id) & (payouts.c.number == payout.number)
        with self._db.begin() as transaction:
            taken = transaction.execute(
                update(payouts)
                .where(mine, text(condition))
                .values(touched_at=func.now(), **(values or {}))
            )
        return bool(taken.rowcount)


def told(payment: provider.Payment) -> Outcome:
    """The provider's answer."""
    return Outcome(payment.status, payment.failure_code, payment.reference)


def refused(error: grpc.RpcError) -> Outcome:
    """A refusal to take what was never sent is final; of any other failure nobody knows."""
    if isinstance(error, grpc.Call) and error.code() in REFUSALS:
        return Outcome(provider.PAYMENT_STATUS_FAILED, f"REFUSED_{error.code().name}")
    return NOBODY_KNOWS
