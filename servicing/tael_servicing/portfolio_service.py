"""PortfolioService: contract messages in, the portfolio of a book, contract messages out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import portfolio_pb2 as pb
from tael.servicing.v1 import portfolio_pb2_grpc
from tael_client.values import from_date
from tael_runtime import idempotency
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date, read_date
from tael_servicing import (
    ageing,
    books,
    buckets,
    classification,
    cohorts,
    credit_agreements,
    credit_report,
    impairment_policies,
    portfolio,
    provision_movements,
    reminders,
    snapshots,
)
from tael_servicing.desk import Desk
from tael_servicing.loans import Held
from tael_servicing.ratios import reaches


class Portfolio(portfolio_pb2_grpc.PortfolioServiceServicer):
    """Tells of a book's loans together, and has them judged."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def LoanLedger(
        self, request: pb.LoanLedgerRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.LoanLedgerResponse]:
        """The loan ledger of a day."""
        day = optional_date(request, "date")
        with self._db.read() as connection:
            ledger = snapshots.ledger_of(connection, request.book_id, day)
            for rows in portfolio.ledger_rows(connection, ledger):
                yield pb.LoanLedgerResponse(rows=rows)

    def Summary(
        self, request: pb.SummaryRequest, context: grpc.ServicerContext
    ) -> pb.SummaryResponse:
        """The portfolio in figures."""
        day = optional_date(request, "date")
        with self._db.read() as connection:
            ledger = snapshots.ledger_of(connection, request.book_id, day)
            return portfolio.summary(connection, ledger)

    def Ageing(self, request: pb.AgeingRequest, context: grpc.ServicerContext) -> pb.AgeingResponse:
        """Loans and instalments by age."""
        day = optional_date(request, "date")
        with self._db.read() as connection:
            ledger = snapshots.ledger_of(connection, request.book_id, day)
            limits = buckets.asked(request.bucket_limits, ledger.policy.bucket_limits)
            return pb.AgeingResponse(
                date=from_date(ledger.day), rows=ageing.ageing(connection, ledger, limits)
            )

    def Vintage(
        self, request: pb.VintageRequest, context: grpc.ServicerContext
    ) -> pb.VintageResponse:
        """Cohorts by month of disbursement."""
        first, last = optional_date(request, "from"), optional_date(request, "to")
        if first and last and first > last:
            raise InvalidArgument("from", f"must not lie after {last}")
        with self._db.read() as connection:
            book = books.get(connection, request.book_id)
            return pb.VintageResponse(cohorts=cohorts.vintage(connection, book, first, last))

    def RollRates(
        self, request: pb.RollRatesRequest, context: grpc.ServicerContext
    ) -> pb.RollRatesResponse:
        """From which bucket to which."""
        first = read_date("from", getattr(request, "from"))
        last = optional_date(request, "to")
        with self._db.read() as connection:
            after = snapshots.ledger_of(connection, request.book_id, last)
            if first >= after.day:
                raise InvalidArgument("from", f"must lie before {after.day}")
            before = snapshots.ledger_of(connection, request.book_id, first)
            limits = buckets.asked(request.bucket_limits, after.policy.bucket_limits)
            return ageing.rolls(connection, before, after, limits)

    def Classification(
        self, request: pb.ClassificationRequest, context: grpc.ServicerContext
    ) -> pb.ClassificationResponse:
        """The five classes."""
        day = optional_date(request, "date")
        with self._db.read() as connection:
            ledger = snapshots.ledger_of(connection, request.book_id, day)
            return portfolio.classification(connection, ledger, request)

    def OverrideClass(
        self, request: pb.OverrideClassRequest, context: grpc.ServicerContext
    ) -> pb.OverrideClassResponse:
        """Judges a loan by hand."""

        def work(transaction: Connection, held: Held, day: date) -> pb.OverrideClassResponse:
            classification.override(transaction, held, day, request)
            ledger = snapshots.ledger_of(transaction, held.contract.book_id, None)
            loan = portfolio.classified(transaction, ledger, request.loan_id)
            return pb.OverrideClassResponse(loan=loan)

        return self._desk.on_loan("OverrideClass", request, pb.OverrideClassResponse, work)

    def Provisions(
        self, request: pb.ProvisionsRequest, context: grpc.ServicerContext
    ) -> pb.ProvisionsResponse:
        """How the allowance moved, and whether it is enough."""
        first, last = optional_date(request, "from"), optional_date(request, "to")
        with self._db.read() as connection:
            closing = snapshots.ledger_of(connection, request.book_id, last)
            if first is not None and first >= closing.day:
                raise InvalidArgument("from", f"must lie before {closing.day}")
            opening = snapshots.ledger_of(connection, request.book_id, first) if first else None
            moved = provision_movements.movements(connection, opening, closing)
            promised = provision_movements.of_commitments(connection, opening, closing)
            now = portfolio.summary(connection, closing)
        held, policy = now.balances.allowance, closing.policy
        return pb.ProvisionsResponse(
            movements=[pb.ProvisionMovement(**asdict(each)) for each in moved],
            commitments=[pb.ProvisionMovement(**asdict(each)) for each in promised],
            allowance_ratio=now.allowance_ratio,
            coverage_ratio=now.coverage_ratio,
            allowance_ratio_met=reaches(held, now.principal, policy.min_allowance_ratio),
            coverage_ratio_met=reaches(held, now.bad, policy.min_coverage_ratio),
        )

    def GetImpairmentPolicy(
        self, request: pb.GetImpairmentPolicyRequest, context: grpc.ServicerContext
    ) -> pb.GetImpairmentPolicyResponse:
        """The parameters in force."""
        day = optional_date(request, "date")
        with self._db.read() as connection:
            today = books.get(connection, request.book_id).business_date
            found = impairment_policies.in_force(connection, request.book_id, day or today)
        answer = pb.GetImpairmentPolicyResponse(policy=impairment_policies.message(found.policy))
        if found.effective_from is not None:
            answer.effective_from.CopyFrom(from_date(found.effective_from))
        return answer

    def SetImpairmentPolicy(
        self, request: pb.SetImpairmentPolicyRequest, context: grpc.ServicerContext
    ) -> pb.SetImpairmentPolicyResponse:
        """Puts parameters in force."""

        def work(transaction: Connection) -> pb.SetImpairmentPolicyResponse:
            policy = impairment_policies.put_in_force(transaction, request)
            return pb.SetImpairmentPolicyResponse(policy=impairment_policies.message(policy))

        return books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "SetImpairmentPolicy", request, pb.SetImpairmentPolicyResponse, work
            )
        )

    def CreditReport(
        self, request: pb.CreditReportRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.CreditReportResponse]:
        """The records of a closed day."""
        day = read_date("date", request.date)
        with self._db.read() as connection:
            ledger = snapshots.ledger_of(connection, request.book_id, day)
            if day >= ledger.book.business_date:
                raise InvalidArgument("date", "must be a closed day: before the business date")
            for agreements in credit_agreements.records(connection, ledger):
                yield pb.CreditReportResponse(agreements=agreements)
            for accounts in credit_report.records(connection, ledger):
                yield pb.CreditReportResponse(records=accounts)

    def ListReminders(
        self, request: pb.ListRemindersRequest, context: grpc.ServicerContext
    ) -> pb.ListRemindersResponse:
        """Whom to remind today."""
        with self._db.read() as connection:
            return reminders.reminders(
                connection, request.book_id, request.page_token, request.page_size or 100
            )
