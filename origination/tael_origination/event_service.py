"""EventService: what happened in origination, in commit order."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from tael.origination.v1 import event_pb2, event_pb2_grpc
from tael_runtime import outbox
from tael_runtime.server import Runtime


class Events(event_pb2_grpc.EventServiceServicer):
    """The rpc."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.database

    def Watch(
        self, request: event_pb2.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[event_pb2.WatchResponse]:
        """Events after a position, then new ones while the caller listens."""
        stream = outbox.watch(self._db, event_pb2.Event, request.after_position, context.is_active)
        for event in stream:
            yield event_pb2.WatchResponse(event=event)
