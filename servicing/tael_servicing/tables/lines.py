"""Credit lines and what moved them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, amounts, own

credit_line = Table(
    "credit_line",
    own,
    Column("line_id", SORTED, primary_key=True),
    Column(
        "path", ARRAY(SORTED), nullable=False, comment="the lines above, root first, and itself"
    ),
    Column("customer_id", SORTED, nullable=False),
    Column(
        "product_code", SORTED, nullable=False, comment="empty: an overall limit of any product"
    ),
    Column("book_id", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("overall", Boolean, nullable=False, comment="drawn only through the lines below it"),
    Column("revolving", Boolean, nullable=False),
    Column("granted", BigInteger, nullable=False, comment="for good"),
    Column("temporary", BigInteger, nullable=False, server_default="0", comment="granted instead"),
    Column("temporary_to", Date, comment="the last day of it"),
    Column("credit_limit", BigInteger, nullable=False, comment="in force: above what was granted"),
    *amounts("used", "reserved"),
    Column("annual_rate", Numeric(9, 6), nullable=False),
    Column("spread", Numeric(9, 6), comment="over the prime rate, of a product whose rate floats"),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="ACTIVE"),
    Column("freeze_reason", Text, nullable=False, server_default=""),
    Column("source", Text, nullable=False),
    Column("movements", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(
        "cardinality(path) BETWEEN 1 AND 4 AND path[cardinality(path)] = line_id",
        name="credit_line_path",
    ),
    CheckConstraint("used >= 0 AND reserved >= 0", name="credit_line_amounts"),
    CheckConstraint("used + reserved <= credit_limit", name="credit_line_limit"),
    CheckConstraint(
        "granted >= 0 AND credit_limit >= granted AND credit_limit >= temporary",
        name="credit_line_granted",
    ),
    CheckConstraint(
        "CASE WHEN temporary_to IS NULL THEN temporary = 0 ELSE temporary > granted END",
        name="credit_line_temporary",
    ),
    CheckConstraint("state IN ('PENDING', 'ACTIVE', 'FROZEN', 'CLOSED')", name="credit_line_state"),
    # A customer's lines, oldest first: ids are ordered by time.
    Index("credit_line_customer", "customer_id", "line_id"),
    # The lines that run out on a day.
    Index("credit_line_expiry", "book_id", "valid_to", postgresql_where=text("state <> 'CLOSED'")),
    # The lines that open on a day.
    Index(
        "credit_line_opening", "book_id", "valid_from", postgresql_where=text("state = 'PENDING'")
    ),
    # The temporary limits that run out on a day.
    Index(
        "credit_line_temporary_to",
        "book_id",
        "temporary_to",
        postgresql_where=text("temporary_to IS NOT NULL"),
    ),
)

line_movement = Table(
    "line_movement",
    own,
    Column("line_id", SORTED, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("loan_id", SORTED, nullable=False),
    Column("drawn_line_id", SORTED, nullable=False, comment="the loan's line: this or one below"),
    Column("date", Date, nullable=False),
    Column("limit_after", BigInteger, nullable=False),
    Column("used_after", BigInteger, nullable=False),
    Column("reserved_after", BigInteger, nullable=False),
    Column("valid_to", Date, nullable=False, comment="the line's last day after it"),
    Column("reason", Text, nullable=False),
    Column("approval", Text, nullable=False),
    # What was agreed on a day: few movements among the drawdowns and repayments.
    Index(
        "line_movement_agreed",
        "date",
        "line_id",
        postgresql_where=text("kind IN ('GRANTED', 'OPENED', 'ADJUSTED', 'CLOSED')"),
    ),
    info=APPEND_ONLY,
)
