"""Cases, contacts, promises, placements, write-offs."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = 'collections_001'
down_revision = None
branch_labels = ('collections',)
depends_on = None


def upgrade() -> None:
    op.create_table('agency',
    sa.Column('agency_id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('commission_basis_points', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('agency_id'),
    sa.UniqueConstraint('name')
    )
    op.create_table('business_day',
    sa.Column('book_id', sa.Text(), nullable=False),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.PrimaryKeyConstraint('book_id'),
    comment="the open day of each book, as servicing's events tell it"
    )
    op.create_table('debtor',
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('number_index', sa.LargeBinary(), nullable=True, comment='keyed hash of the number last dialled'),
    sa.PrimaryKeyConstraint('customer_id'),
    comment='the row that is locked while a contact slot is taken'
    )
    op.create_table('debt_case',
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('book_id', sa.Text(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('bucket', sa.Integer(), nullable=False),
    sa.Column('amount_past_due', sa.BigInteger(), nullable=False),
    sa.Column('contacted', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('collector', sa.Text(), server_default='', nullable=False),
    sa.Column('agency_id', sa.Text(), server_default='', nullable=False),
    sa.Column('hold_until', sa.Date(), nullable=True, comment='exclusive'),
    sa.Column('hold_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('opened_on', sa.Date(), nullable=False),
    sa.Column('closed_on', sa.Date(), nullable=True),
    sa.Column('limitation_date', sa.Date(), nullable=False),
    sa.CheckConstraint("(status = 'CLOSED') = (closed_on IS NOT NULL)", name='debt_case_closed'),
    sa.CheckConstraint('amount_past_due >= 0', name='debt_case_amount'),
    sa.ForeignKeyConstraint(['customer_id'], ['debtor.customer_id'], ),
    sa.PrimaryKeyConstraint('case_id'),
    comment='one open case a debtor and book'
    )
    op.create_index('debt_case_collector', 'debt_case', ['collector'], unique=False, postgresql_where=sa.text('closed_on IS NULL'))
    op.create_index('debt_case_open', 'debt_case', ['customer_id', 'book_id'], unique=True, postgresql_where=sa.text('closed_on IS NULL'))
    op.create_table('case_history',
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.PrimaryKeyConstraint('case_id', 'number'),
    info={'append_only': True}
    )
    op.create_table('case_loan',
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('loan_id', sa.Text(), nullable=False),
    sa.Column('dpd', sa.Integer(), nullable=False),
    sa.Column('amount_past_due', sa.BigInteger(), nullable=False),
    sa.Column('principal', sa.BigInteger(), nullable=False),
    sa.Column('written_off', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.PrimaryKeyConstraint('case_id', 'loan_id'),
    comment='the loans that keep a case open'
    )
    op.create_table('contact',
    sa.Column('contact_id', sa.Text(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('case_id', sa.Text(), nullable=True, comment='NULL: no case, a reminder'),
    sa.Column('channel', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('day', sa.Date(), nullable=False, comment='of `at`, in Asia/Shanghai: what limits count by'),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('allowed', sa.Boolean(), nullable=False),
    sa.Column('denied_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('denied_detail', sa.Text(), server_default='', nullable=False),
    sa.Column('token', sa.Text(), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('number_index', sa.LargeBinary(), nullable=True, comment='keyed hash of the number it went to'),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('connected', sa.Boolean(), nullable=True, comment='NULL until reported, and counted as connected'),
    sa.Column('result', sa.Text(), server_default='', nullable=False),
    sa.Column('reported_by', sa.Text(), server_default='', nullable=False),
    sa.Column('content', sa.Text(), server_default='', nullable=False),
    sa.Column('recording', sa.Text(), server_default='', nullable=False),
    sa.CheckConstraint("allowed = (denied_reason = '')", name='contact_denied'),
    sa.CheckConstraint('allowed = (token IS NOT NULL)', name='contact_token'),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.ForeignKeyConstraint(['customer_id'], ['debtor.customer_id'], ),
    sa.PrimaryKeyConstraint('contact_id'),
    sa.UniqueConstraint('token'),
    comment='every answer of the gate, and what came of it'
    )
    op.create_index('contact_case', 'contact', ['case_id', 'number'], unique=False)
    op.create_index('contact_debtor', 'contact', ['customer_id', 'day'], unique=False)
    op.create_index('contact_number', 'contact', ['number_index', 'day'], unique=False)
    op.create_table('placement',
    sa.Column('placement_id', sa.Text(), nullable=False),
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('agency_id', sa.Text(), nullable=False),
    sa.Column('commission_basis_points', sa.Integer(), nullable=False, comment='as agreed at placing'),
    sa.Column('placed_on', sa.Date(), nullable=False),
    sa.Column('ends_on', sa.Date(), nullable=False, comment='exclusive'),
    sa.Column('recalled_on', sa.Date(), nullable=True),
    sa.ForeignKeyConstraint(['agency_id'], ['agency.agency_id'], ),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.PrimaryKeyConstraint('placement_id')
    )
    op.create_index('placement_open', 'placement', ['case_id'], unique=True, postgresql_where=sa.text('recalled_on IS NULL'))
    op.create_table('promise',
    sa.Column('promise_id', sa.Text(), nullable=False),
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('due_date', sa.Date(), nullable=False),
    sa.Column('state', sa.Text(), server_default='OPEN', nullable=False),
    sa.Column('received', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('recorded_on', sa.Date(), nullable=False),
    sa.Column('judged_on', sa.Date(), nullable=True),
    sa.CheckConstraint("state IN ('OPEN', 'KEPT', 'BROKEN')", name='promise_state'),
    sa.CheckConstraint('amount > 0 AND received BETWEEN 0 AND amount', name='promise_amount'),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.PrimaryKeyConstraint('promise_id')
    )
    op.create_index('promise_case', 'promise', ['case_id'], unique=False)
    op.create_table('recovery',
    sa.Column('recovery_id', sa.Text(), nullable=False),
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('loan_id', sa.Text(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('agency_id', sa.Text(), server_default='', nullable=False),
    sa.Column('commission', sa.BigInteger(), nullable=False, comment="the agency's, on the net cash"),
    sa.Column('state', sa.Text(), server_default='PENDING', nullable=False),
    sa.Column('principal', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('interest', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('refusal', sa.Text(), server_default='', nullable=False, comment="servicing's words"),
    sa.CheckConstraint("state IN ('PENDING', 'POSTED', 'REFUSED')", name='recovery_state'),
    sa.CheckConstraint('amount > 0', name='recovery_amount'),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.PrimaryKeyConstraint('recovery_id')
    )
    op.create_index('recovery_pending', 'recovery', ['recovery_id'], unique=False, postgresql_where=sa.text("state = 'PENDING'"))
    op.create_table('write_off',
    sa.Column('write_off_id', sa.Text(), nullable=False),
    sa.Column('case_id', sa.Text(), nullable=False),
    sa.Column('loan_id', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='PROPOSED', nullable=False),
    sa.Column('maker', sa.Text(), nullable=False),
    sa.Column('checker', sa.Text(), server_default='', nullable=False),
    sa.Column('evidence', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('principal', sa.BigInteger(), nullable=True, comment='once posted'),
    sa.Column('refusal', sa.Text(), server_default='', nullable=False, comment="servicing's words"),
    sa.CheckConstraint("state IN ('PROPOSED', 'APPROVED', 'POSTED', 'REFUSED')", name='write_off_state'),
    sa.CheckConstraint('checker <> maker', name='write_off_four_eyes'),
    sa.ForeignKeyConstraint(['case_id'], ['debt_case.case_id'], ),
    sa.PrimaryKeyConstraint('write_off_id')
    )
    op.create_index('write_off_live', 'write_off', ['loan_id'], unique=True, postgresql_where=sa.text("state <> 'REFUSED'"))
    op.create_table('reminder',
    sa.Column('reminder_id', sa.Text(), nullable=False, comment="of servicing's event, and of the loan"),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('book_id', sa.Text(), nullable=False),
    sa.Column('loan_id', sa.Text(), nullable=False),
    sa.Column('days_before', sa.Integer(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('good_until', sa.Date(), nullable=False, comment='after it the text would be wrong'),
    sa.Column('state', sa.Text(), server_default='QUEUED', nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True, comment='when the gate may say otherwise'),
    sa.Column('contact_id', sa.Text(), nullable=True),
    sa.CheckConstraint("state IN ('QUEUED', 'SENT', 'DROPPED')", name='reminder_state'),
    sa.ForeignKeyConstraint(['contact_id'], ['contact.contact_id'], ),
    sa.ForeignKeyConstraint(['customer_id'], ['debtor.customer_id'], ),
    sa.PrimaryKeyConstraint('reminder_id')
    )
    op.create_index('reminder_queue', 'reminder', ['reminder_id'], unique=False, postgresql_where=sa.text("state = 'QUEUED'"))
    op.execute("""
        CREATE FUNCTION history_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'case_history is append-only';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER case_history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON case_history
        FOR EACH STATEMENT EXECUTE FUNCTION history_is_kept()
    """)


def downgrade() -> None:
    op.drop_index('reminder_queue', table_name='reminder', postgresql_where=sa.text("state = 'QUEUED'"))
    op.drop_table('reminder')
    op.drop_index('write_off_live', table_name='write_off', postgresql_where=sa.text("state <> 'REFUSED'"))
    op.drop_table('write_off')
    op.drop_index('recovery_pending', table_name='recovery', postgresql_where=sa.text("state = 'PENDING'"))
    op.drop_table('recovery')
    op.drop_index('promise_case', table_name='promise')
    op.drop_table('promise')
    op.drop_index('placement_open', table_name='placement', postgresql_where=sa.text('recalled_on IS NULL'))
    op.drop_table('placement')
    op.drop_index('contact_number', table_name='contact')
    op.drop_index('contact_debtor', table_name='contact')
    op.drop_index('contact_case', table_name='contact')
    op.drop_table('contact')
    op.drop_table('case_loan')
    op.drop_table('case_history')
    op.execute("DROP FUNCTION history_is_kept()")
    op.drop_index('debt_case_open', table_name='debt_case', postgresql_where=sa.text('closed_on IS NULL'))
    op.drop_index('debt_case_collector', table_name='debt_case', postgresql_where=sa.text('closed_on IS NULL'))
    op.drop_table('debt_case')
    op.drop_table('debtor')
    op.drop_table('business_day')
    op.drop_table('agency')
