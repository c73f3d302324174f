"""What arrives under an id its sender chose (a payment, a text, a call) is taken once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from sqlalchemy import Connection, Table, func, insert, select, update

from tael.provider.v1.simulator_pb2 import Behaviour
from tael_runtime.database import Database
from tael_runtime.errors import InvalidArgument
from tael_runtime.idempotency import content_hash
from tael_simulators import scripts
from tael_simulators.methods import Method
from tael_simulators.reasons import Reason


def receive(
    database: Database,
    table: Table,
    method: Method,
    request: Message,
    keys: Sequence[str],
    values: Callable[[Behaviour], dict[str, Any]],
    context: grpc.ServicerContext,
) -> None:
    """Keeps what a request brings in `table`, once, with `values` as the next script has it.

    The same id with the same content is counted and shows no script. Raises InvalidArgument
    ID_REUSED for other content, and the scripted failure, before or after the deed as scripted.
    """
    (identity,) = table.primary_key.columns
    sent_id: str = getattr(request, identity.name)
    digest = hashlib.sha256(method.name.encode() + content_hash(request)).digest()
    with database.begin() as transaction:
        if _is_known(transaction, table, sent_id, digest):
            return
        behaviour = scripts.take(transaction, method, keys)
        row = {identity.name: sent_id, "content_hash": digest, **values(behaviour)}
        if behaviour.taken or not behaviour.status_code:
            transaction.execute(insert(table).values(row))

    def arrive() -> None:
        with database.begin() as transaction:
            if not _is_known(transaction, table, sent_id, digest):
                transaction.execute(insert(table).values(row))

    if behaviour.HasField("arrives_after"):
        timer = threading.Timer(behaviour.arrives_after.ToTimedelta().total_seconds(), arrive)
        timer.daemon = True
        timer.start()
    scripts.show(behaviour, context)


def _is_known(transaction: Connection, table: Table, sent_id: str, digest: bytes) -> bool:
    """Whether it came before, which is counted; until the transaction ends it comes nowhere else.

    Raises InvalidArgument ID_REUSED where it came with other content.
    """
    (identity,) = table.primary_key.columns
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"{table.name}:{sent_id}", 0))
    transaction.execute(select(lock))
    kept = transaction.execute(
        update(table)
        .where(identity == sent_id)
        .values(times_sent=table.c.times_sent + 1)
        .returning(table.c.content_hash)
    ).scalar()
    if kept is not None and bytes(kept) != digest:
        raise InvalidArgument(identity.name, "was sent with other content", Reason.ID_REUSED)
    return kept is not None


def reference(kind: str, *parts: str) -> str:
    """The provider's own reference: the same for the same thing asked."""
    return f"{kind}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"
