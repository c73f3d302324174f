"""`tael eod`: watches the end of a business date; the batch itself lives in servicing."""

from __future__ import annotations

from datetime import date

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael.servicing.v1 import end_of_day_pb2, end_of_day_pb2_grpc
from tael_cli.services import Services
from tael_client.values import from_date, to_date


def business_date(services: Services, book: str) -> date:
    """The book's open business date."""
    ledger = services.stub("ledger", ledger_pb2_grpc.LedgerServiceStub)
    return to_date(ledger.GetBook(ledger_pb2.GetBookRequest(book_id=book)).book.business_date)


def end_day(services: Services, book: str, day: date) -> end_of_day_pb2.EndOfDayRun:
    """Ends one day and returns the run as it ended.

    Raises SystemExit with the reason when the run is blocked.
    """
    stub = services.stub("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)
    run = end_of_day_pb2.EndOfDayRun()
    request = end_of_day_pb2.RunEndOfDayRequest(book_id=book, business_date=from_date(day))
    for progress in stub.RunEndOfDay(request):
        run = progress.run
    if run.state != end_of_day_pb2.RUN_STATE_DONE:
        raise SystemExit(f"the end of {day} is blocked: {run.error}")
    return run


def run(services: Services, console: Console, book: str, until: date | None) -> None:
    """Ends the open day, and the days after it up to `until`, with a bar for the days."""
    day = business_date(services, book)
    last = until or day
    if last < day:
        console.print(f"{last} is ended already; the open day is {day}")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} days"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"end of {day}", total=(last - day).days + 1)
        while day <= last:
            progress.update(bar, description=f"end of {day}")
            ended = end_day(services, book, day)
            day = to_date(ended.next_business_date)
            progress.advance(bar)
    console.print(f"the open day is {day}")
