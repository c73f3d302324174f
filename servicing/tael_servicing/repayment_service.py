"""RepaymentService: contract messages in, quotes and repayments, contract messages out."""

from __future__ import annotations

from datetime import date

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2, repayment_pb2_grpc
from tael.servicing.v1 import repayment_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date, read_amount
from tael_runtime.paging import text_key, token
from tael_servicing import (
    customer_money,
    funds,
    joint,
    loan_store,
    loans,
    messages,
    products,
    repayments,
    transit,
)
from tael_servicing.arithmetic.checks import check_partial, check_payable
from tael_servicing.arithmetic.events import OverpaymentRefunded, Prepaid
from tael_servicing.arithmetic.fold import advance, happen
from tael_servicing.arithmetic.prepaying import cost_of, due_paid, payoff
from tael_servicing.arithmetic.terms import Keep
from tael_servicing.book_desk import book_of, lender_type_of, on_book
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.enacting import enact
from tael_servicing.loans import Held
from tael_servicing.repayments import Receipt


class Repayments(repayment_pb2_grpc.RepaymentServiceServicer):
    """Quotes, takes and tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

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
        loan = advance(held.terms, held.loan, day).loan
        check_payable(loan)
        parts = payoff(held.terms, loan)
        whole = joint.whole(held.contract, parts.total)
        return pb.QuotePayoffResponse(
            total=money(whole, held.contract.currency_code),
            parts=pb.Allocation(
                principal=parts.principal_due + parts.principal_undue,
                interest=parts.interest_due + parts.interest_to_date,
                penalty=parts.penalty,
                compound=parts.compound,
                fee=parts.fees + parts.legal_costs + parts.prepayment_fee,
                overpayment=parts.total - parts.gross,
                partner_share=whole - parts.total,
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
        check_partial(held.loan, request.principal_minor_units)
        paid = due_paid(held.terms, held.loan)
        cost = cost_of(held.terms, paid, request.principal_minor_units)
        total = held.loan.amount_due + cost.total
        term, instalment = (_after(held, total, keep) for keep in (Keep.TERM, Keep.INSTALMENT))
        whole = joint.whole(held.contract, total)
        return pb.QuotePrepaymentResponse(
            parts=pb.Allocation(
                principal=cost.principal,
                interest=cost.interest,
                fee=cost.fee,
                partner_share=whole - total,
            ),
            total=money(whole, held.contract.currency_code),
            keep_term=term,
            keep_instalment=instalment,
        )

    def Repay(self, request: pb.RepayRequest, context: grpc.ServicerContext) -> pb.RepayResponse:
        """Takes money and answers when the ledger has it."""

        def work(transaction: Connection, held: Held, day: date) -> pb.RepayResponse:
            amount = read_amount("amount", request.amount, held.contract.currency_code)
            receipt = repayments.receipt_of(transaction, request, amount, held.contract)
            transit.explain(transaction, held.contract.book_id, receipt.payment_id, amount)
            value_date = optional_date(request, "value_date") or day
            if value_date == day:
                after, repayment = repayments.book(transaction, held, receipt, day)
            else:
                after, repayment = repayments.book_back(transaction, held, receipt, value_date, day)
            return pb.RepayResponse(repayment=repayment, loan=messages.loan(after))

        answer = self._desk.on_loan("Repay", request, pb.RepayResponse, work)
        with self._db.read() as connection:
            entries = repayments.sequences_of(connection, answer.repayment)
        answer.repayment.entry_sequences.extend(entries)
        return answer

    def RepayCustomer(
        self, request: pb.RepayCustomerRequest, context: grpc.ServicerContext
    ) -> pb.RepayCustomerResponse:
        """Takes money for all of a customer's loans and answers when the ledger has it."""
        lender_type = lender_type_of(book_of(self._desk, request.book_id))
        funding = funds.of_repayment(request.funding, lender_type)

        def work(transaction: Connection, book: BookDay) -> pb.RepayCustomerResponse:
            amount = read_amount("amount", request.amount, book.currency_code)
            money_ = Receipt(
                amount,
                "DUE",
                funding,
                request.reference,
                payment_id=repayments.payment_of(request),
            )
            transit.explain(transaction, book.book_id, money_.payment_id, amount)
            made = customer_money.repay_all(
                transaction, book.book_id, request.customer_id, money_, book.business_date
            )
            return pb.RepayCustomerResponse(repayments=made)

        answer = on_book(
            self._desk,
            "RepayCustomer",
            request,
            pb.RepayCustomerResponse,
            request.book_id,
            work,
        )
        for repayment in answer.repayments:
            self._desk.sender.deliver(request.book_id, repayment.loan_id)
        with self._db.read() as connection:
            for repayment in answer.repayments:
                repayment.entry_sequences.extend(repayments.sequences_of(connection, repayment))
        return answer

    def ReverseRepayment(
        self, request: pb.ReverseRepaymentRequest, context: grpc.ServicerContext
    ) -> pb.ReverseRepaymentResponse:
        """Takes a repayment back: the loan is as if it had never come."""

        def work(transaction: Connection, held: Held, day: date) -> pb.ReverseRepaymentResponse:
            after = repayments.reverse(
                transaction, held, request.repayment_id, day, request.reason
            ).after
            return pb.ReverseRepaymentResponse(loan=messages.loan(after))

        return self._desk.on_loan("ReverseRepayment", request, pb.ReverseRepaymentResponse, work)

    def RefundOverpayment(
        self, request: pb.RefundOverpaymentRequest, context: grpc.ServicerContext
    ) -> pb.RefundOverpaymentResponse:
        """Pays back what is held for the customer, or what was repaid, which is owed again."""

        def work(transaction: Connection, held: Held, day: date) -> pb.RefundOverpaymentResponse:
            amount = read_amount("amount", request.amount, held.contract.currency_code)
            event_id = held.next_event_id
            code, version = held.contract.product_code, held.contract.product_version
            lender_type = products.lender_of(transaction, code, version)
            to = funds.of_refund(request.destination, lender_type)
            event = OverpaymentRefunded(day, event_id, amount, to, request.owed_again)
            after = enact(transaction, held, event, day, reference=request.reference).after
            return pb.RefundOverpaymentResponse(loan=messages.loan(after))

        return self._desk.on_loan("RefundOverpayment", request, pb.RefundOverpaymentResponse, work)

    def ListRepayments(
        self, request: pb.ListRepaymentsRequest, context: grpc.ServicerContext
    ) -> pb.ListRepaymentsResponse:
        """A page of a loan's repayments."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            contract = loan_store.get(connection, request.loan_id).contract
            found = repayments.page(connection, contract, after, size + 1)
        return pb.ListRepaymentsResponse(
            repayments=found[:size],
            next_page_token=token(found[size - 1].repayment_id) if len(found) > size else "",
        )


def _after(held: Held, amount: int, keep: Keep) -> list[loan_pb2.Instalment]:
    """The rest of the schedule after a prepayment today."""
    event = Prepaid(held.loan.business_date, "", amount, keep)
    loan = happen(held.terms, held.loan, event).loan
    return messages.schedule(loan)[loan.due_count :]
