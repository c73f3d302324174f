"""Who else has a part in the money: unknown payers, partners, entrusting parties."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tael_runtime.tables import APPEND_ONLY, KEPT
from tael_servicing.tables.columns import SORTED, amounts, own

receipt = Table(
    "receipt",
    own,
    Column("receipt_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("funding", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("parked_on", Date, nullable=False),
    # A book's receipts, oldest first.
    Index("receipt_book", "book_id", "receipt_id"),
    comment="money of unknown payers; what is left of it is a party_balance",
    info=KEPT,
)

partner = Table(
    "partner",
    own,
    Column("partner_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("least_share", Numeric(9, 6), nullable=False, comment="of a joint loan"),
    # A book's partners.
    Index("partner_book", "book_id", "partner_id"),
    info=KEPT,
)

party_balance = Table(
    "party_balance",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("code", SORTED, primary_key=True),
    Column("owner_id", SORTED, primary_key=True),
    Column("balance", BigInteger, nullable=False, comment="on the account's normal side"),
    Column("grown", BigInteger, nullable=False, comment="all that ever came onto it"),
    # What stands with one owner.
    Index("party_balance_owner", "owner_id", "book_id"),
    # What is open on an account.
    Index("party_balance_open", "book_id", "code", postgresql_where=text("balance <> 0")),
    comment="what stands with receipts, partners, assets, deferred fees, by ledger account",
    postgresql_with={"fillfactor": 70},
)

party_movement = Table(
    "party_movement",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("owner_id", SORTED, primary_key=True),
    Column("movement_id", SORTED, primary_key=True),
    Column("code", SORTED, nullable=False),
    Column("event", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("date", Date, nullable=False),
    Column("loan_id", SORTED, nullable=False),
    Column("reference", Text, nullable=False),
    # How the provision for commitments moved between two days.
    Index(
        "party_movement_commitments",
        "book_id",
        "date",
        "owner_id",
        postgresql_where=text("code IN ('2801.01', '2801.02')"),
    ),
    comment="what moved them",
    info=APPEND_ONLY,
)

entrusted_loan = Table(
    "entrusted_loan",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("partner_id", SORTED, ForeignKey("partner.partner_id"), nullable=False),
    Column("customer_id", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("principal", BigInteger, nullable=False),
    *amounts("repaid", "interest_received", "fees"),
    Column("annual_rate", Numeric(9, 6), nullable=False),
    Column("start_date", Date, nullable=False),
    Column("maturity_date", Date, nullable=False),
    Column("view", Text, nullable=False),
    CheckConstraint("repaid BETWEEN 0 AND principal", name="entrusted_loan_repaid"),
    CheckConstraint("view IN ('AGENCY_ASSET', 'MEMO')", name="entrusted_loan_view"),
    # An entrusting party's loans, oldest first.
    Index("entrusted_loan_partner", "partner_id", "loan_id"),
    comment="委托贷款: lent for others at their risk",
)
