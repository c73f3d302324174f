"""EventService: what happened in servicing, in commit order."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from tael.servicing.v1 import event_pb2 as pb
from tael.servicing.v1 import event_pb2_grpc
from tael_runtime import outbox
from tael_runtime.database import Database


class Events(event_pb2_grpc.EventServiceServicer):
    """Streams the outbox."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def Watch(
        self, request: pb.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchResponse]:
        """Events after a position, then new ones."""
        for event in outbox.watch(self._db, pb.Event, request.after_position, context.is_active):
            yield pb.WatchResponse(event=event)
