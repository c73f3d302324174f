"""The store of collections. Amounts are minor units; dates are business dates unless said."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tael_runtime.tables import APPEND_ONLY, with_floor

metadata = MetaData()

business_day = Table(
    "business_day",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("business_date", Date, nullable=False),
    comment="the open day of each book, as servicing's events tell it",
)

debtor = Table(
    "debtor",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("number_index", LargeBinary, comment="keyed hash of the number last dialled"),
    comment="the row that is locked while a contact slot is taken",
)

debt_case = Table(
    "debt_case",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("debtor.customer_id"), nullable=False),
    Column("book_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("amount_past_due", BigInteger, nullable=False),
    Column("contacted", Boolean, nullable=False, server_default=text("false")),
    Column("collector", Text, nullable=False, server_default=""),
    Column("agency_id", Text, nullable=False, server_default=""),
    Column("hold_until", Date, comment="exclusive"),
    Column("hold_reason", Text, nullable=False, server_default=""),
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    Column("limitation_date", Date, nullable=False),
    CheckConstraint("(status = 'CLOSED') = (closed_on IS NOT NULL)", name="debt_case_closed"),
    CheckConstraint("amount_past_due >= 0", name="debt_case_amount"),
    Index(
        "debt_case_open",
        "customer_id",
        "book_id",
        unique=True,
        postgresql_where=text("closed_on IS NULL"),
    ),
    Index("debt_case_collector", "collector", postgresql_where=text("closed_on IS NULL")),
    comment="one open case a debtor and book",
)

case_loan = Table(
    "case_loan",
    metadata,
    Column("case_id", Text, ForeignKey("debt_case.case_id"), primary_key=True),
    Column("loan_id", Text, primary_key=True),
    Column("dpd", Integer, nullable=False),
    Column("amount_past_due", BigInteger, nullable=False),
    Column("principal", BigInteger, nullable=False),
    Column("written_off", Boolean, nullable=False),
    comment="the loans that keep a case open",
)

case_history = Table(
    "case_history",
    metadata,
    Column("case_id", Text, ForeignKey("debt_case.case_id"), primary_key=True),
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("date", Date, nullable=False),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False),
    info=APPEND_ONLY,
)

contact = Table(
    "contact",
    metadata,
    Column("contact_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("customer_id", Text, ForeignKey("debtor.customer_id"), nullable=False),
    Column("case_id", Text, ForeignKey("debt_case.case_id"), comment="NULL: no case, a reminder"),
    Column("channel", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("day", Date, nullable=False, comment="of `at`, in Asia/Shanghai: what limits count by"),
    Column("actor", Text, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("denied_reason", Text, nullable=False, server_default=""),
    Column("denied_detail", Text, nullable=False, server_default=""),
    Column("token", Text, unique=True),
    Column("expires_at", DateTime(timezone=True)),
    Column("number_index", LargeBinary, comment="keyed hash of the number it went to"),
    Column("used_at", DateTime(timezone=True)),
    Column("connected", Boolean, comment="NULL until reported, and counted as connected"),
    Column("result", Text, nullable=False, server_default=""),
    Column("reported_by", Text, nullable=False, server_default=""),
    Column("content", Text, nullable=False, server_default=""),
    Column("recording", Text, nullable=False, server_default=""),
    CheckConstraint("allowed = (token IS NOT NULL)", name="contact_token"),
    CheckConstraint("allowed = (denied_reason = '')", name="contact_denied"),
    Index("contact_debtor", "customer_id", "day"),
    Index("contact_number", "number_index", "day"),
    Index("contact_case", "case_id", "number"),
    comment="every answer of the gate, and what came of it",
)

reminder = Table(
    "reminder",
    metadata,
    Column("reminder_id", Text, primary_key=True, comment="of servicing's event, and of the loan"),
    Column("customer_id", Text, ForeignKey("debtor.customer_id"), nullable=False),
    Column("book_id", Text, nullable=False),
    Column("loan_id", Text, nullable=False),
    Column("days_before", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("good_until", Date, nullable=False, comment="after it the text would be wrong"),
    Column("state", Text, nullable=False, server_default="QUEUED"),
    Column("not_before", DateTime(timezone=True), comment="when the gate may say otherwise"),
    Column("contact_id", Text, ForeignKey("contact.contact_id")),
    CheckConstraint("state IN ('QUEUED', 'SENT', 'DROPPED')", name="reminder_state"),
    Index("reminder_queue", "reminder_id", postgresql_where=text("state = 'QUEUED'")),
)

promise = Table(
    "promise",
    metadata,
    Column("promise_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("debt_case.case_id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("due_date", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="OPEN"),
    Column("received", BigInteger, nullable=False, server_default="0"),
    Column("recorded_on", Date, nullable=False),
    Column("judged_on", Date),
    CheckConstraint("state IN ('OPEN', 'KEPT', 'BROKEN')", name="promise_state"),
    CheckConstraint("amount > 0 AND received BETWEEN 0 AND amount", name="promise_amount"),
    Index("promise_case", "case_id"),
)

agency = Table(
    "agency",
    metadata,
    Column("agency_id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("commission_basis_points", Integer, nullable=False),
)

placement = Table(
    "placement",
    metadata,
    Column("placement_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("debt_case.case_id"), nullable=False),
    Column("agency_id", Text, ForeignKey("agency.agency_id"), nullable=False),
    Column("commission_basis_points", Integer, nullable=False, comment="as agreed at placing"),
    Column("placed_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False, comment="exclusive"),
    Column("recalled_on", Date),
    Index("placement_open", "case_id", unique=True, postgresql_where=text("recalled_on IS NULL")),
)

write_off = Table(
    "write_off",
    metadata,
    Column("write_off_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("debt_case.case_id"), nullable=False),
    Column("loan_id", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="PROPOSED"),
    Column("maker", Text, nullable=False),
    Column("checker", Text, nullable=False, server_default=""),
    Column("evidence", ARRAY(Text), nullable=False),
    Column("currency", Text, nullable=False),
    Column("principal", BigInteger, comment="once posted"),
    Column("refusal", Text, nullable=False, server_default="", comment="servicing's words"),
    CheckConstraint(
        "state IN ('PROPOSED', 'APPROVED', 'POSTED', 'REFUSED')", name="write_off_state"
    ),
    CheckConstraint("checker <> maker", name="write_off_four_eyes"),
    Index("write_off_live", "loan_id", unique=True, postgresql_where=text("state <> 'REFUSED'")),
)

recovery = Table(
    "recovery",
    metadata,
    Column("recovery_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("debt_case.case_id"), nullable=False),
    Column("loan_id", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("agency_id", Text, nullable=False, server_default=""),
    Column("commission", BigInteger, nullable=False, comment="the agency's, on the net cash"),
    Column("state", Text, nullable=False, server_default="PENDING"),
    Column("principal", BigInteger, nullable=False, server_default="0"),
    Column("interest", BigInteger, nullable=False, server_default="0"),
    Column("refusal", Text, nullable=False, server_default="", comment="servicing's words"),
    CheckConstraint("state IN ('PENDING', 'POSTED', 'REFUSED')", name="recovery_state"),
    CheckConstraint("amount > 0", name="recovery_amount"),
    Index("recovery_pending", "recovery_id", postgresql_where=text("state = 'PENDING'")),
)

with_floor(metadata)
