"""Callers who insist: they repeat a call under its request_id until it is answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from ledger.simulation.operations import STREAMS, SYSTEM, Heard, Operation

from support import refusal
from tael.ledger.v1 import accounting_pb2_grpc, ledger_pb2_grpc, proof_pb2_grpc
from tael_client import Connection, Credentials
from tael_client.connection import CHANNEL_OPTIONS

T = TypeVar("T")
PATIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN")
PATIENCE = 120.0
"""Seconds after which a caller gives up."""
NAMES = {SYSTEM: "", "maker": "maker", "checker": "checker"}
"""The name that each of them gives."""
LEDGER = frozenset(ledger_pb2_grpc.LedgerServiceServicer.__dict__)


class Impatience(AssertionError):
    """A call that nobody answered."""


def insist(call: Callable[[], T]) -> T:
    """Repeats a call until it is answered or refused."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if refusal(error)[0] not in PATIENT:
                raise
            if time.monotonic() > end:
                raise Impatience(str(error)) from error
            time.sleep(0.05)


def ask_until_answered(call: Callable[[], Message]) -> Heard:
    """The answer, or the reason of the refusal."""
    try:
        return insist(call)
    except grpc.RpcError as error:
        code, reason = refusal(error)
        return reason or code


class Callers:
    """Some callers with a channel each, to ledgers in turn; queries go over the first one's."""

    def __init__(self, targets: Sequence[str], count: int) -> None:
        self._targets = targets
        self._connections = [
            {
                who: Connection(targets[place % len(targets)], Credentials(caller=name), timeout=20)
                for who, name in NAMES.items()
            }
            for place in range(count)
        ]
        self._pool = ThreadPoolExecutor(2 * count)
        first = self._connections[0][SYSTEM]
        self.ledger = first.stub(ledger_pb2_grpc.LedgerServiceStub)
        self.accounting = first.stub(accounting_pb2_grpc.AccountingServiceStub)
        self.proof = first.stub(proof_pb2_grpc.ProofServiceStub)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        for connections in self._connections:
            for connection in connections.values():
                connection.close()

    def all_at_once(self, operations: list[Operation], hang_ups: dict[int, float]) -> list[Heard]:
        """Each from a caller of its own; `hang_ups`: seconds after which one hangs up and repeats."""
        heard = [
            self._pool.submit(self._send, place, operation, hang_ups.get(place))
            for place, operation in enumerate(operations)
        ]
        return [one.result() for one in heard]

    def beside(self, call: Callable[[], T]) -> Future[T]:
        """Something asked while the others call."""
        return self._pool.submit(call)

    def _send(self, place: int, operation: Operation, hang_up: float | None) -> Heard:
        if hang_up is not None:
            target = self._targets[place % len(self._targets)]
            _hang_up(target, operation, hang_up)
        connection = self._connections[place % len(self._connections)][operation.caller]
        return ask_until_answered(lambda: _call(connection, operation))


def _hang_up(target: str, operation: Operation, seconds: float) -> None:
    """Sends the operation and closes the channel, whether it was answered or not."""
    with grpc.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        method = _method(operation.rpc, _stub(operation.rpc)(channel))
        request = iter(operation.parts) if operation.rpc in STREAMS else operation.parts[0]
        metadata = (("tael-caller", NAMES[operation.caller]),)
        method.future(request, timeout=20, metadata=metadata)
        time.sleep(seconds)


def _stub(rpc: str) -> Callable[[grpc.Channel], Any]:
    if rpc in LEDGER:
        return ledger_pb2_grpc.LedgerServiceStub
    return accounting_pb2_grpc.AccountingServiceStub


def _method(rpc: str, stub: Any) -> Any:
    return getattr(stub, rpc)


def _call(connection: Connection, operation: Operation) -> Message:
    method = _method(operation.rpc, connection.stub(_stub(operation.rpc)))
    if operation.rpc in STREAMS:
        answer: Message = method(iter(operation.parts))
    else:
        answer = method(operation.parts[0])
    return answer
