"""Servicing's store: the only description of it. Keys start with the loan or the line.

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
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tael_runtime.tables import APPEND_ONLY, KEPT, with_floor

own = MetaData()

SORTED = Text(collation="C")
"""Compared byte by byte: pages do not depend on the store's locale."""


def _amounts(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, server_default="0") for name in names]


def _none_negative(table: str, *names: str) -> CheckConstraint:
    return CheckConstraint(" AND ".join(f"{name} >= 0" for name in names), name=f"{table}_amounts")


book_day = Table(
    "book_day",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("currency_code", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("closing", Boolean, nullable=False, server_default="false", comment="past the cut-off"),
    comment="the book's business date as servicing has moved it; shared by what books online",
)

product = Table(
    "product",
    own,
    Column("code", SORTED, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("book_id", SORTED, nullable=False),
    Column("lender_type", Text, nullable=False, comment="its book's, as the ledger has it"),
    Column("effective_from", Date, nullable=False),
    Column("terms", JSONB, nullable=False, comment="tael.servicing.v1.ProductTerms"),
    info=APPEND_ONLY,
)

product_retirement = Table(
    "product_retirement",
    own,
    Column("code", SORTED, primary_key=True),
    Column("retired_from", Date, nullable=False),
    info=APPEND_ONLY,
    comment="from this business date on nothing is lent under the code",
)

lpr = Table(
    "lpr",
    own,
    Column("published", Date, primary_key=True),
    Column("one_year", Numeric(9, 6), nullable=False),
    Column("five_years", Numeric(9, 6), nullable=False),
    comment="loan prime rates that came after those data/lpr.csv has, or correct them",
)

cost_cap = Table(
    "cost_cap",
    own,
    Column("lender_type", SORTED, primary_key=True),
    Column("effective_from", Date, primary_key=True),
    Column("rate", Numeric(9, 6)),
    Column("lpr_multiple", Numeric(9, 6)),
    Column("measure", Text, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("rate IS NOT NULL OR lpr_multiple IS NOT NULL", name="cost_cap_said"),
    comment="cost caps that came after those data/cost_caps.csv has, or correct them",
)

credit_line = Table(
    "credit_line",
    own,
    Column("line_id", SORTED, primary_key=True),
    Column(
        "path", ARRAY(SORTED), nullable=False, comment="the lines above, root first, and itself"
    ),
    Column("customer_id", SORTED, nullable=False),
    Column(
        "product_code", SORTED, nullable=False, comment="empty: an overall limit of any product"
    ),
    Column("book_id", SORTED, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("overall", Boolean, nullable=False, comment="drawn only through the lines below it"),
    Column("revolving", Boolean, nullable=False),
    Column("granted", BigInteger, nullable=False, comment="for good"),
    Column("temporary", BigInteger, nullable=False, server_default="0", comment="granted instead"),
    Column("temporary_to", Date, comment="the last day of it"),
    Column("credit_limit", BigInteger, nullable=False, comment="in force: above what was granted"),
    *_amounts("used", "reserved"),
    Column("annual_rate", Numeric(9, 6), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="ACTIVE"),
    Column("freeze_reason", Text, nullable=False, server_default=""),
    Column("source", Text, nullable=False),
    Column("movements", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(
        "cardinality(path) BETWEEN 1 AND 4 AND path[cardinality(path)] = line_id",
        name="credit_line_path",
    ),
    CheckConstraint("used >= 0 AND reserved >= 0", name="credit_line_amounts"),
    CheckConstraint("used + reserved <= credit_limit", name="credit_line_limit"),
    CheckConstraint(
        "granted >= 0 AND credit_limit >= granted AND credit_limit >= temporary",
        name="credit_line_granted",
    ),
    CheckConstraint(
        "CASE WHEN temporary_to IS NULL THEN temporary = 0 ELSE temporary > granted END",
        name="credit_line_temporary",
    ),
    CheckConstraint("state IN ('PENDING', 'ACTIVE', 'FROZEN', 'CLOSED')", name="credit_line_state"),
    # A customer's lines, oldest first: ids are ordered by time.
    Index("credit_line_customer", "customer_id", "line_id"),
    # The lines that run out on a day.
    Index("credit_line_expiry", "book_id", "valid_to", postgresql_where=text("state <> 'CLOSED'")),
    # The lines that open on a day.
    Index(
        "credit_line_opening", "book_id", "valid_from", postgresql_where=text("state = 'PENDING'")
    ),
    # The temporary limits that run out on a day.
    Index(
        "credit_line_temporary_to",
        "book_id",
        "temporary_to",
        postgresql_where=text("temporary_to IS NOT NULL"),
    ),
)

line_movement = Table(
    "line_movement",
    own,
    Column("line_id", SORTED, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("loan_id", SORTED, nullable=False),
    Column("drawn_line_id", SORTED, nullable=False, comment="the loan's line: this or one below"),
    Column("date", Date, nullable=False),
    Column("limit_after", BigInteger, nullable=False),
    Column("used_after", BigInteger, nullable=False),
    Column("reserved_after", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approval", Text, nullable=False),
    info=APPEND_ONLY,
)

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
    Column("principal", BigInteger, nullable=False),
    Column("annual_rate", Numeric(9, 6), nullable=False),
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
    Column("nonaccrual_since", Date),
    Column("oldest_due", Date, comment="due date of the oldest unpaid due instalment"),
    Column("next_due", Date, comment="due date of the instalment whose period runs"),
    Column("annual_rate", Numeric(9, 6), nullable=False, comment="the rate that holds"),
    Column("restructured", Date, comment="when it was last rescheduled"),
    CheckConstraint(f"state IN {LOAN_STATES!r}", name="loan_state_state"),
    # What falls due on a day, and who is to be reminded of it.
    Index("loan_state_next_due", "book_id", "next_due"),
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
    "written_off_principal",
    "written_off_interest",
    "allowance_stage1",
    "allowance_stage2",
    "allowance_stage3",
    "overpayment",
)

EARNED = ("earned_interest", "earned_penalty", "earned_compound")
"""Income over the loan's life where its VAT is split off, gross."""

loan_balance = Table(
    "loan_balance",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("book_id", SORTED, nullable=False),
    *_amounts(*BALANCES),
    *_amounts(*EARNED),
    Column("vat_numerator", BigInteger, nullable=False, comment="VAT in a gross amount; 0 = none"),
    Column("vat_denominator", BigInteger, nullable=False),
    Column("postings", BigInteger, nullable=False, server_default="0"),
    Column("accrued_to", Date, nullable=False, comment="nights before this date are accrued"),
    _none_negative("loan_balance", *BALANCES[:-1]),
    comment="what the loan owes by ledger account",
    # Changes every night; room on the page keeps its versions together (HOT).
    postgresql_with={"fillfactor": 50},
)

instalment = Table(
    "instalment",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("period_start", Date, nullable=False),
    Column("due_date", Date, nullable=False),
    *_amounts("principal", "interest", "fee", "balance_after"),
    *_amounts("principal_paid", "interest_paid", "fee_paid"),
    Column("overdue", Boolean, nullable=False),
    CheckConstraint("principal_paid BETWEEN 0 AND principal", name="instalment_principal_paid"),
    CheckConstraint("interest_paid BETWEEN 0 AND interest", name="instalment_interest_paid"),
    comment="the rows of the kept loans, for questions over many loans",
)

accrual_position = Table(
    "accrual_position",
    own,
    Column("loan_id", SORTED, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("instalment", Integer, primary_key=True, autoincrement=False),
    Column("since", Date, nullable=False, comment="the last break of the line"),
    Column("carry", BigInteger, nullable=False, comment="exact numerator at the break"),
    Column("per_night", BigInteger, nullable=False, comment="numerator a night adds"),
    Column("denominator", BigInteger, nullable=False),
    Column("posted", BigInteger, nullable=False),
    Column("rounding", Text, nullable=False),
    CheckConstraint("kind IN ('INTEREST', 'PENALTY', 'COMPOUND')", name="accrual_position_kind"),
    CheckConstraint("carry >= 0 AND per_night <> 0", name="accrual_position_numerators"),
    CheckConstraint("denominator > 0", name="accrual_position_denominator"),
    comment="lines that grow: (carry + nights * per_night) / denominator, by instalment",
    postgresql_with={"fillfactor": 50},
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

MOVES_ALLOWANCE = (
    "ALLOWANCE_ADJUSTED",
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
        "state IN ('PREPARED', 'SENDING', 'UNKNOWN', 'FAILED', 'SUCCESS', 'ALLOCATED', 'CANCELLED')",
        name="direct_debit_state",
    ),
    CheckConstraint(
        "(debited > 0) = (state IN ('SUCCESS', 'ALLOCATED'))", name="direct_debit_debited"
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
        postgresql_where=text("settlement_id = '' AND debited > 0"),
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
    CheckConstraint("gross >= 0 AND fee BETWEEN 0 AND gross", name="channel_settlement_amounts"),
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
    *_amounts("ours", "theirs"),
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

impairment_policy = Table(
    "impairment_policy",
    own,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("book_id", SORTED, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("policy", JSONB, nullable=False, comment="tael.servicing.v1.ImpairmentPolicy"),
    Column("reason", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("checker", Text, nullable=False),
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
    Column("made_by", Text, nullable=False),
    Column("checker", Text, nullable=False),
    comment="what was judged by hand, by whom and on whose word",
    info=APPEND_ONLY,
)

loan_day = Table(
    "loan_day",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("date", Date, primary_key=True),
    Column("loan_id", SORTED, primary_key=True),
    Column("customer_id", SORTED, nullable=False),
    Column("line_id", SORTED, nullable=False),
    Column("product_code", SORTED, nullable=False),
    Column("state", Text, nullable=False),
    *_amounts(*BALANCES),
    Column("dpd", Integer, nullable=False),
    Column("worst_dpd", Integer, nullable=False, comment="of the month up to the date"),
    Column("risk_class", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("cause", Text, nullable=False),
    Column("since", Date),
    Column("credit_limit", BigInteger, nullable=False),
    Column("annual_rate", Numeric(9, 6), nullable=False),
    Column("principal", BigInteger, nullable=False),
    Column("start_date", Date, nullable=False),
    Column("maturity_date", Date, nullable=False),
    Column("next_due", Date),
    *_amounts("next_due_amount", "overdue_amount"),
    Column("arrears", JSONB, comment="[due date, principal, interest] unpaid, oldest first"),
    comment="贷款台账: each loan as it stood when a day was closed",
    info=APPEND_ONLY,
)

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
    *_amounts("repaid", "interest_received", "fees"),
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

tax_entry = Table(
    "tax_entry",
    own,
    Column("book_id", SORTED, primary_key=True),
    Column("period", Date, primary_key=True, comment="the first day of the month or year"),
    Column("step", SORTED, primary_key=True),
    Column("currency_code", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("reference", Text, nullable=False),
    info=APPEND_ONLY,
)

metadata = with_floor(own)
