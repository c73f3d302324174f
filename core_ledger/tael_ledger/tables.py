"""The ledger's store: the only description of it (DESIGN.md §4). Keys start with the book.

Amounts are minor units. Dates are business dates; instants are the store's clock.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from tael_runtime.tables import APPEND_ONLY, with_floor

own = MetaData()

SORTED = Text(collation="C")
"""Compared byte by byte: pages and prefixes do not depend on the store's locale."""


def _dated() -> CheckConstraint:
    """Nothing is worth something after the day it is booked on."""
    return CheckConstraint("value_date <= booking_date", name="value_date_not_in_future")


book = Table(
    "book",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("legal_entity", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("lender_type", Text, nullable=False),
    Column("vat_mode", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("rules_version", Integer, nullable=False, comment="in force on the business date"),
    Column("accounts_opened", BigInteger, nullable=False, server_default="0"),
    Column("last_batch", BigInteger, nullable=False, server_default="0"),
    Column("last_sequence", BigInteger, nullable=False, server_default="0"),
    Column("digest", LargeBinary, nullable=False, comment="of the last batch; 32 bytes"),
    comment="locked FOR UPDATE by whatever posts: its numbers are the next ones",
)

gl_account = Table(
    "gl_account",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("code", SORTED, primary_key=True),
    Column("name", Text, nullable=False),
    Column("english_name", Text, nullable=False),
    Column("account_class", Text, nullable=False),
    Column("normal_side", Text, nullable=False),
    CheckConstraint("normal_side IN ('DEBIT', 'CREDIT')", name="gl_account_normal_side"),
    comment="the chart of accounts",
    info=APPEND_ONLY,
)

posting_rules_version = Table(
    "posting_rules_version",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("maker", Text, nullable=False),
    Column("checker", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False),
    CheckConstraint("state IN ('PROPOSED', 'APPROVED')", name="posting_rules_version_state"),
    CheckConstraint(
        "state <> 'APPROVED' OR checker NOT IN ('', maker)", name="posting_rules_version_checked"
    ),
)

posting_rule = Table(
    "posting_rule",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("rule", Integer, primary_key=True, autoincrement=False),
    Column("posting", Integer, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),
    Column("amount_type", Text, nullable=False),
    Column("product", Text, nullable=False, comment="empty = any, like the next three"),
    Column("accrual_status", Text, nullable=False),
    Column("lender_type", Text, nullable=False),
    Column("vat_mode", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("debit_gl_code", Text, nullable=False),
    Column("debit_owner_type", Text, nullable=False),
    Column("credit_gl_code", Text, nullable=False),
    Column("credit_owner_type", Text, nullable=False),
    comment="one row a posting: a debit and a credit of the same amount",
    info=APPEND_ONLY,
)

account = Table(
    "account",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", SORTED, nullable=False),
    Column("gl_code", SORTED, nullable=False),
    Column("owner_type", SORTED, nullable=False),
    Column("owner_id", SORTED, nullable=False),
    Column("batch_number", BigInteger, nullable=False, comment="the batch that opened it"),
    Column("debits_posted", BigInteger, nullable=False, server_default="0"),
    Column("credits_posted", BigInteger, nullable=False, server_default="0"),
    # Found by number at every posting; pages of ListAccounts follow it.
    Index("account_number", "book_id", "number", unique=True),
    # All accounts of a loan or customer.
    Index("account_owner", "book_id", "owner_id", "owner_type"),
    comment="totals change with every posting, the rest never",
    # Room on the page keeps the totals' updates away from the indexes (HOT).
    postgresql_with={"fillfactor": 70},
)

posting_batch = Table(
    "posting_batch",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("batch_number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="docs/ledger-chain.md"),
    Column("committed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("octet_length(digest) = 32", name="posting_batch_digest"),
    comment="one row a committed posting transaction: a link of the chain",
    info=APPEND_ONLY,
)

posting_request = Table(
    "posting_request",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("rpc", SORTED, primary_key=True),
    Column("caller", SORTED, primary_key=True),
    Column("request_id", SORTED, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("batch_number", BigInteger, nullable=False),
    Column("first_sequence", BigInteger, nullable=False, comment="0 where it made no entry"),
    Column("entries", Integer, nullable=False),
    Column("lines", BigInteger, nullable=False),
    # The chain is recomputed batch by batch.
    Index("posting_request_batch", "book_id", "batch_number"),
    comment="one row an executed posting request, for ever: what answers its repetitions",
    info=APPEND_ONLY,
)

entry = Table(
    "entry",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("event", SORTED, nullable=False),
    Column("value_date", Date, nullable=False),
    Column("booking_date", Date, nullable=False),
    Column("source", SORTED, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("rules_version", Integer, nullable=False),
    Column("reversal_of", BigInteger, nullable=False, comment="0 = none"),
    _dated(),
    # ListEntries by event, by prefix of the source and by booking date, in journal order.
    Index("entry_event", "book_id", "event", "sequence"),
    Index("entry_source", "book_id", "source", "sequence"),
    Index("entry_booking_date", "book_id", "booking_date", "sequence"),
    comment="the journal's vouchers",
    info=APPEND_ONLY,
)

line = Table(
    "line",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("booking_date", Date, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("line_number", Integer, primary_key=True, autoincrement=False),
    Column("account_id", BigInteger, nullable=False),
    Column("value_date", Date, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("memo", Boolean, nullable=False, comment="its account is off balance"),
    CheckConstraint("(debit = 0) <> (credit = 0)", name="line_one_side"),
    _dated(),
    # Statements and as-of balances: an account's lines in journal order.
    Index("line_account", "book_id", "account_id", "sequence"),
    comment="the journal's lines; the booking date is in the key so that months can be partitions",
    info=APPEND_ONLY,
)

reversal = Table(
    "reversal",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("origin", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    comment="which entry reversed which: once means once",
    info=APPEND_ONLY,
)

closed_day = Table(
    "closed_day",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("business_date", Date, primary_key=True),
    Column("next_business_date", Date, nullable=False),
    Column("last_batch", BigInteger, nullable=False),
    Column("closed_by", Text, nullable=False),
    comment="days that take no more bookings, and the chain when they closed",
    info=APPEND_ONLY,
)

JOURNAL = (entry, line, posting_batch, posting_request, reversal, closed_day)
"""What the store never lets anyone change: triggers raise on UPDATE, DELETE and TRUNCATE."""

metadata = with_floor(own)
