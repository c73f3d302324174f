"""Server streams over HTTP: newline-delimited JSON, server-sent events, or a file's bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from starlette.responses import StreamingResponse

from tael_gateway.errors import as_json, status_of
from tael_gateway.transcode import json_of

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
FILE = "application/octet-stream"


def chunk_field(message: Descriptor) -> FieldDescriptor | None:
    """The one field of a message that is nothing but a piece of a file."""
    only = message.fields[0] if len(message.fields) == 1 else None
    return only if only is not None and only.type == FieldDescriptor.TYPE_BYTES else None


async def streamed(call: Any, answer: Descriptor, accept: str, trace_id: str) -> StreamingResponse:
    """The response to a started call; raises AioRpcError where it is refused before its first message.

    Lines are {"result": …}, and {"error": google.rpc.Status} where the stream breaks. A file that
    breaks ends without its last HTTP chunk, so that no client takes it for whole.
    """
    first = await call.read()
    if (chunk := chunk_field(answer)) is not None:
        return StreamingResponse(_file(call, first, chunk.name), media_type=FILE)
    events = EVENTS in accept
    lines = _lines(call, first, trace_id, events=events)
    return StreamingResponse(lines, media_type=EVENTS if events else NDJSON)


async def _messages(call: Any, first: Message) -> AsyncIterator[Message]:
    try:
        message: Any = first  # grpc.aio.EOF stands for the end
        while message is not grpc.aio.EOF:
            yield message
            message = await call.read()
    finally:
        call.cancel()


async def _lines(call: Any, first: Message, trace_id: str, *, events: bool) -> AsyncIterator[str]:
    try:
        async for message in _messages(call, first):
            told = json_of(message)
            yield f"data: {told}\n\n" if events else f'{{"result": {told}}}\n'
    except grpc.aio.AioRpcError as error:
        broken = json.dumps(as_json(status_of(error, trace_id)), ensure_ascii=False)
        yield f"event: error\ndata: {broken}\n\n" if events else f'{{"error": {broken}}}\n'


async def _file(call: Any, first: Message, field: str) -> AsyncIterator[bytes]:
    async for message in _messages(call, first):
        yield getattr(message, field)
