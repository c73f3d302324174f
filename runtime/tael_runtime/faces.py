"""How a service's handlers meet the wire: a thread a call, or an event loop that threads help."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Protocol, Self, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tael_client.connection import MAX_MESSAGE_BYTES
from tael_runtime.settings import Settings

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
SERVING = health_pb2.HealthCheckResponse.SERVING

BREAK_SECONDS = 0.02
"""How long the news may take that an upload did not end but broke off."""


class Handlers(grpc.GenericRpcHandler):
    """Handlers by rpc ("/package.Service/Method").

    Stands for a server where add_XServicer_to_server registers, and answers for all of them in
    one: an aio server waits anew for each method registered with it, at every call.
    """

    def __init__(self, handlers: Mapping[str, Handler] | None = None) -> None:
        self.by_rpc: dict[str, Handler] = dict(handlers or {})

    @classmethod
    def of(cls, servicers: Iterable[tuple[Callable[[Any, Any], None], Any]]) -> Self:
        """Of servicers: (add_XServicer_to_server, servicer)."""
        made = cls()
        for add, servicer in servicers:
            add(servicer, made)
        return made

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Takes a service's handlers."""
        self.by_rpc |= {f"/{service_name}/{name}": each for name, each in method_handlers.items()}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Takes nothing: these are the same handlers once more."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a call."""
        return self.by_rpc.get(handler_call_details.method)


@dataclass(frozen=True)
class Served:
    """What a face serves."""

    name: str
    """Of the service: "ledger"."""
    handlers: Handlers
    services: Sequence[str]
    """Full names of the contracts' services, for health and reflection."""
    settings: Settings
    reuse_port: bool

    @property
    def reflected(self) -> list[str]:
        """Names that reflection tells."""
        return [*self.services, health.SERVICE_NAME, reflection.SERVICE_NAME]

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Threads for calls, and one for each answer and each request that may stream."""
        settings = self.settings
        streams = settings.max_streams + settings.max_uploads
        return ThreadPoolExecutor(settings.threads + streams, thread_name_prefix=self.name)

    @property
    def options(self) -> list[tuple[str, Any]]:
        """Of the server's channel."""
        return [
            ("grpc.so_reuseport", int(self.reuse_port)),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ]


class Ended(Protocol):
    """An end that may be waited for."""

    def wait(self) -> object:
        """Blocks until it came."""


class Face(Protocol):
    """A server of one service."""

    def bind(self, listen: str) -> str:
        """Takes host:port; returns it with the port that it became."""

    def start(self) -> None:
        """Serves from here on."""

    def stop(self, grace: float) -> Ended:
        """Refuses new calls; those under way have `grace` seconds. Not yet at its end on return."""

    def close(self) -> None:
        """Gives up what it holds; called once, last, whether it was started or not."""


class ThreadedFace:
    """One thread a call: best where handlers wait for the store themselves."""

    def __init__(self, served: Served) -> None:
        for rpc, handler in served.handlers.by_rpc.items():
            if iscoroutinefunction(handler.unary_unary):
                raise TypeError(f"{rpc} is async def: its Service must be asynchronous")
        self._served = served
        self._server = grpc.server(
            served.threads,
            handlers=[Handlers({rpc: _unbroken(h) for rpc, h in served.handlers.by_rpc.items()})],
            maximum_concurrent_rpcs=served.settings.max_concurrent_rpcs,
            options=served.options,
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for name in ("", *served.services):
            self._health.set(name, SERVING)
        reflection.enable_server_reflection(served.reflected, self._server)

    def bind(self, listen: str) -> str:
        return bind(self._server, listen, self._served.settings)

    def start(self) -> None:
        self._server.start()

    def stop(self, grace: float) -> Ended:
        self._health.enter_graceful_shutdown()
        return self._server.stop(grace)

    def close(self) -> None:
        """Nothing is held beyond `stop`."""


def _unbroken(handler: Handler) -> Handler:
    """The handler, told when an upload broke off: to it that looks like the upload's end.

    That the caller went comes in with the end or at once after it, on the same queue.
    """
    upload = handler.stream_unary
    if upload is None:
        return handler

    def whole(requests: Iterator[Any], gone: threading.Event) -> Iterator[Any]:
        yield from requests
        if gone.wait(BREAK_SECONDS):
            raise grpc.RpcError

    def serve(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        gone = threading.Event()
        if not context.add_callback(gone.set):
            gone.set()
        return upload(whole(requests, gone), context)

    return grpc.stream_unary_rpc_method_handler(
        serve, handler.request_deserializer, handler.response_serializer
    )


def bind(server: grpc.Server | grpc.aio.Server, listen: str, settings: Settings) -> str:
    """Opens host:port, with TLS where the settings say so; returns it with its actual port."""
    host = listen.rpartition(":")[0]
    if settings.tls_certificate and settings.tls_key:
        authority = settings.tls_client_authority
        tls = grpc.ssl_server_credentials(
            [(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())],
            authority.read_bytes() if authority else None,
            require_client_auth=authority is not None,
        )
        return f"{host}:{server.add_secure_port(listen, tls)}"
    return f"{host}:{server.add_insecure_port(listen)}"
