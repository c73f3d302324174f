"""Closed-loop load: callers that each send their next request as soon as they are answered."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from bench.wire import Wire

REQUEST_ID_TAG = b"\x0a"
"""Field 1, length-delimited: where every posting request carries its request_id."""


@dataclass(frozen=True)
class Rpc:
    """A unary rpc under load."""

    path: str
    """ "/tael.ledger.v1.LedgerService/PostEntries"."""
    answer: type[Message]
    entries: Callable[[Any], int]
    """How many entries an answer acknowledges."""


@dataclass
class Run:
    """What one round gave."""

    seconds: float = 0
    entries: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds, one an answered request."""
    failures: list[str] = field(default_factory=list)
    """What was said of each request that was refused, in whole or in part, or lost."""

    @property
    def rate(self) -> float:
        """Acknowledged entries a second."""
        return self.entries / self.seconds

    def latency(self, share: float) -> float:
        """The latency within which this share of the requests was answered, in seconds."""
        return percentile(self.latencies, share)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


class Requests(Iterator[bytes]):
    """Endless serialised requests: prebuilt bodies in turn, each under a request_id of its own."""

    def __init__(self, bodies: Sequence[Message]) -> None:
        self._bodies = itertools.cycle([body.SerializeToString() for body in bodies])
        self._prefix = uuid4().hex[:12].encode()
        self._numbers = itertools.count(1)

    def __next__(self) -> bytes:
        request_id = b"%s-%012d" % (self._prefix, next(self._numbers))
        return REQUEST_ID_TAG + bytes((len(request_id),)) + request_id + next(self._bodies)


def run(
    target: str,
    rpc: Rpc,
    requests: Iterator[bytes],
    callers: int,
    busy: Callable[[float], bool],
) -> Run:
    """Keeps so many callers busy while `busy(seconds since the begin)`; all they sent counts."""
    found = Run()
    with closing(Wire(target, rpc.path)) as wire:
        begun = time.perf_counter()
        sent = {wire.send(next(requests)): begun for _ in range(callers)}
        while sent:
            for call, answer in wire.receive():
                now = time.perf_counter()
                found.latencies.append(now - sent.pop(call))
                _count(found, rpc, answer)
                if busy(now - begun):
                    sent[wire.send(next(requests))] = now
        found.seconds = time.perf_counter() - begun
    return found


def run_for(target: str, rpc: Rpc, requests: Iterator[bytes], callers: int, seconds: float) -> Run:
    """Keeps so many callers busy for so long; raises RuntimeError where a request fails."""
    found = run(target, rpc, requests, callers, lambda since: since < seconds)
    if found.failures:
        sent = len(found.latencies)
        raise RuntimeError(f"{len(found.failures)} of {sent} requests failed: {found.failures[0]}")
    return found


def _count(found: Run, rpc: Rpc, answer: bytes | str) -> None:
    if isinstance(answer, str):
        found.failures.append(answer)
        return
    message = rpc.answer.FromString(answer)
    found.entries += rpc.entries(message)
    if refusals := getattr(message, "refusals", ()):
        found.failures.append(str(refusals[0]))
