"""The credit bureau and the other outside data sources."""

from __future__ import annotations

import grpc

from tael.provider.v1 import bureau_pb2 as pb
from tael.provider.v1 import bureau_pb2_grpc
from tael_runtime.database import Database
from tael_simulators import methods, scripts
from tael_simulators.arrivals import reference
from tael_simulators.methods import apply_figures
from tael_simulators.people import CLEAN_MULTI_LENDER, CLEAN_REPORT, person


class Bureau(bureau_pb2_grpc.BureauProviderServiceServicer):
    """Answers by people.py, with scripted figures in their place; key: ID number."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def QueryReport(
        self, request: pb.QueryReportRequest, context: grpc.ServicerContext
    ) -> pb.QueryReportResponse:
        """One person's report."""
        behaviour = scripts.behave(self._db, methods.QUERY_REPORT, (request.id_number,), context)
        number = reference("report", request.id_number, request.consent_id)
        answer = pb.QueryReportResponse(report_number=number)
        differing = person(request.id_number).report
        apply_figures(answer, {**CLEAN_REPORT, **differing, **behaviour.figures})
        return answer


class ExternalData(bureau_pb2_grpc.ExternalDataProviderServiceServicer):
    """Answers by people.py, with scripted figures in their place; key: ID number."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def QueryMultiLender(
        self, request: pb.QueryMultiLenderRequest, context: grpc.ServicerContext
    ) -> pb.QueryMultiLenderResponse:
        """Queries and balances elsewhere."""
        keys = (request.id_number,)
        behaviour = scripts.behave(self._db, methods.QUERY_MULTI_LENDER, keys, context)
        answer = pb.QueryMultiLenderResponse()
        differing = person(request.id_number).multi_lender
        apply_figures(answer, {**CLEAN_MULTI_LENDER, **differing, **behaviour.figures})
        return answer

    def QueryCourtList(
        self, request: pb.QueryCourtListRequest, context: grpc.ServicerContext
    ) -> pb.QueryCourtListResponse:
        """Listed or not; who is listed has one case."""
        keys = (request.id_number,)
        behaviour = scripts.behave(self._db, methods.QUERY_COURT_LIST, keys, context)
        answer = pb.QueryCourtListResponse(listed=person(request.id_number).listed)
        apply_figures(answer, behaviour.figures)
        if answer.listed:
            answer.case_numbers.append(f"（2025）执{request.id_number[:6]}号")
        return answer
