"""`tael audit` as an auditor sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from click.testing import Result
from ledger.forcing import force, rewrite_tail
from ledger.ledger_case import FIRST_DAY, LedgerUnderTest
from typer.testing import CliRunner

from support import House, day, rid
from tael.ledger.v1 import ledger_pb2 as pb
from tael_cli.main import app

Tael = Callable[..., Result]
BOOK = "audited"
DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def book(open_house: Callable[..., House]) -> LedgerUnderTest:
    under_test = LedgerUnderTest(open_house("ledger", "servicing"), BOOK)
    under_test.ledger.CreateBook(
        pb.CreateBookRequest(
            request_id=rid(),
            book_id=BOOK,
            legal_entity="Audited",
            currency_code="CNY",
            business_date=day(FIRST_DAY),
        )
    )
    return under_test


@pytest.fixture
def audit(book: LedgerUnderTest, monkeypatch: pytest.MonkeyPatch) -> Tael:
    """`tael audit` of the book."""
    for name, value in book.house.environment().items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> Result:
        return CliRunner().invoke(app, ["audit", "--book", BOOK, *options])

    return run


def head(told: Result) -> str:
    """What is to be kept of an audit."""
    found = re.search(r"^head: (\d+:[0-9a-f]{64})$", told.output, re.MULTILINE)
    assert found, told.output
    return found[1]


def test_a_tail_rewritten_since_the_last_audit_is_caught_by_the_head_it_printed(
    book: LedgerUnderTest, audit: Tael
) -> None:
    book.post("LINE_GRANTED", commitment=100)
    early = head(audit())
    book.post("LINE_GRANTED", commitment=200)
    kept = head(audit("--anchor", early))
    book.post("LINE_GRANTED", commitment=400)
    told = audit("--anchor", kept)
    assert told.exit_code == 0, told.output
    assert f"the chain passes through {kept}" in told.output
    force(book, "UPDATE entry SET narrative = 'other' WHERE {} AND sequence = 2")
    rewrite_tail(book, 3)
    assert audit().exit_code == audit("--anchor", early).exit_code == 0
    told = audit("--anchor", kept)
    assert told.exit_code == 1
    assert "CHECK_ANCHOR entry 2: the chain should pass through" in told.output
    assert "the chain passes through" not in told.output


@pytest.mark.parametrize(
    ("anchor", "complaint"),
    [
        (DIGEST, "is no SEQUENCE:DIGEST"),
        (f"-1:{DIGEST}", "'-1' is no sequence of an entry"),
        (f"{2**63}:{DIGEST}", "is no sequence of an entry"),
        (f"2:{DIGEST[:16]}…", "a digest is 64 hexadecimal digits"),
        (f"2:{DIGEST[:-1]}g", "a digest is 64 hexadecimal digits"),
    ],
)
def test_an_anchor_that_is_none_is_refused_before_anything_is_asked(
    anchor: str, complaint: str
) -> None:
    told = CliRunner().invoke(app, ["audit", "--anchor", anchor], env={"COLUMNS": "300"})
    assert told.exit_code == 2
    assert complaint in told.output
