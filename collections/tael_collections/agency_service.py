"""AgencyService: outside agencies and what is placed with them."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection, select

from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc
from tael_collections import cases, days, placements
from tael_collections.messages import case_answer
from tael_collections.tables import agency
from tael_runtime.idempotency import once
from tael_runtime.server import Runtime


class Agencies(collections_pb2_grpc.AgencyServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.database

    def RegisterAgency(
        self, request: pb.RegisterAgencyRequest, context: grpc.ServicerContext
    ) -> pb.RegisterAgencyResponse:
        """Registers an agency with its commission rate."""

        def work(transaction: Connection) -> pb.RegisterAgencyResponse:
            rate = request.commission_basis_points
            agency_id = placements.register(transaction, request.name, rate)
            return pb.RegisterAgencyResponse(
                agency=pb.Agency(
                    agency_id=agency_id, name=request.name, commission_basis_points=rate
                )
            )

        return once(self._db, "RegisterAgency", request, pb.RegisterAgencyResponse, work)

    def ListAgencies(
        self, request: pb.ListAgenciesRequest, context: grpc.ServicerContext
    ) -> pb.ListAgenciesResponse:
        """Every agency."""
        with self._db.read() as snapshot:
            rows = snapshot.execute(select(agency).order_by(agency.c.agency_id)).mappings()
            return pb.ListAgenciesResponse(agencies=[pb.Agency(**row) for row in rows])

    def PlaceCase(
        self, request: pb.PlaceCaseRequest, context: grpc.ServicerContext
    ) -> pb.PlaceCaseResponse:
        """Places a case for a number of days."""

        def work(transaction: Connection) -> pb.PlaceCaseResponse:
            case = cases.lock_open(transaction, request.case_id)
            today = days.business_date(transaction, case.book_id)
            placed = placements.place(transaction, case, request.agency_id, request.days, today)
            return pb.PlaceCaseResponse(case=case_answer(transaction, placed))

        return once(self._db, "PlaceCase", request, pb.PlaceCaseResponse, work)

    def RecallCase(
        self, request: pb.RecallCaseRequest, context: grpc.ServicerContext
    ) -> pb.RecallCaseResponse:
        """Takes a case back."""

        def work(transaction: Connection) -> pb.RecallCaseResponse:
            case = cases.lock_open(transaction, request.case_id)
            today = days.business_date(transaction, case.book_id)
            recalled = placements.recall(transaction, case, request.reason, today)
            return pb.RecallCaseResponse(case=case_answer(transaction, recalled))

        return once(self._db, "RecallCase", request, pb.RecallCaseResponse, work)
