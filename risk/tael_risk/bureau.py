"""The bureau front end (征信前置): consent, reuse, query, store, audit.

A query is written down before the bureau is asked, so that no question to it goes unrecorded; the
store is not held meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from tael.provider.v1 import bureau_pb2, bureau_pb2_grpc
from tael_risk.consents import ConsentClaim, require_live
from tael_risk.observation_store import NewObservation, record, stored
from tael_risk.observations import Observation
from tael_risk.parameters import Name, serves_since
from tael_risk.people import Person, person_index
from tael_risk.tables import bureau_query as queries
from tael_risk.tables import bureau_report as reports
from tael_runtime.errors import NotFound
from tael_runtime.server import Runtime

KIND = "BUREAU"
TIMEOUT = 3.0
"""Seconds the bureau has to answer."""

FOR_APPROVAL = "02"
"""贷款审批; 01 is 贷后管理."""


SERVED_BY = func.coalesce(func.nullif(queries.c.reused_query_id, ""), queries.c.query_id)
"""The query whose report serves: an earlier one, or the query itself."""
AUDIT = select(
    queries.c.query_id,
    func.coalesce(reports.c.report_number, "").label("report_number"),
    queries.c.operator,
    queries.c.reason_code,
    queries.c.consent_id,
    (queries.c.reused_query_id != "").label("reused"),
    queries.c.queried_at,
).outerjoin(reports, reports.c.query_id == SERVED_BY)


@dataclass(frozen=True)
class Question:
    """A query about to be made."""

    query_id: str
    claim: ConsentClaim
    person: Person
    reason_code: str
    operator: str
    """Who asks."""


@dataclass(frozen=True)
class Report:
    """A bureau report as stored."""

    query_id: str
    report_number: str
    business_date: date
    figures: Mapping[str, int]


@dataclass(frozen=True)
class Query:
    """A query that was made, for the audit."""

    query_id: str
    report_number: str
    """Empty where the bureau did not answer."""
    operator: str
    reason_code: str
    consent_id: str
    reused: bool
    queried_at: datetime


class BureauDesk:
    """Where every bureau report comes from."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._provider = runtime.client("providers", bureau_pb2_grpc.BureauProviderServiceStub)

    def open(self, transaction: Connection, question: Question) -> Report | None:
        """Writes the query down, once; gives the report that serves it where there is one.

        Raises FailedPrecondition CONSENT_MISSING.
        """
        require_live(transaction, question.claim)
        earlier = self._serving(transaction, question)
        transaction.execute(
            insert(queries)
            .values(
                query_id=question.query_id,
                customer_id=question.claim.customer_id,
                operator=question.operator,
                reason_code=question.reason_code,
                consent_id=question.claim.consent_id,
                business_date=question.claim.business_date,
                queried_at=self._runtime.clock.now(),
                reused_query_id=earlier.query_id if earlier else "",
            )
            .on_conflict_do_nothing()
        )
        return earlier

    def ask(self, question: Question) -> Observation:
        """Asks the bureau and stores its answer; what was observed by it.

        Raises grpc.RpcError where the bureau does not answer. Call it outside of any transaction.
        """
        answer = self._provider.QueryReport(
            bureau_pb2.QueryReportRequest(
                name=question.person.name,
                id_number=question.person.id_number,
                consent_id=question.claim.consent_id,
                reason_code=question.reason_code,
            ),
            timeout=TIMEOUT,
        )
        figures = {
            field.name: int(getattr(answer, field.name))
            for field in answer.DESCRIPTOR.fields
            if field.name != "report_number"
        }
        with self._runtime.database.begin() as transaction:
            fresh = transaction.execute(
                insert(reports)
                .values(
                    query_id=question.query_id,
                    customer_id=question.claim.customer_id,
                    person=person_index(self._runtime.cipher, question.person),
                    report_number=answer.report_number,
                    business_date=question.claim.business_date,
                    figures=figures,
                )
                .on_conflict_do_nothing()
            )
            if fresh.rowcount:
                record(transaction, [_observed(question, figures)])
            return stored(transaction, observation_id(question.query_id))

    def _serving(self, transaction: Connection, question: Question) -> Report | None:
        """The newest report on the person that is still valid on the day."""
        claim = question.claim
        query = (
            select(
                reports.c.query_id,
                reports.c.report_number,
                reports.c.business_date,
                reports.c.figures,
            )
            .where(
                reports.c.customer_id == claim.customer_id,
                reports.c.person == person_index(self._runtime.cipher, question.person),
                reports.c.business_date <= claim.business_date,
                reports.c.business_date
                >= serves_since(Name.BUREAU_VALIDITY_DAYS, claim.business_date),
            )
            .order_by(reports.c.business_date.desc(), reports.c.query_id.desc())
        )
        row = transaction.execute(query.limit(1)).one_or_none()
        return Report(**row._asdict()) if row is not None else None


def observation_id(query_id: str) -> str:
    """The observation that a query's report makes."""
    return f"bureau:{query_id}"


def _observed(question: Question, figures: Mapping[str, int]) -> NewObservation:
    return NewObservation(
        observation_id=observation_id(question.query_id),
        customer_id=question.claim.customer_id,
        kind=KIND,
        date=question.claim.business_date,
        facts={name: str(figure) for name, figure in figures.items()},
    )


def queries_about(transaction: Connection, customer_id: str) -> list[Query]:
    """Every query made about a customer, newest first."""
    query = AUDIT.where(queries.c.customer_id == customer_id)
    newest_first = query.order_by(queries.c.queried_at.desc(), queries.c.query_id.desc())
    return [Query(**row._asdict()) for row in transaction.execute(newest_first)]


def query_and_figures(
    transaction: Connection, query_id: str
) -> tuple[Query, Mapping[str, int] | None]:
    """A query with the figures that answer it; None where nothing has yet. Raises NotFound."""
    row = transaction.execute(AUDIT.where(queries.c.query_id == query_id)).one_or_none()
    if row is None:
        raise NotFound("bureau query", query_id)
    query = (
        select(reports.c.figures)
        .join(queries, reports.c.query_id == SERVED_BY)
        .where(queries.c.query_id == query_id)
    )
    return Query(**row._asdict()), transaction.execute(query).scalar_one_or_none()
