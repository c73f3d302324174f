"""Risk's tables, and the triggers that keep its records unchanged."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = 'risk_001'
down_revision = None
branch_labels = ('risk',)
depends_on = None

# What no one may change, and how the store says so.
RECORDS = ("policy", "observation", "decision", "bureau_query", "bureau_report")

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'records of risk are never changed: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.create_table('bureau_query',
    sa.Column('query_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('operator', sa.Text(), nullable=False),
    sa.Column('reason_code', sa.Text(), nullable=False),
    sa.Column('consent_id', sa.Text(), nullable=False),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.Column('queried_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reused_query_id', sa.Text(), nullable=False, comment='whose report serves; empty = asked'),
    sa.PrimaryKeyConstraint('query_id'),
    comment='who asked the bureau about whom, why, on which consent; written before the call'
    )
    op.create_index('bureau_query_customer', 'bureau_query', ['customer_id', 'queried_at'], unique=False)
    op.create_table('bureau_report',
    sa.Column('query_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('person', sa.LargeBinary(), nullable=False, comment='blind index of the identity number'),
    sa.Column('report_number', sa.Text(), nullable=False),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.Column('figures', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.PrimaryKeyConstraint('query_id'),
    comment="the bureau's answers; a query without one was not answered"
    )
    op.create_index('bureau_report_customer', 'bureau_report', ['customer_id', 'business_date'], unique=False)
    op.create_table('consent',
    sa.Column('consent_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('valid_to', sa.Date(), nullable=False),
    sa.Column('withdrawn', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('consent_id'),
    comment="consents as origination's events tell them"
    )
    op.create_table('decision',
    sa.Column('decision_id', sa.Text(), nullable=False, comment='made when begun, ordered by time'),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Text(), nullable=False),
    sa.Column('stage', sa.Text(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('policy_name', sa.Text(), nullable=False),
    sa.Column('policy_version', sa.Integer(), nullable=False),
    sa.Column('business_date', sa.Date(), nullable=False),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('caller', sa.Text(), nullable=False),
    sa.Column('consent_id', sa.Text(), nullable=False),
    sa.Column('applicant', sa.LargeBinary(), nullable=False, comment='name and identity number, sealed'),
    sa.Column('currency_code', sa.Text(), nullable=False),
    sa.Column('inputs', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='every feature, and the sources not answering'),
    sa.Column('record', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='ExplainDecisionResponse: answer and reasons'),
    sa.Column('digest', sa.Text(), nullable=False, comment='SHA-256 over version, inputs and outcome, hex'),
    sa.CheckConstraint("outcome IN ('APPROVED', 'REVIEW', 'DECLINED')", name='decision_outcome'),
    sa.PrimaryKeyConstraint('decision_id'),
    comment='one immutable row a decision'
    )
    op.create_index('decision_customer', 'decision', ['customer_id', 'decision_id'], unique=False)
    op.create_table('decision_claim',
    sa.Column('caller', sa.Text(), nullable=False),
    sa.Column('request_id', sa.Text(), nullable=False),
    sa.Column('decision_id', sa.Text(), nullable=False, comment='what the decision will be called'),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('caller', 'request_id'),
    comment='who is at work on a request; taken over when the lease runs out'
    )
    op.create_table('observation',
    sa.Column('observation_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment='texts by name; no names, no numbers of people'),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('observation_id'),
    comment='facts as observed, never changed'
    )
    op.create_index('observation_customer', 'observation', ['customer_id', 'date'], unique=False)
    op.create_index('observation_facts', 'observation', ['facts'], unique=False, postgresql_using='gin')
    op.create_table('policy',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('hash', sa.Text(), nullable=False, comment='SHA-256 of the canonical form, hex'),
    sa.Column('publisher', sa.Text(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('version > 0', name='policy_version_counts_from_1'),
    sa.PrimaryKeyConstraint('name', 'version'),
    comment='policies as published, for ever: old decisions are replayed over them'
    )
    op.execute(REFUSE_CHANGE)
    for table in RECORDS:
        op.execute(
            f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table('policy')
    op.drop_index('observation_facts', table_name='observation', postgresql_using='gin')
    op.drop_index('observation_customer', table_name='observation')
    op.drop_table('observation')
    op.drop_table('decision_claim')
    op.drop_index('decision_customer', table_name='decision')
    op.drop_table('decision')
    op.drop_table('consent')
    op.drop_index('bureau_report_customer', table_name='bureau_report')
    op.drop_table('bureau_report')
    op.drop_index('bureau_query_customer', table_name='bureau_query')
    op.drop_table('bureau_query')
    op.execute('DROP FUNCTION refuse_change')
