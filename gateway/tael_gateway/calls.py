"""The services behind the bridge: channels, callables, and what of an HTTP request goes along."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tael_client.connection import CHANNEL_OPTIONS
from tael_client.context import new_traceparent
from tael_runtime.errors import InvalidArgument
from tael_runtime.settings import Settings

Metadata = tuple[tuple[str, str], ...]

TIMEOUT_HEADER = "x-timeout-seconds"
DEFAULT_TIMEOUT = 15.0
LONGEST_TIMEOUT = 600.0
HEALTH_TIMEOUT = 2.0
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(headers: Mapping[str, str]) -> str:
    """The caller's W3C trace context, or that of a new trace."""
    given = headers.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else new_traceparent()


def metadata_of(headers: Mapping[str, str], traceparent: str, *, trusting: bool) -> Metadata:
    """Credentials and trace; a caller's bare name only while nothing is authenticated (`trusting`).

    Raises InvalidArgument for a header that gRPC cannot carry.
    """
    passed = ("authorization", "tael-caller") if trusting else ("authorization",)
    found = [(name, headers[name]) for name in passed if name in headers]
    for name, value in found:
        if not (value.isascii() and value.isprintable()):
            raise InvalidArgument(name, "must be printable ASCII")
    return (*found, ("traceparent", traceparent))


def timeout_of(headers: Mapping[str, str], default: float | None) -> float | None:
    """Seconds the caller waits at most. Raises InvalidArgument where the header says no such time."""
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise InvalidArgument(TIMEOUT_HEADER, f"must be seconds, over 0, at most {LONGEST_TIMEOUT}")
    return seconds


class Backends:
    """Channels to the services, opened in the running event loop."""

    def __init__(self, settings: Settings, targets: tuple[str, ...]) -> None:
        self._channels = {name: _open(settings, settings.target(name)) for name in targets}
        self._calls: dict[str, Any] = {}

    def call(self, method: MethodDescriptor) -> Any:
        """The callable of an rpc, made once."""
        if method.full_name not in self._calls:
            service = method.containing_service
            channel = self._channels[service.file.package.split(".")[1]]
            make = channel.unary_stream if method.server_streaming else channel.unary_unary
            self._calls[method.full_name] = make(
                f"/{service.full_name}/{method.name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(
                    method.output_type
                ).FromString,
            )
        return self._calls[method.full_name]

    async def health(self) -> dict[str, str]:
        """Each service's own health, "SERVING" where it is well; a status code where it is silent."""
        states = await asyncio.gather(*map(_health, self._channels.values()))
        return dict(zip(self._channels, states, strict=True))

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()


def _open(settings: Settings, target: str) -> grpc.aio.Channel:
    if not (settings.tls_certificate and settings.tls_key and settings.server_roots):
        return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
    tls = grpc.ssl_channel_credentials(
        settings.server_roots.read_bytes(),
        settings.tls_key.read_bytes(),
        settings.tls_certificate.read_bytes(),
    )
    return grpc.aio.secure_channel(target, tls, options=CHANNEL_OPTIONS)


async def _health(channel: grpc.aio.Channel) -> str:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name
