"""PromiseService: promises to pay."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc
from tael_collections import cases, days, promise_book
from tael_collections.messages import promise_message
from tael_collections.parameters import house_parameters
from tael_collections.tables import promise
from tael_runtime.fields import read_amount, read_date
from tael_runtime.idempotency import once
from tael_runtime.server import Runtime


class Promises(collections_pb2_grpc.PromiseServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.database

    def RecordPromise(
        self, request: pb.RecordPromiseRequest, context: grpc.ServicerContext
    ) -> pb.RecordPromiseResponse:
        """Records a promise where the rules allow it."""
        due_date = read_date("due_date", request.due_date)

        def work(transaction: Connection) -> pb.RecordPromiseResponse:
            case = cases.lock_open(transaction, request.case_id)
            amount = read_amount("amount", request.amount, case.currency)
            today = days.business_date(transaction, case.book_id)
            made = promise_book.record(
                transaction, case, amount, due_date, today, house_parameters()
            )
            return pb.RecordPromiseResponse(promise=promise_message(made))

        return once(self._db, "RecordPromise", request, pb.RecordPromiseResponse, work)

    def ListPromises(
        self, request: pb.ListPromisesRequest, context: grpc.ServicerContext
    ) -> pb.ListPromisesResponse:
        """A case's promises."""
        with self._db.read() as snapshot:
            cases.get(snapshot, request.case_id)
            found = promise_book.listed(snapshot, promise.c.case_id == request.case_id)
        return pb.ListPromisesResponse(promises=[promise_message(one) for one in found])
