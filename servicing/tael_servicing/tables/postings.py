"""What is asked of the ledger."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, own

MOVES_ALLOWANCE = (
    "ALLOWANCE_ADJUSTED",
    "IMPAIRED_INTEREST_ACCRUED",
    "LOAN_WRITTEN_OFF",
    "PRINCIPAL_WAIVED",
    "LOAN_SOLD",
    "ASSET_TAKEN_FOR_DEBT",
)
"""Events with amounts on 1304 that last."""

loan_posting = Table(
    "loan_posting",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),
    Column("value_date", Date, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("amounts", JSONB, nullable=False),
    Column("owners", JSONB, nullable=False, comment="others by type: a receipt, a partner"),
    Column("cause", SORTED, nullable=False, comment="the loan's event; empty for what days bring"),
    Column("request_id", SORTED, nullable=False, comment="of the outgoing posting that carries it"),
    Column("source", SORTED, nullable=False, comment="under which the ledger keeps its entries"),
    # How each repayment is spread.
    Index("loan_posting_cause", "loan_id", "cause", postgresql_where=text("cause <> ''")),
    # What moved allowances in a month: few postings among the nights' accruals.
    Index(
        "loan_posting_allowance",
        "booked_on",
        "loan_id",
        postgresql_where=text(f"event IN {MOVES_ALLOWANCE!r}"),
    ),
    comment="what the loan asked of the ledger, event by event",
    info=APPEND_ONLY,
)

outgoing_posting = Table(
    "outgoing_posting",
    own,
    Column("request_id", SORTED, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("book_id", SORTED, nullable=False),
    Column("lane", SORTED, nullable=False, comment="loan, line or batch: delivered in order"),
    Column("business_date", Date, nullable=False),
    Column("rpc", Text, nullable=False),
    Column("messages", ARRAY(LargeBinary), nullable=False, comment="as they are sent, unchanged"),
    Column("state", Text, nullable=False, server_default="PENDING"),
    Column("refusal", Text, nullable=False, server_default=""),
    Column("vouchers", JSONB, comment="entry sequences by source"),
    Column("anchor_sequence", BigInteger, comment="the ledger's chain after this posting"),
    Column("anchor_digest", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('PENDING', 'DELIVERED', 'REFUSED')", name="outgoing_posting_state"),
    # What still waits, by book and by lane, oldest first.
    Index(
        "outgoing_posting_waiting",
        "book_id",
        "lane",
        "number",
        postgresql_where=text("state <> 'DELIVERED'"),
    ),
    comment="postings as stored bytes: written with their cause, sent until the ledger answers",
)

night_posting = Table(
    "night_posting",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("product_code", SORTED, primary_key=True),
    Column("on_balance", Boolean, primary_key=True),
    Column("night", Date, primary_key=True),
    Column("last_loan_id", SORTED, primary_key=True, comment="of those whose nights it carries"),
    Column("first_loan_id", SORTED, nullable=False),
    Column("request_id", SORTED, nullable=False, comment="of the outgoing posting that carries it"),
    comment="where the nights of loans are posted, which have no postings of their own",
    info=APPEND_ONLY,
)
