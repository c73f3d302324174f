"""What the store itself refuses, whoever asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy.exc import DBAPIError

from tael_ledger.tables import JOURNAL

PARTITIONS = ["line_2026_01", "line_2026_02"]
"""Of the open month and the next."""
TABLES = [*(table.name for table in JOURNAL), *PARTITIONS]


@pytest.fixture(scope="module")
def posted(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A book with an entry and a closed day."""
    book = new_book()
    book.post("LOAN_DISBURSED", principal=100)
    book.close_day("2026-01-15")
    return book


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET book_id = book_id", "DELETE FROM {}", "TRUNCATE {}"],
    ids=["update", "delete", "truncate"],
)
def test_a_superuser_may_not_change_the_journal(
    posted: LedgerUnderTest, table: str, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="never changed"):
        posted.house.sql(statement.format(table), "ledger", write=True)


@pytest.mark.parametrize("table", TABLES)
def test_no_table_of_the_journal_and_no_partition_can_be_dropped(
    posted: LedgerUnderTest, table: str
) -> None:
    for statement in (f"DROP TABLE {table}", f"DROP TABLE {table} CASCADE"):
        with pytest.raises(DBAPIError, match=r"DROP of .* refused"):
            posted.house.sql(statement, "ledger", write=True)


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE line DETACH PARTITION {}",
        "DROP TRIGGER line_unchanged ON {}",
        "DROP TRIGGER line_balance ON {}",
        "ALTER TABLE {} DROP CONSTRAINT line_one_side",
    ],
)
def test_a_partition_stays_attached_and_keeps_its_triggers(
    posted: LedgerUnderTest, partition: str, statement: str
) -> None:
    with pytest.raises(DBAPIError, match=r"refused|cannot drop"):
        posted.house.sql(statement.format(partition), "ledger", write=True)


def test_every_months_partition_has_the_triggers_of_the_first(posted: LedgerUnderTest) -> None:
    posted.house.sql("SELECT open_month('2031-07-15')", "ledger", write=True)
    rows = posted.house.sql(
        "SELECT relname, array_agg(tgname::text ORDER BY tgname) FROM pg_trigger "
        "JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE relname LIKE 'line\\_20%' AND relnamespace = 'ledger'::regnamespace "
        "GROUP BY relname".replace(":", r"\:"),
        "ledger",
    )
    assert {name for name, _ in rows} >= {*PARTITIONS, "line_2031_07"}
    assert {tuple(names) for _, names in rows} == {("line_balance", "line_unchanged")}


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE line",
        "DROP TABLE entry CASCADE",
        "DROP TRIGGER line_balance ON line",
        "DROP TRIGGER record_unchanged ON record",
        "ALTER TABLE posting_batch DROP COLUMN digest",
        "DROP SCHEMA ledger CASCADE",
    ],
)
def test_the_journals_tables_and_their_triggers_cannot_be_dropped(
    posted: LedgerUnderTest, statement: str
) -> None:
    with pytest.raises(DBAPIError, match=r"DROP of .* refused"):
        posted.house.sql(statement, "ledger", write=True)


@pytest.mark.parametrize("table", TABLES)
def test_the_services_own_role_may_only_add_and_read(posted: LedgerUnderTest, table: str) -> None:
    privileges = "SELECT privilege FROM unnest(ARRAY['INSERT', 'SELECT', 'UPDATE', 'DELETE', "
    privileges += "'TRUNCATE', 'TRIGGER']) AS privilege "
    privileges += "WHERE has_table_privilege('tael_ledger', :name, privilege)"
    found = posted.house.sql(privileges, "ledger", name=f"ledger.{table}")
    owner = "SELECT tableowner FROM pg_tables WHERE schemaname = 'ledger' AND tablename = :name"
    assert {row[0] for row in found} <= {"INSERT", "SELECT"}
    assert table in PARTITIONS or len(found) == 2
    assert posted.house.sql(owner, "ledger", name=table)[0][0] != "tael_ledger"


def test_an_account_keeps_its_identity(posted: LedgerUnderTest) -> None:
    for statement in (
        "UPDATE account SET number = 'x'",
        "UPDATE account SET batch_number = 1",
        "DELETE FROM account",
        "TRUNCATE account",
        "DELETE FROM reservation",
    ):
        with pytest.raises(DBAPIError, match="never changed"):
            posted.house.sql(statement, "ledger", write=True)


def insert_lines(book: LedgerUnderTest, *amounts: tuple[int, int, bool]) -> None:
    """Inserts lines of one entry past the ledger, in one statement: (debit, credit, memo)."""
    rows = ", ".join(
        f"('{book.book_id}', '2026-01-16', 99, {place}, 1, '2026-01-16', {debit}, {credit}, {memo})"
        for place, (debit, credit, memo) in enumerate(amounts, 1)
    )
    book.house.sql(f"INSERT INTO line VALUES {rows}", "ledger", write=True)


def test_an_entry_that_does_not_balance_is_refused(posted: LedgerUnderTest) -> None:
    with pytest.raises(DBAPIError, match="entry 99 does not balance"):
        insert_lines(posted, (100, 0, False), (0, 99, False))


def test_memo_and_balance_accounts_may_not_balance_each_other(posted: LedgerUnderTest) -> None:
    with pytest.raises(DBAPIError, match="entry 99 does not balance"):
        insert_lines(posted, (100, 0, False), (0, 100, True))


def test_a_line_is_a_debit_or_a_credit_and_never_empty(posted: LedgerUnderTest) -> None:
    for line in ((0, 0, False), (5, 5, False)):
        with pytest.raises(DBAPIError, match="line_one_side"):
            insert_lines(posted, line)
