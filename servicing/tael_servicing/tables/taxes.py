"""Taxes declared and paid."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Table, Text

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, own

tax_entry = Table(
    "tax_entry",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("period", Date, primary_key=True, comment="the first day of the month or year"),
    Column("step", SORTED, primary_key=True),
    Column("currency_code", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("reference", Text, nullable=False),
    info=APPEND_ONLY,
)
