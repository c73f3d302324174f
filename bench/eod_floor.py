"""The least a store does for a night's accrual: read every position, post a line to every account.

COPY out of the positions, one UPDATE of as many rows of a copy of them, one binary COPY of the night's
lines into a table of the columns, checks and indexes of the ledger's partition, and one UPDATE of as
many rows in a copy of the account table.
"""

from __future__ import annotations

import time
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, BinaryIO, Self

from bench.house import Ledger

COPIES = {
    "position": "servicing.accrual_position",
    "line": "ledger.line",
    "account": "ledger.account",
}
"""Tables made like others."""


class Floor:
    """A schema beside the services', from what they hold after a night. Use it in a with."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._connection = ledger.connect()

    def night(self) -> float:
        """Seconds of one night."""
        (partition,) = self._ledger.rows(
            "SELECT tableoid::regclass::text FROM ledger.line ORDER BY sequence DESC LIMIT 1"
        )[0]
        with self._connection.cursor() as cursor, TemporaryFile() as lines, TemporaryFile() as sink:
            self._prepare(cursor, f"ledger.{partition.rpartition('.')[2]}", lines)
            begun = time.perf_counter()
            cursor.copy_expert("COPY servicing.accrual_position TO STDOUT (FORMAT binary)", sink)
            cursor.execute("UPDATE bench_floor.position SET posted = posted + 1")
            cursor.copy_expert("COPY bench_floor.line FROM STDIN (FORMAT binary)", lines)
            cursor.execute("UPDATE bench_floor.account SET debits_posted = debits_posted + 1")
            self._connection.commit()
            return time.perf_counter() - begun

    def _prepare(self, cursor: Any, partition: str, lines: BinaryIO) -> None:
        """Copies of the tables, and the night's lines; neither belongs to the floor."""
        cursor.execute("CREATE SCHEMA bench_floor")
        accrued = "SELECT sequence FROM ledger.entry WHERE event = 'INTEREST_ACCRUED'"
        night = f"SELECT * FROM {partition} WHERE sequence IN ({accrued})"
        for name, like in (COPIES | {"line": partition}).items():
            (options,) = self._ledger.rows(
                "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = %s::regclass",
                (like,),
            )[0]
            storage = f"WITH ({options})" if options else ""
            cursor.execute(f"CREATE TABLE bench_floor.{name} (LIKE {like} INCLUDING ALL) {storage}")
        cursor.execute("INSERT INTO bench_floor.position SELECT * FROM servicing.accrual_position")
        cursor.execute(
            "INSERT INTO bench_floor.account SELECT * FROM ledger.account "
            f"WHERE account_id IN (SELECT account_id FROM ({night}) AS night)"
        )
        cursor.copy_expert(f"COPY ({night}) TO STDOUT (FORMAT binary)", lines)
        lines.seek(0)
        self._connection.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._connection.close()
