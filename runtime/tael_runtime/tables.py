"""The tables every service's schema has: requests, outbox, cursors, long work."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

APPEND_ONLY = {"append_only": True}
"""`Table(..., info=APPEND_ONLY)`: the service's role may insert and select, no more."""

KEPT = {"kept": True}
"""`Table(..., info=KEPT)`: the service's role may insert, select and update, and never delete."""

EVENT_TRIGGERS = "event_triggers"
"""`MetaData(info={EVENT_TRIGGERS: (name, …)})`: what guards the tables themselves where the migrations'
owner was a superuser; a start without them warns."""

floor = MetaData()

request = Table(
    "request",
    floor,
    Column("rpc", Text, primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column(
        "response",
        LargeBinary,
        comment="serialised answer, sealed where it is personal, or the id of what was made",
    ),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="one row an executed request_id, for ever",
    info=KEPT,
)

outbox = Table(
    "outbox",
    floor,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("aggregatetype", Text, nullable=False),
    Column("aggregateid", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("position", BigInteger, comment="given after commit by the one publisher"),
    Index("outbox_position", "position", unique=True),
    Index("outbox_unpublished", "number", postgresql_where=text("position IS NULL")),
    comment="Debezium's outbox layout, with the order of publication",
)

consumer_cursor = Table(
    "consumer_cursor",
    floor,
    Column("source", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    comment="how far this service has read another's events; moves with the effect",
)

work_run = Table(
    "work_run",
    floor,
    Column("run_id", UUID(as_uuid=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="RUNNING"),
    Column("error", Text),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    UniqueConstraint("kind", "key"),
    CheckConstraint("state IN ('RUNNING', 'DONE', 'BLOCKED')", name="work_run_state"),
)

work_step = Table(
    "work_step",
    floor,
    Column("run_id", UUID(as_uuid=True), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="PENDING"),
    Column("summary", LargeBinary),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('PENDING', 'RUNNING', 'DONE')", name="work_step_state"),
)

work_chunk = Table(
    "work_chunk",
    floor,
    Column("run_id", UUID(as_uuid=True), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("leased_by", Text),
    Column("leased_until", DateTime(timezone=True)),
    Column("result", LargeBinary),
)


calendar_day = Table(
    "calendar_day",
    floor,
    Column("day", Date, primary_key=True),
    Column("is_business_day", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    comment="exceptions from the published business calendar",
)


def with_floor(metadata: MetaData) -> MetaData:
    """Adds the floor's tables to a service's own, so that metadata describes the whole schema."""
    for table in floor.sorted_tables:
        if table.name not in metadata.tables:
            table.to_metadata(metadata)
    return metadata


metadata = floor
"""The name under which migrations look for a package's tables."""
