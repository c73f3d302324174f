"""A service's store: its schema, role, pool and migrations in PostgreSQL (DESIGN.md §4)."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import structlog
from sqlalchemy import Connection, Engine, MetaData, Select, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tael_runtime import later
from tael_runtime.crypto import Cipher, open_cipher
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.migrations import upgrade
from tael_runtime.settings import Settings
from tael_runtime.tables import EVENT_TRIGGERS

log = structlog.get_logger()

REPEATABLE = ("08", "57P", "40001", "40P01", "55P03")
"""SQLSTATEs after which the same call may succeed: lost connection, shutdown or crash, serialisation
failure, deadlock, lock not available."""


COPIED_TO = "tael_copied_to"
"""The option of a query whose rows are copied out."""
EVENTS = "tael_events"
"""Marks a connection whose transaction wrote to the outbox."""


KEEPALIVES = {"idle": 15, "interval": 5, "count": 3}
"""Seconds, seconds and tries: within half a minute each end of a connection over TCP knows that the
other is gone, and the store frees what a lost machine had locked."""


class Bell:
    """Wakes who waits for something new; a ring since they looked is not missed."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
        self.rings = 0

    def ring(self) -> None:
        """Wakes all who wait."""
        with self._rung:
            self.rings += 1
            self._rung.notify_all()

    def wait(self, heard: int, seconds: float) -> None:
        """Until it has rung more often than `heard`, or for `seconds`."""
        with self._rung:
            self._rung.wait_for(lambda: self.rings > heard, seconds)


class Database:
    """One service's schema. Build it with `open_database`; dispose of it with `close`."""

    def __init__(self, schema: str, engine: Engine, cipher: Cipher) -> None:
        self.schema = schema
        self.engine = engine
        self.cipher = cipher
        """Seals personal data, and keys every hash over it."""
        self.committed = threading.Event()
        """Set after each commit that wrote events through `begin`: wakes the publisher."""
        self.published = Bell()
        """Rung when this process has published events: wakes those who watch them."""
        self.closing = threading.Event()
        """Set when the service stops: streams that follow the store end, and hold up no drain."""

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by any exception."""
        with self.engine.begin() as connection:
            connection.info.pop(EVENTS, None)
            yield connection
            told = connection.info.pop(EVENTS, False)
        if told:
            self.committed.set()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only snapshot: every statement in it sees the same state."""
        with self.engine.connect() as connection:
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Closes the pool."""
        self.engine.dispose()


def copy_out(connection: Connection, query: Select[Any], sink: IO[bytes]) -> None:
    """Writes the rows of a query as CSV, as the store copies them out: none becomes an object."""
    connection.execute(query, execution_options={COPIED_TO: sink})


def is_lost(error: BaseException) -> bool:
    """Whether the store went away or asks to be asked again, rather than refused."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout)
    code: str = getattr(error.orig, "pgcode", None) or ""
    return error.connection_invalidated or not code or code.startswith(REPEATABLE)


def open_database(
    settings: Settings, service: str, package: str, metadata: MetaData, pool_size: int = 0
) -> Database:
    """The service's store, migrated and granted; starts the embedded cluster where there is no URL."""
    own = settings.service(service)
    role = f"tael_{service}"
    if own.database_url:
        url, owner_url = make_url(own.database_url), make_url(own.migration_url)
        role = url.username or role
    else:
        cluster = EmbeddedPostgres(settings.data_dir, settings.pg_bindir)
        cluster.start()
        admin = _engine(cluster.url("postgres", "tael"))
        _ensure_database(admin, settings.database_name)
        _ensure_role(admin, role)
        admin.dispose()
        url = make_url(cluster.url(settings.database_name, role))
        owner_url = make_url(cluster.url(settings.database_name, "tael"))
    owner = _engine(owner_url, search_path=service)
    upgrade(owner, service, package)
    _grant(owner, service, role, metadata)
    _warn_of_missing(owner, service, metadata)
    owner.dispose()
    size = pool_size or settings.threads + 4
    engine = _engine(url, search_path=service, pool_size=size, max_overflow=8)
    return Database(service, engine, open_cipher(settings))


def _engine(url: Any, search_path: str = "", **pool: Any) -> Engine:
    # Compiling a plan costs more than any statement here would gain by it.
    # A prepared statement is planned for its values, not once for the tables as they were then.
    options = "-c timezone=UTC -c lock_timeout=30s -c jit=off -c plan_cache_mode=force_custom_plan"
    if search_path:
        options += f" -c search_path={search_path}"
    options += "".join(f" -c tcp_keepalives_{name}={value}" for name, value in KEEPALIVES.items())
    connect = {f"keepalives_{name}": value for name, value in KEEPALIVES.items()}
    connect_args = {"options": options, **connect}
    engine = create_engine(url, connect_args=connect_args, hide_parameters=True, **pool)
    _check_when_taken(engine)
    event.listen(engine, "do_execute", _copy)
    later.install(engine)
    return engine


def _copy(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Executes what is copied out; False of what is not."""
    sink = context.execution_options.get(COPIED_TO) if context else None
    if sink is None:
        return False
    query = cursor.mogrify(statement, parameters).decode()
    cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", sink)
    return True


def _check_when_taken(engine: Engine) -> None:
    """Connections that the server left are not handed out; what it costs is no round trip.

    A server that says something unasked says farewell, as a rule; only then is it asked.
    """

    def check(taken: Any, *_: object) -> None:
        try:
            if taken.closed or _readable(taken.fileno()):
                engine.dialect.do_ping(taken)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkout", check)


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _ensure_database(admin: Engine, name: str) -> None:
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtext('tael:database'))"))
        found = connection.execute(
            text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}
        ).scalar()
        if not found:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        # Nothing needs temporary tables, and in a session they stand before a schema's own.
        connection.execute(text(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC'))
        connection.execute(text("SELECT pg_advisory_unlock(hashtext('tael:database'))"))


def _ensure_role(admin: Engine, role: str) -> None:
    with admin.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tael:roles'))"))
        found = connection.execute(
            text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}
        ).scalar()
        if not found:
            connection.execute(text(f'CREATE ROLE "{role}" LOGIN'))


def _grant(owner: Engine, schema: str, role: str, metadata: MetaData) -> None:
    """What the service's role may do: everything with rows, except where their table is marked."""
    if owner.url.username == role:
        return
    statements = [
        f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON {_named(metadata)} TO "{role}"',
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO "{role}"',
        f'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "{schema}" TO "{role}"',
    ]
    if frozen := _named(metadata, "append_only"):
        statements.append(f'REVOKE UPDATE, DELETE, TRUNCATE ON {frozen} FROM "{role}"')
    if kept := _named(metadata, "kept"):
        statements.append(f'REVOKE DELETE, TRUNCATE ON {kept} FROM "{role}"')
    with owner.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock(hashtext('tael:{schema}'))"))
        for statement in statements:
            connection.execute(text(statement))


def _named(metadata: MetaData, mark: str = "") -> str:
    """The tables with a mark, or all, as a statement lists them."""
    return ", ".join(
        f'"{table.name}"' for table in metadata.sorted_tables if not mark or table.info.get(mark)
    )


def _warn_of_missing(owner: Engine, service: str, metadata: MetaData) -> None:
    """Says which event triggers the store lacks: only a superuser can create them."""
    wanted = metadata.info.get(EVENT_TRIGGERS, ())
    if not wanted:
        return
    there = "SELECT evtname FROM pg_event_trigger WHERE evtenabled IN ('O', 'A')"
    with owner.connect() as connection:
        found = set(connection.scalars(text(there)))
    if missing := sorted(set(wanted) - found):
        log.warning(
            "the store lets its owner drop, rename, rewrite and detach tables: it lacks event triggers",
            service=service,
            missing=missing,
        )
