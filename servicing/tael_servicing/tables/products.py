"""Books, products and what a product's price is held against."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Integer, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, own

book_day = Table(
    "book_day",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("currency_code", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("accrued_to", Date, nullable=False, comment="nights before this date are accrued"),
    Column("closing", Boolean, nullable=False, server_default="false", comment="past the cut-off"),
    Column(
        "lprs", Text, nullable=False, server_default="", comment="those of the last night, digested"
    ),
    comment="the book's business date as servicing has moved it; shared by what books online",
)

product = Table(
    "product",
    own,
    Column("code", SORTED, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("book_id", SORTED, nullable=False),
    Column("lender_type", Text, nullable=False, comment="its book's, as the ledger has it"),
    Column("effective_from", Date, nullable=False),
    Column("terms", JSONB, nullable=False, comment="tael.servicing.v1.ProductTerms"),
    info=APPEND_ONLY,
)

product_retirement = Table(
    "product_retirement",
    own,
    Column("code", SORTED, primary_key=True),
    Column("retired_from", Date, nullable=False),
    info=APPEND_ONLY,
    comment="from this business date on nothing is lent under the code",
)

lpr = Table(
    "lpr",
    own,
    Column("published", Date, primary_key=True),
    Column("one_year", Numeric(9, 6), nullable=False),
    Column("five_years", Numeric(9, 6), nullable=False),
    comment="loan prime rates that came after those data/lpr.csv has, or correct them",
)

cost_cap = Table(
    "cost_cap",
    own,
    Column("lender_type", SORTED, primary_key=True),
    Column("effective_from", Date, primary_key=True),
    Column("rate", Numeric(9, 6)),
    Column("lpr_multiple", Numeric(9, 6)),
    Column("measure", Text, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("rate IS NOT NULL OR lpr_multiple IS NOT NULL", name="cost_cap_said"),
    comment="cost caps that came after those data/cost_caps.csv has, or correct them",
)
