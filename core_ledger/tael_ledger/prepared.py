"""Statements that every posting transaction runs, prepared once a connection.

They are parsed once and the driver's own cursor is used: of a transaction of few requests, the parsing
and the toolkit's way to the driver are a large part. They are planned each time (database.py): a plan
made while a table was small would read all of it for ever. Needs connections that stay one session
(no transaction pooling between here and the store).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tael_ledger.copying import cursor

KNOWN = "tael_prepared"
"""Under this, a connection remembers what it prepared."""
PROBING = "".join(
    f"SET LOCAL enable_{plan} TO off; " for plan in ("hashjoin", "mergejoin", "material")
)
"""Leaves a probe a row. Not all rows once, kept and gone through for each: quick only where they are
as few as a planner may believe whose statistics are of a smaller table."""


@dataclass(frozen=True)
class Prepared:
    """A statement with parameters $1, $2, …."""

    name: str
    types: str
    """Of the parameters, in order."""
    sql: str
    probing: bool = False
    """Whether every row is found by its key, from here to the transaction's end: a planner that does
    not know a table yet would else read all of it to find many."""

    def rows(self, connection: Connection, *values: Any) -> list[tuple[Any, ...]]:
        """Runs it; every row."""
        known: set[str] = connection.info.setdefault(KNOWN, set())
        with cursor(connection, self.name) as raw:
            if self.name not in known:
                raw.execute(f"PREPARE {self.name} ({self.types}) AS {self.sql}")
                known.add(self.name)
            places = ", ".join(["%s"] * len(values))
            before = PROBING if self.probing else ""
            raw.execute(f"{before}EXECUTE {self.name} ({places})", values)
            found: list[tuple[Any, ...]] = raw.fetchall()
            return found
