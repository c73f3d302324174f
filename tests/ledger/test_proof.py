"""The chain and the proof: recomputed by a stranger, and caught when the store was forced."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core import realization
from ledger.ledger_case import LedgerUnderTest

from support import rid
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_ledger.chart import default_chart
from tael_ledger.export import beancount_account, decimal_text


@pytest.fixture(scope="module")
def story(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A book with several days, a reversal, red ink and awkward names."""
    book = new_book()
    tell(book)
    return book


def tell(book: LedgerUnderTest) -> None:
    """Posts the story."""
    owners = {"LOAN": "ln_1.a-b", "CUSTOMER": "7", "LINE": "N1"}
    book.post("LINE_GRANTED", commitment=2_000_000)
    book.post("LOAN_DISBURSED", principal=1_000_000, commitment=1_000_000, source="a/b")
    book.post("LOAN_DISBURSED", principal=5, owners=owners, narrative='say "hi" \\ there')
    book.post("LOAN_DISBURSED", principal=0)
    book.close_day("2026-01-15")
    book.post("INTEREST_ACCRUED", interest=323, status=pb.ACCRUAL_STATUS_ACCRUAL)
    book.post("INTEREST_TRUED_UP", interest=-23)
    book.ledger.ReverseEntry(
        pb.ReverseEntryRequest(request_id=rid(), book_id=book.book_id, sequence=3, reason="不对")
    )
    book.post("LOAN_WRITTEN_OFF", allowance_top_up=10, principal=10, interest=3)


def integer(value: int) -> bytes:
    """docs/ledger-chain.md: eight bytes, big-endian."""
    return value.to_bytes(8, "big", signed=True)


def text(value: str) -> bytes:
    """docs/ledger-chain.md: length, then UTF-8."""
    return integer(len(value.encode())) + value.encode()


def recomputed(book: LedgerUnderTest) -> list[tuple[int, bytes]]:
    """(last sequence, digest) of each batch, as docs/ledger-chain.md says, straight from the rows."""

    def rows(statement: str, **values: Any) -> list[Any]:
        return book.house.sql(statement, "ledger", book=book.book_id, **values)

    links = []
    previous = bytes(32)
    batches = rows(
        "SELECT *, CAST(extract(epoch FROM committed_at) * 1000000 AS bigint) AS instant "
        "FROM posting_batch WHERE book_id = :book ORDER BY batch_number"
    )
    for batch in batches:
        span = {"first": batch.first_sequence, "last": batch.last_sequence}
        opened = rows(
            "SELECT * FROM account WHERE book_id = :book AND batch_number = :n ORDER BY account_id",
            n=batch.batch_number,
        )
        requests = rows(
            "SELECT * FROM posting_request WHERE book_id = :book AND batch_number = :n "
            'ORDER BY rpc COLLATE "C", caller COLLATE "C", request_id COLLATE "C"',
            n=batch.batch_number,
        )
        entries = rows(
            "SELECT *, (SELECT count(*) FROM line WHERE line.book_id = entry.book_id "
            "AND line.sequence = entry.sequence) AS lines FROM entry "
            "WHERE book_id = :book AND sequence BETWEEN :first AND :last ORDER BY sequence",
            **span,
        )
        lines = rows(
            "SELECT * FROM line WHERE book_id = :book AND sequence BETWEEN :first AND :last "
            "ORDER BY sequence, line_number",
            **span,
        )
        content = text(book.book_id) + integer(batch.batch_number) + integer(batch.instant)
        content += integer(len(opened))
        for row in opened:
            content += integer(row.account_id) + text(row.number)
        content += integer(len(requests))
        for row in requests:
            content += text(row.rpc) + text(row.caller) + text(row.request_id)
            content += bytes(row.content_hash)
            content += integer(row.first_sequence) + integer(row.entries) + integer(row.lines)
        content += integer(len(entries))
        for row in entries:
            content += integer(row.sequence) + text(row.event)
            content += text(str(row.value_date)) + text(str(row.booking_date))
            content += text(row.source) + text(row.narrative)
            content += integer(row.rules_version) + integer(row.reversal_of) + integer(row.lines)
        content += integer(len(lines))
        for row in lines:
            content += integer(row.account_id) + integer(row.debit) + integer(row.credit)
        previous = hashlib.sha256(previous + content).digest()
        links.append((batch.last_sequence, previous))
    return links


def test_a_stranger_recomputes_the_chain_from_the_rows(story: LedgerUnderTest) -> None:
    head = story.proof.GetHead(pr.GetHeadRequest(book_id=story.book_id)).head
    assert recomputed(story)[-1] == (head.sequence, head.digest)
    assert head.committed_at.seconds > 0


def test_an_empty_book_has_a_head_of_zeros(book: LedgerUnderTest) -> None:
    head = book.proof.GetHead(pr.GetHeadRequest(book_id=book.book_id)).head
    assert (head.sequence, head.digest, head.HasField("committed_at")) == (0, bytes(32), False)
    assert book.findings() == []


def test_every_anchor_given_out_lies_on_the_chain_and_no_other(story: LedgerUnderTest) -> None:
    for sequence, digest in recomputed(story):
        assert story.findings(anchor=pb.Anchor(sequence=sequence, digest=digest)) == []
    false = pb.Anchor(sequence=1, digest=bytes(32))
    assert story.findings(anchor=false) == [("CHECK_ANCHOR", "entry 1")]


def test_the_proof_counts_what_it_read(story: LedgerUnderTest) -> None:
    summary = list(story.proof.Prove(pr.ProveRequest(book_id=story.book_id)))[-1].summary
    assert (summary.entries, summary.batches, summary.findings) == (9, 8, 0)
    assert summary.lines == 4 + 2 * 4 + 2 * 4 + 4 - 2
    assert summary.head.sequence == 9


TAMPERINGS = {
    "a line's amount": (
        "UPDATE line SET debit = debit + 1 WHERE {} AND sequence = 2 AND line_number = 1",
        {
            "CHECK_ENTRY_BALANCE",
            "CHECK_DIGEST_CHAIN",
            "CHECK_ACCOUNT_TOTALS",
            "CHECK_TRIAL_BALANCE",
        },
    ),
    "two amounts that still balance": (
        "UPDATE line SET debit = debit * 2, credit = credit * 2 WHERE {} AND sequence = 2",
        {"CHECK_DIGEST_CHAIN", "CHECK_ACCOUNT_TOTALS"},
    ),
    "a line's account": (
        "UPDATE line SET account_id = 1 WHERE {} AND sequence = 5 AND debit <> 0",
        {
            "CHECK_ENTRY_BALANCE",
            "CHECK_DIGEST_CHAIN",
            "CHECK_ACCOUNT_TOTALS",
            "CHECK_TRIAL_BALANCE",
        },
    ),
    "a line's booking date": (
        "UPDATE line SET booking_date = '2026-01-20' WHERE {} AND sequence = 5",
        {"CHECK_DIGEST_CHAIN"},
    ),
    "an entry's value date": (
        "UPDATE entry SET value_date = '2026-01-01' WHERE {} AND sequence = 2",
        {"CHECK_DIGEST_CHAIN"},
    ),
    "an entry taken away with its lines": (
        "DELETE FROM line WHERE {0} AND sequence = 4; DELETE FROM entry WHERE {0} AND sequence = 4",
        {"CHECK_SEQUENCE", "CHECK_DIGEST_CHAIN", "CHECK_ACCOUNT_TOTALS"},
    ),
    "a batch taken away": (
        "DELETE FROM posting_batch WHERE {} AND batch_number = 2",
        {"CHECK_SEQUENCE", "CHECK_DIGEST_CHAIN"},
    ),
    "a request's identity": (
        "UPDATE posting_request SET caller = 'someone' WHERE {} AND batch_number = 2",
        {"CHECK_DIGEST_CHAIN"},
    ),
    "that an entry was reversed": (
        "DELETE FROM reversal WHERE {}",
        {"CHECK_DIGEST_CHAIN"},
    ),
    "an account's total": (
        "UPDATE account SET debits_posted = debits_posted + 1 WHERE {} AND number = '7999'",
        {"CHECK_ACCOUNT_TOTALS"},
    ),
    "an account's number": (
        "UPDATE account SET number = '1001', gl_code = '1001' WHERE {} AND number = '6011.01'",
        {"CHECK_DIGEST_CHAIN"},
    ),
    "the book's digest": (
        "UPDATE book SET digest = decode(repeat('00', 32), 'hex') WHERE {}",
        {"CHECK_DIGEST_CHAIN"},
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_who_forces_the_store_is_caught(book: LedgerUnderTest, what: str) -> None:
    tell(book)
    statement, checks = TAMPERINGS[what]
    own = f"book_id = '{book.book_id}'"
    forced = "SET LOCAL session_replication_role = replica; " + statement.format(own)
    book.house.sql(forced, "ledger", write=True)
    assert {check for check, _ in book.findings()} == checks


def test_who_rewrites_the_tail_is_caught_by_an_anchor_kept_outside(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100)
    kept = book.post("LOAN_DISBURSED", principal=200).anchor
    own = f"book_id = '{book.book_id}'"
    book.house.sql(
        "SET LOCAL session_replication_role = replica; "
        f"UPDATE line SET debit = debit * 3, credit = credit * 3 WHERE {own} AND sequence = 2; "
        f"UPDATE account SET debits_posted = debits_posted * 7 / 3, "
        f"credits_posted = credits_posted * 7 / 3 WHERE {own}",
        "ledger",
        write=True,
    )
    forged = recomputed(book)[-1][1].hex()
    book.house.sql(
        "SET LOCAL session_replication_role = replica; "
        f"UPDATE posting_batch SET digest = '\\x{forged}' WHERE {own} AND batch_number = 2; "
        f"UPDATE book SET digest = '\\x{forged}' WHERE {own}",
        "ledger",
        write=True,
    )
    assert book.findings() == []
    assert book.findings(anchor=kept) == [("CHECK_ANCHOR", "entry 2")]


def exported(book: LedgerUnderTest, form: pr.ExportFormat.ValueType) -> str:
    """The journal as text."""
    request = pr.ExportJournalRequest(book_id=book.book_id, format=form)
    return b"".join(part.chunk for part in book.proof.ExportJournal(request)).decode()


def test_bean_check_accepts_the_export_and_finds_our_balances(
    story: LedgerUnderTest, tmp_path: Path
) -> None:
    file = tmp_path / "journal.beancount"
    file.write_text(exported(story, pr.EXPORT_FORMAT_BEANCOUNT), encoding="utf-8")
    directives, errors, _ = loader.load_file(str(file))
    assert errors == []
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
    good = exported(story, pr.EXPORT_FORMAT_BEANCOUNT)
    file = tmp_path / "journal.beancount"
    file.write_text(re.sub(r"(balance \S+  )10000\.00", r"\g<1>10000.01", good), encoding="utf-8")
    _, errors, _ = loader.load_file(str(file))
    assert errors


def test_the_csv_has_every_line_in_minor_units(story: LedgerUnderTest) -> None:
    rows = list(csv.DictReader(io.StringIO(exported(story, pr.EXPORT_FORMAT_CSV))))
    assert sum(int(row["debit"]) for row in rows) == story.trial_balance().total_debits
    assert (
        next(row for row in rows if row["sequence"] == "2")["account_number"] == "1303.01:LOAN:L1"
    )
    assert {row["narrative"] for row in rows} >= {'say "hi" \\ there', "不对"}


def test_two_accounts_never_share_a_name_in_the_export() -> None:
    chart = default_chart()
    owners = ["l1", "L1", "0-6C1", "-1", "0-2D1", "_", ".", "a_b", "a.b", "a-b", "a-5Fb", "0"]
    names = {beancount_account(f"1303.01:LOAN:{owner}", chart) for owner in owners}
    assert len(names) == len(owners)
    part = r"[A-Z0-9][A-Za-z0-9-]*"
    assert all(re.fullmatch(rf"Assets:{part}:{part}:{part}", name) for name in names)


@pytest.mark.parametrize(
    ("minor_units", "currency_code", "expected"),
    [(-5, "CNY", "-0.05"), (123456, "CNY", "1234.56"), (7, "JPY", "7"), (-1, "KWD", "-0.001")],
)
def test_minor_units_are_written_as_decimals(
    minor_units: int, currency_code: str, expected: str
) -> None:
    assert decimal_text(minor_units, currency_code) == expected
