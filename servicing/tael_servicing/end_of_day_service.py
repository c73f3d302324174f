"""EndOfDayService: starts or joins a day end, and lets watch it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from tael.servicing.v1 import end_of_day_pb2 as pb
from tael.servicing.v1 import end_of_day_pb2_grpc
from tael_runtime.fields import optional_date, read_date
from tael_servicing import books
from tael_servicing.desk import Desk
from tael_servicing.end_of_day import run
from tael_servicing.end_of_day.run import DayEnds


class EndOfDay(end_of_day_pb2_grpc.EndOfDayServiceServicer):
    """The stream only watches: a client that goes away stops nothing."""

    def __init__(self, desk: Desk, day_ends: DayEnds) -> None:
        self._desk = desk
        self._db = desk.database
        self._day_ends = day_ends

    def RunEndOfDay(
        self, request: pb.RunEndOfDayRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.RunEndOfDayResponse]:
        """Ends a business date."""
        day = read_date("business_date", request.business_date)
        with self._db.read() as connection:
            known = books.find(connection, request.book_id)
        if known is None:
            books.adopt(self._db, self._desk.ledger, request.book_id)
        run_id = self._day_ends.start(request.book_id, day)
        for now in self._day_ends.watch(run_id, context.is_active):
            yield pb.RunEndOfDayResponse(run=now)

    def GetEndOfDay(
        self, request: pb.GetEndOfDayRequest, context: grpc.ServicerContext
    ) -> pb.GetEndOfDayResponse:
        """One run."""
        day = optional_date(request, "business_date")
        with self._db.read() as connection:
            run_id = run.find(connection, request.book_id, day)
            return pb.GetEndOfDayResponse(run=run.describe(connection, run_id))
