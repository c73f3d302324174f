"""EntrustedLoanService: contract messages in, entrusted loans, contract messages out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import entrusted_loan_pb2 as pb
from tael.servicing.v1 import entrusted_loan_pb2_grpc
from tael_client.values import to_decimal
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_amount, read_date
from tael_runtime.ids import new_id
from tael_runtime.paging import text_key, token
from tael_servicing import entrusted_loans, partners
from tael_servicing.book_desk import book_of, on_book, read_vat
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.entrusted_loans import EntrustedLoan
from tael_servicing.product_checks import rate_problem

ROLE = "ENTRUSTER"


class EntrustedLoans(entrusted_loan_pb2_grpc.EntrustedLoanServiceServicer):
    """Lends on, takes back, charges and tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def DisburseEntrustedLoan(
        self, request: pb.DisburseEntrustedLoanRequest, context: grpc.ServicerContext
    ) -> pb.DisburseEntrustedLoanResponse:
        """Lends entrusted funds on."""
        with self._db.read() as connection:
            book_id = partners.get(connection, request.partner_id).book_id

        def work(transaction: Connection, book: BookDay) -> pb.DisburseEntrustedLoanResponse:
            partner = partners.lock(transaction, request.partner_id, ROLE)
            loan = entrusted_loans.disburse(
                transaction, partner, _loan(request, book), request.reference
            )
            return pb.DisburseEntrustedLoanResponse(loan=loan.message())

        return on_book(
            self._desk,
            "DisburseEntrustedLoan",
            request,
            pb.DisburseEntrustedLoanResponse,
            book_id,
            work,
            lane=lambda made: made.loan.partner_id,
        )

    def RepayEntrustedLoan(
        self, request: pb.RepayEntrustedLoanRequest, context: grpc.ServicerContext
    ) -> pb.RepayEntrustedLoanResponse:
        """Principal and interest for the entrusting party."""
        found = self._get(request.loan_id)
        currency, principal, interest = found.currency_code, 0, 0
        if request.HasField("principal"):
            principal = read_amount("principal", request.principal, currency)
        if request.HasField("interest"):
            interest = read_amount("interest", request.interest, currency)

        def work(transaction: Connection, book: BookDay) -> pb.RepayEntrustedLoanResponse:
            loan = entrusted_loans.lock(transaction, request.loan_id)
            day, words = book.business_date, request.reference
            loan = entrusted_loans.repay(transaction, loan, principal, interest, day, words)
            return pb.RepayEntrustedLoanResponse(loan=loan.message())

        return on_book(
            self._desk,
            "RepayEntrustedLoan",
            request,
            pb.RepayEntrustedLoanResponse,
            found.book_id,
            work,
            lane=lambda made: made.loan.partner_id,
        )

    def ChargeEntrustedLoanFee(
        self, request: pb.ChargeEntrustedLoanFeeRequest, context: grpc.ServicerContext
    ) -> pb.ChargeEntrustedLoanFeeResponse:
        """Our fee."""
        found = self._get(request.loan_id)
        amounts = {"fee": read_amount("amount", request.amount, found.currency_code)}
        if request.HasField("vat"):
            book = book_of(self._desk, found.book_id)
            amounts["fee_vat"] = read_vat(book, request.vat, amounts["fee"])

        def work(transaction: Connection, book: BookDay) -> pb.ChargeEntrustedLoanFeeResponse:
            partner = partners.lock(transaction, found.partner_id, ROLE)
            loan = entrusted_loans.lock(transaction, request.loan_id)
            day, words = book.business_date, request.reference
            loan = entrusted_loans.charge_fee(transaction, partner, loan, amounts, day, words)
            return pb.ChargeEntrustedLoanFeeResponse(loan=loan.message())

        return on_book(
            self._desk,
            "ChargeEntrustedLoanFee",
            request,
            pb.ChargeEntrustedLoanFeeResponse,
            found.book_id,
            work,
            lane=lambda made: made.loan.partner_id,
        )

    def GetEntrustedLoan(
        self, request: pb.GetEntrustedLoanRequest, context: grpc.ServicerContext
    ) -> pb.GetEntrustedLoanResponse:
        """One entrusted loan."""
        return pb.GetEntrustedLoanResponse(loan=self._get(request.loan_id).message())

    def ListEntrustedLoans(
        self, request: pb.ListEntrustedLoansRequest, context: grpc.ServicerContext
    ) -> pb.ListEntrustedLoansResponse:
        """A page of a party's loans."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            partner = partners.get(connection, request.partner_id)
            found = entrusted_loans.page(connection, partner.partner_id, after, size + 1)
        return pb.ListEntrustedLoansResponse(
            loans=[each.message() for each in found[:size]],
            next_page_token=token(found[size - 1].loan_id) if len(found) > size else "",
        )

    def _get(self, loan_id: str) -> EntrustedLoan:
        with self._db.read() as connection:
            return entrusted_loans.get(connection, loan_id)


def _loan(request: pb.DisburseEntrustedLoanRequest, book: BookDay) -> EntrustedLoan:
    view = request.view or pb.ENTRUSTED_VIEW_AGENCY_ASSET
    return EntrustedLoan(
        loan_id=new_id("el"),
        book_id=book.book_id,
        partner_id=request.partner_id,
        customer_id=request.customer_id,
        currency_code=book.currency_code,
        principal=read_amount("principal", request.principal, book.currency_code),
        repaid=0,
        interest_received=0,
        fees=0,
        annual_rate=_rate(request),
        start_date=book.business_date,
        maturity_date=_maturity(request, book.business_date),
        view=pb.EntrustedView.Name(view).removeprefix("ENTRUSTED_VIEW_"),
    )


def _rate(request: pb.DisburseEntrustedLoanRequest) -> Decimal:
    if problem := rate_problem(request.annual_rate, Decimal(0), Decimal(1)):
        raise InvalidArgument("annual_rate", problem)
    return to_decimal(request.annual_rate)


def _maturity(request: pb.DisburseEntrustedLoanRequest, day: date) -> date:
    found = read_date("maturity_date", request.maturity_date)
    if found <= day:
        raise InvalidArgument("maturity_date", f"is {found}; a day after {day} is right")
    return found
