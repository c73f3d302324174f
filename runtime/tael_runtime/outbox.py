"""Events: written with their cause, numbered after commit, streamed in that order, consumed once.

Transactions commit in another order than they began. So a row gets its position only from the one
publisher of the schema (advisory lock), which sees committed rows alone: Watch, which reads by
position, never skips a transaction that commits late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_runtime import later
from tael_runtime.database import EVENTS, Database
from tael_runtime.ids import uuid7
from tael_runtime.tables import consumer_cursor, outbox

PAGE = 500
PUBLISHED_AT_ONCE = 1000
GATHER_SECONDS = 0.05
"""For so long a publisher that has published lets more come: its commit is one for all of them."""
LOOK_SECONDS = 0.25
"""What another process of the service has published is seen after so long."""


class EventMessage(Protocol):
    """A service's Event: position, event_id and a oneof named payload."""

    position: int
    event_id: str

    def WhichOneof(self, oneof_group: Any) -> str | None:  # noqa: N802  protobuf's name
        """Which payload it carries."""
        ...

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        """Its bytes."""
        ...


EventT = TypeVar("EventT", bound=Message)


def append(
    transaction: Connection, aggregate_type: str, aggregate_id: str, event: EventMessage
) -> None:
    """Writes an event in the transaction of its cause; gives it its event_id."""
    identity = uuid7()
    event.event_id = str(identity)
    transaction.info[EVENTS] = True
    row = {
        "id": identity,
        "aggregatetype": aggregate_type,
        "aggregateid": aggregate_id,
        "type": event.WhichOneof("payload") or "",
        "payload": event.SerializeToString(),
    }
    later.write(transaction, APPEND, row)


APPEND = insert(outbox)

PUBLISH = text(
    """
    WITH fresh AS (
        SELECT id, row_number() OVER (ORDER BY number) AS place
        FROM (SELECT id, number FROM outbox WHERE position IS NULL
              ORDER BY number LIMIT :most) AS waiting
    )
    UPDATE outbox SET position = (SELECT coalesce(max(position), 0) FROM outbox) + fresh.place
    FROM fresh WHERE outbox.id = fresh.id
    """
).bindparams(most=PUBLISHED_AT_ONCE)


WAITING = select(outbox.c.id).where(outbox.c.position.is_(None)).limit(1)


def publish(database: Database) -> int:
    """Numbers the committed rows that have no position yet; 0 where another publisher is at it."""
    with database.engine.begin() as transaction:
        alone = transaction.execute(
            text("SELECT pg_try_advisory_xact_lock(hashtext(:key))"),
            {"key": f"tael:{database.schema}:publisher"},
        ).scalar()
        return transaction.execute(PUBLISH).rowcount if alone else 0


def publisher(database: Database) -> Callable[[threading.Event], None]:
    """The loop that publishes: at once after a commit of this process, else within 0.2 s; what
    commits close together, together.
    """

    def run(stop: threading.Event) -> None:
        more = True
        while not stop.is_set():
            told = more or database.committed.wait(0.2)
            database.committed.clear()
            published = publish(database) if told or _waits(database) else 0
            more = published == PUBLISHED_AT_ONCE
            if published:
                database.published.ring()
                stop.wait(0 if more else GATHER_SECONDS)

    return run


def _waits(database: Database) -> bool:
    """Whether another process has left something to publish."""
    with database.engine.connect() as connection:
        return connection.execute(WAITING).first() is not None


def watch(
    database: Database, event_type: type[EventT], after: int, going: Callable[[], bool]
) -> Iterator[EventT]:
    """Events after a position, then new ones as they are published, while `going()`.

    Ends without an error when the service stops; the watcher comes back with its position.
    """
    while going() and not database.closing.is_set():
        heard = database.published.rings
        with database.engine.connect() as connection:
            rows = connection.execute(
                select(outbox.c.position, outbox.c.payload)
                .where(outbox.c.position > after)
                .order_by(outbox.c.position)
                .limit(PAGE)
            ).all()
        for row in rows:
            event: Any = event_type.FromString(bytes(row.payload))
            event.position = after = row.position
            yield event
        if len(rows) < PAGE:
            database.published.wait(heard, LOOK_SECONDS)


def consumer(
    database: Database,
    source: str,
    open_watch: Callable[[int], Iterator[Any]],
    handle: Callable[[Connection, Any], None],
) -> Callable[[threading.Event], None]:
    """The loop that reads another service's events and applies each exactly once.

    open_watch(after_position) opens the stream of WatchResponse; handle(transaction, event) makes
    the effect, in the transaction that moves the cursor. A failing event is tried again, not
    skipped.
    """

    def run(stop: threading.Event) -> None:
        with database.begin() as transaction:
            transaction.execute(
                upsert(consumer_cursor).values(source=source, position=0).on_conflict_do_nothing()
            )
            after: int = transaction.execute(
                select(consumer_cursor.c.position).where(consumer_cursor.c.source == source)
            ).scalar_one()
        stream: Any = open_watch(after)
        ended = threading.Event()
        threading.Thread(
            target=_cancel_on_stop, args=(stop, ended, stream), name=f"close-{source}", daemon=True
        ).start()
        try:
            for response in stream:
                apply(database, source, response.event, handle)
        finally:
            ended.set()
            stream.cancel()

    return run


def apply(
    database: Database, source: str, event: Any, handle: Callable[[Connection, Any], None]
) -> None:
    """One event's effect and the cursor's move, together; nothing where it was applied before."""
    with database.begin() as transaction:
        position = transaction.execute(
            select(consumer_cursor.c.position)
            .where(consumer_cursor.c.source == source)
            .with_for_update()
        ).scalar_one()
        if event.position <= position:
            return
        handle(transaction, event)
        transaction.execute(
            update(consumer_cursor)
            .where(consumer_cursor.c.source == source)
            .values(position=event.position)
        )


def _cancel_on_stop(stop: threading.Event, ended: threading.Event, stream: Any) -> None:
    while not ended.is_set():
        if stop.wait(0.1):
            stream.cancel()
            return
