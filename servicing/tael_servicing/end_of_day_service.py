"""EndOfDayService: starts or joins a day end, and lets watch it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import grpc

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael.servicing.v1 import end_of_day_pb2_grpc
from tael_client.values import to_date
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date, read_date
from tael_runtime.paging import text_key, token
from tael_servicing import books, day_reports, loan_ledger_file, snapshots
from tael_servicing.desk import Desk
from tael_servicing.end_of_day import progress, set_aside
from tael_servicing.end_of_day.rehearsal import rehearse
from tael_servicing.end_of_day.run import DayEnds
from tael_servicing.end_of_day.step import Closing


class EndOfDay(end_of_day_pb2_grpc.EndOfDayServiceServicer):
    """The streams only watch: a client that goes away stops nothing."""

    def __init__(self, desk: Desk, day_ends: DayEnds) -> None:
        self._desk = desk
        self._db = desk.database
        self._day_ends = day_ends

    def RunEndOfDay(
        self, request: pb.RunEndOfDayRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.RunEndOfDayResponse]:
        """Ends a business date."""
        day = read_date("business_date", request.business_date)
        self._know(request.book_id)
        for now in self._run(request.book_id, day, context):
            yield pb.RunEndOfDayResponse(run=now)

    def ResumeEndOfDay(
        self, request: pb.ResumeEndOfDayRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ResumeEndOfDayResponse]:
        """Goes on with a day."""
        day = read_date("business_date", request.business_date)
        run_id = self._day_ends.resume(request.book_id, day)
        for now in self._day_ends.watch(run_id, context.is_active):
            yield pb.ResumeEndOfDayResponse(run=now)

    def CatchUp(
        self, request: pb.CatchUpRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.CatchUpResponse]:
        """Ends day after day."""
        until = read_date("open_date", request.open_date)
        self._know(request.book_id)
        day = self._day_ends.due(request.book_id)
        while day < until and context.is_active():
            now = pb.EndOfDayRun()
            for now in self._run(request.book_id, day, context):
                yield pb.CatchUpResponse(run=now)
            if now.state != pb.RUN_STATE_DONE:
                return
            day += timedelta(days=1)

    def RehearseEndOfDay(
        self, request: pb.RehearseEndOfDayRequest, context: grpc.ServicerContext
    ) -> pb.RehearseEndOfDayResponse:
        """What a day end would do."""
        day = read_date("business_date", request.business_date)
        self._know(request.book_id)
        found = rehearse(self._db, Closing(self._desk, request.book_id, day))
        return pb.RehearseEndOfDayResponse(
            steps=[
                pb.StepProgress(step=name, loans=summary.loans, amounts=summary.amounts)
                for name, summary in found.steps.items()
            ],
            loans_set_aside=[progress.aside(each) for each in found.aside],
        )

    def GetEndOfDay(
        self, request: pb.GetEndOfDayRequest, context: grpc.ServicerContext
    ) -> pb.GetEndOfDayResponse:
        """One run."""
        day = optional_date(request, "business_date")
        with self._db.read() as connection:
            run_id = progress.find(connection, request.book_id, day)
            return pb.GetEndOfDayResponse(run=progress.describe(connection, run_id))

    def ListEndOfDays(
        self, request: pb.ListEndOfDaysRequest, context: grpc.ServicerContext
    ) -> pb.ListEndOfDaysResponse:
        """The runs of a book."""
        size = request.page_size or 30
        before = _day_key(request.page_token)
        with self._db.read() as connection:
            found = progress.newest(connection, request.book_id, before, size + 1)
            runs = [progress.describe(connection, run_id) for run_id in found[:size]]
        more = len(found) > size
        last = str(to_date(runs[-1].business_date)) if more else ""
        return pb.ListEndOfDaysResponse(runs=runs, next_page_token=token(last) if more else "")

    def ListLoansSetAside(
        self, request: pb.ListLoansSetAsideRequest, context: grpc.ServicerContext
    ) -> pb.ListLoansSetAsideResponse:
        """Loans set aside."""
        size = request.page_size or 100
        day = optional_date(request, "business_date")
        after = text_key(request.page_token)
        with self._db.read() as connection:
            found = set_aside.page(connection, request.book_id, day, after, size + 1)
        more = len(found) > size
        return pb.ListLoansSetAsideResponse(
            loans=[progress.aside(each) for each in found[:size]],
            next_page_token=token(found[size - 1].loan_id) if more else "",
        )

    def GetEndOfDayReport(
        self, request: pb.GetEndOfDayReportRequest, context: grpc.ServicerContext
    ) -> pb.GetEndOfDayReportResponse:
        """The report of a day."""
        asked = optional_date(request, "business_date")
        with self._db.read() as connection:
            day = asked or day_reports.last(connection, request.book_id)
            run = progress.describe(connection, progress.find(connection, request.book_id, day))
            return pb.GetEndOfDayReportResponse(report=day_reports.get(connection, run, day))

    def DownloadLoanLedger(
        self, request: pb.DownloadLoanLedgerRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.DownloadLoanLedgerResponse]:
        """The loan ledger as a file."""
        day = read_date("business_date", request.business_date)
        path = loan_ledger_file.path_of(self._desk.reports, request.book_id, day)
        with self._db.read() as connection:
            day_reports.kept(connection, request.book_id, day)
            if not path.exists():
                ledger = snapshots.ledger_of(connection, request.book_id, day)
                loan_ledger_file.write(self._db, ledger, path)
        for chunk in loan_ledger_file.read(path):
            yield pb.DownloadLoanLedgerResponse(chunk=chunk)

    def _know(self, book_id: str) -> None:
        """A book that is new here is the ledger's. Passes on the ledger's NOT_FOUND."""
        with self._db.read() as connection:
            known = books.find(connection, book_id)
        if known is None:
            books.adopt(self._db, self._desk.ledger, book_id)

    def _run(
        self, book_id: str, day: date, context: grpc.ServicerContext
    ) -> Iterator[pb.EndOfDayRun]:
        run_id = self._day_ends.start(book_id, day)
        return self._day_ends.watch(run_id, context.is_active)


def _day_key(page_token: str) -> date:
    """The day of the run that a page ended with."""
    if not page_token:
        return date.max
    try:
        return date.fromisoformat(text_key(page_token))
    except ValueError as error:
        raise InvalidArgument("page_token", "is not one this list gave") from error
