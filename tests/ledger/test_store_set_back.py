"""A store that lost its newest commits: a backup brought back, a standby that lagged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.ledger_case import LedgerUnderTest, lines
from ledger.test_rule_versions import approve, commission, publish, with_commission_on
from sqlalchemy import Connection, create_engine, text

from tael.ledger.v1 import ledger_pb2 as pb
from tael_runtime.embedded_postgres import EmbeddedPostgres


def alone(connection: Connection, database: str, *statements: str) -> None:
    """Runs statements while nobody is in a database."""
    connection.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false'))
    connection.execute(
        text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
        {"name": database},
    )
    for statement in statements:
        connection.execute(text(statement))
    connection.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true'))


@contextmanager
def losing(book: LedgerUnderTest) -> Iterator[None]:
    """What is done inside, the store has lost afterwards."""
    house = book.house
    name = house.settings.database_name
    admin = create_engine(
        EmbeddedPostgres(house.data_dir).url("postgres", "tael"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        alone(connection, name, f'CREATE DATABASE "{name}_kept" TEMPLATE "{name}"')
        yield
        alone(
            connection,
            name,
            f'DROP DATABASE IF EXISTS "{name}_lost"',
            f'ALTER DATABASE "{name}" RENAME TO "{name}_lost"',
            f'ALTER DATABASE "{name}_kept" RENAME TO "{name}"',
        )
    admin.dispose()


def test_what_the_service_remembers_of_accounts_does_not_outlive_the_store(
    book: LedgerUnderTest,
) -> None:
    book.post("LOAN_DISBURSED", principal=1)
    with losing(book):
        book.post("LOAN_DISBURSED", principal=10, owners={"LOAN": "LX", "CUSTOMER": "CX"})
    book.post("LOAN_DISBURSED", principal=200, owners={"LOAN": "LY", "CUSTOMER": "CY"})
    book.post("LOAN_DISBURSED", principal=3_000, owners={"LOAN": "LX", "CUSTOMER": "CX"})
    assert book.balance("1303.01:LOAN:L1", "1303.01:LOAN:LY", "1303.01:LOAN:LX") == [1, 200, 3_000]
    assert book.findings() == []


def book_commission_on(book: LedgerUnderTest, code: str) -> None:
    """Puts rules in force, the book's second version, by which a commission goes to a code."""
    publish(book, with_commission_on(book, code))
    approve(book, 2, "checker")


def preview_commission(book: LedgerUnderTest) -> pb.Entry:
    """What a commission would post."""
    event = book.event("COMMISSION_DUE", commission=100)
    request = pb.PreviewEventsRequest(book_id=book.book_id, events=[event])
    return book.ledger.PreviewEvents(request).entries[0]


def test_rules_that_the_store_lost_do_not_serve_under_the_next_ones_number(
    book: LedgerUnderTest,
) -> None:
    commission(book)
    with losing(book):
        book_commission_on(book, "6601")
        assert "6601" in lines(preview_commission(book))
        assert "6601" in lines(commission(book))
    book_commission_on(book, "6711")
    for entry in (preview_commission(book), commission(book)):
        assert entry.rules_version == 2
        assert "6711" in lines(entry)
    assert book.findings() == []


def test_rules_that_were_only_looked_at_before_the_store_lost_them_do_not_serve_either(
    book: LedgerUnderTest,
) -> None:
    commission(book)
    with losing(book):
        book_commission_on(book, "6601")
        preview_commission(book)
    book_commission_on(book, "6711")
    assert "6711" in lines(commission(book))
