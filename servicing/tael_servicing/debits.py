"""Direct debits: what is due is asked of the bound card on the due date, once under one id."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import grpc
from sqlalchemy import ColumnElement, Connection, func, insert, select, text, update

from tael.provider.v1 import payment_pb2 as provider
from tael.provider.v1 import payment_pb2_grpc
from tael_client.values import from_date, money
from tael_runtime.database import Database
from tael_servicing.loans import Held
from tael_servicing.payouts import NOBODY_KNOWS, Outcome, told
from tael_servicing.tables import direct_debit as debits

ASKED = ("SENDING", "UNKNOWN")
"""Sent, perhaps, and without an answer that says what became of it."""
OPEN = ("PREPARED", *ASKED, "SUCCESS")
IN_FLIGHT_SECONDS = 5.0
"""So long a debit may be on its way before NOT_FOUND means that it never arrived."""
STATES = {
    provider.PAYMENT_STATUS_SUCCESS: "SUCCESS",
    provider.PAYMENT_STATUS_FAILED: "FAILED",
}


@dataclass(frozen=True)
class Debit:
    """One loan's debit of one due date."""

    loan_id: str
    due_date: date
    card_token: str
    currency_code: str
    amount: int
    state: str
    reference: str

    @property
    def payment_id(self) -> str:
        """Its id with the provider, for ever."""
        return f"debit:{self.loan_id}:{self.due_date}"


COLUMNS = [debits.c[name] for name in Debit.__dataclass_fields__]


def prepare(transaction: Connection, due: Sequence[Held]) -> None:
    """What each loan owes today is to be debited."""
    rows = [
        {
            "loan_id": held.contract.loan_id,
            "due_date": held.loan.business_date,
            "book_id": held.contract.book_id,
            "card_token": held.contract.card_token,
            "currency_code": held.contract.currency_code,
            "amount": held.loan.amount_due,
        }
        for held in due
        if held.loan.amount_due
    ]
    if rows:
        transaction.execute(insert(debits), rows)


def unresolved(transaction: Connection, book_id: str, *, before: date) -> list[str]:
    """Loans with a debit due before a date that is neither allocated nor failed, by loan."""
    rows = transaction.execute(
        select(debits.c.loan_id)
        .where(debits.c.book_id == book_id, debits.c.due_date < before, debits.c.state.in_(OPEN))
        .distinct()
        .order_by(debits.c.loan_id)
    )
    return list(rows.scalars())


def of_loans(
    transaction: Connection, loan_ids: Sequence[str], states: Sequence[str]
) -> list[Debit]:
    """The debits of loans in given states, oldest first."""
    rows = transaction.execute(
        select(*COLUMNS)
        .where(debits.c.loan_id == func.any(list(loan_ids)), debits.c.state.in_(states))
        .order_by(debits.c.due_date, debits.c.loan_id)
    )
    return [Debit(*row) for row in rows]


def allocated(transaction: Connection, debit: Debit) -> None:
    """Its money is booked."""
    transaction.execute(update(debits).where(*_is(debit)).values(state="ALLOCATED"))


def _is(debit: Debit) -> tuple[ColumnElement[bool], ...]:
    return debits.c.loan_id == debit.loan_id, debits.c.due_date == debit.due_date


class Debits:
    """Sends debits and asks after them."""

    def __init__(
        self, database: Database, payments: payment_pb2_grpc.PaymentProviderServiceStub
    ) -> None:
        self._db = database
        self._payments = payments

    def run(self, stop: threading.Event) -> None:
        """The loop that sends what the opening of a day prepared; nobody waits for it."""
        query = select(*COLUMNS).where(debits.c.state == "PREPARED")
        query = query.order_by(debits.c.due_date, debits.c.loan_id).limit(200)
        while not stop.wait(0.2):
            with self._db.engine.connect() as connection:
                found = [Debit(*row) for row in connection.execute(query)]
            for debit in found:
                if stop.is_set():
                    return
                self._send(debit)

    def resolve(self, loan_ids: Sequence[str]) -> None:
        """Learns what became of the debits of loans, sending what was not sent.

        What nobody can tell yet stays as it is.
        """
        with self._db.read() as connection:
            found = of_loans(connection, loan_ids, ("PREPARED", *ASKED))
        for debit in found:
            if not self._send(debit):
                self._ask(debit)

    def _send(self, debit: Debit, condition: str = "state = 'PREPARED'") -> bool:
        """Sends it where the condition holds (still)."""
        with self._db.begin() as transaction:
            taken = transaction.execute(
                update(debits)
                .where(*_is(debit), text(condition))
                .values(state="SENDING", touched_at=func.now())
            ).rowcount
        if not taken:
            return False
        request = provider.DebitRequest(
            payment_id=debit.payment_id,
            card_token=debit.card_token,
            amount=money(debit.amount, debit.currency_code),
            date=from_date(debit.due_date),
        )
        try:
            self._learn(debit, told(self._payments.Debit(request).payment))
        except grpc.RpcError:
            self._learn(debit, NOBODY_KNOWS)
        return True

    def _ask(self, debit: Debit) -> None:
        if self._wait_for_sender(debit) not in ASKED:
            return
        request = provider.QueryPaymentRequest(payment_id=debit.payment_id)
        try:
            self._learn(debit, told(self._payments.QueryPayment(request).payment))
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
                lost = f"touched_at < now() - interval '{IN_FLIGHT_SECONDS} seconds'"
                self._send(debit, f"state IN ('SENDING', 'UNKNOWN') AND {lost}")

    def _wait_for_sender(self, debit: Debit) -> str:
        """Its state once whoever sends it has an answer, or is given up."""
        end = time.monotonic() + IN_FLIGHT_SECONDS
        query = select(debits.c.state).where(*_is(debit))
        while True:
            with self._db.engine.connect() as connection:
                state: str = connection.execute(query).scalar_one()
            if state != "SENDING" or time.monotonic() > end:
                return state
            time.sleep(0.02)

    def _learn(self, debit: Debit, outcome: Outcome) -> None:
        """Keeps an answer; one that comes after another was acted on changes nothing any more."""
        with self._db.begin() as transaction:
            transaction.execute(
                update(debits)
                .where(*_is(debit), debits.c.state.in_(ASKED))
                .values(
                    state=STATES.get(outcome.status, "UNKNOWN"),
                    failure_code=outcome.failure_code,
                    reference=outcome.reference,
                    touched_at=func.now(),
                )
            )
