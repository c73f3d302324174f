"""The call under way: who makes it, and the time left and trace that its own calls carry on."""

from __future__ import annotations

import random
import time
from contextvars import ContextVar
from dataclasses import dataclass, field


def new_traceparent() -> str:
    """A W3C traceparent of a new, sampled trace."""
    return f"00-{_digits(128)}-{_digits(64)}-01"


def child_traceparent(parent: str) -> str:
    """The traceparent of a new span in the parent's trace."""
    version, trace, _span, flags = parent.split("-")
    return f"{version}-{trace}-{_digits(64)}-{flags}"


def _digits(bits: int) -> str:
    """Random, never all zero. A name and no secret: the system's randomness costs ten times more."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


@dataclass(frozen=True)
class CallContext:
    """One call under way in this thread."""

    traceparent: str = field(default_factory=new_traceparent)
    """W3C trace context of this call's span."""
    deadline: float | None = None
    """On time.monotonic(); None = none."""
    caller: str = ""
    """Who calls, as authenticated."""
    roles: tuple[str, ...] = ()
    """The caller's."""

    @property
    def trace_id(self) -> str:
        """32 hex digits, the same in every service that the call passes through."""
        return self.traceparent.split("-")[1]

    def seconds_left(self) -> float | None:
        """Time until the deadline; None = unlimited."""
        return None if self.deadline is None else self.deadline - time.monotonic()


_current: ContextVar[CallContext | None] = ContextVar("tael_call", default=None)


def current() -> CallContext | None:
    """The call under way in this thread, where there is one."""
    return _current.get()


def entered(call: CallContext) -> _Entered:
    """`with entered(call):` makes a call the current one."""
    return _Entered(call)


class _Entered:
    """Written out, since every call of every service passes here: a generator costs twice as much."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: CallContext) -> None:
        self._call = call

    def __enter__(self) -> CallContext:
        self._token = _current.set(self._call)
        return self._call

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
