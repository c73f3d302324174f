"""Loans: the contract, its payouts and events, and the rows that questions and nights read."""

from __future__ import annotations

from typing import Any

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
    LargeBinary,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tael_runtime.tables import APPEND_ONLY, KEPT
from tael_servicing.tables.columns import SORTED, amounts, none_negative, own

loan = Table(
    "loan",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("customer_id", SORTED, nullable=False),
    Column("line_id", SORTED, nullable=False),
    Column("book_id", SORTED, nullable=False),
    Column("product_code", SORTED, nullable=False),
    Column("product_version", Integer, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("principal", BigInteger, nullable=False, comment="of the first payout, ours"),
    Column("annual_rate", Numeric(9, 6), nullable=False),
    Column("spread", Numeric(9, 6), comment="over the prime rate, of a loan whose rate floats"),
    Column("periods", Integer, nullable=False),
    Column("repay_day", Integer, nullable=False),
    Column("start_date", Date, nullable=False),
    Column("card_token", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("choices", LargeBinary, nullable=False, comment="tael.servicing.v1.LoanChoices"),
    Column("holidays", ARRAY(Date), nullable=False, comment="that its due dates keep clear of"),
    Column("partner_id", SORTED, nullable=False, comment="of a joint loan; else empty"),
    Column("partner_principal", BigInteger, nullable=False, comment="its part, beside ours"),
    # A customer's loans, oldest first.
    Index("loan_customer", "customer_id", "loan_id"),
    comment="the contract; it begins anew on the day its payout is known, and never changes again",
    info=KEPT,
)

payout = Table(
    "payout",
    own,
    Column("loan_id", SORTED, ForeignKey("loan.loan_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("principal", BigInteger, nullable=False, comment="our part of the amount"),
    Column("amount", BigInteger, nullable=False),
    Column("ordered_on", Date, nullable=False),
    Column("known_on", Date, comment="the business date on which it became PAID or FAILED"),
    Column("account_token", Text, nullable=False, comment="the provider's: of a card or merchant"),
    Column("merchant_id", SORTED, nullable=False, comment="of an entrusted payment; else empty"),
    Column("banks_with_us", Boolean, nullable=False, comment="the merchant's account is with us"),
    Column("purpose_proof", Text, nullable=False),
    Column("fee_funds", Text, nullable=False, comment="the ledger's amount type; empty: deposit"),
    Column("source", Text, nullable=False, comment="the drawdown it comes from"),
    Column("state", Text, nullable=False, server_default="READY"),
    Column("failure_code", Text, nullable=False, server_default=""),
    Column("reference", Text, nullable=False, server_default="", comment="the provider's"),
    Column("sent_at", DateTime(timezone=True)),
    Column("touched_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('READY', 'SENT', 'PAID', 'FAILED')", name="payout_state"),
    CheckConstraint("principal > 0 AND amount >= principal", name="payout_amounts"),
    # What is still to be known.
    Index("payout_open", "touched_at", postgresql_where=text("state IN ('READY', 'SENT')")),
    # One at a time on a loan.
    Index(
        "payout_alone", "loan_id", unique=True, postgresql_where=text("state IN ('READY', 'SENT')")
    ),
    comment="what is paid out on a loan: number 1 is its own, the others are tranches",
)

LOAN_STATES = (
    "PAYING",
    "NORMAL",
    "OVERDUE",
    "NON_ACCRUAL",
    "WRITTEN_OFF",
    "CLOSED_NORMAL",
    "CLOSED_EARLY",
    "CLOSED_OVERDUE",
    "CLOSED_GUARANTOR",
    "CLOSED_TRANSFERRED",
    "CLOSED_ASSET",
    "CLOSED_RETURNED",
    "CANCELLED",
)
RUNNING = ("NORMAL", "OVERDUE", "NON_ACCRUAL")
"""Earns interest."""

loan_state = Table(
    "loan_state",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("state", Text, nullable=False),
    Column("kept", Text, nullable=False, comment="the whole loan, when something last happened"),
    Column("changes", BigInteger, nullable=False, comment="how often it was written"),
    Column("written_on", Date, nullable=False, comment="the business date: its lines run from it"),
    Column("changed_on", Date, nullable=False, comment="or its class, judged on the loan as it is"),
    Column("nonaccrual_since", Date),
    Column("oldest_due", Date, comment="due date of the oldest unpaid due instalment"),
    Column("aged_from", Date, comment="from when its age counts: its due date, but for pauses"),
    Column("paused_until", Date, comment="arrears grow no older before it"),
    Column("next_due", Date, comment="due date of the instalment whose period runs"),
    Column(
        "amount_due", BigInteger, nullable=False, comment="due and unpaid when written: lines grow"
    ),
    Column("next_due_amount", BigInteger, nullable=False, comment="unpaid of what is next due"),
    Column("last_due", Date, nullable=False, comment="due date of the last instalment"),
    Column("opens_on", Date, comment="the next date whose opening may bring more than a day"),
    Column("annual_rate", Numeric(9, 6), nullable=False, comment="the rate that holds"),
    Column("lent", BigInteger, nullable=False, comment="principal paid out so far, all tranches"),
    Column("restructured", Date, comment="when it was last rescheduled"),
    CheckConstraint(f"state IN {LOAN_STATES!r}", name="loan_state_state"),
    # Whom the opening of a day changes.
    Index("loan_state_opens_on", "book_id", "opens_on"),
    # Who is to be reminded of what falls due.
    Index("loan_state_next_due", "book_id", "next_due"),
    # Of whom the loan ledger has something new.
    Index("loan_state_changed_on", "book_id", "changed_on"),
    # Who is in arrears.
    Index(
        "loan_state_oldest_due",
        "book_id",
        "oldest_due",
        postgresql_where=text("oldest_due IS NOT NULL"),
    ),
    # Who may be under observation.
    Index(
        "loan_state_restructured",
        "book_id",
        "restructured",
        postgresql_where=text("restructured IS NOT NULL"),
    ),
    # The members of a day's accrual, and loans by state.
    Index("loan_state_members", "book_id", "state", "loan_id"),
    postgresql_with={"fillfactor": 80},
)

BALANCES = (
    "principal_normal",
    "principal_overdue",
    "principal_impaired",
    "interest_accrued",
    "interest_due",
    "penalty",
    "compound",
    "fee",
    "legal_costs",
    "offbalance_interest",
    "offbalance_penalty",
    "offbalance_compound",
    "claimed_principal",
    "written_off_principal",
    "written_off_interest",
    "allowance_stage1",
    "allowance_stage2",
    "allowance_stage3",
    "overpayment",
)

loan_balance = Table(
    "loan_balance",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    *amounts(*BALANCES),
    none_negative("loan_balance", *BALANCES),
    # Whose money waits for something to fall due.
    Index("loan_balance_held", "book_id", "loan_id", postgresql_where=text("overpayment > 0")),
    comment="what the loan owed by ledger account when it was last written: its lines have grown",
    postgresql_with={"fillfactor": 80},
)

instalment = Table(
    "instalment",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("period_start", Date, nullable=False),
    Column("due_date", Date, nullable=False),
    Column("aged_from", Date, nullable=False, comment="but for pauses, its due date"),
    *amounts("principal", "interest", "fee", "balance_after"),
    *amounts("principal_paid", "interest_paid", "fee_paid"),
    Column("overdue", Boolean, nullable=False),
    CheckConstraint("principal_paid BETWEEN 0 AND principal", name="instalment_principal_paid"),
    CheckConstraint("interest_paid BETWEEN 0 AND interest", name="instalment_interest_paid"),
    comment="the rows of the kept loans, for questions over many loans",
)


def _line() -> list[Column[Any]]:
    """What a line grows by, and all that a night asks about its loan."""
    return [
        Column("book_id", SORTED, nullable=False),
        Column("product_code", SORTED, nullable=False),
        Column("on_balance", Boolean, nullable=False),
        Column("since", Date, nullable=False, comment="the business date its loan was written on"),
        Column("carry", BigInteger, nullable=False, comment="exact numerator then"),
        Column("per_night", BigInteger, nullable=False, comment="numerator a night adds"),
        Column("denominator", BigInteger, nullable=False),
        Column("posted", BigInteger, nullable=False, comment="of the numerator then, rounded"),
        Column("rounding", Text, nullable=False),
        Column("earned", BigInteger, nullable=False, comment="then, of its kind: VAT is in it"),
        Column("vat_numerator", BigInteger, nullable=False, comment="VAT in a gross amount or 0"),
        Column("vat_denominator", BigInteger, nullable=False),
    ]


accrual_position = Table(
    "accrual_position",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("instalment", Integer, primary_key=True, autoincrement=False),
    *_line(),
    CheckConstraint("kind IN ('INTEREST', 'PENALTY', 'COMPOUND')", name="accrual_position_kind"),
    CheckConstraint(
        "per_night > 0 AND denominator > 0 AND vat_denominator > 0",
        name="accrual_position_numerators",
    ),
    comment="lines that grow: (carry + nights * per_night) / denominator, by instalment",
)

accrual_history = Table(
    "accrual_history",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("until", Date, primary_key=True, comment="the first night that is no more the line's"),
    Column("kind", Text, primary_key=True),
    Column("instalment", Integer, primary_key=True, autoincrement=False),
    *_line(),
    comment="lines that grew before the loan was written again: its nights are read off them",
    info=APPEND_ONLY,
)

loan_event = Table(
    "loan_event",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("event_id", SORTED, primary_key=True),
    Column("value_date", Date, nullable=False),
    Column("booked_on", Date, nullable=False, comment="the business date it became known on"),
    Column("kind", Text, nullable=False),
    Column("content", JSONB, nullable=False, comment="the event's own fields"),
    Column("reference", Text, nullable=False, comment="the approval, the payer, the drawdown"),
    comment="what the loan is the fold of",
    info=APPEND_ONLY,
)

repayment = Table(
    "repayment",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("repayment_id", SORTED, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("funding", Text, nullable=False),
    Column("value_date", Date, nullable=False),
    Column("event_id", SORTED, nullable=False, comment="what it is to the loan"),
    Column("reference", Text, nullable=False),
    Column("request_id", SORTED, nullable=False, comment="of the outgoing posting"),
    info=APPEND_ONLY,
)
