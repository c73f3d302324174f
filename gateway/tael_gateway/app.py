"""The bridge as an ASGI application: one catch-all route over the contracts' bindings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tael_gateway import contracts
from tael_gateway.calls import (
    DEFAULT_TIMEOUT,
    Backends,
    metadata_of,
    timeout_of,
    traceparent_of,
)
from tael_gateway.docs import CONTENT_POLICY, page
from tael_gateway.errors import BodyTooLarge, NotJson, passed_on, refused
from tael_gateway.http_rules import Binding, Routes, bindings
from tael_gateway.openapi import document
from tael_gateway.streams import streamed
from tael_gateway.transcode import IDEMPOTENCY_KEY, identify, json_of, request_of
from tael_runtime.errors import Internal, NotFound, Reason, TaelError
from tael_runtime.settings import Settings
from tael_runtime.telemetry import configure_logging

MAX_BODY_BYTES = 4 * 1024 * 1024
ANY_VERB = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


class Bridge:
    """Answers HTTP requests with the services' answers."""

    def __init__(self, settings: Settings) -> None:
        services = [s for target in contracts.TARGETS for s in contracts.services(target)]
        served = [binding for service in services for binding in bindings(service)]
        self._settings = settings
        self._routes = Routes(served)
        self._document = document(served, contracts.image())
        self._page = page(self._document)
        self._backends: Backends | None = None

    @property
    def backends(self) -> Backends:
        """The services behind; there while the application runs."""
        assert self._backends is not None, "the application's lifespan has not begun"
        return self._backends

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Opens the channels in the server's event loop, closes them after the last answer."""
        self._backends = Backends(self._settings, contracts.TARGETS)
        yield
        await self._backends.close()

    async def handle(self, request: Request) -> Response:
        """Any request to an annotated rpc."""
        traceparent = traceparent_of(request.headers)
        trace_id = traceparent.split("-")[1]
        try:
            path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
            binding, variables = self._routes.find(request.method, path)
            query = request.query_params.multi_items()
            message = request_of(binding, variables, query, await _body(request))
            identify(message, request.headers.get(IDEMPOTENCY_KEY))
            trusting = not self._settings.jwt_key
            metadata = metadata_of(request.headers, traceparent, trusting=trusting)
            timeout = timeout_of(request.headers, _default_timeout(binding))
            call = self.backends.call(binding.method)(message, metadata=metadata, timeout=timeout)
            if binding.method.server_streaming:
                accept = request.headers.get("accept", "")
                return await streamed(call, binding.method.output_type, accept, trace_id)
            return Response(json_of(await call), media_type="application/json")
        except TaelError as error:
            return refused(error, trace_id)
        except grpc.aio.AioRpcError as error:
            return passed_on(error, trace_id)

    async def openapi(self, _request: Request) -> Response:
        """The OpenAPI document of every route."""
        return JSONResponse(self._document)

    async def docs(self, _request: Request) -> Response:
        """The same, for people to read."""
        return HTMLResponse(self._page, headers={"content-security-policy": CONTENT_POLICY})

    async def healthz(self, _request: Request) -> Response:
        """Every service's health; 503 unless all of them serve."""
        targets = await self.backends.health()
        well = all(state == "SERVING" for state in targets.values())
        status = "SERVING" if well else "NOT_SERVING"
        return JSONResponse({"status": status, "targets": targets}, 200 if well else 503)


def _default_timeout(binding: Binding) -> float | None:
    return None if binding.method.server_streaming else DEFAULT_TIMEOUT


async def _body(request: Request) -> bytes:
    """The body, read no further than the limit. Raises BodyTooLarge, NotJson."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(MAX_BODY_BYTES)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media_type != "application/json":
        raise NotJson(media_type)
    return bytes(body)


async def _fault(request: Request, _error: Exception) -> Response:
    """A fault of the bridge's own, told without detail; the server logs it after this answer."""
    fault = Internal(Reason.INTERNAL, "a fault in the bridge; see its log")
    return refused(fault, traceparent_of(request.headers).split("-")[1])


async def _nowhere(request: Request, _error: Exception) -> Response:
    """A path that no route takes, a line break in it for one."""
    return refused(
        NotFound("route", request.url.path), traceparent_of(request.headers).split("-")[1]
    )


def build(settings: Settings) -> Starlette:
    """The application of given settings."""
    bridge = Bridge(settings)
    return Starlette(
        routes=[
            Route("/openapi.json", bridge.openapi),
            Route("/docs", bridge.docs),
            Route("/healthz", bridge.healthz),
            Route("/{path:path}", bridge.handle, methods=ANY_VERB),
        ],
        exception_handlers={404: _nowhere, Exception: _fault},
        lifespan=bridge.lifespan,
    )


def from_environment() -> Starlette:
    """The application of TAEL_* settings: what each worker process runs."""
    settings = Settings()
    configure_logging("gateway", settings.log_level)
    return build(settings)
