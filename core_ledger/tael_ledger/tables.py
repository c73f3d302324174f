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
    literal_column,
    text,
)

from tael_runtime.tables import APPEND_ONLY, EVENT_TRIGGERS, KEPT, with_floor

own = MetaData(
    info={
        EVENT_TRIGGERS: (
            "ledger_keeps_journal",
            "ledger_keeps_tables",
            "ledger_keeps_rows",
            "ledger_keeps_partitions",
        )
    }
)

TURNOVER_LIMIT = 4 * 10**18
"""Minor units, either sign: any change from one total to another still fits the store's 64 bits."""

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
    Column("non_accrual_policy", Text, nullable=False),
    Column("first_date", Date, nullable=False, comment="its first business date"),
    Column("business_date", Date, nullable=False),
    Column("rules_version", Integer, nullable=False, comment="in force on the business date"),
    Column("accounts_opened", BigInteger, nullable=False, server_default="0"),
    Column("reservations_made", BigInteger, nullable=False, server_default="0"),
    Column("last_batch", BigInteger, nullable=False, server_default="0"),
    Column("last_sequence", BigInteger, nullable=False, server_default="0"),
    Column("digest", LargeBinary, nullable=False, comment="of the last batch; 32 bytes"),
    comment="locked FOR UPDATE by whatever posts: its numbers are the next ones",
    info=KEPT,
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
    info=KEPT,
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
    Column("batch_number", BigInteger, nullable=False, comment="the batch that opened it"),
    Column("number", SORTED, nullable=False),
    Column("gl_code", SORTED, nullable=False),
    Column("owner_type", SORTED, nullable=False),
    Column("owner_id", SORTED, nullable=False),
    Column("debits_posted", BigInteger, nullable=False, server_default="0"),
    Column("credits_posted", BigInteger, nullable=False, server_default="0"),
    Column("debits_pending", BigInteger, nullable=False, server_default="0"),
    Column("credits_pending", BigInteger, nullable=False, server_default="0"),
    Column("lines_posted", BigInteger, nullable=False, server_default="0"),
    Column("lines_summed", BigInteger, nullable=False, server_default="0"),
    Column(
        "summed_through",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the last sequence whose lines stand in account_day",
    ),
    Column("summed_on", Date, nullable=False, comment="when; the day it was opened before that"),
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("lowest", BigInteger, comment="of debits less credits; null = no limit"),
    Column("highest", BigInteger, comment="of debits less credits; null = no limit"),
    CheckConstraint("state IN ('OPEN', 'FROZEN', 'CLOSED')", name="account_state"),
    CheckConstraint("debits_pending >= 0 AND credits_pending >= 0", name="account_pending"),
    CheckConstraint(
        f"debits_posted BETWEEN -{TURNOVER_LIMIT} AND {TURNOVER_LIMIT} "
        f"AND credits_posted BETWEEN -{TURNOVER_LIMIT} AND {TURNOVER_LIMIT}",
        name="account_turnover",
    ),
    CheckConstraint(
        "debits_posted - credits_posted - credits_pending >= lowest", name="account_lowest"
    ),
    CheckConstraint(
        "debits_posted - credits_posted + debits_pending <= highest", name="account_highest"
    ),
    # Found by number at every posting that meets it first; pages of ListAccounts follow it.
    Index("account_number", "book_id", "number", unique=True),
    # All accounts of a loan or customer.
    Index("account_owner", "book_id", "owner_id", "owner_type"),
    # The accounts a batch opened: the chain is recomputed batch by batch.
    Index("account_batch", "book_id", "batch_number", "account_id"),
    # Which accounts a committer has to guard: asked whenever another changed a limit or state.
    Index(
        "account_guarded",
        "book_id",
        "account_id",
        postgresql_where=text("state <> 'OPEN' OR lowest IS NOT NULL OR highest IS NOT NULL"),
    ),
    comment="what identifies it never changes; its totals do with every posting",
    info=KEPT,
    # Room on the page keeps the totals' updates away from the indexes (HOT).
    postgresql_with={"fillfactor": 50},
)

account_day = Table(
    "account_day",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("booking_date", Date, primary_key=True),
    Column("value_date", Date, primary_key=True),
    Column("debits", BigInteger, nullable=False),
    Column("credits", BigInteger, nullable=False),
    comment="an account's lines added up, a thousand or more at a time: what as-of balances read",
    info=KEPT,
)

gl_day = Table(
    "gl_day",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("gl_code", SORTED, primary_key=True),
    Column("booking_date", Date, primary_key=True),
    Column("value_date", Date, primary_key=True),
    Column("closing", Boolean, primary_key=True, comment="carried at the close of a period"),
    Column("debits", BigInteger, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    comment="the general ledger: control totals a GL code and day, kept with every posting",
    info=KEPT,
    postgresql_with={"fillfactor": 70},
)

record = Table(
    "record",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("batch_number", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("kind", SORTED, nullable=False),
    Column("subject", SORTED, nullable=False, comment="an account number, a day, a version, …"),
    Column("content", Text, nullable=False, comment="JSON, keys in order"),
    # What became of one account, day or reservation, in order.
    Index("record_subject", "book_id", "kind", "subject", "batch_number"),
    comment="what changed beside the entries, as the chain has it",
    info=APPEND_ONLY,
)

posting_batch = Table(
    "posting_batch",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("batch_number", BigInteger, primary_key=True, autoincrement=False),
    Column("booking_date", Date, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("accounts", Integer, nullable=False),
    Column("records", Integer, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("committed_at", DateTime(timezone=True), nullable=False),
    Column("content_digest", LargeBinary, nullable=False, comment="docs/ledger-chain.md"),
    Column("digest", LargeBinary, nullable=False),
    CheckConstraint(
        "octet_length(content_digest) = 32 AND octet_length(digest) = 32",
        name="posting_batch_digest",
    ),
    # The batch of an entry, and of an anchor.
    Index("posting_batch_sequence", "book_id", "last_sequence"),
    comment="one row a committed transaction: a link of the chain",
    info=APPEND_ONLY,
)

posting_request = Table(
    "posting_request",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("rpc", SORTED, primary_key=True),
    Column("caller", SORTED, primary_key=True),
    Column("request_id", SORTED, primary_key=True),
    Column("batch_number", BigInteger, nullable=False),
    Column("place", Integer, nullable=False, comment="in its batch, from 1"),
    Column("content_hash", LargeBinary, nullable=False),
    Column("first_sequence", BigInteger, nullable=False, comment="0 where it made no entry"),
    Column("entries", Integer, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False, comment="what else its answer needs; JSON or empty"),
    # The chain is recomputed batch by batch.
    Index("posting_request_batch", "book_id", "batch_number", "place"),
    comment="one row an executed request, for ever: what answers its repetitions",
    info=APPEND_ONLY,
)

entry = Table(
    "entry",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("value_date", Date, nullable=False),
    Column("booking_date", Date, nullable=False),
    Column("rules_version", Integer, nullable=False, comment="0 = posted on named accounts"),
    Column("reversal_of", BigInteger, nullable=False, comment="0 = none"),
    Column("lines", Integer, nullable=False),
    Column("event", SORTED, nullable=False),
    Column("source", SORTED, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("metadata", Text, nullable=False, comment="JSON, keys in order; empty = none"),
    _dated(),
    # ListEntries by event, in journal order. By booking date: closed_day says which sequences a day
    # has.
    Index("entry_event", "book_id", "event", "sequence"),
    # ListEntries by prefix of the source; what has it is put in journal order. Sources differ sooner
    # than books do.
    Index("entry_source", "source", "book_id"),
    # ListEntries by facts; entries without any stay out of it.
    Index(
        "entry_metadata",
        literal_column("(metadata::jsonb)").label("facts"),
        postgresql_using="gin",
        postgresql_ops={"facts": "jsonb_path_ops"},
        postgresql_where=text("metadata <> ''"),
    ),
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
    # Statements and as-of balances: an account's lines in journal order, however many an entry has.
    # Both the account and its book are always asked for; numbers are told apart quicker than texts.
    Index("line_account", "account_id", "book_id", "sequence", "line_number"),
    comment="the journal's lines, a partition a booking month (line_2026_01)",
    info=APPEND_ONLY,
    postgresql_partition_by="RANGE (booking_date)",
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
    Column("last_batch", BigInteger, nullable=False, comment="the last of the day; its close"),
    Column("last_sequence", BigInteger, nullable=False),
    Column("closed_by", Text, nullable=False),
    comment="days that take no more bookings, and the chain when they closed",
    info=APPEND_ONLY,
)

closed_period = Table(
    "closed_period",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("first_day", Date, primary_key=True),
    Column("last_day", Date, nullable=False),
    Column("batch_number", BigInteger, nullable=False),
    Column("profit", BigInteger, nullable=False, comment="income less expense carried"),
    Column("sequence", BigInteger, nullable=False, comment="0 = nothing to carry"),
    Column("year_end_sequence", BigInteger, nullable=False, comment="0 = none"),
    Column("closed_by", Text, nullable=False),
    comment="months whose income and expense are carried to equity",
    info=APPEND_ONLY,
)

reservation = Table(
    "reservation",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("reservation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("source", Text, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="PENDING"),
    Column("sequence", BigInteger, nullable=False, server_default="0", comment="0 = not posted"),
    CheckConstraint(
        "state IN ('PENDING', 'COMMITTED', 'RELEASED', 'EXPIRED')", name="reservation_state"
    ),
    # What the close of a day releases.
    Index(
        "reservation_expiry",
        "book_id",
        "expires_on",
        postgresql_where=text("state = 'PENDING'"),
    ),
    comment="entries reserved; its end is written once, and recorded in the chain",
    info=KEPT,
)

reservation_line = Table(
    "reservation_line",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("reservation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("line_number", Integer, primary_key=True, autoincrement=False),
    Column("account_number", SORTED, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    # ListReservations of an account.
    Index("reservation_line_account", "book_id", "account_number", "reservation_id"),
    comment="what is reserved on which account",
    info=APPEND_ONLY,
)

proposal = Table(
    "proposal",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column(
        "proposal_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="the batch that proposed it",
    ),
    Column("operation", LargeBinary, nullable=False, comment="tael.ledger.v1.Operation"),
    Column("reason", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="PROPOSED"),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("decision_reason", Text, nullable=False, server_default=""),
    Column(
        "decided_in",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the batch that decided it; 0 = none",
    ),
    Column(
        "sequence",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the first entry that it posted; 0 = none",
    ),
    CheckConstraint(
        "state IN ('PROPOSED', 'APPROVED', 'DECLINED', 'WITHDRAWN')", name="proposal_state"
    ),
    CheckConstraint(
        "state NOT IN ('APPROVED', 'DECLINED') OR lower(decided_by) NOT IN ('', lower(maker))",
        name="proposal_four_eyes",
    ),
    # What waits for a second person.
    Index("proposal_open", "book_id", "proposal_id", postgresql_where=text("state = 'PROPOSED'")),
    comment="operations by hand; its decision is written once, and recorded in the chain",
    info=KEPT,
)

JOURNAL = (
    record,
    entry,
    line,
    posting_batch,
    posting_request,
    reversal,
    closed_day,
    closed_period,
    reservation_line,
)
"""What the store never lets anyone change: triggers raise on UPDATE, DELETE and TRUNCATE."""

metadata = with_floor(own)
