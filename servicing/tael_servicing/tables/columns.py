"""What every table of servicing is made with."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, MetaData, Text

own = MetaData()

SORTED = Text(collation="C")
"""Compared byte by byte: pages do not depend on the store's locale."""


def amounts(*names: str) -> list[Column[int]]:
    """Columns of minor units that begin at 0."""
    return [Column(name, BigInteger, nullable=False, server_default="0") for name in names]


def none_negative(table: str, *names: str) -> CheckConstraint:
    """No amount of the table may be below 0."""
    return CheckConstraint(" AND ".join(f"{name} >= 0" for name in names), name=f"{table}_amounts")
