"""What the store itself refuses, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from ledger.chain_page import address
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from support import House, day, free_port
from tael_ledger.migrations import guards_002
from tael_ledger.tables import JOURNAL, own
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.settings import ServiceSettings
from tael_runtime.tables import EVENT_TRIGGERS

PARTITIONS = ["line_2026_01", "line_2026_02"]
"""Of the open month and the next."""
TABLES = [*(table.name for table in JOURNAL), *PARTITIONS]
OTHERS = sorted(guards_002.KEPT)
"""Whose rows may change and not go."""


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


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE line DETACH PARTITION line_2026_01 CONCURRENTLY",
        "alter table ledger.line\n detach -- a\n partition ledger.line_2026_01\tconcurrently ;",
        'ALTER TABLE"line"DETACH/* /* b */ */PARTITION"line_2026_01"Concurrently',
        'ALTER TABLE line DETACH PARTITION U&"line_\\0032026_01" CONCURRENTLY',
    ],
)
def test_a_partition_is_not_detached_concurrently_in_any_spelling(
    posted: LedgerUnderTest, statement: str
) -> None:
    with closing(
        psycopg2.connect(**address(posted), options="-c search_path=ledger")
    ) as connection:
        connection.autocommit = True  # it runs in no transaction, and commits before it ends
        with (
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.RestrictViolation, match="would be lost"),
        ):
            cursor.execute(statement)
    pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
    assert posted.house.sql(pending, "ledger") == [(0,)]
    assert posted.house.sql("SELECT count(*) > 0 FROM line", "ledger") == [(True,)]


def test_other_tables_are_detached_concurrently_as_ever(posted: LedgerUnderTest) -> None:
    with closing(psycopg2.connect(**address(posted))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE public.other (day date) PARTITION BY LIST (day)")
            cursor.execute("CREATE TABLE public.one PARTITION OF public.other FOR VALUES IN (NULL)")
            cursor.execute("ALTER TABLE public.other DETACH PARTITION public.one CONCURRENTLY")
            cursor.execute("DROP TABLE public.one, public.other")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("entry", "ALTER COLUMN narrative TYPE text USING 'forged'"),
        ("line", "ALTER COLUMN debit TYPE bigint USING debit * 2"),
        ("line_2026_01", "SET UNLOGGED"),
        ("record", "ADD COLUMN odd float DEFAULT random()"),
        ("gl_account", "ALTER COLUMN normal_side TYPE text USING 'CREDIT'"),
        ("account", "ALTER COLUMN debits_posted TYPE bigint USING 0"),
    ],
)
def test_no_table_of_the_ledger_is_rewritten(
    posted: LedgerUnderTest, table: str, change: str
) -> None:
    with pytest.raises(DBAPIError, match="it rewrites"):
        posted.house.sql(f"ALTER TABLE {table} {change}", "ledger", write=True)


@pytest.mark.parametrize("table", ["line", "line_2026_01", "entry", "account"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE RULE lost AS ON INSERT TO {} DO INSTEAD NOTHING",
        (
            "CREATE TRIGGER lost BEFORE INSERT ON {} FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        ),
        "CREATE TRIGGER lost BEFORE UPDATE ON {} WHEN (false) EXECUTE FUNCTION refuse_change()",
        (
            "CREATE OR REPLACE TRIGGER {}_unchanged BEFORE TRUNCATE ON {} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        ),
        (
            "CREATE OR REPLACE TRIGGER line_unchanged BEFORE UPDATE OF debit OR DELETE OR TRUNCATE ON "
            "line_2026_01 FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        ),
        (
            "CREATE OR REPLACE TRIGGER line_balance BEFORE UPDATE ON line_2026_01 "
            "FOR EACH STATEMENT EXECUTE FUNCTION check_lines()"
        ),
    ],
    ids=["rule", "trigger", "condition", "event", "columns", "time"],
)
def test_nothing_comes_between_the_ledger_and_its_tables(
    posted: LedgerUnderTest, table: str, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="what is written to"):
        posted.house.sql(statement.replace("{}", table), "ledger", write=True)


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


@pytest.mark.parametrize("table", OTHERS)
def test_no_row_of_the_ledger_goes_away(posted: LedgerUnderTest, table: str) -> None:
    for statement in (
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"DELETE FROM {table} WHERE false",
    ):
        with pytest.raises(DBAPIError, match="never changed"):
            posted.house.sql(statement, "ledger", write=True)
    for statement in (f"DROP TABLE {table} CASCADE", f"DROP TRIGGER {table}_stays ON {table}"):
        with pytest.raises(DBAPIError, match=r"DROP of .* refused"):
            posted.house.sql(statement, "ledger", write=True)


@pytest.mark.parametrize("table", [*OTHERS, "request"])
def test_the_services_own_role_may_not_delete(posted: LedgerUnderTest, table: str) -> None:
    removal = "SELECT has_table_privilege('tael_ledger', :name, 'DELETE, TRUNCATE')"
    assert posted.house.sql(removal, "ledger", name=f"ledger.{table}") == [(False,)]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE {} RENAME TO elsewhere",
        "ALTER INDEX {} RENAME TO elsewhere",  # renames a table as well
        "CREATE SCHEMA elsewhere; ALTER TABLE {} SET SCHEMA elsewhere",
    ],
    ids=["rename", "rename as an index", "move"],
)
@pytest.mark.parametrize("table", [*TABLES, *OTHERS])
def test_no_table_leaves_its_place_to_be_dropped_elsewhere(
    posted: LedgerUnderTest, table: str, statement: str
) -> None:
    # A partition is told by the name it would have had.
    lost = rf"ALTER \w+ refused, ({table}|elsewhere) would be lost"
    with pytest.raises(DBAPIError, match=lost):
        posted.house.sql(statement.format(table), "ledger", write=True)


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])  # which renames a table's column as well
@pytest.mark.parametrize(
    ("table", "column"), [("line", "debit"), ("posting_batch", "digest"), ("account", "lowest")]
)
def test_no_column_gives_its_name_to_another(
    posted: LedgerUnderTest, kind: str, table: str, column: str
) -> None:
    with pytest.raises(DBAPIError, match=f"refused, a column of {table} would be lost"):
        posted.house.sql(f"ALTER {kind} {table} RENAME {column} TO other", "ledger", write=True)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER SCHEMA ledger RENAME TO elsewhere",
        "CREATE TABLE elsewhere PARTITION OF line FOR VALUES FROM ('2040-01-01') TO ('2040-02-01')",
    ],
)
def test_the_journal_keeps_its_schema_and_has_no_partition_of_another_name(
    posted: LedgerUnderTest, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="would be lost"):
        posted.house.sql(statement, "ledger", write=True)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE line_2040_01 PARTITION OF line {}",
        (
            "CREATE TABLE line_2040_01 (LIKE line INCLUDING ALL); "
            "ALTER TABLE line ATTACH PARTITION line_2040_01 {}"
        ),
    ],
    ids=["made", "attached"],
)
def test_no_partition_is_without_its_triggers(posted: LedgerUnderTest, statement: str) -> None:
    january = "FOR VALUES FROM ('2040-01-01') TO ('2040-02-01')"
    with pytest.raises(DBAPIError, match="line_2040_01 would be lost"):
        posted.house.sql(statement.format(january), "ledger", write=True)


def test_a_month_does_not_open_where_another_table_has_its_place(posted: LedgerUnderTest) -> None:
    with pytest.raises(DBAPIError, match="line_2041_01 is no partition of the journal"):
        posted.house.sql(
            "CREATE TABLE line_2041_01 (LIKE line); SELECT open_month('2041-01-15')",
            "ledger",
            write=True,
        )


@pytest.mark.parametrize(
    "statement",
    [
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NEW; END'"
        ),
        "ALTER FUNCTION check_lines() SET search_path = elsewhere",
        "ALTER FUNCTION check_open_day() RENAME TO check_no_day",
    ],
)
def test_no_function_of_the_guards_is_replaced(posted: LedgerUnderTest, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"what \w+ does would be lost"):
        posted.house.sql(statement, "ledger", write=True)


def test_a_migration_adds_to_the_tables_and_drops_where_it_says_so(posted: LedgerUnderTest) -> None:
    names = own.info[EVENT_TRIGGERS]
    off, on = (
        "".join(f"ALTER EVENT TRIGGER {name} {state}; " for name in names)
        for state in ("DISABLE", "ENABLE")
    )
    posted.house.sql(
        "ALTER TABLE account ADD COLUMN note text; ALTER TABLE entry ADD COLUMN note text; "
        "CREATE INDEX note ON entry (note); DROP INDEX note; ALTER TABLE account DROP COLUMN note; "
        f"{off} ALTER TABLE entry DROP COLUMN note; {on}",
        "ledger",
        write=True,
    )
    with pytest.raises(DBAPIError, match=r"DROP of .* refused"):
        posted.house.sql("ALTER TABLE entry DROP COLUMN narrative", "ledger", write=True)


def test_a_temporary_table_stands_before_none_of_the_ledgers(posted: LedgerUnderTest) -> None:
    other_day = (
        "CREATE TEMPORARY TABLE book AS SELECT * FROM ledger.book; "
        "UPDATE pg_temp.book SET business_date = '2026-01-17'; "
        "INSERT INTO ledger.entry SELECT book_id, 99, '2026-01-17', '2026-01-17', rules_version, "
        f"0, 0, '', '', '', '' FROM pg_temp.book WHERE book_id = '{posted.book_id}'"
    )
    with pytest.raises(DBAPIError, match="is not the open business date"):
        posted.house.sql(other_day, "ledger", write=True)
    posted.house.sql(
        "CREATE TEMPORARY TABLE line_2031_09 (day date); SELECT open_month('2031-09-15')",
        "ledger",
        write=True,
    )
    assert posted.house.sql("SELECT count(*) FROM line_2031_09", "ledger") == [(0,)]


def test_every_function_looks_into_the_ledgers_schema_first(posted: LedgerUnderTest) -> None:
    paths = posted.house.sql(
        "SELECT proname, path FROM pg_proc LEFT JOIN LATERAL unnest(proconfig) AS path "
        "ON path LIKE 'search_path=%' WHERE pronamespace = 'ledger'\\:\\:regnamespace",
        "ledger",
    )
    assert {name for name, _ in paths} >= {"open_month", "check_lines", "check_open_day"}
    assert {path for _, path in paths} == {"search_path=ledger, pg_temp"}


def test_only_the_services_own_role_opens_a_month_and_no_one_makes_temporary_tables(
    posted: LedgerUnderTest,
) -> None:
    rights = posted.house.sql(
        "SELECT role, has_function_privilege(role, 'ledger.open_month(date)', 'EXECUTE'), "
        "has_database_privilege(role, current_database(), 'TEMPORARY') "
        "FROM unnest(ARRAY['public', 'tael_ledger']) AS role",
        "ledger",
    )
    assert rights == [("public", False, False), ("tael_ledger", True, False)]


@pytest.fixture
def owned(data_dir: Path) -> Iterator[House]:
    """A store whose owner is no superuser."""
    cluster = EmbeddedPostgres(data_dir)
    admin = create_engine(cluster.start(), isolation_level="AUTOCOMMIT")
    name = f"t_{uuid4().hex[:12]}"
    owner, role = f"{name}_owner", f"{name}_service"
    with admin.connect() as connection:
        for statement in (
            f"CREATE ROLE {owner} LOGIN",
            f"CREATE ROLE {role} LOGIN",
            f"CREATE DATABASE {name} OWNER {owner}",
        ):
            connection.execute(text(statement))
    ledger = ServiceSettings(
        listen=f"127.0.0.1:{free_port()}",
        database_url=cluster.url(name, role),
        migration_url=cluster.url(name, owner),
    )
    with House(data_dir, database_name=name, ledger=ledger) as house:
        yield house
    with admin.connect() as connection:
        connection.execute(text(f"DROP ROLE {owner}, {role}"))
    admin.dispose()


def test_an_owner_that_is_no_superuser_is_told_what_its_store_does_not_refuse(owned: House) -> None:
    with capture_logs() as logs:
        owned.start("ledger")
    warned = [each["missing"] for each in logs if each["log_level"] == "warning"]
    assert warned == [sorted(guards_002.EVENT_TRIGGERS)]
    book = LedgerUnderTest.opened(owned, "book-1", business_date=day("2026-01-31"))
    book.close_day("2026-01-31")
    with pytest.raises(DBAPIError, match="never changed"):
        owned.sql("DELETE FROM book", "ledger", write=True)
    owned.stop_one("ledger")
    for statement in guards_002.keeping("ledger"):
        owned.sql(statement, "ledger", write=True)
    with capture_logs() as logs:
        owned.start("ledger")
    assert [each for each in logs if each["log_level"] == "warning"] == []
    with pytest.raises(DBAPIError, match=r"DROP of .* refused"):
        owned.sql("DROP TABLE record", "ledger", write=True)


def test_an_account_keeps_its_identity(posted: LedgerUnderTest) -> None:
    for statement in ("UPDATE account SET number = 'x'", "UPDATE account SET batch_number = 1"):
        with pytest.raises(DBAPIError, match="never changed"):
            posted.house.sql(statement, "ledger", write=True)


@pytest.mark.parametrize("column", guards_002.BOOK_IDENTITY.split(", "))
def test_a_book_keeps_what_it_was_opened_with(posted: LedgerUnderTest, column: str) -> None:
    with pytest.raises(DBAPIError, match="UPDATE on book refused"):
        posted.house.sql(f"UPDATE book SET {column} = {column}", "ledger", write=True)


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
