"""The chain and the proof: recomputed by a stranger, and counted by the ledger itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger import chain_page
from ledger.chain_story import ENTRIES, LINES, tell
from ledger.ledger_case import LedgerUnderTest

from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr


@pytest.fixture(scope="module")
def story(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A book in which everything happened."""
    book = new_book()
    tell(book)
    return book


def head_of(book: LedgerUnderTest) -> pb.Head:
    """The chain's head."""
    return book.proof.GetHead(pr.GetHeadRequest(book_id=book.book_id)).head


def test_a_stranger_recomputes_the_chain_from_the_page(story: LedgerUnderTest) -> None:
    head = head_of(story)
    assert len(chain_page.PARTS) == 6
    assert chain_page.recomputed(story)[-1] == (head.sequence, head.digest)
    assert head.committed_at.seconds > 0


def test_a_stranger_recomputes_the_digests_that_records_have(story: LedgerUnderTest) -> None:
    chart, rules = (
        hashlib.sha256(raw).hexdigest() for raw in chain_page.copied(story, chain_page.RECORDED, 2)
    )
    said = story.house.sql(
        "SELECT kind, subject, content FROM record WHERE book_id = :book "
        "AND kind IN ('BOOK_OPENED', 'RULES_APPROVED') ORDER BY kind, subject",
        "ledger",
        book=story.book_id,
    )
    assert [(kind, subject) for kind, subject, _ in said] == [
        ("BOOK_OPENED", story.book_id),
        ("RULES_APPROVED", "1"),
        ("RULES_APPROVED", "2"),
    ]
    assert f'"chart":"{chart}"' in said[0].content
    assert f'"rules":"{rules}"' in said[2].content


def test_the_pages_recipe_runs_as_it_stands(story: LedgerUnderTest, tmp_path: Path) -> None:
    for place, statement in enumerate(chain_page.PARTS, 1):
        (tmp_path / f"{place}.sql").write_text(statement + ";\n", encoding="utf-8")
    at = chain_page.address(story)
    libpq = {"PGHOST": at["host"], "PGPORT": at["port"], "PGUSER": at["user"]}
    batches = len(chain_page.last_sequences(story))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", chain_page.RECIPE],
        cwd=tmp_path,
        env={
            **os.environ,
            **libpq,
            "PGDATABASE": at["dbname"],
            "PGOPTIONS": "-c search_path=ledger",
            "BOOK": story.book_id,
            "LAST": str(batches),
        },
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == head_of(story).digest.hex()


def test_a_new_book_has_a_head_that_covers_its_opening(book: LedgerUnderTest) -> None:
    head = head_of(book)
    assert (head.sequence, head.HasField("committed_at")) == (0, True)
    assert head.digest == chain_page.recomputed(book)[-1][1] != bytes(32)
    assert book.findings() == []
    assert book.findings(anchor=pb.Anchor(sequence=0, digest=head.digest)) == []


def test_every_anchor_given_out_lies_on_the_chain_and_no_other(story: LedgerUnderTest) -> None:
    for sequence, digest in chain_page.recomputed(story):
        assert story.findings(anchor=pb.Anchor(sequence=sequence, digest=digest)) == []
    false = pb.Anchor(sequence=1, digest=bytes(32))
    assert story.findings(anchor=false) == [("CHECK_ANCHOR", "entry 1")]


def test_the_proof_counts_what_it_read(story: LedgerUnderTest) -> None:
    summary = list(story.proof.Prove(pr.ProveRequest(book_id=story.book_id)))[-1].summary
    assert (summary.entries, summary.lines, summary.findings) == (ENTRIES, LINES, 0)
    assert summary.batches == len(chain_page.last_sequences(story))
    assert summary.head == head_of(story)
    accounts = story.ledger.ListAccounts(
        pb.ListAccountsRequest(book_id=story.book_id, page_size=1000)
    ).accounts
    assert summary.accounts == len(accounts)


def test_a_proof_goes_over_many_windows_and_days(
    book: LedgerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tael_ledger.journal_stream.WINDOW", 7)
    monkeypatch.setattr("tael_ledger.journal_stream.PAGE", 3)
    monkeypatch.setattr("tael_ledger.proof_totals.CHUNK", 2)
    tell(book)
    for day in ("2026-01-16", "2026-01-17"):
        book.close_day(day)
        book.post("LOAN_DISBURSED", principal=7, value_date="2026-01-02")
    assert book.findings() == []


def test_an_accounts_thousandth_line_is_added_up_and_proven(book: LedgerUnderTest) -> None:
    for day in ("2026-01-15", "2026-01-16", "2026-01-17"):
        book.record(*[book.event("LOAN_DISBURSED", principal=n) for n in range(1, 701)])
        book.close_day(day)
    book.post("LOAN_DISBURSED", principal=1)
    summed = book.house.sql(
        "SELECT count(*) FROM account_day WHERE book_id = :book", "ledger", book=book.book_id
    )
    assert summed[0][0] >= 2
    assert book.findings() == []
