"""The first tables: scripts, payments, texts and calls."""

from alembic import op
import sqlalchemy as sa

revision = 'simulators_001'
down_revision = None
branch_labels = ('simulators',)
depends_on = None


def upgrade() -> None:
    op.create_table('card_holder',
    sa.Column('card_token', sa.Text(), nullable=False),
    sa.Column('holder_id', sa.Text(), nullable=False, comment="the caller's own id of the person"),
    sa.PrimaryKeyConstraint('card_token', 'holder_id'),
    comment='whose a card is, as its four elements were checked'
    )
    op.create_table('payment',
    sa.Column('payment_id', sa.Text(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('times_sent', sa.Integer(), server_default='1', nullable=False),
    sa.Column('debit', sa.Boolean(), nullable=False),
    sa.Column('card_token', sa.Text(), nullable=False),
    sa.Column('currency_code', sa.Text(), nullable=False),
    sa.Column('minor_units', sa.BigInteger(), nullable=False),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('failure_code', sa.Text(), nullable=False, comment='empty = the money moved'),
    sa.Column('unknown_left', sa.Integer(), nullable=False, comment='UNKNOWN answers before the truth'),
    sa.CheckConstraint('minor_units > 0', name='payment_is_positive'),
    sa.CheckConstraint('unknown_left >= 0', name='unknown_left_is_a_count'),
    sa.PrimaryKeyConstraint('payment_id'),
    sa.UniqueConstraint('number')
    )
    op.create_table('phone_call',
    sa.Column('call_id', sa.Text(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('times_sent', sa.Integer(), server_default='1', nullable=False),
    sa.Column('outcome', sa.Integer(), nullable=False, comment='tael.provider.v1.CallOutcome'),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('call_id'),
    sa.UniqueConstraint('number')
    )
    op.create_table('script',
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('method', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False, comment='empty = any'),
    sa.Column('behaviour', sa.LargeBinary(), nullable=False, comment='tael.provider.v1.Behaviour'),
    sa.PrimaryKeyConstraint('number'),
    comment='behaviours not yet shown; a call deletes the one it shows'
    )
    op.create_index('script_next', 'script', ['method', 'key', 'number'], unique=False)
    op.create_table('text_message',
    sa.Column('message_id', sa.Text(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('times_sent', sa.Integer(), server_default='1', nullable=False),
    sa.Column('mobile', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('accepted', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('message_id'),
    sa.UniqueConstraint('number')
    )
    op.create_index('text_message_phone', 'text_message', ['mobile', 'number'], unique=False)


def downgrade() -> None:
    op.drop_index('text_message_phone', table_name='text_message')
    op.drop_table('text_message')
    op.drop_index('script_next', table_name='script')
    op.drop_table('script')
    op.drop_table('phone_call')
    op.drop_table('payment')
