"""RepaymentService: contract messages in, quotes and repayments, contract messages out."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import repayment_pb2 as pb
from tael.servicing.v1 import repayment_pb2_grpc
from tael_client.values import from_date, money
from tael_runtime import idempotency
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date, read_amount
from tael_servicing import books, loan_store, loans, messages, repayments
from tael_servicing.arithmetic.prepayment import Keep, payoff, prepay
from tael_servicing.arithmetic.replay import advance
from tael_servicing.desk import Desk


class Repayments(repayment_pb2_grpc.RepaymentServiceServicer):
    """Quotes, takes and tells."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database
        self._sender = desk.sender

    def QuotePayoff(
        self, request: pb.QuotePayoffRequest, context: grpc.ServicerContext
    ) -> pb.QuotePayoffResponse:
        """What settles the loan on a date."""
        with self._db.read() as connection:
            held = loan_store.get(connection, request.loan_id)
        loans.check_paid_out(held)
        day = optional_date(request, "date") or held.loan.business_date
        if day < held.loan.business_date:
            raise InvalidArgument("date", f"lies before the day, {held.loan.business_date}")
        parts = payoff(held.terms, advance(held.terms, held.loan, day).loan)
        return pb.QuotePayoffResponse(
            total=money(parts.total, held.contract.currency_code),
            parts=pb.Allocation(
                principal=parts.principal_due + parts.principal_undue,
                interest=parts.interest_due + parts.interest_to_date,
                penalty=parts.penalty,
                compound=parts.compound,
                fee=parts.fee,
            ),
            date=from_date(day),
        )

    def QuotePrepayment(
        self, request: pb.QuotePrepaymentRequest, context: grpc.ServicerContext
    ) -> pb.QuotePrepaymentResponse:
        """The schedule after prepaying, both ways."""
        with self._db.read() as connection:
            held = loan_store.get(connection, request.loan_id)
        loans.check_paid_out(held)
        term, instalment = (
            prepay(held.terms, held.loan, request.principal_minor_units, keep)
            for keep in (Keep.TERM, Keep.INSTALMENT)
        )
        return pb.QuotePrepaymentResponse(
            parts=pb.Allocation(principal=term.principal, interest=term.interest, fee=term.fee),
            total=money(term.total, held.contract.currency_code),
            keep_term=[messages.planned_instalment(row) for row in term.schedule.instalments],
            keep_instalment=[
                messages.planned_instalment(row) for row in instalment.schedule.instalments
            ],
        )

    def Repay(self, request: pb.RepayRequest, context: grpc.ServicerContext) -> pb.RepayResponse:
        """Takes money and answers when the ledger has it."""

        def work(transaction: Connection) -> pb.RepayResponse:
            book = books.hold_open(transaction, loan_store.book_of(transaction, request.loan_id))
            amount = read_amount("amount", request.amount, book.currency_code)
            held = loan_store.lock(transaction, request.loan_id)
            receipt = repayments.receipt_of(request, amount)
            after, repayment = repayments.book(transaction, held, receipt, book.business_date)
            return pb.RepayResponse(repayment=repayment, loan=messages.loan(after))

        answer = books.on_an_open_day(
            lambda: idempotency.once(self._db, "Repay", request, pb.RepayResponse, work)
        )
        self._sender.deliver(answer.loan.book_id, request.loan_id)
        with self._db.read() as connection:
            entries = repayments.sequences_of(connection, answer.repayment)
        answer.repayment.entry_sequences.extend(entries)
        return answer

    def ListRepayments(
        self, request: pb.ListRepaymentsRequest, context: grpc.ServicerContext
    ) -> pb.ListRepaymentsResponse:
        """A loan's repayments."""
        with self._db.read() as connection:
            held = loan_store.get(connection, request.loan_id)
            return pb.ListRepaymentsResponse(
                repayments=repayments.list_of(connection, held.contract)
            )
