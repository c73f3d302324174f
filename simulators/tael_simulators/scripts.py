"""Scripted behaviours: kept in order, shown once each, also to calls that come at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import grpc
from google.rpc import code_pb2, status_pb2
from sqlalchemy import Connection, delete, insert, select

from tael.provider.v1.simulator_pb2 import Behaviour
from tael_runtime.database import Database
from tael_runtime.errors import TaelError
from tael_simulators.methods import Method
from tael_simulators.reasons import Reason
from tael_simulators.tables import script


class ScriptedFailure(TaelError):
    """The status code that a script asked for."""

    def __init__(self, status_code: int) -> None:
        name = code_pb2.Code.Name(status_code)
        super().__init__(Reason.SCRIPTED, f"scripted to answer {name}")
        self._status_code = status_code

    def status(self, domain: str, trace_id: str = "") -> status_pb2.Status:
        """As any error's, with the scripted code."""
        status = super().status(domain, trace_id)
        status.code = self._status_code
        return status


def add(transaction: Connection, method: Method, key: str, behaviours: Sequence[Behaviour]) -> None:
    """Puts behaviours, checked before, behind those already waiting."""
    rows = [
        {"method": method.name, "key": key, "behaviour": behaviour.SerializeToString()}
        for behaviour in behaviours
    ]
    transaction.execute(insert(script), rows)


def take(transaction: Connection, method: Method, keys: Sequence[str]) -> Behaviour:
    """The oldest waiting behaviour for one of the keys or for any; the usual one where none is.

    It is gone when the transaction commits; a call at the same time takes the next one.
    """
    oldest = (
        select(script.c.number)
        .where(script.c.method == method.name, script.c.key.in_(["", *keys]))
        .order_by(script.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    taken = transaction.execute(
        delete(script).where(script.c.number == oldest).returning(script.c.behaviour)
    ).scalar()
    return Behaviour() if taken is None else Behaviour.FromString(bytes(taken))


def show(behaviour: Behaviour, context: grpc.ServicerContext) -> None:
    """Waits as scripted, no longer than the caller does, then raises the scripted failure if any."""
    if seconds := behaviour.delay.ToTimedelta().total_seconds():
        gone = threading.Event()
        if context.add_callback(gone.set):
            gone.wait(seconds)
    if behaviour.status_code:
        raise ScriptedFailure(behaviour.status_code)


def behave(
    database: Database, method: Method, keys: Sequence[str], context: grpc.ServicerContext
) -> Behaviour:
    """Takes and shows the behaviour of a call that changes nothing; what is left is its answer's."""
    with database.begin() as transaction:
        behaviour = take(transaction, method, keys)
    show(behaviour, context)
    return behaviour
