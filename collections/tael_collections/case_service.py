"""CaseService: who works which case, and what happened to it."""

from __future__ import annotations

import grpc
from sqlalchemy import ColumnElement, Connection, func, select

from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc
from tael_client.values import from_date
from tael_collections import cases, days, holds
from tael_collections.assignment import Collector, PoolCase, assign
from tael_collections.buckets import Bucket
from tael_collections.messages import case_answer, case_message
from tael_collections.reasons import Reason
from tael_collections.tables import business_day, case_history, debt_case, promise
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_date
from tael_runtime.idempotency import once
from tael_runtime.server import Runtime

DEFAULT_PAGE = 50


class Cases(collections_pb2_grpc.CaseServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.database

    def GetCase(
        self, request: pb.GetCaseRequest, context: grpc.ServicerContext
    ) -> pb.GetCaseResponse:
        """One case."""
        with self._db.read() as snapshot:
            case = cases.get(snapshot, request.case_id)
            return pb.GetCaseResponse(case=case_answer(snapshot, case))

    def ListCases(
        self, request: pb.ListCasesRequest, context: grpc.ServicerContext
    ) -> pb.ListCasesResponse:
        """A page by case_id."""
        size = request.page_size or DEFAULT_PAGE
        query = (
            select(debt_case)
            .where(debt_case.c.case_id > request.page_token, *_filters(request))
            .order_by(debt_case.c.case_id)
            .limit(size + 1)
        )
        with self._db.read() as snapshot:
            rows = list(snapshot.execute(query).mappings())
            found = [cases.from_row(row) for row in rows[:size]]
            loans = cases.loans_of(snapshot, [case.case_id for case in found])
            return pb.ListCasesResponse(
                cases=[case_message(case, loans[case.case_id]) for case in found],
                next_page_token=found[-1].case_id if len(rows) > size else "",
            )

    def AssignCases(
        self, request: pb.AssignCasesRequest, context: grpc.ServicerContext
    ) -> pb.AssignCasesResponse:
        """One assigner at a time; loads are what each collector holds already."""
        names = [collector.name for collector in request.collectors]
        if len(set(names)) < len(names):
            raise InvalidArgument("collectors", "each collector once")

        def work(transaction: Connection) -> pb.AssignCasesResponse:
            cases.lock_pool(transaction)
            loads = _loads(transaction)
            on_duty = [
                Collector(one.name, one.capacity, Bucket(one.skill), loads.get(one.name, 0))
                for one in request.collectors
            ]
            answer = assign(_pool(transaction), on_duty)
            for case_id, collector in answer.made:
                today = days.business_date(transaction, cases.get(transaction, case_id).book_id)
                cases.change(transaction, case_id, collector=collector)
                cases.record(transaction, case_id, "ASSIGNED", today, f"to {collector}")
            return pb.AssignCasesResponse(
                assignments=[
                    pb.Assignment(case_id=case_id, collector=collector)
                    for case_id, collector in answer.made
                ],
                unassigned=len(answer.unassigned),
            )

        return once(self._db, "AssignCases", request, pb.AssignCasesResponse, work)

    def TransferCase(
        self, request: pb.TransferCaseRequest, context: grpc.ServicerContext
    ) -> pb.TransferCaseResponse:
        """Gives a case to another collector."""

        def work(transaction: Connection) -> pb.TransferCaseResponse:
            case = cases.lock_open(transaction, request.case_id)
            if case.collector == request.collector:
                raise FailedPrecondition(
                    Reason.SAME_COLLECTOR, f"{case.collector} has it", case.case_id
                )
            today = days.business_date(transaction, case.book_id)
            note = f"{case.collector or 'nobody'} → {request.collector}: {request.reason}"
            cases.record(transaction, case.case_id, "TRANSFERRED", today, note)
            moved = cases.change(transaction, case.case_id, collector=request.collector)
            return pb.TransferCaseResponse(case=case_answer(transaction, moved))

        return once(self._db, "TransferCase", request, pb.TransferCaseResponse, work)

    def HoldCase(
        self, request: pb.HoldCaseRequest, context: grpc.ServicerContext
    ) -> pb.HoldCaseResponse:
        """Stops all contact until a day."""
        until = read_date("until", request.until)

        def work(transaction: Connection) -> pb.HoldCaseResponse:
            case = cases.lock_open(transaction, request.case_id)
            today = days.business_date(transaction, case.book_id)
            held = holds.hold(transaction, case, until, request.reason, today)
            return pb.HoldCaseResponse(case=case_answer(transaction, held))

        return once(self._db, "HoldCase", request, pb.HoldCaseResponse, work)

    def ReleaseCase(
        self, request: pb.ReleaseCaseRequest, context: grpc.ServicerContext
    ) -> pb.ReleaseCaseResponse:
        """Ends a hold."""

        def work(transaction: Connection) -> pb.ReleaseCaseResponse:
            case = cases.lock_open(transaction, request.case_id)
            today = days.business_date(transaction, case.book_id)
            freed = holds.release(transaction, case, "released by hand", today)
            return pb.ReleaseCaseResponse(case=case_answer(transaction, freed))

        return once(self._db, "ReleaseCase", request, pb.ReleaseCaseResponse, work)

    def ListCaseHistory(
        self, request: pb.ListCaseHistoryRequest, context: grpc.ServicerContext
    ) -> pb.ListCaseHistoryResponse:
        """Everything that happened to a case."""
        query = (
            select(case_history)
            .where(case_history.c.case_id == request.case_id)
            .order_by(case_history.c.number)
        )
        with self._db.read() as snapshot:
            cases.get(snapshot, request.case_id)
            rows = snapshot.execute(query).all()
        return pb.ListCaseHistoryResponse(
            entries=[
                pb.CaseHistoryEntry(
                    kind=row.kind, date=from_date(row.date), actor=row.actor, note=row.note
                )
                for row in rows
            ]
        )


def _filters(request: pb.ListCasesRequest) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if request.customer_id:
        filters.append(debt_case.c.customer_id == request.customer_id)
    if request.status:
        name = pb.CaseStatus.Name(request.status).removeprefix("CASE_STATUS_")
        filters.append(debt_case.c.status == name)
    if request.bucket:
        filters.append(debt_case.c.bucket == request.bucket)
    if request.collector:
        filters.append(debt_case.c.collector == request.collector)
    return filters


def _loads(transaction: Connection) -> dict[str, int]:
    rows = transaction.execute(
        select(debt_case.c.collector, func.count())
        .where(debt_case.c.closed_on.is_(None), debt_case.c.collector != "")
        .group_by(debt_case.c.collector)
    )
    return {row[0]: row[1] for row in rows}


def _pool(transaction: Connection) -> list[PoolCase]:
    """Open cases that are nobody's; what is held, promised or placed stays where it is (留案)."""
    today = select(business_day.c.business_date).where(
        business_day.c.book_id == debt_case.c.book_id
    )
    promised = select(promise.c.promise_id).where(
        promise.c.case_id == debt_case.c.case_id, promise.c.state == "OPEN"
    )
    rows = transaction.execute(
        select(debt_case.c.case_id, debt_case.c.amount_past_due, debt_case.c.bucket)
        .where(
            debt_case.c.closed_on.is_(None),
            debt_case.c.collector == "",
            debt_case.c.agency_id == "",
            debt_case.c.hold_until.is_(None) | (debt_case.c.hold_until <= today.scalar_subquery()),
            ~promised.exists(),
        )
        .order_by(debt_case.c.case_id)
        .with_for_update()
    )
    return [PoolCase(row.case_id, row.amount_past_due, Bucket(row.bucket)) for row in rows]
