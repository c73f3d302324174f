"""The floor's tables."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = 'floor_001'
down_revision = None
branch_labels = ('floor',)
depends_on = None


def upgrade() -> None:
    op.create_table('calendar_day',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('is_business_day', sa.Boolean(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('day'),
    comment='exceptions from the published business calendar'
    )

    op.create_table('consumer_cursor',
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('source'),
    comment="how far this service has read another's events; moves with the effect"
    )
    op.create_table('outbox',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('aggregatetype', sa.Text(), nullable=False),
    sa.Column('aggregateid', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('number', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=True, comment='given after commit by the one publisher'),
    sa.PrimaryKeyConstraint('id'),
    comment="Debezium's outbox layout, with the order of publication"
    )
    op.create_index('outbox_position', 'outbox', ['position'], unique=True)
    op.create_index('outbox_unpublished', 'outbox', ['number'], unique=False, postgresql_where=sa.text('position IS NULL'))
    op.create_table('request',
    sa.Column('rpc', sa.Text(), nullable=False),
    sa.Column('caller', sa.Text(), nullable=False),
    sa.Column('request_id', sa.Text(), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('response', sa.LargeBinary(), nullable=True, comment='serialised answer, sealed where it is personal, or the id of what was made'),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('rpc', 'caller', 'request_id'),
    comment='one row an executed request_id, for ever'
    )
    op.create_table('work_chunk',
    sa.Column('run_id', sa.UUID(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('chunk', sa.Integer(), nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('done', sa.Integer(), server_default='0', nullable=False),
    sa.Column('leased_by', sa.Text(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('result', sa.LargeBinary(), nullable=True),
    sa.PrimaryKeyConstraint('run_id', 'step', 'chunk')
    )
    op.create_table('work_run',
    sa.Column('run_id', sa.UUID(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='RUNNING', nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('RUNNING', 'DONE', 'BLOCKED')", name='work_run_state'),
    sa.PrimaryKeyConstraint('run_id'),
    sa.UniqueConstraint('kind', 'key')
    )
    op.create_table('work_step',
    sa.Column('run_id', sa.UUID(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='PENDING', nullable=False),
    sa.Column('summary', sa.LargeBinary(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('PENDING', 'RUNNING', 'DONE')", name='work_step_state'),
    sa.PrimaryKeyConstraint('run_id', 'step')
    )



def downgrade() -> None:

    op.drop_table('work_step')
    op.drop_table('work_run')
    op.drop_table('work_chunk')
    op.drop_table('request')
    op.drop_index('outbox_unpublished', table_name='outbox', postgresql_where=sa.text('position IS NULL'))
    op.drop_index('outbox_position', table_name='outbox')
    op.drop_table('outbox')
    op.drop_table('consumer_cursor')
    op.drop_table('calendar_day')

