"""Sends submitted debits a page at a time and asks after those without an answer.

Nobody waits for it. A page is SENDING in the store before it leaves, so that a process which dies
between sending and learning leaves debits that are asked after, and never asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import grpc
from sqlalchemy import ColumnElement, func, select, text, update

from tael.provider.v1 import payment_pb2 as provider
from tael.provider.v1 import payment_pb2_grpc
from tael_client.values import from_date, money
from tael_runtime.database import Database
from tael_servicing import books, debit_results, debits, loan_store
from tael_servicing.debit_results import Result, told
from tael_servicing.debits import ASKED, COLUMNS, Debit
from tael_servicing.failure_codes import NEVER_ARRIVED, REFUSED
from tael_servicing.tables import debit_batch, direct_debit, loan_state

DEBITS_A_CALL = 100
"""Bounds how long their loans are locked while what they owe is read."""
QUERIES_A_PASS = 200
ANSWER_SECONDS = 4
"""So long an answer is waited for: a call is over before its debits count as lost."""
IN_FLIGHT_SECONDS = 5
"""So long a debit may be on its way before NOT_FOUND means that it never arrived."""
ASK_AGAIN = (
    f"(state = 'SENDING' AND sent_at < now() - interval '{IN_FLIGHT_SECONDS} seconds')"
    " OR (state = 'UNKNOWN' AND touched_at < now()"
    " - greatest(interval '1 second', least(interval '1 minute', (now() - sent_at) / 8)))"
)
"""The longer nobody knows, the more seldom it is asked."""
PAGE = (
    select(*COLUMNS)
    .join_from(direct_debit, debit_batch)
    .where(direct_debit.c.state == "PREPARED", debit_batch.c.state == "SUBMITTED")
    .order_by(direct_debit.c.touched_at, direct_debit.c.payment_id)
    .limit(DEBITS_A_CALL)
)
UNANSWERED = (
    select(*COLUMNS)
    .where(direct_debit.c.state.in_(ASKED), text(ASK_AGAIN))
    .order_by(direct_debit.c.touched_at)
    .limit(QUERIES_A_PASS)
)
LOOK = select(PAGE.exists().label("waiting"), UNANSWERED.exists().label("unanswered"))


class DebitSender:
    """Sends debits and asks after them."""

    def __init__(
        self, database: Database, payments: payment_pb2_grpc.PaymentProviderServiceStub
    ) -> None:
        self._db = database
        self._payments = payments

    def run(self, stop: threading.Event) -> None:
        """The loop that sends what was submitted and learns what became of it."""
        while not stop.wait(0.1):
            waiting, unanswered = self._look()
            while waiting and not stop.is_set() and self._send_page():
                pass
            for debit in self._unanswered() if unanswered else ():
                if stop.is_set() or not self._ask(debit):
                    break

    def _look(self) -> tuple[bool, bool]:
        """Whether debits wait to be sent, and whether some are to be asked after."""
        with self._db.engine.connect() as connection:
            found = connection.execute(LOOK).one()
        return found.waiting, found.unanswered

    def _send_page(self) -> bool:
        """Sends the oldest; False where there are none, or the channel is silent."""
        page = self._take_page()
        if not page:
            return False
        request = provider.DebitBatchRequest(debits=[_request(debit) for debit in page])
        try:
            answer = self._payments.DebitBatch(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            if _code(error) is grpc.StatusCode.INVALID_ARGUMENT:
                return all(self._send(debit) for debit in page)
            self._learn(page, [_nobody_knows(debit) for debit in page])
            return False
        self._learn(page, [told(payment) for payment in answer.payments])
        return True

    def _send(self, debit: Debit) -> bool:
        """Sends one of a page that was refused, for an answer of its own; False where there is none."""
        try:
            result = told(self._payments.Debit(_request(debit), timeout=ANSWER_SECONDS).payment)
        except grpc.RpcError as error:
            if _code(error) is not grpc.StatusCode.INVALID_ARGUMENT:
                self._learn([debit], [_nobody_knows(debit)])
                return False
            if debit.sent_at is None:
                return self._ask(debit, refused=True)
            self._keep_refusal(debit)
            return True
        self._learn([debit], [result])
        return True

    def _take_page(self) -> list[Debit]:
        """The next debits, SENDING; what is not owed any more is not asked.

        Whoever repays one of the loans waits until this is committed, or has committed before it:
        nothing is asked that was paid when it is sent.
        """
        with self._db.begin() as transaction:
            found = [Debit(*row) for row in transaction.execute(PAGE)]
            if not found:
                return []
            loan_ids = sorted({debit.loan_id for debit in found})
            transaction.execute(
                select(loan_state.c.loan_id)
                .where(loan_state.c.loan_id == func.any(loan_ids))
                .order_by(loan_state.c.loan_id)
                .with_for_update()
            )
            locked = debits.lock(transaction, [debit.payment_id for debit in found])
            mine = [debit for debit in locked.values() if debit.state == "PREPARED"]
            loans = loan_store.load(transaction, loan_ids)
            owed = {held.contract.loan_id: debits.owed(held) for held in loans}
            covered = debits.under_way(transaction, loan_ids)
            decided = []
            for debit in mine:
                others = covered.get(debit.loan_id, 0) - debit.amount
                decided.append(_to_ask(debit, owed[debit.loan_id] - others))
            debits.save(transaction, decided)
            page = [debit for debit in decided if debit.state == "SENDING"]
            transaction.execute(
                update(direct_debit)
                .where(_any(page))
                .values(sent_at=func.clock_timestamp(), touched_at=func.clock_timestamp())
            )
        return page

    def _unanswered(self) -> list[Debit]:
        with self._db.engine.connect() as connection:
            return [Debit(*row) for row in connection.execute(UNANSWERED)]

    def _ask(self, debit: Debit, *, refused: bool = False) -> bool:
        """Asks what became of one; False where the channel is silent."""
        try:
            request = provider.QueryPaymentRequest(payment_id=debit.payment_id)
            answer = self._payments.QueryPayment(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            unknown = _code(error) is grpc.StatusCode.NOT_FOUND
            if unknown and refused:
                self._learn([debit], [Result(debit.payment_id, "FAILED", failure_code=REFUSED)])
            elif unknown:
                self._never_arrived(debit)
            else:
                self._learn([debit], [_nobody_knows(debit)])
                self._touch(debit)
            return unknown
        self._learn([debit], [told(answer.payment)])
        self._touch(debit)
        return True

    def _touch(self, debit: Debit) -> None:
        with self._db.begin() as transaction:
            transaction.execute(
                update(direct_debit).where(_any([debit])).values(touched_at=func.now())
            )

    def _keep_refusal(self, debit: Debit) -> None:
        """A refusal now says nothing of what was sent before: it is the last word once the channel has
        known of neither for as long as they may be on their way.
        """
        with self._db.begin() as transaction:
            transaction.execute(
                update(direct_debit)
                .where(_any([debit]), direct_debit.c.state.in_(ASKED))
                .values(state="UNKNOWN", failure_code=REFUSED, touched_at=func.now())
            )

    def _never_arrived(self, debit: Debit) -> None:
        """Once it cannot be on its way any longer it has failed where it was refused; else it may be
        sent once more, under its id.
        """
        lost = text(f"sent_at < now() - interval '{IN_FLIGHT_SECONDS} seconds'")
        with self._db.begin() as transaction:
            transaction.execute(
                update(direct_debit)
                .where(_any([debit]), direct_debit.c.state.in_(ASKED), lost)
                .values(state="FAILED" if debit.failure_code else "PREPARED", touched_at=func.now())
            )

    def _learn(self, page: Sequence[Debit], results: Sequence[Result]) -> None:
        """Keeps answers, book by book."""
        books_of = {debit.payment_id: debit.book_id for debit in page}
        for book_id in sorted(set(books_of.values())):
            with self._db.begin() as transaction:
                book = books.get(transaction, book_id)
                mine = [each for each in results if books_of.get(each.payment_id) == book_id]
                debit_results.record(transaction, book, mine)


def _to_ask(debit: Debit, left: int) -> Debit:
    """What is sent of a prepared debit where `left` is owed and not covered by another.

    One that was sent before asks the same again or nothing: should it have arrived after all, it is
    the same debit.
    """
    if debit.sent_at is not None:
        if left < debit.amount:
            return replace(debit, state="FAILED", failure_code=NEVER_ARRIVED)
        return replace(debit, state="SENDING")
    if left <= 0:
        return replace(debit, state="CANCELLED")
    amount = min(debit.amount, left)
    return replace(debit, state="SENDING", amount=amount, minimum=min(debit.minimum, amount))


def _request(debit: Debit) -> provider.DebitRequest:
    return provider.DebitRequest(
        payment_id=debit.payment_id,
        card_token=debit.card_token,
        amount=money(debit.amount, debit.currency_code),
        date=from_date(debit.business_date),
        minimum_minor_units=debit.minimum,
    )


def _nobody_knows(debit: Debit) -> Result:
    return Result(debit.payment_id, "UNKNOWN")


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    return error.code() if isinstance(error, grpc.Call) else None


def _any(page: Sequence[Debit]) -> ColumnElement[bool]:
    return direct_debit.c.payment_id == func.any([debit.payment_id for debit in page])
