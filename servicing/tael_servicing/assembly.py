"""Servicing as a service: what `tael_runtime.server` runs."""

from __future__ import annotations

from tael.servicing.v1 import (
    approval_pb2,
    approval_pb2_grpc,
    credit_line_pb2,
    credit_line_pb2_grpc,
    direct_debit_pb2,
    direct_debit_pb2_grpc,
    end_of_day_pb2,
    end_of_day_pb2_grpc,
    entrusted_loan_pb2,
    entrusted_loan_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
    loan_change_pb2,
    loan_change_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
    partner_pb2,
    partner_pb2_grpc,
    portfolio_pb2,
    portfolio_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
    rate_pb2,
    rate_pb2_grpc,
    receipt_pb2,
    receipt_pb2_grpc,
    repayment_pb2,
    repayment_pb2_grpc,
    tax_pb2,
    tax_pb2_grpc,
)
from tael_runtime.faces import Handlers
from tael_runtime.server import Assembly, Runtime, Service
from tael_servicing.approval_service import Approvals
from tael_servicing.credit_line_service import CreditLines
from tael_servicing.debit_sender import DebitSender
from tael_servicing.desk import open_desk
from tael_servicing.direct_debit_service import DirectDebits
from tael_servicing.disbursement import Disbursements
from tael_servicing.end_of_day.run import DayEnds
from tael_servicing.end_of_day_service import EndOfDay
from tael_servicing.entrusted_loan_service import EntrustedLoans
from tael_servicing.event_service import Events
from tael_servicing.loan_change_service import LoanChanges
from tael_servicing.loan_service import Loans
from tael_servicing.partner_service import Partners
from tael_servicing.portfolio_service import Portfolio
from tael_servicing.product_service import Products
from tael_servicing.rate_service import Rates
from tael_servicing.receipt_service import Receipts
from tael_servicing.repayment_service import Repayments
from tael_servicing.tables import metadata
from tael_servicing.tax_service import Taxes


def build(runtime: Runtime) -> Assembly:
    """The servicers, and the loops that lead on what was left under way."""
    desk = open_desk(runtime)
    disbursements = Disbursements(desk)
    day_ends = DayEnds(desk)
    servicers = (
        (product_pb2_grpc.add_ProductServiceServicer_to_server, Products(desk)),
        (rate_pb2_grpc.add_RateServiceServicer_to_server, Rates(desk)),
        (credit_line_pb2_grpc.add_CreditLineServiceServicer_to_server, CreditLines(desk)),
        (loan_pb2_grpc.add_LoanServiceServicer_to_server, Loans(desk, disbursements)),
        (loan_change_pb2_grpc.add_LoanChangeServiceServicer_to_server, LoanChanges(desk)),
        (repayment_pb2_grpc.add_RepaymentServiceServicer_to_server, Repayments(desk)),
        (receipt_pb2_grpc.add_ReceiptServiceServicer_to_server, Receipts(desk)),
        (partner_pb2_grpc.add_PartnerServiceServicer_to_server, Partners(desk)),
        (
            entrusted_loan_pb2_grpc.add_EntrustedLoanServiceServicer_to_server,
            EntrustedLoans(desk),
        ),
        (tax_pb2_grpc.add_TaxServiceServicer_to_server, Taxes(desk)),
        (direct_debit_pb2_grpc.add_DirectDebitServiceServicer_to_server, DirectDebits(desk)),
        (end_of_day_pb2_grpc.add_EndOfDayServiceServicer_to_server, EndOfDay(desk, day_ends)),
        (portfolio_pb2_grpc.add_PortfolioServiceServicer_to_server, Portfolio(desk)),
        (event_pb2_grpc.add_EventServiceServicer_to_server, Events(runtime.database)),
    )
    approvals = Approvals(runtime, Handlers.of(servicers).by_rpc)
    return Assembly(
        protos=(
            approval_pb2,
            product_pb2,
            rate_pb2,
            credit_line_pb2,
            loan_pb2,
            loan_change_pb2,
            repayment_pb2,
            receipt_pb2,
            direct_debit_pb2,
            partner_pb2,
            entrusted_loan_pb2,
            tax_pb2,
            end_of_day_pb2,
            portfolio_pb2,
            event_pb2,
        ),
        servicers=(
            *servicers,
            (approval_pb2_grpc.add_ApprovalServiceServicer_to_server, approvals),
        ),
        loops={
            "postings": desk.sender.run,
            "disbursements": disbursements.run,
            "debits": DebitSender(desk.database, desk.payments).run,
            "day-ends": day_ends.run,
        },
    )


SERVICE = Service("servicing", "tael_servicing", metadata, build)
