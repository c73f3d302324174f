"""Closed-loop load over grpc.aio: callers that each send their next request when answered."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import grpc
from google.protobuf.message import Message

from tael_client.connection import CHANNEL_OPTIONS

METADATA = (("tael-caller", "bench"),)
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
    """One a request that was refused or lost."""

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
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Requests(Iterator[bytes]):
    """Endless serialised requests: prebuilt bodies in turn, each under a request_id of its own."""

    def __init__(self, bodies: Sequence[Message]) -> None:
        self._bodies = itertools.cycle([body.SerializeToString() for body in bodies])
        self._prefix = uuid4().hex[:12].encode()
        self._numbers = itertools.count(1)

    def __next__(self) -> bytes:
        request_id = b"%s-%012d" % (self._prefix, next(self._numbers))
        return REQUEST_ID_TAG + bytes((len(request_id),)) + request_id + next(self._bodies)


class Generator:
    """The load generator: one event loop, a channel a target. Use it in a with statement."""

    def __init__(self) -> None:
        uvloop = importlib.util.find_spec("uvloop")
        factory = importlib.import_module("uvloop").new_event_loop if uvloop else None
        self._runner = asyncio.Runner(loop_factory=factory)
        self._channels: dict[str, grpc.aio.Channel] = {}

    def run(
        self, target: str, rpc: Rpc, requests: Iterator[bytes], callers: int, seconds: float
    ) -> Run:
        """Keeps so many callers busy for so long; requests under way at the end count."""
        return self._runner.run(self._round(target, rpc, requests, callers, lambda: seconds))

    def run_while(
        self,
        target: str,
        rpc: Rpc,
        requests: Iterator[bytes],
        callers: int,
        busy: Callable[[], bool],
    ) -> Run:
        """Keeps so many callers busy for as long as something else is."""
        return self._runner.run(
            self._round(target, rpc, requests, callers, lambda: float("inf") if busy() else 0)
        )

    async def _round(
        self,
        target: str,
        rpc: Rpc,
        requests: Iterator[bytes],
        callers: int,
        limit: Callable[[], float],
    ) -> Run:
        channel = self._channels.get(target)
        if channel is None:
            channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
            self._channels[target] = channel
        await channel.channel_ready()
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, Any] = channel.unary_unary(
            rpc.path, response_deserializer=rpc.answer.FromString
        )
        run = Run()
        begun = time.perf_counter()

        async def caller() -> None:
            while (sent := time.perf_counter()) - begun < limit():
                try:
                    answer = await call(next(requests), metadata=METADATA)
                except grpc.aio.AioRpcError as error:
                    run.failures.append(f"{error.code().name}: {error.details()}")
                    await asyncio.sleep(0.01)
                    continue
                run.latencies.append(time.perf_counter() - sent)
                run.entries += rpc.entries(answer)

        await asyncio.gather(*(caller() for _ in range(callers)))
        run.seconds = time.perf_counter() - begun
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            self._runner.run(channel.close())
        self._runner.close()
