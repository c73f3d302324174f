"""What a day end leaves beside its runs, which are the runtime's."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, own

loan_set_aside = Table(
    "loan_set_aside",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("business_date", Date, primary_key=True, comment="the day being ended"),
    Column("loan_id", SORTED, primary_key=True),
    Column("step", Text, nullable=False, comment="from which on the loan is missing"),
    Column("reason", Text, nullable=False),
    Column("accrued_to", Date, nullable=False, comment="its nights before this date are accrued"),
    Column("cured", Boolean, nullable=False, server_default="false"),
    # What keeps a day from being closed.
    Index("loan_set_aside_open", "book_id", "loan_id", postgresql_where=text("NOT cured")),
    comment="loans that a step could not work; the day is not closed while one is not cured",
)

day_report = Table(
    "day_report",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("business_date", Date, primary_key=True, comment="the day that was ended"),
    Column("ledger_totals", JSONB, nullable=False, comment="the ledger's balances by GL code"),
    Column("loan_totals", JSONB, nullable=False, comment="sums over the loan ledger by GL code"),
    Column("loans", BigInteger, nullable=False, comment="rows of the loan ledger"),
    Column("size", BigInteger, nullable=False, comment="bytes of the loan ledger's file"),
    Column("sha256", LargeBinary, nullable=False, comment="of these bytes"),
    comment="what the report of a day's end adds to its run",
    info=APPEND_ONLY,
)
