"""The face of a service with hot rpcs: coroutines on an event loop, every other handler in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from tael_runtime.faces import SERVING, Ended, Handler, Handlers, Served, bind
from tael_runtime.thread_context import Aborted, ThreadContext

T = TypeVar("T")
END_SECONDS = 5.0
"""For what still runs on a loop that closes."""
LoopContext = grpc.aio.ServicerContext[Any, Any]


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed (not on Windows)."""
    try:
        import uvloop  # noqa: PLC0415  may be absent
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """Ends what still runs there, and the thread."""
        self.submit(_cancel_others()).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=END_SECONDS)


class LoopFace:
    """A grpc.aio server on a loop of its own.

    A handler that awaits holds no thread. The synchronous ones run in threads of ours rather than
    the server's migration pool: that one leaves a thread behind for each stream whose caller went.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._threads = served.threads
        self._thread = LoopThread(f"{served.name}-loop")
        try:
            self._thread.submit(self._make()).result()
        except BaseException:
            self.close()
            raise

    async def _make(self) -> None:
        served = self._served
        handlers = Handlers(
            {
                rpc: in_threads(handler, self._threads)
                for rpc, handler in served.handlers.by_rpc.items()
            }
        )
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, handlers)
        for name in ("", *served.services):
            await self._health.set(name, SERVING)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(served.reflected), handlers
        )
        self._server = grpc.aio.server(
            handlers=[handlers],
            maximum_concurrent_rpcs=served.settings.max_concurrent_rpcs,
            options=served.options,
        )

    def bind(self, listen: str) -> str:
        return bind(self._server, listen, self._served.settings)

    def start(self) -> None:
        self._thread.submit(self._server.start()).result()

    def stop(self, grace: float) -> Ended:
        ended = threading.Event()
        self._thread.submit(self._stop(grace)).add_done_callback(lambda _: ended.set())
        return ended

    async def _stop(self, grace: float) -> None:
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)

    def close(self) -> None:
        self._thread.close()
        self._threads.shutdown(wait=False)


def in_threads(handler: Handler, threads: ThreadPoolExecutor) -> Handler:
    """The handler as a coroutine that waits for a thread, where it is none already."""
    codec = {
        "request_deserializer": handler.request_deserializer,
        "response_serializer": handler.response_serializer,
    }
    if handler.response_streaming:
        assert handler.unary_stream is not None
        return grpc.unary_stream_rpc_method_handler(
            _coroutine(_written(handler.unary_stream), threads), **codec
        )
    if handler.request_streaming:
        assert handler.stream_unary is not None
        return grpc.stream_unary_rpc_method_handler(
            _coroutine(_read(handler.stream_unary), threads), **codec
        )
    assert handler.unary_unary is not None
    if asyncio.iscoroutinefunction(handler.unary_unary):
        return handler
    return grpc.unary_unary_rpc_method_handler(_coroutine(handler.unary_unary, threads), **codec)


def _coroutine(
    work: Callable[[Any, ThreadContext], Any], threads: ThreadPoolExecutor
) -> Callable[[Any, LoopContext], Coroutine[Any, Any, Any]]:
    async def serve(request: Any, context: LoopContext) -> Any:
        loop = asyncio.get_running_loop()
        with ThreadContext(context, loop) as inner:
            try:
                return await loop.run_in_executor(threads, work, request, inner)
            except Aborted as refused:
                return await context.abort_with_status(refused.status)

    return serve


def _written(stream: Callable[..., Iterator[Any]]) -> Callable[[Any, ThreadContext], None]:
    def work(request: Any, context: ThreadContext) -> None:
        for message in stream(request, context):
            if not context.write(message):
                return

    return work


def _read(upload: Callable[..., Any]) -> Callable[[Any, ThreadContext], Any]:
    def work(_requests: Any, context: ThreadContext) -> Any:
        return upload(context.read(), context)

    return work
