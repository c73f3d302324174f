"""Streams that break: a real gRPC server ends one after its first message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tael.ledger.v1 import proof_pb2
from tael_gateway.streams import streamed


async def broken_after(first: Any, accept: str) -> list[str]:
    """What the bridge makes of a stream of `first` and then ABORTED."""

    async def serve(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        yield first
        await context.abort(grpc.StatusCode.ABORTED, "somebody changed it")

    handler = grpc.unary_stream_rpc_method_handler(
        serve,
        request_deserializer=proof_pb2.ProveRequest.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("s", {"m": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream(
            "/s/m",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=type(first).FromString,
        )(proof_pb2.ProveRequest())
        try:
            response = await streamed(call, first.DESCRIPTOR, accept, "0" * 32)
            return [str(part) async for part in response.body_iterator]
        finally:
            await server.stop(0)


def test_lines_end_with_the_error() -> None:
    lines = asyncio.run(broken_after(proof_pb2.ProveResponse(), "*/*"))
    assert list(json.loads(lines[0])) == ["result"]
    assert json.loads(lines[1]) == {
        "error": {"code": 10, "message": "somebody changed it", "details": []}
    }


def test_events_end_with_an_error_event() -> None:
    events = asyncio.run(broken_after(proof_pb2.ProveResponse(), "text/event-stream"))
    assert events[0].startswith("data: {")
    assert events[1].startswith('event: error\ndata: {"code": 10')


def test_a_file_that_breaks_does_not_end_as_if_it_were_whole() -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        asyncio.run(broken_after(proof_pb2.ExportJournalResponse(chunk=b"half"), "*/*"))
