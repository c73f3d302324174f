"""The ledger's tables, and the triggers that keep the journal balanced and unchanged."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tael_ledger.migrations import books_002, guards_002

revision = 'ledger_002'
down_revision = None
branch_labels = ('ledger',)
depends_on = None


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
    sa.Column('non_accrual_policy', sa.Text(), nullable=False),
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
    op.create_index('entry_source', 'entry', ['source', 'book_id'], unique=False)
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
    op.create_index('line_account', 'line', ['account_id', 'book_id', 'sequence', 'line_number'], unique=False)
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
    op.create_table('proposal',
    sa.Column('book_id', sa.Text(collation='C'), nullable=False),
    sa.Column('proposal_id', sa.BigInteger(), autoincrement=False, nullable=False, comment='the batch that proposed it'),
    sa.Column('operation', sa.LargeBinary(), nullable=False, comment='tael.ledger.v1.Operation'),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('maker', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='PROPOSED', nullable=False),
    sa.Column('decided_by', sa.Text(), server_default='', nullable=False),
    sa.Column('decision_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('decided_in', sa.BigInteger(), server_default='0', nullable=False, comment='the batch that decided it; 0 = none'),
    sa.Column('sequence', sa.BigInteger(), server_default='0', nullable=False, comment='the first entry that it posted; 0 = none'),
    sa.CheckConstraint("state IN ('PROPOSED', 'APPROVED', 'DECLINED', 'WITHDRAWN')", name='proposal_state'),
    sa.CheckConstraint("state NOT IN ('APPROVED', 'DECLINED') OR lower(decided_by) NOT IN ('', lower(maker))", name='proposal_four_eyes'),
    sa.PrimaryKeyConstraint('book_id', 'proposal_id'),
    comment='operations by hand; its decision is written once, and recorded in the chain'
    )
    op.create_index('proposal_open', 'proposal', ['book_id', 'proposal_id'], unique=False, postgresql_where=sa.text("state = 'PROPOSED'"))
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
    for statement in books_002.PLANNED:
        op.execute(statement)
    # As the connection's path has it: the schema that is being migrated.
    schema = op.get_bind().scalar(sa.text("SELECT current_schema()"))
    for statement in guards_002.guarding(schema):
        op.execute(statement)
    # Event triggers are a superuser's to create; a start without them says so.
    if op.get_bind().scalar(sa.text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        for statement in guards_002.keeping(schema):
            op.execute(statement)


def downgrade() -> None:
    for name in guards_002.EVENT_TRIGGERS:
        op.execute(f"DROP EVENT TRIGGER IF EXISTS {name}")
        op.execute(f"DROP FUNCTION IF EXISTS public.{name}()")
    op.drop_table('reversal')
    op.drop_index('reservation_line_account', table_name='reservation_line')
    op.drop_table('reservation_line')
    op.drop_index('reservation_expiry', table_name='reservation', postgresql_where=sa.text("state = 'PENDING'"))
    op.drop_table('reservation')
    op.drop_index('record_subject', table_name='record')
    op.drop_table('record')
    op.drop_index('proposal_open', table_name='proposal', postgresql_where=sa.text("state = 'PROPOSED'"))
    op.drop_table('proposal')
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
