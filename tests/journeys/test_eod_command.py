"""`tael eod` as an operator sees it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from threading import Timer

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from rich.console import Console
from servicing.bank import START, Bank
from typer.testing import CliRunner

from support import House
from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_cli.eod_show import Bars
from tael_cli.main import app
from tael_client.values import from_date

Tael = Callable[..., Result]
MOST = 9_223_372_036_854_775_807


@pytest.fixture(scope="module")
def running(data_dir: Path) -> Iterator[House]:
    with House(data_dir) as house:
        yield house.spawn("simulators", "ledger", "servicing")


@pytest.fixture
def bank(running: House) -> Bank:
    return Bank(running)


@pytest.fixture
def eod(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tael]:
    """`tael eod` for the bank's book."""
    for name, value in bank.house.environment().items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> Result:
        return CliRunner().invoke(app, ["eod", "--book", bank.book, *options])

    return run


def spoil(bank: Bank, loan_id: str) -> Callable[[], None]:
    """Has a loan's next night overflow; gives what heals it."""
    grows = "SELECT per_night, denominator FROM accrual_position WHERE loan_id = :loan"
    change = (
        "UPDATE accrual_position SET per_night = :night, denominator = :parts WHERE loan_id = :loan"
    )
    ((night, parts),) = bank.house.sql(grows, "servicing", loan=loan_id)

    def put(night: int, parts: int) -> None:
        bank.house.sql(change, "servicing", write=True, loan=loan_id, night=night, parts=parts)

    put(MOST - 1, MOST)
    return lambda: put(night, parts)


def test_a_day_that_closes_is_told_step_by_step_and_ends_with_0(bank: Bank, eod: Tael) -> None:
    bank.lend()
    told = eod()
    assert told.exit_code == 0, told.output
    first, *lines, last = told.output.splitlines()
    assert first == f"end of {START}"
    assert [line.split()[0] for line in lines] == ["accrue", "snapshot", "report"]
    assert all(" 1 loan " in line for line in lines)
    assert last.startswith(f"{START} is closed after ")
    assert last.endswith(f"; {START + timedelta(days=1)} is open")


def test_a_report_is_printed_and_kept_as_json_with_its_loan_ledger(
    bank: Bank, eod: Tael, tmp_path: Path
) -> None:
    loan_id = bank.lend().loan_id
    kept, ledger = tmp_path / "report.json", tmp_path / "loans.parquet"
    told = eod("--json", str(kept), "--loan-ledger", str(ledger))
    assert told.exit_code == 0, told.output
    report = json.loads(kept.read_text())
    assert report["run"]["businessDate"] == {"year": 2026, "month": 1, "day": 15}
    assert pq.read_table(ledger)["loan_id"].to_pylist() == [loan_id]
    bank.day += timedelta(days=1)
    bank.end_day()
    told = eod("--report", "--date", str(START))
    assert told.exit_code == 0, told.output
    for words in (
        "INTEREST_ACCRUED │ interest │  3.23",
        "1132.01 │ 应收利息",
        report["loanLedger"]["loans"] + " loan,",
    ):
        assert words in told.output, told.output
    assert "≠" not in told.output


def test_a_day_that_waits_for_a_loan_says_which_and_why_and_what_to_do(
    bank: Bank, eod: Tael
) -> None:
    bank.lend()
    faulty = bank.lend().loan_id
    heal = spoil(bank, faulty)
    rehearsed = eod("--dry-run")
    assert rehearsed.exit_code == 1
    assert "1 loan would be set aside" in rehearsed.output
    for told in (eod(), eod("--resume")):
        assert told.exit_code == 1
        assert f"{START} is not closed: 1 loan set aside" in told.output
        words = " ".join(told.output.replace("│", " ").split())
        for part in (faulty[:20], "accrue", "out of range", "have them corrected"):
            assert part in words, told.output
        assert "tael eod --resume" in told.output
    heal()
    told = eod("--resume")
    assert told.exit_code == 0, told.output
    assert f"{START} is closed" in told.output


def test_a_rehearsal_shows_what_would_be_posted_and_does_nothing(bank: Bank, eod: Tael) -> None:
    bank.lend()
    before = list(bank.events())
    told = eod("--rehearse")
    assert told.exit_code == 0, told.output
    assert "INTEREST_ACCRUED.interest" in told.output
    assert "nothing is kept" in told.output
    assert list(bank.events()) == before


def test_days_are_caught_up_until_one_is_open(eod: Tael) -> None:
    until = START + timedelta(days=3)
    told = eod("--catch-up", str(until))
    assert told.exit_code == 0, told.output
    assert told.output.count(" is closed after ") == 3
    again = eod("--catch-up", str(until))
    assert (again.exit_code, again.output) == (0, f"nothing to catch up: {until} is open\n")


def test_what_cannot_be_done_ends_with_another_code(eod: Tael) -> None:
    assert eod("--resume").exit_code == 2
    assert eod("--report").exit_code == 2
    assert eod("--report", "--rehearse").exit_code == 2
    assert eod("--date", "2026-01-15").exit_code == 2


def test_an_operator_watches_on_when_servicing_comes_back(bank: Bank, eod: Tael) -> None:
    bank.lend()

    def strike() -> None:
        bank.house.kill("servicing")
        bank.house.spawn("servicing")

    timer = Timer(0.15, strike)
    timer.start()
    told = eod()
    timer.join()
    assert told.exit_code == 0, told.output
    assert f"{START} is closed" in told.output


def test_a_terminal_shows_a_bar_a_step_with_its_rate_and_the_time_left() -> None:
    def run(done: int, loans: int) -> pb.EndOfDayRun:
        step = pb.StepProgress(
            step="accrue", state=pb.RUN_STATE_RUNNING, chunks=10, chunks_done=done, loans=loans
        )
        return pb.EndOfDayRun(
            business_date=from_date(date(2026, 1, 15)), state=pb.RUN_STATE_RUNNING, steps=[step]
        )

    console = Console(force_terminal=True, width=120, file=io.StringIO())
    with Bars(console) as bars:
        bars.show(run(1, 2_000))
        bars.show(run(4, 8_000))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "8,000 loans" in shown
    assert "/s" in shown
    assert "s left" in shown
