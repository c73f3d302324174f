"""The store of origination. Personal data is sealed (`bytea`); amounts are minor units."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tael_runtime.tables import APPEND_ONLY, with_floor

metadata = MetaData()

customer = Table(
    "customer",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("name", LargeBinary, nullable=False, comment="sealed"),
    Column("id_number", LargeBinary, nullable=False, comment="sealed"),
    Column("mobile", LargeBinary, nullable=False, comment="sealed"),
    Column("id_index", LargeBinary, nullable=False, unique=True, comment="keyed hash"),
    Column("mobile_index", LargeBinary, nullable=False, comment="keyed hash"),
    Column("monthly_income", BigInteger, nullable=False, comment="declared"),
    Column("channel", Text, nullable=False),
    Column("province", Text, nullable=False, comment="declared, two digits; empty = not told"),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("monthly_income >= 0", name="customer_income"),
    Index("customer_mobile", "mobile_index"),
    comment="one row an identity number; the row that is locked while something of theirs is counted",
)

contact_access = Table(
    "contact_access",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("caller", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    info=APPEND_ONLY,
    comment="who saw a name and a phone in clear, and why",
)

phone_code = Table(
    "phone_code",
    metadata,
    Column("code_id", Text, primary_key=True, comment="the code is a keyed hash of it"),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("day", Date, nullable=False, comment="in Asia/Shanghai: what the cap counts by"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("used_at", DateTime(timezone=True)),
    CheckConstraint("tries BETWEEN 0 AND 5", name="phone_code_tries"),
    Index("phone_code_customer", "customer_id", "number"),
)

identity_check = Table(
    "identity_check",
    metadata,
    Column("check_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("day", Date, nullable=False, comment="in Asia/Shanghai: what the cap counts by"),
    Column("checked_at", DateTime(timezone=True), nullable=False),
    Column("reference", Text, nullable=False, server_default="", comment="the registry's"),
    Column("score", Integer, comment="of a face, 0-100"),
    Column("live", Boolean, comment="of a face"),
    Column("image_hash", LargeBinary, comment="SHA-256 of the face image, which is not kept"),
    CheckConstraint(
        "kind IN ('PHONE', 'REAL_NAME', 'FACE', 'FOUR_ELEMENTS')", name="identity_check_kind"
    ),
    CheckConstraint(
        "result IN ('PENDING', 'UNKNOWN', 'MATCH', 'MISMATCH')", name="identity_check_result"
    ),
    Index("identity_check_customer", "customer_id", "kind", "number"),
    comment="every check made of a customer; the last answered one of a kind counts",
)

card = Table(
    "card",
    metadata,
    Column("customer_id", Text, ForeignKey("customer.customer_id"), primary_key=True),
    Column("card_token", Text, primary_key=True),
    Column("card_number", LargeBinary, nullable=False, comment="sealed"),
    Column("number_index", LargeBinary, nullable=False, comment="keyed hash"),
    Column("bank", Text, nullable=False),
    Column("bound_at", DateTime(timezone=True), nullable=False),
    Index("card_number_index", "customer_id", "number_index", unique=True),
)

consent = Table(
    "consent",
    metadata,
    Column("consent_id", Text, primary_key=True, comment="ordered by time"),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("text_version", Text, nullable=False),
    Column("text_hash", Text, nullable=False, comment="SHA-256 of the text shown, hex"),
    Column("method", Text, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    Column("valid_to", Date, nullable=False, comment="last day it holds"),
    Column("withdrawn_at", DateTime(timezone=True)),
    Index("consent_customer", "customer_id", "consent_id"),
)

application = Table(
    "application",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("product_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("periods", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("emulator", Boolean, nullable=False),
    Column("ip", Text, nullable=False),
    Column("province", Text, nullable=False, comment="of the device"),
    Column("consent_id", Text, ForeignKey("consent.consent_id"), nullable=False),
    Column("bounds", JSONB, nullable=False, comment="the product's, as risk is told"),
    Column("submitted_on", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="SUBMITTED"),
    Column("decision_id", Text, nullable=False, server_default=""),
    Column("reason_codes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("customer_reasons", ARRAY(Text), nullable=False, server_default="{}"),
    Column("machine_limit", BigInteger, comment="the decision's; the most a reviewer may give"),
    Column("rate", Numeric, comment="the decision's"),
    Column("approved_limit", BigInteger, comment="set: a line is to be granted, or is"),
    Column("decided_on", Date),
    Column("line_id", Text, nullable=False, server_default=""),
    Column("not_granted", Boolean, nullable=False, server_default="false"),
    CheckConstraint(
        "state IN ('SUBMITTED', 'REVIEW', 'APPROVED', 'REJECTED')", name="application_state"
    ),
    CheckConstraint("amount > 0 AND periods > 0", name="application_amount"),
    CheckConstraint("(state = 'APPROVED') = (line_id <> '')", name="application_line"),
    CheckConstraint(
        "approved_limit IS NULL OR "
        "(machine_limit IS NOT NULL AND rate IS NOT NULL AND approved_limit <= machine_limit)",
        name="application_limit",
    ),
    CheckConstraint(
        "(decided_on IS NOT NULL) = (approved_limit IS NOT NULL OR state = 'REJECTED')",
        name="application_decided",
    ),
    Index("application_customer", "customer_id", "application_id"),
    Index(
        "application_open",
        "customer_id",
        unique=True,
        postgresql_where=text("state IN ('SUBMITTED', 'REVIEW')"),
    ),
    Index(
        "application_under_way",
        "application_id",
        postgresql_where=text(
            "state = 'SUBMITTED' OR (state = 'REVIEW' AND approved_limit IS NOT NULL)"
        ),
    ),
)

review = Table(
    "review",
    metadata,
    Column("application_id", Text, ForeignKey("application.application_id"), primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False, unique=True),
    Column("state", Text, nullable=False, server_default="WAITING"),
    Column("reviewer", Text, nullable=False, server_default=""),
    Column("confirmer", Text, nullable=False, server_default=""),
    Column("approve", Boolean, nullable=False, server_default=text("false")),
    Column("proposed_limit", BigInteger),
    Column("note", Text, nullable=False, server_default=""),
    Column("waiting_since", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "state IN ('WAITING', 'CLAIMED', 'PROPOSED', 'CONFIRMED')", name="review_state"
    ),
    CheckConstraint("confirmer = '' OR confirmer <> reviewer", name="review_four_eyes"),
)

document = Table(
    "document",
    metadata,
    Column("document_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("hash", Text, nullable=False, comment="SHA-256 of the PDF, hex"),
    Column("size", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False, comment="sealed PDF"),
    Column("filed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "type IN ('CONTRACT', 'DRAWDOWN_AGREEMENT', 'APPROVAL_NOTICE')", name="document_type"
    ),
    Index("document_subject", "type", "subject_id", unique=True),
    Index("document_customer", "customer_id", "number"),
    info=APPEND_ONLY,
    comment="the archive",
)

contract = Table(
    "contract",
    metadata,
    Column("contract_id", Text, primary_key=True),
    Column(
        "application_id",
        Text,
        ForeignKey("application.application_id"),
        nullable=False,
        unique=True,
    ),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("product_code", Text, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("limit_amount", BigInteger, nullable=False),
    Column("rate", Numeric, nullable=False),
    Column("apr", Numeric, nullable=False),
    Column("cost_table", JSONB, nullable=False, comment="the rows shown before signing"),
    Column("prepared_pdf", LargeBinary, nullable=False, comment="sealed; what the customer signs"),
    Column("document_hash", Text, nullable=False, comment="SHA-256 of the PDF as it stands, hex"),
    Column("state", Text, nullable=False, server_default="PREPARED"),
    Column("assented_at", DateTime(timezone=True), comment="the customer's code was right"),
    Column("assent_code_id", Text, ForeignKey("phone_code.code_id")),
    Column("cost_table_seconds", Integer),
    Column("signed_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('PREPARED', 'SIGNED')", name="contract_state"),
    CheckConstraint("(state = 'SIGNED') = (signed_at IS NOT NULL)", name="contract_signed"),
    CheckConstraint("cost_table_seconds >= 5", name="contract_cost_table_read"),
    Index(
        "contract_half_signed",
        "contract_id",
        postgresql_where=text("state = 'PREPARED' AND assented_at IS NOT NULL"),
    ),
)

drawdown = Table(
    "drawdown",
    metadata,
    Column("drawdown_id", Text, primary_key=True),
    Column("contract_id", Text, ForeignKey("contract.contract_id"), nullable=False),
    Column("customer_id", Text, ForeignKey("customer.customer_id"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("periods", Integer, nullable=False),
    Column("repay_day", Integer, nullable=False),
    Column("card_token", Text, nullable=False),
    Column("consent_id", Text, ForeignKey("consent.consent_id"), nullable=False),
    Column("bounds", JSONB, nullable=False, comment="the product's, as risk is told"),
    Column("requested_on", Date, nullable=False),
    Column("apr", Numeric, nullable=False),
    Column("schedule", JSONB, nullable=False, comment="the rows the customer signs"),
    Column("state", Text, nullable=False, server_default="REQUESTED"),
    Column("decision_id", Text, nullable=False, server_default=""),
    Column("customer_reasons", ARRAY(Text), nullable=False, server_default="{}"),
    Column("assented_at", DateTime(timezone=True)),
    Column("assent_code_id", Text, ForeignKey("phone_code.code_id")),
    Column("loan_id", Text, nullable=False, server_default=""),
    CheckConstraint(
        "state IN ('REQUESTED', 'DECLINED', 'RISK_OK', 'SIGNED', 'PAYING', 'PAID', 'FAILED')",
        name="drawdown_state",
    ),
    CheckConstraint("amount > 0 AND periods > 0", name="drawdown_amount"),
    ForeignKeyConstraint(["customer_id", "card_token"], ["card.customer_id", "card.card_token"]),
    Index("drawdown_loan", "loan_id"),
    Index(
        "drawdown_under_way",
        "drawdown_id",
        postgresql_where=text("state IN ('REQUESTED', 'SIGNED', 'PAYING')"),
    ),
)

with_floor(metadata)
