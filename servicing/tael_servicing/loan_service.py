"""LoanService: contract messages in, loans from disbursement to recovery, contract messages out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc
from sqlalchemy import Connection, select

from tael.servicing.v1 import loan_pb2 as pb
from tael.servicing.v1 import loan_pb2_grpc
from tael_runtime import idempotency
from tael_runtime.fields import read_amount
from tael_runtime.paging import number_key, text_key, token
from tael_servicing import (
    books,
    disbursement,
    loan_store,
    messages,
    outgoing,
    quotes,
    write_offs,
)
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.disbursement import Disbursements
from tael_servicing.loans import Held
from tael_servicing.tables import loan, loan_posting, loan_state

AnswerT = TypeVar("AnswerT")


class Loans(loan_pb2_grpc.LoanServiceServicer):
    """Quotes, lends, tells, writes off."""

    def __init__(self, desk: Desk, disbursements: Disbursements) -> None:
        self._db = desk.database
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

    def GetLoan(
        self, request: pb.GetLoanRequest, context: grpc.ServicerContext
    ) -> pb.GetLoanResponse:
        """One loan today."""
        return pb.GetLoanResponse(loan=messages.loan(self._held(request.loan_id)))

    def ListLoans(
        self, request: pb.ListLoansRequest, context: grpc.ServicerContext
    ) -> pb.ListLoansResponse:
        """A page of loans."""
        size = request.page_size or 50
        query = select(loan.c.loan_id).where(loan.c.loan_id > text_key(request.page_token))
        if request.customer_id:
            query = query.where(loan.c.customer_id == request.customer_id)
        if request.state:
            name = pb.LoanState.Name(request.state).removeprefix("LOAN_STATE_")
            query = query.join(loan_state, loan_state.c.loan_id == loan.c.loan_id)
            query = query.where(loan_state.c.state == name)
        with self._db.read() as connection:
            ids = connection.execute(query.order_by(loan.c.loan_id).limit(size + 1)).scalars().all()
            found = loan_store.load(connection, ids[:size])
        return pb.ListLoansResponse(
            loans=[messages.loan(held) for held in found],
            next_page_token=token(ids[size - 1]) if len(ids) > size else "",
        )

    def GetSchedule(
        self, request: pb.GetScheduleRequest, context: grpc.ServicerContext
    ) -> pb.GetScheduleResponse:
        """The schedule with what was paid."""
        held = self._held(request.loan_id)
        return pb.GetScheduleResponse(instalments=messages.schedule(held.loan))

    def ListLoanEvents(
        self, request: pb.ListLoanEventsRequest, context: grpc.ServicerContext
    ) -> pb.ListLoanEventsResponse:
        """A page of what the loan posted, with its vouchers."""
        size = request.page_size or 200
        after = number_key(request.page_token)
        query = (
            select(loan_posting)
            .where(loan_posting.c.loan_id == request.loan_id, loan_posting.c.number > after)
            .order_by(loan_posting.c.number)
            .limit(size + 1)
        )
        with self._db.read() as connection:
            loan_store.book_of(connection, request.loan_id)
            rows = connection.execute(query).all()
            posted = outgoing.vouchers(connection, [row.request_id for row in rows])
        return pb.ListLoanEventsResponse(
            events=[
                messages.loan_event(row, outgoing.sequences(posted[row.request_id], row.source))
                for row in rows[:size]
            ],
            next_page_token=token(rows[size - 1].number) if len(rows) > size else "",
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

    def _held(self, loan_id: str) -> Held:
        with self._db.read() as connection:
            return loan_store.get(connection, loan_id)
