"""Classes, stages and the ledger of loans."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tael_runtime.tables import APPEND_ONLY
from tael_servicing.tables.columns import SORTED, amounts, own
from tael_servicing.tables.loans import BALANCES

impairment_policy = Table(
    "impairment_policy",
    own,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("policy", JSONB, nullable=False, comment="tael.servicing.v1.ImpairmentPolicy"),
    Column("reason", Text, nullable=False),
    Column("approval", Text, nullable=False),
    # The one in force on a day: the last set of those that began.
    Index("impairment_policy_book", "book_id", "effective_from", "number"),
    comment="parameters of classes, stages and allowances, dated",
    info=APPEND_ONLY,
)

loan_class = Table(
    "loan_class",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("risk_class", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("cause", Text, nullable=False),
    Column("since", Date, nullable=False),
    Column("clear_since", Date, comment="all arrears repaid since, while it is held bad"),
    Column("worsened", Integer, comment="at least this class, by hand"),
    Column("improved", Integer, comment="this class, with approval"),
    Column("improved_from", Integer, comment="what days past due said then"),
    Column("observed_until", Date, comment="restructured: at least class 2 before this date"),
    Column("restructured", Date, comment="the rescheduling that is counted already"),
    Column("technical_due", Date, comment="due date whose lateness is technical"),
    Column("stage_floor", Integer, nullable=False),
    CheckConstraint("risk_class BETWEEN 1 AND 5", name="loan_class_risk_class"),
    CheckConstraint(
        "stage BETWEEN 1 AND 3 AND stage_floor BETWEEN 1 AND 3", name="loan_class_stage"
    ),
    # Those that a day end judges again.
    Index("loan_class_book", "book_id", "loan_id"),
    comment="classes that more than days past due decide; every other loan has none",
)

class_judgement = Table(
    "class_judgement",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("date", Date, nullable=False),
    Column("kind", Text, nullable=False),
    Column("risk_class", Integer, nullable=False, comment="after it"),
    Column("class_before", Integer, nullable=False),
    Column("stage", Integer, nullable=False, comment="after it"),
    Column("reason", Text, nullable=False),
    Column("approval", Text, nullable=False),
    comment="what was judged by hand, and on whose word",
    info=APPEND_ONLY,
)

loan_day = Table(
    "loan_day",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("date", Date, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("state", Text, nullable=False),
    *amounts(*BALANCES),
    Column(
        "written_on", Date, nullable=False, comment="when the balances stood: lines run from it"
    ),
    Column("aged_from", Date, comment="of the oldest unpaid instalment"),
    Column("paused_until", Date, comment="arrears grow no older before it"),
    Column("unpaid", JSONB, comment="[aged from, principal, interest] of due rows, oldest first"),
    Column("worst_dpd", Integer, nullable=False, comment="of the month up to the date"),
    Column("risk_class", Integer, comment="as remembered; empty: days past due decide"),
    Column("stage", Integer, comment="as remembered"),
    Column("cause", Text),
    Column("since", Date),
    Column("annual_rate", Numeric(9, 6), nullable=False),
    Column("lent", BigInteger, nullable=False),
    Column("last_due", Date, nullable=False),
    Column("next_due", Date),
    *amounts("next_due_amount"),
    Column(
        "ended", Boolean, nullable=False, comment="it was repaid, or left, since the row before"
    ),
    # Month ends over many loans: days come one after the other.
    Index("loan_day_dates", "date", postgresql_using="brin"),
    comment="贷款台账: what was so of a loan when a day was closed, and is until its next row",
    info=APPEND_ONLY,
)
