"""AccountingService's reports of the general ledger."""

from __future__ import annotations

from datetime import timedelta

import grpc

from tael.ledger.v1 import accounting_pb2 as pb
from tael_client.values import from_date
from tael_ledger import books, periods, report_messages, reports
from tael_ledger.face import Face
from tael_ledger.reports import Days
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date, read_date

LONGEST = timedelta(days=366)
"""From the first day of a general ledger to the last, at most."""


class Reports:
    """What stands in the general ledger and moved there."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._database = face.database
        self._catalogue = face.catalogue

    def TrialBalance(
        self, request: pb.TrialBalanceRequest, context: grpc.ServicerContext
    ) -> pb.TrialBalanceResponse:
        """Totals a GL code."""
        booking_date = optional_date(request, "booking_date")
        value_date = optional_date(request, "value_date")
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            totals = reports.trial_balance(connection, request.book_id, booking_date, value_date)
        return report_messages.trial_balance(chart, totals)

    def GeneralLedger(
        self, request: pb.GeneralLedgerRequest, context: grpc.ServicerContext
    ) -> pb.GeneralLedgerResponse:
        """What moved on GL codes, day by day."""
        days = _days(request)
        if days.last - days.first > LONGEST:
            raise InvalidArgument(
                "to_booking_date",
                f"lies {(days.last - days.first).days} days after from_booking_date; "
                f"at most {LONGEST.days}",
            )
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            codes = reports.matching(chart, request.gl_code)
            found = reports.general_ledger(connection, request.book_id, chart, codes, days)
        return pb.GeneralLedgerResponse(
            accounts=[report_messages.ledger_account(account) for account in found]
        )

    def BalanceSheet(
        self, request: pb.BalanceSheetRequest, context: grpc.ServicerContext
    ) -> pb.BalanceSheetResponse:
        """Assets, liabilities and equity."""
        asked = optional_date(request, "booking_date")
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            chart = self._catalogue.chart(connection, request.book_id)
            totals = reports.trial_balance(connection, request.book_id, asked, None)
        answer = report_messages.balance_sheet(reports.balance_sheet(chart, totals))
        answer.booking_date.CopyFrom(
            from_date(min(asked or book.business_date, book.business_date))
        )
        return answer

    def IncomeStatement(
        self, request: pb.IncomeStatementRequest, context: grpc.ServicerContext
    ) -> pb.IncomeStatementResponse:
        """Income and expense."""
        days = _days(request)
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            found = reports.income_statement(connection, request.book_id, chart, days)
        return report_messages.income_statement(found)

    def DailySummary(
        self, request: pb.DailySummaryRequest, context: grpc.ServicerContext
    ) -> pb.DailySummaryResponse:
        """A day by GL code."""
        day = read_date("booking_date", request.booking_date)
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            chart = self._catalogue.chart(connection, request.book_id)
            found = reports.daily_summary(connection, book, chart, day)
        return report_messages.daily_summary(found)

    def GetPeriods(
        self, request: pb.GetPeriodsRequest, context: grpc.ServicerContext
    ) -> pb.GetPeriodsResponse:
        """Months of the book."""
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            chart = self._catalogue.chart(connection, request.book_id)
            found = periods.periods(connection, book, chart)
        return pb.GetPeriodsResponse(periods=[report_messages.period(one) for one in found])


def _days(request: pb.GeneralLedgerRequest | pb.IncomeStatementRequest) -> Days:
    """from_booking_date and to_booking_date, in order."""
    first = read_date("from_booking_date", request.from_booking_date)
    last = read_date("to_booking_date", request.to_booking_date)
    if last < first:
        raise InvalidArgument("to_booking_date", f"{last} lies before from_booking_date {first}")
    return Days(first, last)
