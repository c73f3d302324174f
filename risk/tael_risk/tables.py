"""Risk's store: the only description of it (DESIGN.md §4).

Names and identity numbers are sealed; nothing else here tells a person by itself. Amounts are minor
units, dates are business dates.
"""

from __future__ import annotations

from sqlalchemy import (
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
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from tael_runtime.tables import APPEND_ONLY, with_floor

own = MetaData()

policy = Table(
    "policy",
    own,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("hash", Text, nullable=False, comment="SHA-256 of the canonical form, hex"),
    Column("publisher", Text, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("version > 0", name="policy_version_counts_from_1"),
    comment="policies as published, for ever: old decisions are replayed over them",
    info=APPEND_ONLY,
)

observation = Table(
    "observation",
    own,
    Column("observation_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("date", Date, nullable=False),
    Column("facts", JSONB, nullable=False, comment="texts by name; no names, no numbers of people"),
    Column(
        "recorded_at",
        DateTime(timezone=True),
        nullable=False,
        # The store's own instant of each row: it orders facts of one day.
        server_default=func.clock_timestamp(),
    ),
    # A customer's facts up to a day.
    Index("observation_customer", "customer_id", "date"),
    # Who else shows the same device or contact.
    Index("observation_facts", "facts", postgresql_using="gin"),
    comment="facts as observed, never changed",
    info=APPEND_ONLY,
)

consent = Table(
    "consent",
    own,
    Column("consent_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    comment="consents as origination's events tell them",
)

decision_claim = Table(
    "decision_claim",
    own,
    Column("caller", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("decision_id", Text, nullable=False, comment="what the decision will be called"),
    Column("leased_until", DateTime(timezone=True), nullable=False),
    comment="who is at work on a request; taken over when the lease runs out",
)

decision = Table(
    "decision",
    own,
    Column("decision_id", Text, primary_key=True, comment="made when begun, ordered by time"),
    Column("customer_id", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("policy_name", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("caller", Text, nullable=False),
    Column("consent_id", Text, nullable=False),
    Column("applicant", LargeBinary, nullable=False, comment="name and identity number, sealed"),
    Column("currency_code", Text, nullable=False),
    Column("inputs", JSONB, nullable=False, comment="every feature, and the sources not answering"),
    Column("record", JSONB, nullable=False, comment="ExplainDecisionResponse: answer and reasons"),
    Column("digest", Text, nullable=False, comment="SHA-256 over version, inputs and outcome, hex"),
    CheckConstraint("outcome IN ('APPROVED', 'REVIEW', 'DECLINED')", name="decision_outcome"),
    # A customer's decisions, newest first.
    Index("decision_customer", "customer_id", "decision_id"),
    comment="one immutable row a decision",
    info=APPEND_ONLY,
)

bureau_query = Table(
    "bureau_query",
    own,
    Column("query_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("consent_id", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("queried_at", DateTime(timezone=True), nullable=False),
    Column("reused_query_id", Text, nullable=False, comment="whose report serves; empty = asked"),
    # A customer's queries, newest first.
    Index("bureau_query_customer", "customer_id", "queried_at"),
    comment="who asked the bureau about whom, why, on which consent; written before the call",
    info=APPEND_ONLY,
)

bureau_report = Table(
    "bureau_report",
    own,
    Column("query_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("person", LargeBinary, nullable=False, comment="blind index of the identity number"),
    Column("report_number", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("figures", JSONB, nullable=False),
    # The newest report that still serves.
    Index("bureau_report_customer", "customer_id", "business_date"),
    comment="the bureau's answers; a query without one was not answered",
    info=APPEND_ONLY,
)

metadata = with_floor(own)
