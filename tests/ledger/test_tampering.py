"""Who forces the store is caught: by Prove; who rewrites the chain, by an anchor kept outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ledger import chain_page
from ledger.chain_story import tell
from ledger.forcing import force, forcing, rewrite_tail
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import NullPool, create_engine

from tael_ledger import books
from tael_ledger.findings import Finding
from tael_ledger.proof import Proof

BALANCE, TOTALS, DIGESTS = "CHECK_ENTRY_BALANCE", "CHECK_ACCOUNT_TOTALS", "CHECK_DIGEST_CHAIN"
SEQUENCE, TRIAL, CONTROL = "CHECK_SEQUENCE", "CHECK_TRIAL_BALANCE", "CHECK_CONTROL_TOTALS"
PENDING, RECORDS = "CHECK_PENDING", "CHECK_RECORDS"

LINES = {
    "a line's amount": (
        "UPDATE line SET debit = debit + 1 WHERE {} AND sequence = 2 AND line_number = 1",
        {BALANCE, DIGESTS, TOTALS, CONTROL, TRIAL},
    ),
    "two amounts that still balance": (
        "UPDATE line SET debit = debit * 2, credit = credit * 2 WHERE {} AND sequence = 2",
        {DIGESTS, TOTALS, CONTROL},
    ),
    "a line's account": (
        "UPDATE line SET account_id = 1 WHERE {} AND sequence = 5 AND debit <> 0",
        {BALANCE, DIGESTS, TOTALS, CONTROL, TRIAL},
    ),
    "a line's account, for one that is not there": (
        "UPDATE line SET account_id = 999 WHERE {} AND sequence = 5 AND debit <> 0",
        {DIGESTS, TOTALS, CONTROL},
    ),
    "a line's booking date": (
        "UPDATE line SET booking_date = '2026-01-20' WHERE {} AND sequence = 5",
        {DIGESTS, TOTALS, CONTROL},
    ),
    "a line's value date": (
        "UPDATE line SET value_date = '-infinity' WHERE {} AND sequence = 5 AND line_number = 1",
        {DIGESTS, CONTROL},
    ),
    "a line's memo mark": (
        "UPDATE line SET memo = NOT memo WHERE {} AND sequence = 5 AND line_number = 1",
        {DIGESTS},
    ),
    "a line taken away": (
        "DELETE FROM line WHERE {} AND sequence = 5 AND line_number = 1",
        {BALANCE, DIGESTS, TOTALS, CONTROL, TRIAL},
    ),
    "a line more": (
        (
            "INSERT INTO line SELECT book_id, booking_date, sequence, line_number + 5, account_id, "
            "value_date, debit, credit, memo FROM line WHERE {} AND sequence = 5 AND line_number = 1"
        ),
        {BALANCE, DIGESTS, TOTALS, CONTROL, TRIAL},
    ),
    "a line of no batch": (
        (
            "INSERT INTO line SELECT book_id, booking_date, 9999, line_number, account_id, "
            "value_date, debit, credit, memo FROM line WHERE {} AND sequence = 5"
        ),
        {DIGESTS},
    ),
}
ENTRIES = {
    "an entry's text": (
        "UPDATE entry SET narrative = 'other' WHERE {} AND sequence = 2",
        {DIGESTS},
    ),
    "an entry's facts": (
        'UPDATE entry SET metadata = \'{{"a":"b"}}\' WHERE {} AND sequence = 2',
        {DIGESTS},
    ),
    "an entry's value date": (
        "UPDATE entry SET value_date = '2026-01-01' WHERE {} AND sequence = 2",
        {DIGESTS},
    ),
    "an entry taken away, its lines left": (
        "DELETE FROM entry WHERE {} AND sequence = 4",
        {SEQUENCE, DIGESTS},
    ),
    "an entry taken away with its lines": (
        "DELETE FROM line WHERE {0} AND sequence = 4; DELETE FROM entry WHERE {0} AND sequence = 4",
        {SEQUENCE, DIGESTS, TOTALS, CONTROL},
    ),
    "that an entry was reversed": ("DELETE FROM reversal WHERE {}", {RECORDS}),
    "which entry was reversed": ("UPDATE reversal SET origin = 1 WHERE {}", {RECORDS}),
}
BATCHES = {
    "a batch taken away": (
        "DELETE FROM posting_batch WHERE {} AND batch_number = 4",
        {SEQUENCE, DIGESTS},
    ),
    "a batch's content digest": (
        "UPDATE posting_batch SET content_digest = digest WHERE {} AND batch_number = 4",
        {DIGESTS},
    ),
    "a batch's booking date": (
        "UPDATE posting_batch SET booking_date = 'infinity' WHERE {} AND batch_number = 4",
        {SEQUENCE, DIGESTS},
    ),
    "the book's digest": (
        "UPDATE book SET digest = decode(repeat('00', 32), 'hex') WHERE {}",
        {DIGESTS},
    ),
    "a request's identity": (
        "UPDATE posting_request SET caller = 'someone' WHERE {} AND batch_number = 3",
        {DIGESTS},
    ),
    "a request taken away": (
        "DELETE FROM posting_request WHERE {} AND batch_number = 3",
        {DIGESTS},
    ),
}
ACCOUNTS = {
    "an account's total": (
        "UPDATE account SET debits_posted = debits_posted + 1 WHERE {} AND number = '7999'",
        {TOTALS, CONTROL},
    ),
    "an account's number": (
        "UPDATE account SET number = '1001' WHERE {} AND number = '6011.01'",
        {DIGESTS},
    ),
    "an account's code, for one that is none": (
        "UPDATE account SET gl_code = '9' WHERE {} AND number = '6011.01'",
        {DIGESTS, CONTROL},
    ),
    "an account taken away": (
        (
            "DELETE FROM account WHERE {} AND account_id = "
            "(SELECT max(account_id) FROM account WHERE {})"
        ),
        {DIGESTS, TOTALS, CONTROL, PENDING, RECORDS},
    ),
    "what is pending": (
        "UPDATE account SET debits_pending = 0 WHERE {} AND debits_pending <> 0",
        {PENDING},
    ),
    "an account's state": (
        "UPDATE account SET state = 'FROZEN' WHERE {} AND number = '7999'",
        {RECORDS},
    ),
    "an account's limit": (
        "UPDATE account SET lowest = -5 * 10::bigint ^ 15 WHERE {} AND number = '1003'",
        {RECORDS},
    ),
    "a day of an account": (
        (
            "INSERT INTO account_day SELECT book_id, account_id, '2026-01-15', '2026-01-15', 1, 1 "
            "FROM account WHERE {} AND number = '7999'"
        ),
        {TOTALS},
    ),
    "a total of the general ledger": (
        "UPDATE gl_day SET debits = debits + 1 WHERE {} AND gl_code = '7999'",
        {CONTROL},
    ),
    "a total of the general ledger on another day": (
        "UPDATE gl_day SET value_date = '2026-01-01' WHERE {} AND gl_code = '6011.01'",
        {CONTROL},
    ),
}
SHOWN = {
    "a record": (
        "UPDATE record SET content = 'x' WHERE {} AND kind = 'DAY_CLOSED'",
        {DIGESTS, RECORDS},
    ),
    "a record taken away": (
        "DELETE FROM record WHERE {} AND kind = 'RESERVATION_RELEASED'",
        {DIGESTS, RECORDS},
    ),
    "a reservation's end": (
        "UPDATE reservation SET state = 'EXPIRED' WHERE {} AND reservation_id = 2",
        {RECORDS},
    ),
    "a reservation brought back": (
        "UPDATE reservation SET state = 'PENDING' WHERE {} AND reservation_id = 2",
        {RECORDS, PENDING},
    ),
    "a reservation's line": (
        (
            "UPDATE reservation_line SET debit = debit - 1 "
            "WHERE {} AND reservation_id = 3 AND debit <> 0"
        ),
        {RECORDS, PENDING},
    ),
    "a closed day": ("UPDATE closed_day SET last_sequence = 1 WHERE {}", {RECORDS}),
    "a closed day taken away": ("DELETE FROM closed_day WHERE {}", {RECORDS}),
    "the business date": ("UPDATE book SET business_date = '2026-01-15' WHERE {}", {RECORDS}),
    "a posting rule": (
        "UPDATE posting_rule SET debit_gl_code = '1001' WHERE {} AND version = 2 AND rule = 1",
        {RECORDS},
    ),
    "who approved the rules": (
        "UPDATE posting_rules_version SET checker = 'other' WHERE {} AND version = 2",
        {RECORDS},
    ),
    "the chart of accounts": (
        "UPDATE gl_account SET normal_side = 'CREDIT' WHERE {} AND code = '1003'",
        {RECORDS},
    ),
    "the book's terms": ("UPDATE book SET vat_mode = 'GENERAL' WHERE {}", {RECORDS}),
    "the book's policy of impaired loans": (
        "UPDATE book SET non_accrual_policy = 'STAGE3_NET' WHERE {}",
        {RECORDS},
    ),
}
TAMPERINGS = {**LINES, **ENTRIES, **BATCHES, **ACCOUNTS, **SHOWN}


@pytest.fixture(scope="module")
def story(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A book in which everything happened."""
    book = new_book()
    tell(book)
    assert book.findings() == []
    return book


def found(book: LedgerUnderTest, statement: str) -> list[Finding]:
    """What a proof finds when the store was forced; then all is as it was."""
    engine = create_engine(
        "postgresql+psycopg2://",
        connect_args={**chain_page.address(book), "options": "-c search_path=ledger"},
        poolclass=NullPool,
    )
    with engine.connect() as connection, connection.begin() as forced:
        connection.execute(forcing(book, statement))
        known = books.get(connection, book.book_id)
        chart = books.chart(connection, book.book_id)
        findings = list(Proof(connection, known, chart, None).run())
        forced.rollback()
    return findings


@pytest.mark.parametrize("what", TAMPERINGS)
def test_who_forces_the_store_is_caught(story: LedgerUnderTest, what: str) -> None:
    statement, checks = TAMPERINGS[what]
    findings = found(story, statement)
    assert {f"CHECK_{finding.check}" for finding in findings} == checks, findings


def test_the_book_is_as_it_was_after_all_that(story: LedgerUnderTest) -> None:
    assert story.findings() == []


def test_a_wrong_batch_is_one_finding_and_what_follows_it_none(book: LedgerUnderTest) -> None:
    tell(book)
    force(book, "UPDATE entry SET narrative = 'other' WHERE {} AND sequence = 2")
    assert book.findings() == [("CHECK_DIGEST_CHAIN", "batch 3")]


def test_days_of_an_account_with_a_thousand_lines_are_proven(book: LedgerUnderTest) -> None:
    book.record(*[book.event("LOAN_DISBURSED", principal=n) for n in range(1, 1001)])
    assert book.findings() == []
    force(book, "UPDATE account_day SET debits = debits + 1, credits = credits + 1 WHERE {}")
    wrong = {subject for _, subject in book.findings()}
    assert wrong == {"1303.01:LOAN:L1", "2011.01:CUSTOMER:C1"}
    force(book, "DELETE FROM account_day WHERE {}")
    assert {check for check, _ in book.findings()} == {TOTALS}


def test_who_rewrites_the_tail_is_caught_by_an_anchor_kept_outside(book: LedgerUnderTest) -> None:
    before = book.post("LOAN_DISBURSED", principal=100).anchor
    kept = book.post("LOAN_DISBURSED", principal=200).anchor
    book.post("LOAN_DISBURSED", principal=400)
    force(
        book,
        "UPDATE line SET debit = debit * 3, credit = credit * 3 WHERE {0} AND sequence = 2; "
        "UPDATE account SET debits_posted = debits_posted * 11 / 7, "
        "credits_posted = credits_posted * 11 / 7 WHERE {0}; "
        "UPDATE gl_day SET debits = debits * 11 / 7, credits = credits * 11 / 7 WHERE {0}",
    )
    rewrite_tail(book, 3)
    assert book.findings() == []
    assert book.findings(anchor=before) == []
    assert book.findings(anchor=kept) == [("CHECK_ANCHOR", "entry 2")]


def test_who_takes_the_tail_away_is_caught_by_an_anchor_kept_outside(book: LedgerUnderTest) -> None:
    book.post("LOAN_DISBURSED", principal=100)
    kept = book.post("LOAN_DISBURSED", principal=200).anchor
    force(
        book,
        "DELETE FROM line WHERE {0} AND sequence = 2; DELETE FROM entry WHERE {0} AND sequence = 2; "
        "DELETE FROM posting_request WHERE {0} AND batch_number = 3; "
        "DELETE FROM posting_batch WHERE {0} AND batch_number = 3; "
        "UPDATE book SET last_batch = 2, last_sequence = 1, digest = (SELECT digest "
        "FROM posting_batch WHERE {0} AND batch_number = 2) WHERE {0}; "
        "UPDATE account SET debits_posted = debits_posted / 3, credits_posted = credits_posted / 3, "
        "lines_posted = 1 WHERE {0}; "
        "UPDATE gl_day SET debits = debits / 3, credits = credits / 3, lines = 1 WHERE {0}",
    )
    assert book.findings() == []
    assert book.findings(anchor=kept) == [("CHECK_ANCHOR", "entry 2")]
