"""`tael eod`: starts and watches the end of business dates; the batch itself lives in servicing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

import grpc
from google.protobuf import json_format
from rich.console import Console

from tael.ledger.v1 import accounting_pb2, accounting_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from tael.servicing.v1 import end_of_day_pb2 as pb
from tael.servicing.v1 import end_of_day_pb2_grpc
from tael_cli import eod_show
from tael_cli.services import Services
from tael_client.values import from_date, to_date

SILENT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
)
"""A servicing that died and comes back: the run goes on, and is watched again."""
PATIENCE_SECONDS = 60.0
REHEARSAL_SECONDS = 3600.0
"""A large book is rehearsed in one call."""
SHOWN = 20
"""Of the loans set aside."""


class _Told(Protocol):
    """A message of a stream that tells how a run stands."""

    @property
    def run(self) -> pb.EndOfDayRun:
        """The run so far."""
        ...


def business_date(services: Services, book: str) -> date:
    """The book's open business date."""
    ledger = services.stub("ledger", ledger_pb2_grpc.LedgerServiceStub)
    return to_date(ledger.GetBook(ledger_pb2.GetBookRequest(book_id=book)).book.business_date)


def end_day(services: Services, book: str, day: date) -> pb.EndOfDayRun:
    """Ends one day without showing how.

    Raises SystemExit with the reason when it does not close.
    """
    stub = services.stub("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)
    run = pb.EndOfDayRun()
    for told in stub.RunEndOfDay(_run_request(book, day)):
        run = told.run
    if run.state != pb.RUN_STATE_DONE:
        raise SystemExit(f"the end of {day} is blocked: {run.error}")
    return run


def _run_request(book: str, day: date) -> pb.RunEndOfDayRequest:
    return pb.RunEndOfDayRequest(book_id=book, business_date=from_date(day))


@dataclass(frozen=True)
class Operator:
    """Who ends the days of a book, at a console."""

    services: Services
    console: Console
    book: str

    @property
    def _day_ends(self) -> end_of_day_pb2_grpc.EndOfDayServiceStub:
        return self.services.stub("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)

    def end(self, *, resume: bool = False, until: date | None = None) -> date | None:
        """Ends the day that is due, or joins its run; goes on with one that was begun; ends day after
        day until a date is open. The last day, where it closed.
        """
        if until is not None:
            return self._catch_up(until)
        due = self._due()
        if not resume:
            return self._watch(lambda: self._day_ends.RunEndOfDay(_run_request(self.book, due)))
        request = pb.ResumeEndOfDayRequest(book_id=self.book, business_date=from_date(due))
        return self._watch(lambda: self._day_ends.ResumeEndOfDay(request))

    def _catch_up(self, until: date) -> date | None:
        due = self._due()
        if due >= until:
            self.console.print(f"nothing to catch up: {due} is open", highlight=False)
            return due - timedelta(days=1)
        request = pb.CatchUpRequest(book_id=self.book, open_date=from_date(until))
        return self._watch(lambda: self._day_ends.CatchUp(request))

    def rehearse(self) -> bool:
        """Shows what the end of the open day would do; whether it would set no loan aside."""
        day = business_date(self.services, self.book)
        request = pb.RehearseEndOfDayRequest(book_id=self.book, business_date=from_date(day))
        told = self._day_ends.RehearseEndOfDay(request, timeout=REHEARSAL_SECONDS)
        eod_show.rehearsal(self.console, day, told)
        return not told.loans_set_aside

    def report(self, day: date | None, json: Path | None, loan_ledger: Path | None) -> bool:
        """Prints the report of a day, the last one where none is given, and keeps it where asked;
        whether servicing, ledger and loan ledger agree in it.
        """
        report = self.keep(day, json, loan_ledger)
        accounting = self.services.stub("ledger", accounting_pb2_grpc.AccountingServiceStub)
        chart = accounting.GetChartOfAccounts(
            accounting_pb2.GetChartOfAccountsRequest(book_id=self.book)
        )
        return eod_show.report(self.console, report, {row.code: row.name for row in chart.accounts})

    def keep(
        self, day: date | None, json: Path | None, loan_ledger: Path | None
    ) -> pb.EndOfDayReport:
        """The report of a day, the last one where none is given; as JSON in a file, as the REST bridge
        has it, and its loan ledger as Parquet in another, where asked.
        """
        request = pb.GetEndOfDayReportRequest(book_id=self.book)
        if day is not None:
            request.business_date.CopyFrom(from_date(day))
        report = self._day_ends.GetEndOfDayReport(request).report
        if json is not None:
            json.write_text(json_format.MessageToJson(report, ensure_ascii=False) + "\n")
            self.console.print(f"report in {json}", highlight=False)
        if loan_ledger is not None:
            self._keep_loan_ledger(report, loan_ledger)
        return report

    def _keep_loan_ledger(self, report: pb.EndOfDayReport, file: Path) -> None:
        """Raises SystemExit where the bytes are not those that the report vouches for."""
        request = pb.DownloadLoanLedgerRequest(
            book_id=self.book, business_date=report.run.business_date
        )
        part, digest = file.with_name(f"{file.name}.part"), hashlib.sha256()
        with part.open("wb") as out:
            for told in self._day_ends.DownloadLoanLedger(request):
                digest.update(told.chunk)
                out.write(told.chunk)
        if digest.digest() != report.loan_ledger.sha256:
            part.unlink()
            raise SystemExit(f"the loan ledger is not the one reported: {digest.hexdigest()}")
        part.replace(file)
        self.console.print(
            f"loan ledger of {report.loan_ledger.loans:,} loans in {file}", highlight=False
        )

    def _last(self) -> pb.EndOfDayRun | None:
        with suppress(grpc.RpcError):
            return self._day_ends.GetEndOfDay(pb.GetEndOfDayRequest(book_id=self.book)).run
        return None

    def _due(self) -> date:
        """The day under way, else the open one: the ledger's is ahead once a day is closed in it."""
        last = self._last()
        if last is not None and last.state != pb.RUN_STATE_DONE:
            return to_date(last.business_date)
        return business_date(self.services, self.book)

    def _watch(self, ask: Callable[[], Iterator[_Told]]) -> date | None:
        """Shows runs until the stream ends; the last day where it closed."""
        run = pb.EndOfDayRun()
        try:
            with eod_show.Bars(self.console) as bars:
                for run in self._told(ask):
                    bars.show(run)
        except KeyboardInterrupt:
            self.console.print("not stopped: servicing goes on; `tael eod` watches it again")
            raise SystemExit(130) from None
        if run.state == pb.RUN_STATE_DONE:
            return to_date(run.business_date)
        self._tell_blocked(run)
        return None

    def _told(self, ask: Callable[[], Iterator[_Told]]) -> Iterator[pb.EndOfDayRun]:
        """What a stream tells; asked for again where servicing fell silent."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                for told in ask():
                    yield told.run
                    end = time.monotonic() + PATIENCE_SECONDS
            except grpc.RpcError as error:
                silent = isinstance(error, grpc.Call) and error.code() in SILENT
                if not silent or time.monotonic() > end:
                    raise
                time.sleep(0.5)
            else:
                return

    def _tell_blocked(self, run: pb.EndOfDayRun) -> None:
        request = pb.ListLoansSetAsideRequest(book_id=self.book, page_size=SHOWN)
        loans = list(self._day_ends.ListLoansSetAside(request).loans) if run.loans_set_aside else []
        eod_show.blocked(self.console, run, loans)
