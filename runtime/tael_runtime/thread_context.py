"""A call that an event loop serves, as a handler in a thread sees it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Never, Self, TypeVar

import grpc

T = TypeVar("T")
Metadata = Any
"""Pairs of key and value."""


@dataclass(frozen=True)
class _Status(grpc.Status):
    code: grpc.StatusCode
    details: str
    trailing_metadata: Metadata = ()


class Aborted(Exception):
    """A handler in a thread ended its call with this status."""

    def __init__(self, status: grpc.Status) -> None:
        super().__init__(status.details)
        self.status = status


class Ended(grpc.RpcError):
    """The call that the handler serves is over: its caller went, or its time."""


class ThreadContext(grpc.ServicerContext):
    """The synchronous context of a call on `loop`; the call is over when the with block is left."""

    def __init__(
        self, call: grpc.aio.ServicerContext[Any, Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._call = call
        self._loop = loop
        self._lock = threading.Lock()
        self._active = True
        self._callbacks: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._active = False
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback()

    def _awaited(self, work: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        """Has the loop do it, unless the call is over: then the loop may be gone too."""
        with self._lock:
            if not self._active:
                raise Ended
            done = asyncio.run_coroutine_threadsafe(work(*arguments), self._loop)
        try:
            return done.result()
        except (grpc.aio.BaseError, asyncio.InvalidStateError, CancelledError) as error:
            raise Ended from error

    def write(self, message: Any) -> bool:
        """Sends one message of the answer; False where nobody waits for it any more."""
        try:
            self._awaited(self._call.write, message)
        except Ended:
            return False
        return True

    def read(self) -> Iterator[Any]:
        """The messages that the caller sends. Raises Ended where it goes before their end.

        An upload that broke off reads like one at its end; but only to a caller who is still there
        can the answer's headers be sent.
        """
        while (message := self._awaited(self._call.read)) is not grpc.aio.EOF:
            yield message
        self._awaited(self._call.send_initial_metadata, ())
        if not self._active:
            raise Ended

    def is_active(self) -> bool:
        return self._active

    def time_remaining(self) -> float:
        return self._call.time_remaining()

    def cancel(self) -> Never:
        self.abort(grpc.StatusCode.CANCELLED, "cancelled by the service")

    def add_callback(self, callback: Callable[[], None]) -> bool:
        with self._lock:
            if self._active:
                self._callbacks.append(callback)
            return self._active

    def abort(self, code: grpc.StatusCode, details: str) -> Never:
        raise Aborted(_Status(code, details))

    def abort_with_status(self, status: grpc.Status) -> Never:
        raise Aborted(status)

    def invocation_metadata(self) -> Metadata:
        return self._call.invocation_metadata()

    def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        self._awaited(self._call.send_initial_metadata, initial_metadata)

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self._call.set_trailing_metadata(trailing_metadata)

    def trailing_metadata(self) -> Metadata:
        return self._call.trailing_metadata()

    def set_code(self, code: grpc.StatusCode) -> None:
        self._call.set_code(code)

    def set_details(self, details: str) -> None:
        self._call.set_details(details)

    def set_compression(self, compression: grpc.Compression) -> None:
        self._call.set_compression(compression)

    def disable_next_message_compression(self) -> None:
        self._call.disable_next_message_compression()

    def peer(self) -> str:
        return self._asked(self._call.peer)

    def peer_identities(self) -> Iterable[bytes] | None:
        return self._asked(self._call.peer_identities)

    def peer_identity_key(self) -> str | None:
        return self._asked(self._call.peer_identity_key)

    def auth_context(self) -> Mapping[str, Any]:
        return self._asked(self._call.auth_context)

    def _asked(self, question: Callable[[], T]) -> T:
        """What only a living connection knows: to ask a call that is over would be a crash."""
        with self._lock:
            if not self._active:
                raise Ended
            return question()
