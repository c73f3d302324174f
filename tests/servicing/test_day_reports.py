"""The report of a day's end: what it came to, and the loan ledger as a file."""

from __future__ import annotations

import hashlib
import io
from datetime import date, timedelta
from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest
from servicing.bank import START, Bank

from support import refusal
from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_client.values import from_date
from tael_servicing import loan_ledger_file, snapshots
from tael_servicing.end_of_day.checks import CODES


def report(bank: Bank, day: date | None = None) -> pb.EndOfDayReport:
    request = pb.GetEndOfDayReportRequest(
        book_id=bank.book, business_date=from_date(day) if day else None
    )
    return bank.day_ends.GetEndOfDayReport(request).report


def download(bank: Bank, day: date) -> bytes:
    request = pb.DownloadLoanLedgerRequest(book_id=bank.book, business_date=from_date(day))
    return b"".join(told.chunk for told in bank.day_ends.DownloadLoanLedger(request))


def test_a_day_that_was_ended_is_reported_to_the_cent(bank: Bank) -> None:
    loan_ids = sorted(bank.lend().loan_id for _ in range(3))
    run = bank.end_day()
    told = report(bank)
    assert told == report(bank, START)
    assert told.run == run
    assert all(step.HasField("finished_at") for step in told.run.steps)
    assert [(each.event, each.amount_type, each.minor_units) for each in told.events] == [
        ("INTEREST_ACCRUED", "interest", 3 * 323)
    ]
    totals = {each.gl_code: each for each in told.control_totals}
    assert {code: each.servicing for code, each in totals.items()} == {
        "1132.01": 3 * 323,
        "1303.01": 3_000_000,
        "7201": 3_000_000,
    }
    for code, each in totals.items():
        assert each.ledger == each.servicing
        assert each.HasField("loan_ledger") == (code in CODES.values())
        assert not each.HasField("loan_ledger") or each.loan_ledger == each.servicing
    file = download(bank, START)
    assert (told.loan_ledger.loans, told.loan_ledger.size) == (3, len(file))
    assert told.loan_ledger.sha256 == hashlib.sha256(file).digest()
    rows = pq.read_table(io.BytesIO(file)).to_pylist()
    assert [row["loan_id"] for row in rows] == loan_ids
    assert {(row["interest_accrued"], row["bucket"], row["next_due"]) for row in rows} == {
        (323, "M0", date(2026, 2, 15))
    }
    assert {str(row["annual_rate"]) for row in rows} == {"0.120000"}


def test_the_loan_ledger_of_a_day_stays_the_same_file_whatever_comes_later(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    bank.end_day()
    before = report(bank, START), download(bank, START)
    bank.repay(loan_id, 100_000, "PREPAY_KEEP_TERM", value_date=from_date(START))
    bank.end_day()
    (path,) = bank.house.settings.reports.glob(f"{bank.book}/{START}/*")
    assert path.read_bytes() == before[1]
    path.unlink()
    assert (report(bank, START), download(bank, START)) == before
    assert path.read_bytes() == before[1], "made again where it was lost"
    assert report(bank).run.business_date == from_date(START + timedelta(days=1))


@pytest.mark.parametrize("loans_a_group", [1, 2, 5])
def test_many_loans_come_in_groups_and_none_is_lost_or_doubled(
    bank: Bank, tmp_path: Path, loans_a_group: int
) -> None:
    for _ in range(5):
        bank.lend()
    bank.end_day()
    database = bank.house.running["servicing"].runtime.database
    with database.read() as connection:
        ledger = snapshots.ledger_of(connection, bank.book, START)
    path = tmp_path / "loan-ledger.parquet"
    written = loan_ledger_file.write(database, ledger, path, loans_a_group)
    assert written.loans == 5
    assert pq.ParquetFile(path).num_row_groups == -(-5 // loans_a_group)
    assert pq.read_table(path).equals(pq.read_table(io.BytesIO(download(bank, START))))


def test_a_book_without_loans_is_reported_as_well(bank: Bank) -> None:
    bank.end_day()
    told = report(bank)
    assert (told.loan_ledger.loans, list(told.control_totals)) == (0, [])
    assert pq.read_table(io.BytesIO(download(bank, START))).num_rows == 0


def test_a_day_that_is_not_ended_has_no_report(bank: Bank) -> None:
    bank.lend()
    for ask in (lambda: report(bank), lambda: report(bank, START), lambda: download(bank, START)):
        with pytest.raises(grpc.RpcError) as refused:
            ask()
        assert refusal(refused.value)[0] == "NOT_FOUND"
