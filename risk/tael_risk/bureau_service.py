"""BureauService: the contract's face of the bureau front end."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from sqlalchemy import Connection

from tael.risk.v1 import bureau_pb2, bureau_pb2_grpc
from tael_client.values import from_instant
from tael_risk.bureau import BureauDesk, Query, Question, queries_about, query_and_figures
from tael_risk.consents import ConsentClaim, await_known
from tael_risk.people import read_person
from tael_runtime import idempotency
from tael_runtime.fields import read_date
from tael_runtime.ids import new_id
from tael_runtime.server import Runtime


class Bureau(bureau_pb2_grpc.BureauServiceServicer):
    """Asks the bureau, and shows who asked."""

    def __init__(self, runtime: Runtime) -> None:
        self._database = runtime.database
        self._desk = BureauDesk(runtime)

    def QueryBureau(
        self, request: bureau_pb2.QueryBureauRequest, context: grpc.ServicerContext
    ) -> bureau_pb2.QueryBureauResponse:
        """A report on a person: a valid one reused, else a new one.

        The first transaction keeps the query's id; a repetition goes on from there.
        """
        del context
        business_date = read_date("business_date", request.business_date)
        await_known(self._database, request.consent_id)

        def question(query_id: str) -> Question:
            return Question(
                query_id=query_id,
                claim=ConsentClaim(request.consent_id, request.customer_id, business_date),
                person=read_person(request.person),
                reason_code=request.reason_code,
                operator=idempotency.current_caller(),
            )

        def begin(transaction: Connection) -> bureau_pb2.QueryBureauResponse:
            query_id = new_id("bq")
            self._desk.open(transaction, question(query_id))
            return bureau_pb2.QueryBureauResponse(query=bureau_pb2.BureauQuery(query_id=query_id))

        begun = idempotency.once(
            self._database, "QueryBureau", request, bureau_pb2.QueryBureauResponse, begin
        )
        query_id = begun.query.query_id
        query, figures = self._answer(query_id)
        if figures is None:
            self._desk.ask(question(query_id))
            query, figures = self._answer(query_id)
        return bureau_pb2.QueryBureauResponse(query=_message(query), figures=figures)

    def ListBureauQueries(
        self, request: bureau_pb2.ListBureauQueriesRequest, context: grpc.ServicerContext
    ) -> bureau_pb2.ListBureauQueriesResponse:
        """Every query about a customer, newest first."""
        del context
        with self._database.engine.connect() as connection:
            queries = queries_about(connection, request.customer_id)
        return bureau_pb2.ListBureauQueriesResponse(queries=map(_message, queries))

    def _answer(self, query_id: str) -> tuple[Query, Mapping[str, int] | None]:
        with self._database.engine.connect() as connection:
            return query_and_figures(connection, query_id)


def _message(query: Query) -> bureau_pb2.BureauQuery:
    return bureau_pb2.BureauQuery(
        query_id=query.query_id,
        report_number=query.report_number,
        operator=query.operator,
        reason_code=query.reason_code,
        consent_id=query.consent_id,
        reused=query.reused,
        queried_at=from_instant(query.queried_at),
    )
