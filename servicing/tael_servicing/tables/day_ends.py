"""What a day end leaves beside its runs, which are the runtime's."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Index, Table, Text, text

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
