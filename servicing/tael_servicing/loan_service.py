"""LoanService: contract messages in, loans from disbursement to recovery, contract messages out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TypeVar

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2 as pb
from tael_runtime import idempotency
from tael_runtime.fields import read_amount
from tael_runtime.paging import number_key, token
from tael_servicing import (
    books,
    cancellation,
    disbursement,
    loan_store,
    messages,
    payouts,
    purchases,
    quotes,
    tranches,
    write_offs,
)
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.disbursement import Disbursements
from tael_servicing.loan_read_service import LoanReads
from tael_servicing.loans import Held

AnswerT = TypeVar("AnswerT")


class Loans(LoanReads):
    """Quotes, lends, tells, writes off."""

    def __init__(self, desk: Desk, disbursements: Disbursements) -> None:
        super().__init__(desk.database)
        self._desk = desk
        self._sender = desk.sender
        self._disbursements = disbursements

    def QuoteSchedule(
        self, request: pb.QuoteScheduleRequest, context: grpc.ServicerContext
    ) -> pb.QuoteScheduleResponse:
        """Schedule and cost of a loan that might be."""
        with self._db.read() as connection:
            return quotes.answer(connection, request)

    def DisburseLoan(
        self, request: pb.DisburseLoanRequest, context: grpc.ServicerContext
    ) -> pb.DisburseLoanResponse:
        """Reserves, books, pays out; answers when the payout is known, or PAYING."""

        def work(transaction: Connection) -> pb.DisburseLoanResponse:
            held = disbursement.reserve(transaction, request)
            return pb.DisburseLoanResponse(loan=messages.loan(held))

        opened = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "DisburseLoan", request, pb.DisburseLoanResponse, work
            )
        )
        self._disbursements.proceed(opened.loan.loan_id)
        return pb.DisburseLoanResponse(loan=messages.loan(self._held(opened.loan.loan_id)))

    def DisburseTranche(
        self, request: pb.DisburseTrancheRequest, context: grpc.ServicerContext
    ) -> pb.DisburseTrancheResponse:
        """More is paid out; answers when the payout is known, or with it SENT."""

        def work(transaction: Connection, held: Held, day: date) -> pb.DisburseTrancheResponse:
            payout = tranches.reserve(transaction, request, held, day)
            message = payout.message(held.contract.currency_code)
            return pb.DisburseTrancheResponse(loan=messages.loan(held), payout=message)

        ordered = self._desk.on_loan(
            "DisburseTranche", request, pb.DisburseTrancheResponse, work
        ).payout
        self._disbursements.proceed(request.loan_id)
        held = self._held(request.loan_id)
        with self._db.read() as connection:
            (payout,) = payouts.page(connection, request.loan_id, ordered.number - 1, 1)
        message = payout.message(held.contract.currency_code)
        return pb.DisburseTrancheResponse(loan=messages.loan(held), payout=message)

    def CancelLoan(
        self, request: pb.CancelLoanRequest, context: grpc.ServicerContext
    ) -> pb.CancelLoanResponse:
        """The loan ends as if never lent."""

        def work(transaction: Connection, held: Held, day: date) -> pb.CancelLoanResponse:
            after = cancellation.cancel(transaction, held, request.reason, day).after
            return pb.CancelLoanResponse(loan=messages.loan(after))

        return self._desk.on_loan("CancelLoan", request, pb.CancelLoanResponse, work)

    def ListPayouts(
        self, request: pb.ListPayoutsRequest, context: grpc.ServicerContext
    ) -> pb.ListPayoutsResponse:
        """A page of what was paid out, or is to be."""
        size = request.page_size or 100
        after = number_key(request.page_token)
        currency = self._held(request.loan_id).contract.currency_code
        with self._db.read() as connection:
            found = payouts.page(connection, request.loan_id, after, size + 1)
        return pb.ListPayoutsResponse(
            payouts=[payout.message(currency) for payout in found[:size]],
            next_page_token=token(found[size - 1].number) if len(found) > size else "",
        )

    def WriteOffLoan(
        self, request: pb.WriteOffLoanRequest, context: grpc.ServicerContext
    ) -> pb.WriteOffLoanResponse:
        """The loan leaves the books."""

        def work(transaction: Connection) -> pb.WriteOffLoanResponse:
            book, held = self._hold(transaction, request.loan_id)
            after = write_offs.write_off(transaction, held, request.approval, book.business_date)
            return pb.WriteOffLoanResponse(loan=messages.loan(after))

        return self._delivered(
            request.loan_id,
            lambda: idempotency.once(
                self._db, "WriteOffLoan", request, pb.WriteOffLoanResponse, work
            ),
        )

    def PurchaseLoan(
        self, request: pb.PurchaseLoanRequest, context: grpc.ServicerContext
    ) -> pb.PurchaseLoanResponse:
        """A claim is bought."""

        def work(transaction: Connection) -> pb.PurchaseLoanResponse:
            bought = purchases.purchase(transaction, request)
            return pb.PurchaseLoanResponse(loan=messages.loan(bought))

        made = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "PurchaseLoan", request, pb.PurchaseLoanResponse, work
            )
        )
        self._sender.deliver(made.loan.book_id, made.loan.loan_id)
        return made

    def RecordRecovery(
        self, request: pb.RecordRecoveryRequest, context: grpc.ServicerContext
    ) -> pb.RecordRecoveryResponse:
        """Money after the write-off."""

        def work(transaction: Connection) -> pb.RecordRecoveryResponse:
            book, held = self._hold(transaction, request.loan_id)
            amount = read_amount("amount", request.amount, book.currency_code)
            after, principal, interest = write_offs.recover(
                transaction, held, amount, request.source, book.business_date
            )
            return pb.RecordRecoveryResponse(
                loan=messages.loan(after), principal=principal, interest=interest
            )

        return self._delivered(
            request.loan_id,
            lambda: idempotency.once(
                self._db, "RecordRecovery", request, pb.RecordRecoveryResponse, work
            ),
        )

    def _hold(self, transaction: Connection, loan_id: str) -> tuple[BookDay, Held]:
        book = books.hold_open(transaction, loan_store.book_of(transaction, loan_id))
        return book, loan_store.lock(transaction, loan_id)

    def _delivered(self, loan_id: str, work: Callable[[], AnswerT]) -> AnswerT:
        """Books on an open day and answers when the ledger has it."""
        answer = books.on_an_open_day(work)
        self._sender.deliver(self._held(loan_id).contract.book_id, loan_id)
        return answer
