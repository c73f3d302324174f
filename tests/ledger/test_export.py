"""The journal as files that others read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from beancount import loader
from beancount.core import data, realization
from ledger.chain_story import ENTRIES, LINES, tell
from ledger.ledger_case import LedgerUnderTest
from ledger.posting_case import post_columns

from support import day, rid
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_ledger.chart import default_chart
from tael_ledger.export import CHUNK, COLUMNS, beancount_account, decimal_text

FACTS = {"application": 'ap "1"', "channel": "线上"}


@pytest.fixture(scope="module")
def story(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A book in which everything happened, one code has the book's own account and an owner's, and
    the last entry has facts."""
    book = new_book()
    tell(book)
    entries = [
        correction({"1001": 8, "6021.01": -3, "6021.01:LOAN:A": -5}),
        correction({"1003": -9, "1001": 9}, **FACTS),
    ]
    book.ledger.PostEntries(
        pb.PostEntriesRequest(request_id=rid(), book_id=book.book_id, atomic=True, entries=entries)
    )
    return book


def correction(debits: dict[str, int], **facts: str) -> pb.NewEntry:
    """An entry worth a day before the book's first: debits by account, negative in red ink."""
    return pb.NewEntry(
        event="CORRECTED",
        value_date=day("2026-01-10"),
        metadata=facts,
        lines=[
            pb.PostingLine(account_number=number, side=pb.SIDE_DEBIT, amount=amount)
            for number, amount in debits.items()
        ],
    )


def exported(book: LedgerUnderTest, form: pr.ExportFormat.ValueType) -> bytes:
    """The file."""
    request = pr.ExportJournalRequest(book_id=book.book_id, format=form)
    chunks = [part.chunk for part in book.proof.ExportJournal(request)]
    assert all(len(chunk) <= CHUNK for chunk in chunks)
    return b"".join(chunks)


def csv_rows(book: LedgerUnderTest) -> list[dict[str, str]]:
    """The CSV's rows."""
    return list(csv.DictReader(io.StringIO(exported(book, pr.EXPORT_FORMAT_CSV).decode())))


def test_bean_check_accepts_the_export_and_finds_our_balances(
    story: LedgerUnderTest, tmp_path: Path
) -> None:
    file = tmp_path / "journal.beancount"
    file.write_bytes(exported(story, pr.EXPORT_FORMAT_BEANCOUNT))
    directives, errors, _ = loader.load_file(str(file))
    assert errors == []
    entries = [one for one in directives if isinstance(one, data.Transaction)]
    assert len(entries) == ENTRIES + 2
    assert json.loads(entries[-1].meta["facts"]) == FACTS
    real = realization.realize(directives)
    accounts = story.ledger.ListAccounts(
        pb.ListAccountsRequest(book_id=story.book_id, page_size=1000)
    ).accounts
    chart = default_chart()
    assert len(accounts) > 10
    for account in accounts:
        node = realization.get(real, beancount_account(account.account_number, chart))
        ours = Decimal(decimal_text(account.debits_posted - account.credits_posted, "CNY"))
        theirs = node.balance.get_currency_units("CNY").number if node is not None else Decimal(0)
        assert theirs == ours, account.account_number


def test_a_wrong_export_does_not_pass_bean_check(story: LedgerUnderTest, tmp_path: Path) -> None:
    good = exported(story, pr.EXPORT_FORMAT_BEANCOUNT).decode()
    file = tmp_path / "journal.beancount"
    file.write_text(re.sub(r"(balance \S+  )10000\.00", r"\g<1>10000.01", good), encoding="utf-8")
    _, errors, _ = loader.load_file(str(file))
    assert errors


def test_the_csv_has_every_line_in_minor_units(story: LedgerUnderTest) -> None:
    rows = csv_rows(story)
    assert len(rows) == LINES + 5
    assert sum(int(row["debit"]) for row in rows) == story.trial_balance().total_debits
    disbursed = next(row for row in rows if row["sequence"] == "2")
    assert disbursed["account_number"] == "1303.01:LOAN:L1"
    assert {row["narrative"] for row in rows} >= {'say "hi" \\ there\t\x1f', "不对"}
    assert json.loads(rows[-1]["metadata"]) == FACTS
    assert (rows[-1]["line_number"], rows[-1]["value_date"]) == ("2", "2026-01-10")


def test_an_entry_of_many_lines_is_told_in_chunks_of_all_forms(book: LedgerUnderTest) -> None:
    lines = 12_000
    numbers = [f"2241.03:CUSTOMER:{n}" for n in range(lines)] + ["1003"]
    post_columns(book, (numbers, [0] * lines + [lines], [1] * lines + [0]))
    assert [row["account_number"] for row in csv_rows(book)] == numbers
    for form in (pr.EXPORT_FORMAT_BEANCOUNT, pr.EXPORT_FORMAT_CANONICAL, pr.EXPORT_FORMAT_PARQUET):
        assert len(exported(book, form)) > CHUNK


def test_parquet_has_what_the_csv_has_in_types_of_its_own(
    story: LedgerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tael_ledger.journal_stream.WINDOW", 9)
    file = pq.ParquetFile(io.BytesIO(exported(story, pr.EXPORT_FORMAT_PARQUET)))
    rows = file.read().to_pylist()
    assert tuple(file.schema_arrow.names) == COLUMNS
    assert file.metadata.num_row_groups > 2
    first = rows[0]
    types = {name: type(first[name]) for name in ("debit", "booking_date", "event", "sequence")}
    assert types == {"debit": int, "booking_date": date, "event": str, "sequence": int}
    as_text = [{name: str(value) for name, value in row.items()} for row in rows]
    assert as_text == csv_rows(story)


def test_an_empty_book_exports_files_that_open(book: LedgerUnderTest, tmp_path: Path) -> None:
    file = pq.ParquetFile(io.BytesIO(exported(book, pr.EXPORT_FORMAT_PARQUET)))
    assert (file.read().num_rows, tuple(file.schema_arrow.names)) == (0, COLUMNS)
    assert csv_rows(book) == []
    text = tmp_path / "journal.beancount"
    text.write_bytes(exported(book, pr.EXPORT_FORMAT_BEANCOUNT))
    assert loader.load_file(str(text))[1] == []


def test_two_accounts_never_share_a_name_in_the_export_and_none_stands_above_another() -> None:
    chart = default_chart()
    owners = ["l1", "L1", "0-6C1", "-1", "0-2D1", "_", ".", "a_b", "a.b", "a-b", "a-5Fb", "0"]
    numbers = [*(f"1303.01:LOAN:{owner}" for owner in owners), "1303.01", "1303.01:OWN:OWN"]
    names = {beancount_account(number, chart) for number in numbers}
    assert len(names) == len(numbers)
    part = r"[A-Z0-9][A-Za-z0-9-]*"
    assert all(re.fullmatch(rf"Assets:{part}(:{part}){{1,2}}", name) for name in names)
    assert not [(one, other) for one in names for other in names if one.startswith(f"{other}:")]


@pytest.mark.parametrize(
    ("minor_units", "currency_code", "expected"),
    [(-5, "CNY", "-0.05"), (123456, "CNY", "1234.56"), (7, "JPY", "7"), (-1, "KWD", "-0.001")],
)
def test_minor_units_are_written_as_decimals(
    minor_units: int, currency_code: str, expected: str
) -> None:
    assert decimal_text(minor_units, currency_code) == expected
