"""The ledger's tables, and the triggers that keep the journal balanced and unchanged."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = 'ledger_001'
down_revision = None
branch_labels = ('ledger',)
depends_on = None

# What no one may change, and how the store says so.
JOURNAL = ("entry", "line", "posting_batch", "posting_request", "reversal", "closed_day")
ACCOUNT_IDENTITY = "book_id, account_id, number, gl_code, owner_type, owner_id, batch_number"

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is never changed: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'reverse the entry instead';
END $$
"""

# An entry's lines arrive in one statement, so the statement's new rows hold whole entries.
CHECK_BALANCE = """
CREATE FUNCTION check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unbalanced bigint;
BEGIN
    SELECT sequence INTO unbalanced FROM fresh
    GROUP BY book_id, sequence, memo HAVING sum(debit) <> sum(credit) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % does not balance', unbalanced USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

CHECK_OPEN_DAY = """
CREATE FUNCTION check_open_day() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    closed date;
BEGIN
    SELECT fresh.booking_date INTO closed FROM fresh JOIN book USING (book_id)
    WHERE fresh.booking_date <> book.business_date LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% is not the open business date', closed
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

# Tables, columns and triggers of the journal stay. Event triggers are a superuser's to create: where
# the migrations' owner is none, the store's administrator has to. The function stands outside the
# schema, so that dropping the schema does not take it away first.
KEEP_JOURNAL = """
DO $do$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    CREATE FUNCTION public.ledger_keeps_journal() RETURNS event_trigger LANGUAGE plpgsql AS $body$
    DECLARE
        dropped text;
    BEGIN
        SELECT object_identity INTO dropped FROM pg_event_trigger_dropped_objects()
        WHERE address_names[1] = 'ledger' AND address_names[2] = ANY('{JOURNAL}') LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the journal is never changed: DROP of % refused', dropped
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $body$;
    CREATE EVENT TRIGGER ledger_keeps_journal ON sql_drop
        EXECUTE FUNCTION public.ledger_keeps_journal();
END $do$
""".replace("JOURNAL", ",".join(JOURNAL))


def upgrade() -> None:
    op.create_table('account',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('account_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('number', sa.Text(collation='C'), nullable=False),
    sa.Column('gl_code', sa.Text(collation='C'), nullable=False),
    sa.Column('owner_type', sa.Text(collation='C'), nullable=False),
    sa.Column('owner_id', sa.Text(collation='C'), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), nullable=False, comment='the batch that opened it'),
    sa.Column('debits_posted', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('credits_posted', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'account_id'),
    comment='totals change with every posting, the rest never',
    postgresql_with={'fillfactor': 70}
    )
    op.create_index('account_number', 'account', ['book_id', 'number'], unique=True)
    op.create_index('account_owner', 'account', ['book_id', 'owner_id', 'owner_type'], unique=False)
    op.create_table('book',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('legal_entity', sa.Text(), nullable=False),
    sa.Column('currency_code', sa.Text(), nullable=False),
    sa.Column('time_zone', sa.Text(), nullable=False),
    sa.Column('lender_type', sa.Text(), nullable=False),
    sa.Column('vat_mode', sa.Text(), nullable=False),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.Column('rules_version', sa.Integer(), nullable=False, comment='in force on the business date'),
    sa.Column('accounts_opened', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('last_batch', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('last_sequence', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False, comment='of the last batch; 32 bytes'),
    sa.PrimaryKeyConstraint('book_id'),
    comment='locked FOR UPDATE by whatever posts: its numbers are the next ones'
    )
    op.create_table('closed_day',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.Column('next_business_date', sa.Date(), nullable=False),
    sa.Column('last_batch', sa.BigInteger(), nullable=False),
    sa.Column('closed_by', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'business_date'),
    comment='days that take no more bookings, and the chain when they closed'
    )
    op.create_table('entry',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('event', sa.Text(collation='C'), nullable=False),
    sa.Column('value_date', sa.Date(), nullable=False),
    sa.Column('booking_date', sa.Date(), nullable=False),
    sa.Column('source', sa.Text(collation='C'), nullable=False),
    sa.Column('narrative', sa.Text(), nullable=False),
    sa.Column('rules_version', sa.Integer(), nullable=False),
    sa.Column('reversal_of', sa.BigInteger(), nullable=False, comment='0 = none'),
    sa.CheckConstraint('value_date <= booking_date', name='value_date_not_in_future'),
    sa.PrimaryKeyConstraint('book_id', 'sequence'),
    comment="the journal's vouchers"
    )
    op.create_index('entry_booking_date', 'entry', ['book_id', 'booking_date', 'sequence'], unique=False)
    op.create_index('entry_event', 'entry', ['book_id', 'event', 'sequence'], unique=False)
    op.create_index('entry_source', 'entry', ['book_id', 'source', 'sequence'], unique=False)
    op.create_table('gl_account',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('code', sa.Text(collation='C'), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('english_name', sa.Text(), nullable=False),
    sa.Column('account_class', sa.Text(), nullable=False),
    sa.Column('normal_side', sa.Text(), nullable=False),
    sa.CheckConstraint("normal_side IN ('DEBIT', 'CREDIT')", name='gl_account_normal_side'),
    sa.PrimaryKeyConstraint('book_id', 'code'),
    comment='the chart of accounts'
    )
    op.create_table('line',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('booking_date', sa.Date(), nullable=False),
    sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('line_number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('value_date', sa.Date(), nullable=False),
    sa.Column('debit', sa.BigInteger(), nullable=False),
    sa.Column('credit', sa.BigInteger(), nullable=False),
    sa.Column('memo', sa.Boolean(), nullable=False, comment='its account is off balance'),
    sa.CheckConstraint('(debit = 0) <> (credit = 0)', name='line_one_side'),
    sa.CheckConstraint('value_date <= booking_date', name='value_date_not_in_future'),
    sa.PrimaryKeyConstraint('book_id', 'booking_date', 'sequence', 'line_number'),
    comment="the journal's lines; the booking date is in the key so that months can be partitions"
    )
    op.create_index('line_account', 'line', ['book_id', 'account_id', 'sequence'], unique=False)
    op.create_table('posting_batch',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('first_sequence', sa.BigInteger(), nullable=False),
    sa.Column('last_sequence', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False, comment='docs/ledger-chain.md'),
    sa.Column('committed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('octet_length(digest) = 32', name='posting_batch_digest'),
    sa.PrimaryKeyConstraint('book_id', 'batch_number'),
    comment='one row a committed posting transaction: a link of the chain'
    )
    op.create_table('posting_request',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('rpc', sa.Text(collation='C'), nullable=False),
    sa.Column('caller', sa.Text(collation='C'), nullable=False),
    sa.Column('request_id', sa.Text(collation='C'), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), nullable=False),
    sa.Column('first_sequence', sa.BigInteger(), nullable=False, comment='0 where it made no entry'),
    sa.Column('entries', sa.Integer(), nullable=False),
    sa.Column('lines', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'rpc', 'caller', 'request_id'),
    comment='one row an executed posting request, for ever: what answers its repetitions'
    )
    op.create_index('posting_request_batch', 'posting_request', ['book_id', 'batch_number'], unique=False)
    op.create_table('posting_rule',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('rule', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('posting', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('amount_type', sa.Text(), nullable=False),
    sa.Column('product', sa.Text(), nullable=False, comment='empty = any, like the next three'),
    sa.Column('accrual_status', sa.Text(), nullable=False),
    sa.Column('lender_type', sa.Text(), nullable=False),
    sa.Column('vat_mode', sa.Text(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('debit_gl_code', sa.Text(), nullable=False),
    sa.Column('debit_owner_type', sa.Text(), nullable=False),
    sa.Column('credit_gl_code', sa.Text(), nullable=False),
    sa.Column('credit_owner_type', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'version', 'rule', 'posting'),
    comment='one row a posting: a debit and a credit of the same amount'
    )
    op.create_table('posting_rules_version',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('effective_from', sa.Date(), nullable=False),
    sa.Column('maker', sa.Text(), nullable=False),
    sa.Column('checker', sa.Text(), server_default='', nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.CheckConstraint("state <> 'APPROVED' OR checker NOT IN ('', maker)", name='posting_rules_version_checked'),
    sa.CheckConstraint("state IN ('PROPOSED', 'APPROVED')", name='posting_rules_version_state'),
    sa.PrimaryKeyConstraint('book_id', 'version')
    )
    op.create_table('reversal',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('origin', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('sequence', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'origin'),
    comment='which entry reversed which: once means once'
    )
    op.execute(REFUSE_CHANGE)
    for table in JOURNAL:
        op.execute(
            f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON account "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        f"CREATE TRIGGER account_identity BEFORE UPDATE OF {ACCOUNT_IDENTITY} ON account "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(CHECK_BALANCE)
    op.execute(
        "CREATE TRIGGER line_balance AFTER INSERT ON line REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION check_balance()"
    )
    op.execute(CHECK_OPEN_DAY)
    op.execute(
        "CREATE TRIGGER entry_open_day AFTER INSERT ON entry REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION check_open_day()"
    )
    op.execute(KEEP_JOURNAL)


def downgrade() -> None:
    op.execute("DROP EVENT TRIGGER IF EXISTS ledger_keeps_journal")
    op.execute("DROP FUNCTION IF EXISTS public.ledger_keeps_journal()")
    op.drop_table('reversal')
    op.drop_table('posting_rules_version')
    op.drop_table('posting_rule')
    op.drop_index('posting_request_batch', table_name='posting_request')
    op.drop_table('posting_request')
    op.drop_table('posting_batch')
    op.drop_index('line_account', table_name='line')
    op.drop_table('line')
    op.drop_table('gl_account')
    op.drop_index('entry_source', table_name='entry')
    op.drop_index('entry_event', table_name='entry')
    op.drop_index('entry_booking_date', table_name='entry')
    op.drop_table('entry')
    op.drop_table('closed_day')
    op.drop_table('book')
    op.drop_index('account_owner', table_name='account')
    op.drop_index('account_number', table_name='account')
    op.drop_table('account')
    op.execute("DROP FUNCTION check_open_day()")
    op.execute("DROP FUNCTION check_balance()")
    op.execute("DROP FUNCTION refuse_change()")
