"""What one person proposes and another decides."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, LargeBinary, Table, Text

from tael_runtime.tables import KEPT
from tael_servicing.tables.columns import SORTED, own

proposal = Table(
    "proposal",
    own,
    Column("proposal_id", SORTED, primary_key=True),
    Column("state", Text, nullable=False),
    Column("operation", LargeBinary, nullable=False, comment="Operation, sealed"),
    Column("reason", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("loan_id", SORTED, nullable=False, comment="where it is about one"),
    Column("customer_id", SORTED, nullable=False, comment="where it is about one"),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("decided_at", DateTime(timezone=True)),
    Column("decision_reason", Text, nullable=False, server_default=""),
    CheckConstraint(
        "state NOT IN ('APPROVED', 'DECLINED') OR lower(decided_by) NOT IN ('', lower(maker))",
        name="proposal_four_eyes",
    ),
    Index("proposal_state", "state", "proposal_id"),
    Index("proposal_loan", "loan_id", "proposal_id"),
    Index("proposal_customer", "customer_id", "proposal_id"),
    comment="operations by hand, and the two people of each",
    info=KEPT,
)
