"""The ledger's tables, and the triggers that keep the journal balanced and unchanged."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = 'ledger_002'
down_revision = None
branch_labels = ('ledger',)
depends_on = None


# What no one may change, and how the store says so.
JOURNAL = (
    "record",
    "entry",
    "line",
    "posting_batch",
    "posting_request",
    "reversal",
    "closed_day",
    "closed_period",
    "reservation_line",
)
ACCOUNT_IDENTITY = "book_id, account_id, batch_number, number, gl_code, owner_type, owner_id"

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is never changed: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'reverse the entry instead';
END $$
"""

# An entry's lines arrive in one statement, so the statement's new rows hold whole entries. They are
# read once: summed by entry, and the few sums are held against the book.
CHECK_LINES = """
CREATE FUNCTION check_lines() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode TO auto AS $$
DECLARE
    wrong record;
BEGIN
    SELECT summed.* INTO wrong FROM (
        SELECT book_id, sequence, memo, sum(debit) - sum(credit) AS difference,
               min(booking_date) AS first_day, max(booking_date) AS last_day
        FROM fresh GROUP BY book_id, sequence, memo
    ) AS summed JOIN book USING (book_id)
    WHERE summed.difference <> 0
       OR summed.first_day <> book.business_date OR summed.last_day <> book.business_date
    LIMIT 1;
    IF FOUND AND wrong.difference <> 0 THEN
        RAISE EXCEPTION 'entry % does not balance', wrong.sequence
            USING ERRCODE = 'check_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'entry % is not booked on the open business date', wrong.sequence
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

CHECK_OPEN_DAY = """
CREATE FUNCTION check_open_day() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode TO auto AS $$
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

# The partition of a month with its triggers, made ahead of its first day by whatever opens the day.
# Built beside the table and attached, which waits for no reader of the journal. It runs as the
# schema's owner: the service's role owns no table of the journal.
OPEN_MONTH = """
CREATE FUNCTION open_month(day date) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    first_day date := date_trunc('month', day);
    partition text := 'line_' || to_char(day, 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tael:ledger:months'));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE line INCLUDING ALL)', partition);
    EXECUTE format('ALTER TABLE line ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   partition, first_day, first_day + interval '1 month');
    EXECUTE format('CREATE TRIGGER line_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition);
    EXECUTE format('CREATE TRIGGER line_balance AFTER INSERT ON %I REFERENCING NEW TABLE AS fresh '
                   'FOR EACH STATEMENT EXECUTE FUNCTION check_lines()', partition);
END $$
"""

# Tables, columns and triggers of the journal stay, and its partitions stay attached. Event triggers
# are a superuser's to create: where the migrations' owner is none, the store's administrator has to.
# The functions stand outside the schema, so that dropping the schema does not take them away first.
KEEP_JOURNAL = r"""
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
        WHERE address_names[1] = 'ledger' AND (address_names[2] = ANY('{JOURNAL}')
            OR address_names[2] ~ '^line_\d{4}_\d{2}$') LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the journal is never changed: DROP of % refused', dropped
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $body$;
    CREATE EVENT TRIGGER ledger_keeps_journal ON sql_drop
        EXECUTE FUNCTION public.ledger_keeps_journal();
    CREATE FUNCTION public.ledger_keeps_partitions() RETURNS event_trigger
    LANGUAGE plpgsql AS $body$
    DECLARE
        detached text;
    BEGIN
        SELECT relname INTO detached FROM pg_class
        WHERE relnamespace = to_regnamespace('ledger') AND relkind = 'r'
            AND relname ~ '^line_\d{4}_\d{2}$' AND NOT relispartition LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the journal is never changed: DETACH of % refused', detached
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $body$;
    CREATE EVENT TRIGGER ledger_keeps_partitions ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
        EXECUTE FUNCTION public.ledger_keeps_partitions();
END $do$
""".replace("JOURNAL", ",".join(JOURNAL))


def upgrade() -> None:
    op.create_table('account',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('account_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('batch_number', sa.BigInteger(), nullable=False, comment='the batch that opened it'),
    sa.Column('number', sa.Text(collation='C'), nullable=False),
    sa.Column('gl_code', sa.Text(collation='C'), nullable=False),
    sa.Column('owner_type', sa.Text(collation='C'), nullable=False),
    sa.Column('owner_id', sa.Text(collation='C'), nullable=False),
    sa.Column('debits_posted', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('credits_posted', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('debits_pending', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('credits_pending', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lines_posted', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lines_summed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('summed_through', sa.BigInteger(), server_default='0', nullable=False, comment='the last sequence whose lines stand in account_day'),
    sa.Column('summed_on', sa.Date(), nullable=False, comment='when; the day it was opened before that'),
    sa.Column('state', sa.Text(), server_default='OPEN', nullable=False),
    sa.Column('lowest', sa.BigInteger(), nullable=True, comment='of debits less credits; null = no limit'),
    sa.Column('highest', sa.BigInteger(), nullable=True, comment='of debits less credits; null = no limit'),
    sa.CheckConstraint("state IN ('OPEN', 'FROZEN', 'CLOSED')", name='account_state'),
    sa.CheckConstraint('debits_pending >= 0 AND credits_pending >= 0', name='account_pending'),
    sa.CheckConstraint('debits_posted - credits_posted + debits_pending <= highest', name='account_highest'),
    sa.CheckConstraint('debits_posted - credits_posted - credits_pending >= lowest', name='account_lowest'),
    sa.CheckConstraint('debits_posted BETWEEN -4000000000000000000 AND 4000000000000000000 AND credits_posted BETWEEN -4000000000000000000 AND 4000000000000000000', name='account_turnover'),
    sa.PrimaryKeyConstraint('book_id', 'account_id'),
    comment='what identifies it never changes; its totals do with every posting',
    postgresql_with={'fillfactor': 50}
    )
    op.create_index('account_batch', 'account', ['book_id', 'batch_number', 'account_id'], unique=False)
    op.create_index('account_guarded', 'account', ['book_id', 'account_id'], unique=False, postgresql_where=sa.text("state <> 'OPEN' OR lowest IS NOT NULL OR highest IS NOT NULL"))
    op.create_index('account_number', 'account', ['book_id', 'number'], unique=True)
    op.create_index('account_owner', 'account', ['book_id', 'owner_id', 'owner_type'], unique=False)
    op.create_table('account_day',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('account_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('booking_date', sa.Date(), nullable=False),
    sa.Column('value_date', sa.Date(), nullable=False),
    sa.Column('debits', sa.BigInteger(), nullable=False),
    sa.Column('credits', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'account_id', 'booking_date', 'value_date'),
    comment="an account's lines added up, a thousand or more at a time: what as-of balances read"
    )
    op.create_table('book',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('legal_entity', sa.Text(), nullable=False),
    sa.Column('currency_code', sa.Text(), nullable=False),
    sa.Column('time_zone', sa.Text(), nullable=False),
    sa.Column('lender_type', sa.Text(), nullable=False),
    sa.Column('vat_mode', sa.Text(), nullable=False),
    sa.Column('first_date', sa.Date(), nullable=False, comment='its first business date'),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.Column('rules_version', sa.Integer(), nullable=False, comment='in force on the business date'),
    sa.Column('accounts_opened', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('reservations_made', sa.BigInteger(), server_default='0', nullable=False),
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
    sa.Column('last_batch', sa.BigInteger(), nullable=False, comment='the last of the day; its close'),
    sa.Column('last_sequence', sa.BigInteger(), nullable=False),
    sa.Column('closed_by', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'business_date'),
    comment='days that take no more bookings, and the chain when they closed'
    )
    op.create_table('closed_period',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), nullable=False),
    sa.Column('profit', sa.BigInteger(), nullable=False, comment='income less expense carried'),
    sa.Column('sequence', sa.BigInteger(), nullable=False, comment='0 = nothing to carry'),
    sa.Column('year_end_sequence', sa.BigInteger(), nullable=False, comment='0 = none'),
    sa.Column('closed_by', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'first_day'),
    comment='months whose income and expense are carried to equity'
    )
    op.create_table('entry',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('value_date', sa.Date(), nullable=False),
    sa.Column('booking_date', sa.Date(), nullable=False),
    sa.Column('rules_version', sa.Integer(), nullable=False, comment='0 = posted on named accounts'),
    sa.Column('reversal_of', sa.BigInteger(), nullable=False, comment='0 = none'),
    sa.Column('lines', sa.Integer(), nullable=False),
    sa.Column('event', sa.Text(collation='C'), nullable=False),
    sa.Column('source', sa.Text(collation='C'), nullable=False),
    sa.Column('narrative', sa.Text(), nullable=False),
    sa.Column('metadata', sa.Text(), nullable=False, comment='JSON, keys in order; empty = none'),
    sa.CheckConstraint('value_date <= booking_date', name='value_date_not_in_future'),
    sa.PrimaryKeyConstraint('book_id', 'sequence'),
    comment="the journal's vouchers"
    )
    op.create_index('entry_event', 'entry', ['book_id', 'event', 'sequence'], unique=False)
    op.create_index('entry_metadata', 'entry', [sa.literal_column('(metadata::jsonb) jsonb_path_ops')], unique=False, postgresql_using='gin', postgresql_where=sa.text("metadata <> ''"))
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
    op.create_table('gl_day',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('gl_code', sa.Text(collation='C'), nullable=False),
    sa.Column('booking_date', sa.Date(), nullable=False),
    sa.Column('value_date', sa.Date(), nullable=False),
    sa.Column('closing', sa.Boolean(), nullable=False, comment='carried at the close of a period'),
    sa.Column('debits', sa.BigInteger(), nullable=False),
    sa.Column('credits', sa.BigInteger(), nullable=False),
    sa.Column('lines', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'gl_code', 'booking_date', 'value_date', 'closing'),
    comment='the general ledger: control totals a GL code and day, kept with every posting',
    postgresql_with={'fillfactor': 70}
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
    comment="the journal's lines, a partition a booking month (line_2026_01)",
    postgresql_partition_by='RANGE (booking_date)'
    )
    op.create_index('line_account', 'line', ['book_id', 'account_id', 'sequence', 'line_number'], unique=False)
    op.create_table('posting_batch',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('booking_date', sa.Date(), nullable=False),
    sa.Column('first_sequence', sa.BigInteger(), nullable=False),
    sa.Column('last_sequence', sa.BigInteger(), nullable=False),
    sa.Column('accounts', sa.Integer(), nullable=False),
    sa.Column('records', sa.Integer(), nullable=False),
    sa.Column('requests', sa.Integer(), nullable=False),
    sa.Column('entries', sa.Integer(), nullable=False),
    sa.Column('lines', sa.Integer(), nullable=False),
    sa.Column('committed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('content_digest', sa.LargeBinary(), nullable=False, comment='docs/ledger-chain.md'),
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.CheckConstraint('octet_length(content_digest) = 32 AND octet_length(digest) = 32', name='posting_batch_digest'),
    sa.PrimaryKeyConstraint('book_id', 'batch_number'),
    comment='one row a committed transaction: a link of the chain'
    )
    op.create_index('posting_batch_sequence', 'posting_batch', ['book_id', 'last_sequence'], unique=False)
    op.create_table('posting_request',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('rpc', sa.Text(collation='C'), nullable=False),
    sa.Column('caller', sa.Text(collation='C'), nullable=False),
    sa.Column('request_id', sa.Text(collation='C'), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False, comment='in its batch, from 1'),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('first_sequence', sa.BigInteger(), nullable=False, comment='0 where it made no entry'),
    sa.Column('entries', sa.Integer(), nullable=False),
    sa.Column('lines', sa.BigInteger(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False, comment='what else its answer needs; JSON or empty'),
    sa.PrimaryKeyConstraint('book_id', 'rpc', 'caller', 'request_id'),
    comment='one row an executed request, for ever: what answers its repetitions'
    )
    op.create_index('posting_request_batch', 'posting_request', ['book_id', 'batch_number', 'place'], unique=False)
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
    op.create_table('record',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('batch_number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('place', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('kind', sa.Text(collation='C'), nullable=False),
    sa.Column('subject', sa.Text(collation='C'), nullable=False, comment='an account number, a day, a version, …'),
    sa.Column('content', sa.Text(), nullable=False, comment='JSON, keys in order'),
    sa.PrimaryKeyConstraint('book_id', 'batch_number', 'place'),
    comment='what changed beside the entries, as the chain has it'
    )
    op.create_index('record_subject', 'record', ['book_id', 'kind', 'subject', 'batch_number'], unique=False)
    op.create_table('reservation',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('reservation_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('expires_on', sa.Date(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('narrative', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='PENDING', nullable=False),
    sa.Column('sequence', sa.BigInteger(), server_default='0', nullable=False, comment='0 = not posted'),
    sa.CheckConstraint("state IN ('PENDING', 'COMMITTED', 'RELEASED', 'EXPIRED')", name='reservation_state'),
    sa.PrimaryKeyConstraint('book_id', 'reservation_id'),
    comment='entries reserved; its end is written once, and recorded in the chain'
    )
    op.create_index('reservation_expiry', 'reservation', ['book_id', 'expires_on'], unique=False, postgresql_where=sa.text("state = 'PENDING'"))
    op.create_table('reservation_line',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('reservation_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('line_number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('account_number', sa.Text(collation='C'), nullable=False),
    sa.Column('debit', sa.BigInteger(), nullable=False),
    sa.Column('credit', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('book_id', 'reservation_id', 'line_number'),
    comment='what is reserved on which account'
    )
    op.create_index('reservation_line_account', 'reservation_line', ['book_id', 'account_number', 'reservation_id'], unique=False)
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
    for table in ("account", "reservation"):
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        f"CREATE TRIGGER account_identity BEFORE UPDATE OF {ACCOUNT_IDENTITY} ON account "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(CHECK_LINES)
    op.execute(
        "CREATE TRIGGER line_balance AFTER INSERT ON line REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION check_lines()"
    )
    op.execute(CHECK_OPEN_DAY)
    op.execute(
        "CREATE TRIGGER entry_open_day AFTER INSERT ON entry REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION check_open_day()"
    )
    op.execute(OPEN_MONTH)
    op.execute(KEEP_JOURNAL)


def downgrade() -> None:
    for name in ("ledger_keeps_partitions", "ledger_keeps_journal"):
        op.execute(f"DROP EVENT TRIGGER IF EXISTS {name}")
        op.execute(f"DROP FUNCTION IF EXISTS public.{name}()")
    op.drop_table('reversal')
    op.drop_index('reservation_line_account', table_name='reservation_line')
    op.drop_table('reservation_line')
    op.drop_index('reservation_expiry', table_name='reservation', postgresql_where=sa.text("state = 'PENDING'"))
    op.drop_table('reservation')
    op.drop_index('record_subject', table_name='record')
    op.drop_table('record')
    op.drop_table('posting_rules_version')
    op.drop_table('posting_rule')
    op.drop_index('posting_request_batch', table_name='posting_request')
    op.drop_table('posting_request')
    op.drop_index('posting_batch_sequence', table_name='posting_batch')
    op.drop_table('posting_batch')
    op.drop_index('line_account', table_name='line')
    op.drop_table('line')
    op.drop_table('gl_day')
    op.drop_table('gl_account')
    op.drop_index('entry_source', table_name='entry')
    op.drop_index('entry_metadata', table_name='entry', postgresql_using='gin', postgresql_where=sa.text("metadata <> ''"))
    op.drop_index('entry_event', table_name='entry')
    op.drop_table('entry')
    op.drop_table('closed_period')
    op.drop_table('closed_day')
    op.drop_table('book')
    op.drop_table('account_day')
    op.drop_index('account_owner', table_name='account')
    op.drop_index('account_number', table_name='account')
    op.drop_index('account_guarded', table_name='account', postgresql_where=sa.text("state <> 'OPEN' OR lowest IS NOT NULL OR highest IS NOT NULL"))
    op.drop_index('account_batch', table_name='account')
    op.drop_table('account')
    op.execute("DROP FUNCTION open_month(date)")
    op.execute("DROP FUNCTION check_open_day()")
    op.execute("DROP FUNCTION check_lines()")
    op.execute("DROP FUNCTION refuse_change()")
