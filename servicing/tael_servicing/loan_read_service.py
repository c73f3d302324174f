"""LoanService's reads: a loan today and as it was, its schedule, statement, history, certificate."""

from __future__ import annotations

import grpc
from sqlalchemy import select

from tael.servicing.v1 import loan_pb2 as pb
from tael.servicing.v1 import loan_pb2_grpc
from tael_runtime.database import Database
from tael_runtime.fields import optional_date, read_date
from tael_runtime.paging import number_key, text_key, token
from tael_servicing import (
    certificates,
    loan_history,
    loan_lists,
    loan_store,
    messages,
    outgoing,
    statements,
)
from tael_servicing.arithmetic.changing import projected
from tael_servicing.loans import Held
from tael_servicing.tables import loan_posting


class LoanReads(loan_pb2_grpc.LoanServiceServicer):
    """Tells; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def GetLoan(
        self, request: pb.GetLoanRequest, context: grpc.ServicerContext
    ) -> pb.GetLoanResponse:
        """One loan today."""
        return pb.GetLoanResponse(loan=messages.loan(self._held(request.loan_id)))

    def GetLoanAsOf(
        self, request: pb.GetLoanAsOfRequest, context: grpc.ServicerContext
    ) -> pb.GetLoanAsOfResponse:
        """One loan as it stood on a day."""
        day, known_on = read_date("date", request.date), optional_date(request, "known_on")
        with self._db.read() as connection:
            held = loan_store.get(connection, request.loan_id)
            then = loan_history.as_of(connection, held, day, known_on)
        return pb.GetLoanAsOfResponse(
            loan=messages.loan(then),
            instalments=messages.schedule(projected(then.terms, then.loan)),
        )

    def ListLoans(
        self, request: pb.ListLoansRequest, context: grpc.ServicerContext
    ) -> pb.ListLoansResponse:
        """A page of loans."""
        size = request.page_size or 50
        with self._db.read() as connection:
            ids = loan_lists.ids_of(connection, request, size + 1)
            found = loan_store.load(connection, ids[:size])
        return pb.ListLoansResponse(
            loans=[messages.loan(held) for held in found],
            next_page_token=token(ids[size - 1]) if len(ids) > size else "",
        )

    def GetSchedule(
        self, request: pb.GetScheduleRequest, context: grpc.ServicerContext
    ) -> pb.GetScheduleResponse:
        """The schedule with what was paid."""
        held = self._held(request.loan_id)
        shown = projected(held.terms, held.loan)
        return pb.GetScheduleResponse(instalments=messages.schedule(shown))

    def GetStatement(
        self, request: pb.GetStatementRequest, context: grpc.ServicerContext
    ) -> pb.GetStatementResponse:
        """A page of what moved in a period."""
        with self._db.read() as connection:
            held = loan_store.get(connection, request.loan_id)
            return statements.page(connection, held, request)

    def GetSettlementCertificate(
        self, request: pb.GetSettlementCertificateRequest, context: grpc.ServicerContext
    ) -> pb.GetSettlementCertificateResponse:
        """That nothing is owed any more."""
        with self._db.read() as connection:
            held = loan_store.get(connection, request.loan_id)
            certificate = certificates.of(connection, held)
        return pb.GetSettlementCertificateResponse(certificate=certificate)

    def ListLoanHistory(
        self, request: pb.ListLoanHistoryRequest, context: grpc.ServicerContext
    ) -> pb.ListLoanHistoryResponse:
        """A page of what happened to a loan."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            loan_store.book_of(connection, request.loan_id)
            entries = loan_history.page(connection, request.loan_id, after, size + 1)
        return pb.ListLoanHistoryResponse(
            entries=entries[:size],
            next_page_token=token(entries[size - 1].event_id) if len(entries) > size else "",
        )

    def ListLoanEvents(
        self, request: pb.ListLoanEventsRequest, context: grpc.ServicerContext
    ) -> pb.ListLoanEventsResponse:
        """A page of what the loan posted, with its vouchers."""
        size = request.page_size or 200
        after = number_key(request.page_token)
        query = (
            select(loan_posting)
            .where(loan_posting.c.loan_id == request.loan_id, loan_posting.c.number > after)
            .order_by(loan_posting.c.number)
            .limit(size + 1)
        )
        with self._db.read() as connection:
            loan_store.book_of(connection, request.loan_id)
            rows = connection.execute(query).all()
            posted = outgoing.vouchers(connection, [row.request_id for row in rows])
        return pb.ListLoanEventsResponse(
            events=[
                messages.loan_event(row, outgoing.sequences(posted[row.request_id], row.source))
                for row in rows[:size]
            ],
            next_page_token=token(rows[size - 1].number) if len(rows) > size else "",
        )

    def _held(self, loan_id: str) -> Held:
        with self._db.read() as connection:
            return loan_store.get(connection, loan_id)
