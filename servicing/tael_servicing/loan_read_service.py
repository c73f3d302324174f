"""LoanService's reads: a loan today and as it was, its schedule, statement, history, certificate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2 as pb
from tael.servicing.v1 import loan_pb2_grpc
from tael_runtime.database import Database
from tael_runtime.fields import optional_date, read_date
from tael_runtime.paging import dated_key, text_key, token
from tael_servicing import (
    booked,
    certificates,
    loan_history,
    loan_lists,
    loan_store,
    messages,
    outgoing,
    statements,
)
from tael_servicing.arithmetic.changing import projected
from tael_servicing.booked import Booked
from tael_servicing.loans import Held


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
        night, number = dated_key(request.page_token)
        with self._db.read() as connection:
            loan_store.book_of(connection, request.loan_id)
            found = booked.after(connection, request.loan_id, night, number, size + 1)
            shown = found[:size]
            vouchers = _vouchers(connection, request.loan_id, shown)
        return pb.ListLoanEventsResponse(
            events=[
                messages.loan_event(each, entries)
                for each, entries in zip(shown, vouchers, strict=True)
            ],
            next_page_token=_after(shown, night, number) if len(found) > size else "",
        )

    def _held(self, loan_id: str) -> Held:
        with self._db.read() as connection:
            return loan_store.get(connection, loan_id)


def _vouchers(connection: Connection, loan_id: str, shown: Sequence[Booked]) -> list[list[int]]:
    """The ledger's entries of each booking."""
    nights = booked.carriers(connection, loan_id, shown)
    carried_by = [each.request_id or nights[each.booked_on] for each in shown]
    posted = outgoing.vouchers(connection, carried_by)
    return [
        outgoing.sequences(posted[request_id], each.source)
        for each, request_id in zip(shown, carried_by, strict=True)
    ]


def _after(shown: Sequence[Booked], night: date, number: int) -> str:
    """The token of what follows: after the last night, and after the last number, that were shown."""
    night = max((each.booked_on for each in shown if each.number == 0), default=night)
    number = max((each.number for each in shown), default=0) or number
    return token(str(night), number)
