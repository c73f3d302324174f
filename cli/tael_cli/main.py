"""The commands of `tael`."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import grpc
import typer
from rich.console import Console

from tael.ledger.v1.ledger_pb2 import Anchor
from tael_cli import audit as audit_command
from tael_cli import eod as eod_command
from tael_cli import setup as setup_command
from tael_cli.demo import run as run_demo
from tael_cli.quote import quote
from tael_cli.services import Services
from tael_cli.supervisor import ORDER, Supervisor, await_healthy
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.main import await_stop, stop_signals
from tael_runtime.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Core-banking for loans.",
)
db_app = typer.Typer(no_args_is_help=True, help="The data folder's own PostgreSQL.")
app.add_typer(db_app, name="db")
console = Console(width=None if sys.stdout.isatty() else 120)

BookOption = Annotated[str, typer.Option(help="The book.")]
A_DAY = ["%Y-%m-%d"]


@app.command()
def serve(
    service: Annotated[str, typer.Argument(help=f"{', '.join(ORDER)}, or all.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on a port; default: TAEL_WORKERS.")
    ] = None,
) -> None:
    """Runs one service in this process, or all of them as processes that are kept alive."""
    chosen = {"TAEL_WORKERS": str(workers)} if workers else {}
    if service == "all":
        _serve_all(chosen)
        return
    if service not in ORDER:
        raise typer.BadParameter(f"{service!r} is none of {', '.join(ORDER)}, all")
    # In this process's place, so that SIGTERM and Ctrl-C reach the service itself, which drains.
    command = [sys.executable, "-m", f"tael_{service}"]
    os.execve(sys.executable, command, {**os.environ, **chosen})  # noqa: S606  no shell


def _serve_all(environment: dict[str, str]) -> None:
    settings = Settings()
    stopping = stop_signals()
    supervisor = Supervisor(environment, settings.data_dir / "logs")
    supervisor.start()
    try:
        await_healthy(settings, ORDER)
        for name in ORDER:
            console.print(f"  {name:<12} {settings.target(name)}")
        console.print(f"  logs in {settings.data_dir / 'logs'}; Ctrl-C stops everything")
        await_stop(stopping)
    finally:
        console.print("draining…")
        supervisor.stop()


@app.command()
def setup(
    book: BookOption = "main",
    business_date: Annotated[
        datetime, typer.Option(formats=A_DAY, help="The first open day.")
    ] = datetime(2026, 1, 15),  # noqa: DTZ001  a date, which typer reads as this
) -> None:
    """Seeds a book with its chart and posting rules, a product, the credit policy and an agency."""
    services = Services(Settings())
    with _told():
        setup_command.seed(services, book, business_date.date())
        console.print(f"book {book!r} is set up; product {setup_command.PRODUCT} is published")
    services.close()


@app.command()
def eod(
    book: BookOption = "main",
    rehearse: Annotated[
        bool, typer.Option("--rehearse", "--dry-run", help="Only show what it would do.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a day that did not close.")
    ] = False,
    catch_up: Annotated[
        datetime | None,
        typer.Option(formats=A_DAY, help="End day after day until this one is open."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="End nothing; show the report of a day.")
    ] = False,
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=A_DAY, help="The day reported; default: the last one."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report here.")] = None,
    loan_ledger: Annotated[
        Path | None, typer.Option(help="Write the loan ledger here, as Parquet.")
    ] = None,
) -> None:
    """Ends the business date and shows it; can be left and run again. Exit code 0 when it closed."""
    if sum((rehearse, resume, report, catch_up is not None)) > 1:
        raise typer.BadParameter("one of --rehearse, --resume, --catch-up, --report at a time")
    if day is not None and not report:
        raise typer.BadParameter("--date goes with --report")
    services = Services(Settings())
    operator = eod_command.Operator(services, console, book)
    with _told():
        if rehearse:
            done = operator.rehearse()
        elif report:
            done = operator.report(day.date() if day else None, json, loan_ledger)
        else:
            closed = operator.end(resume=resume, until=catch_up.date() if catch_up else None)
            done = closed is not None
            if closed and (json or loan_ledger):
                operator.keep(closed, json, loan_ledger)
    services.close()
    raise SystemExit(0 if done else 1)


@app.command()
def audit(
    book: BookOption = "main",
    anchor: Annotated[
        Anchor | None,
        typer.Option(
            parser=audit_command.read_anchor,
            metavar="SEQUENCE:DIGEST",
            help="A head that an audit printed, kept outside: the chain must pass through it.",
        ),
    ] = None,
) -> None:
    """Proves the books from the lines up and prints the trial balance; exit code 1 on a finding.

    A tail that was rewritten as a whole proves itself: only an anchor of before tells.
    """
    services = Services(Settings())
    with _told():
        sound = audit_command.run(services, console, book, anchor)
    services.close()
    raise SystemExit(0 if sound else 1)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Keep the demo's data in this folder.")] = None,
) -> None:
    """One loan's whole life through the real services, told as a story; under two minutes."""
    raise SystemExit(run_demo(console, keep))


app.command()(quote)


@db_app.command("start")
def db_start() -> None:
    """Starts the embedded PostgreSQL and prints its URL."""
    settings = Settings()
    console.print(EmbeddedPostgres(settings.data_dir, settings.pg_bindir).start())


@db_app.command("stop")
def db_stop() -> None:
    """Stops it; the data stay."""
    settings = Settings()
    EmbeddedPostgres(settings.data_dir, settings.pg_bindir).stop()


class _told:  # noqa: N801  reads as a word: with _told()
    """Turns a refused call into one line and exit code 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, _trace: object) -> None:
        if isinstance(error, grpc.Call):
            console.print(f"[red]{error.code().name}[/red] {error.details()}")
            raise SystemExit(2)
