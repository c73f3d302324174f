"""Money in flight: direct debits, settlements of channels, the bank's statement."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, amounts, own

debit_batch = Table(
    "debit_batch",
    own,
    Column("batch_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("round", Integer, nullable=False),
    Column("partial_minimum", BigInteger, nullable=False, comment="0 = all or nothing"),
    Column("state", Text, nullable=False),
    Column("submitted_at", DateTime(timezone=True)),
    CheckConstraint("partial_minimum >= 0", name="debit_batch_minimum"),
    CheckConstraint("state IN ('PREPARED', 'SUBMITTED')", name="debit_batch_state"),
    # A book's batches, the newest first, and one of a round.
    Index("debit_batch_round", "book_id", "business_date", "round", unique=True),
    comment="a round of direct debits on a business date",
)

direct_debit = Table(
    "direct_debit",
    own,
    Column("payment_id", SORTED, primary_key=True),
    Column("batch_id", SORTED, ForeignKey("debit_batch.batch_id"), nullable=False),
    Column("loan_id", SORTED, ForeignKey("loan.loan_id"), nullable=False),
    Column("book_id", SORTED, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("round", Integer, nullable=False),
    Column("card_token", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="asked; prepared while it is not sent"),
    Column("minimum", BigInteger, nullable=False, comment="of a part; 0 = all or nothing"),
    Column("debited", BigInteger, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="PREPARED"),
    Column("sent_at", DateTime(timezone=True), comment="first"),
    Column("touched_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("failure_code", Text, nullable=False, server_default=""),
    Column("reference", Text, nullable=False, server_default=""),
    Column("settlement_id", SORTED, nullable=False, server_default=""),
    CheckConstraint(
        "amount > 0 AND minimum BETWEEN 0 AND amount AND debited >= 0", name="direct_debit_amounts"
    ),
    CheckConstraint(
        "state IN ('PREPARED', 'SENDING', 'UNKNOWN', 'FAILED', 'SUCCESS', 'ALLOCATED', 'REVERSED',"
        " 'CANCELLED')",
        name="direct_debit_state",
    ),
    CheckConstraint(
        "(debited > 0) = (state IN ('SUCCESS', 'ALLOCATED', 'REVERSED'))",
        name="direct_debit_debited",
    ),
    # A loan is asked once a round.
    Index("direct_debit_loan", "loan_id", "business_date", "round", unique=True),
    # A batch's debits, by id.
    Index("direct_debit_batch", "batch_id", "payment_id"),
    # What is neither allocated nor over, by book for the day end.
    Index(
        "direct_debit_open",
        "book_id",
        "business_date",
        "loan_id",
        postgresql_where=text("state IN ('PREPARED', 'SENDING', 'UNKNOWN', 'SUCCESS')"),
    ),
    # What is to be sent or asked after.
    Index(
        "direct_debit_under_way",
        "touched_at",
        postgresql_where=text("state IN ('PREPARED', 'SENDING', 'UNKNOWN')"),
    ),
    # What a channel has not handed over.
    Index(
        "direct_debit_unsettled",
        "book_id",
        "business_date",
        postgresql_where=text("settlement_id = '' AND state IN ('SUCCESS', 'ALLOCATED')"),
    ),
    comment="money asked of a bound card in a round",
)

channel_settlement = Table(
    "channel_settlement",
    own,
    Column("settlement_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("reference", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("collected_on", Date, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("at_bank", BigInteger, nullable=False, server_default="0", comment="credited so far"),
    Column(
        "held", Boolean, nullable=False, comment="by the channel, in an account it keeps for us"
    ),
    Column("awaited", Boolean, nullable=False, comment="at the bank"),
    CheckConstraint("fee BETWEEN 0 AND greatest(gross, 0)", name="channel_settlement_amounts"),
    Index("channel_settlement_reference", "book_id", "reference", unique=True),
    # What the bank does not have yet.
    Index("channel_settlement_awaited", "book_id", "booked_on", postgresql_where=text("awaited")),
    comment="a channel's settlement file",
)

bank_line = Table(
    "bank_line",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("bank_reference", SORTED, primary_key=True),
    Column("settlement_reference", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("statement_date", Date, nullable=False),
    comment="a credit on the bank's statement",
    info=APPEND_ONLY,
)

difference = Table(
    "difference",
    own,
    Column("difference_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", SORTED, nullable=False, comment="payment, settlement or bank line"),
    Column("source", SORTED, nullable=False, comment="where it was found; empty = found once"),
    Column("settlement_id", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    *amounts("ours", "theirs"),
    Column("detail", Text, nullable=False),
    Column("found_on", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("resolution", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("maker", Text, nullable=False, server_default=""),
    Column("checker", Text, nullable=False, server_default=""),
    Column("resolved_on", Date),
    CheckConstraint("state IN ('OPEN', 'PROPOSED', 'RESOLVED')", name="difference_state"),
    CheckConstraint("checker = '' OR checker <> maker", name="difference_four_eyes"),
    # Found once, however often its cause is told.
    Index("difference_cause", "book_id", "kind", "subject", "source", unique=True),
    # A book's differences, oldest first: ids are ordered by time.
    Index("difference_book", "book_id", "difference_id"),
    comment="what we, the channel and the bank disagree on",
)
