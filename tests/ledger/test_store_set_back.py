"""A store that lost its newest commits: a backup brought back, a standby that lagged."""

from __future__ import annotations

from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import Connection, create_engine, text

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


def test_what_the_service_remembers_of_accounts_does_not_outlive_the_store(
    book: LedgerUnderTest,
) -> None:
    house = book.house
    name = house.settings.database_name
    book.post("LOAN_DISBURSED", principal=1)
    admin = create_engine(
        EmbeddedPostgres(house.data_dir).url("postgres", "tael"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        alone(connection, name, f'CREATE DATABASE "{name}_kept" TEMPLATE "{name}"')
        book.post("LOAN_DISBURSED", principal=10, owners={"LOAN": "LX", "CUSTOMER": "CX"})
        alone(
            connection,
            name,
            f'ALTER DATABASE "{name}" RENAME TO "{name}_lost"',
            f'ALTER DATABASE "{name}_kept" RENAME TO "{name}"',
        )
    admin.dispose()
    book.post("LOAN_DISBURSED", principal=200, owners={"LOAN": "LY", "CUSTOMER": "CY"})
    book.post("LOAN_DISBURSED", principal=3_000, owners={"LOAN": "LX", "CUSTOMER": "CX"})
    assert book.balance("1303.01:LOAN:L1", "1303.01:LOAN:LY", "1303.01:LOAN:LX") == [1, 200, 3_000]
    assert book.findings() == []
