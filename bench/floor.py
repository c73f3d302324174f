"""The least a store does for a columnar posting: the same lines, the same accounts, nothing else.

One binary COPY into a table of the columns, checks and indexes of the ledger's partition, without
its triggers, and one set-based UPDATE of as many account rows in a copy of the account table.
"""

from __future__ import annotations

import time
from contextlib import closing
from io import BytesIO
from types import TracebackType
from typing import Self

from bench.house import BOOK, Ledger
from tael_ledger.rows import array_text

SETTLED = ("line", "account")


class Floor:
    """A schema beside the ledger's, fed with the lines that the ledger posted. Use it in a with."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._partition = _partition(ledger)
        self._connection = ledger.connect()
        self._sequence = 0
        with self._connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA bench_floor")
            for name, like in (("line", self._partition), ("account", "ledger.account")):
                options = ledger.rows(
                    "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = %s::regclass",
                    (like,),
                )[0][0]
                storage = f"WITH ({options})" if options else ""
                cursor.execute(
                    f"CREATE TABLE bench_floor.{name} (LIKE {like} INCLUDING ALL) {storage}"
                )
        self._connection.commit()

    def follow(self) -> float:
        """Stores what the ledger posted since the last call; seconds, reading it not counted.

        Accounts that are new come by COPY first, as the ledger opens them.
        """
        last = self._ledger.rows("SELECT max(sequence) FROM ledger.entry")[0][0]
        lines = self._read(
            f"SELECT * FROM {self._partition} WHERE sequence > {self._sequence} "
            "ORDER BY sequence, line_number"
        )
        opened = self._read(
            "SELECT * FROM ledger.account AS a WHERE NOT EXISTS "
            "(SELECT FROM bench_floor.account AS b WHERE b.account_id = a.account_id)"
        )
        update = self._update()
        self._sequence = last
        begun = time.perf_counter()
        with self._connection.cursor() as cursor:
            cursor.copy_expert("COPY bench_floor.account FROM STDIN (FORMAT binary)", opened)
            cursor.copy_expert("COPY bench_floor.line FROM STDIN (FORMAT binary)", lines)
            cursor.execute(update)
        self._connection.commit()
        return time.perf_counter() - begun

    def settle(self) -> None:
        """Brings both sides' tables to the state that autovacuum brings them to in a while."""
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            for schema in ("ledger", "bench_floor"):
                for table in SETTLED:
                    cursor.execute(f"VACUUM (ANALYZE) {schema}.{table}")
            cursor.execute("CHECKPOINT")
        self._connection.autocommit = False

    def _read(self, query: str) -> BytesIO:
        rows = BytesIO()
        with self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", rows)
        self._connection.commit()
        rows.seek(0)
        return rows

    def _update(self) -> bytes:
        """The UPDATE of every account that the lines touch; its arrays are text, as the ledger's."""
        totals = self._ledger.rows(
            f"SELECT account_id, sum(debit)::bigint, sum(credit)::bigint FROM {self._partition} "
            "WHERE sequence > %s GROUP BY account_id ORDER BY account_id",
            (self._sequence,),
        )
        columns = [array_text(column) for column in zip(*totals, strict=True)]
        with self._connection.cursor() as cursor:
            statement: bytes = cursor.mogrify(
                "UPDATE bench_floor.account AS a SET debits_posted = a.debits_posted + t.debits, "
                "credits_posted = a.credits_posted + t.credits "
                "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS t (id, debits, credits) "
                "WHERE a.book_id = %s AND a.account_id = t.id",
                (*columns, BOOK),
            )
        return statement

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        with closing(self._connection):
            self._connection.rollback()


def _partition(ledger: Ledger) -> str:
    """The partition that holds the open day's lines; the table itself where there are none."""
    rows = ledger.rows(
        "SELECT DISTINCT tableoid::regclass::text FROM ledger.line "
        "WHERE booking_date = (SELECT business_date FROM book)"
    )
    assert len(rows) == 1, rows
    return f"ledger.{rows[0][0].rpartition('.')[2]}"
