"""CreditLineService: contract messages in, credit lines, contract messages out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import credit_line_pb2 as pb
from tael.servicing.v1 import credit_line_pb2_grpc
from tael_runtime import idempotency
from tael_runtime.paging import number_key, text_key, token
from tael_servicing import books, events, line_changes, line_requests, lines, products
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.line_tree import CreditLine


class _OfALine(Protocol):
    line_id: str
    etag: str


class CreditLines(credit_line_pb2_grpc.CreditLineServiceServicer):
    """Grants, changes, freezes, closes and tells."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database
        self._sender = desk.sender

    def GrantCreditLine(
        self, request: pb.GrantCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.GrantCreditLineResponse:
        """Opens a line and books its commitment."""
        line_requests.check_shape(request)

        def work(transaction: Connection) -> pb.GrantCreditLineResponse:
            code, above = request.product_code, request.parent_line_id
            product = products.get(transaction, code) if code else None
            book_id = product.book_id if product else request.book_id
            if not book_id:
                book_id = lines.get(transaction, above).book_id
            book = books.hold_open(transaction, book_id)
            if product:
                products.check_lent(product, book.business_date)
            parent = lines.lock(transaction, above) if above else None
            line = line_requests.granted(transaction, request, parent, product, book)
            line = line_changes.grant(transaction, line, book.business_date)
            return pb.GrantCreditLineResponse(line=line.message())

        answer = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "GrantCreditLine", request, pb.GrantCreditLineResponse, work
            )
        )
        self._deliver(answer.line.line_id)
        return answer

    def GetCreditLine(
        self, request: pb.GetCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.GetCreditLineResponse:
        """One line."""
        with self._db.read() as connection:
            return pb.GetCreditLineResponse(line=lines.get(connection, request.line_id).message())

    def ListCreditLines(
        self, request: pb.ListCreditLinesRequest, context: grpc.ServicerContext
    ) -> pb.ListCreditLinesResponse:
        """A page of a customer's lines."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            found = lines.of_customer(connection, request.customer_id, after, size + 1)
        return pb.ListCreditLinesResponse(
            lines=[line.message() for line in found[:size]],
            next_page_token=token(found[size - 1].line_id) if len(found) > size else "",
        )

    def AdjustCreditLine(
        self, request: pb.AdjustCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.AdjustCreditLineResponse:
        """Another limit, rate or last day."""

        def change(transaction: Connection, line: CreditLine, book: BookDay) -> CreditLine:
            today = book.business_date
            product = None if line.overall else products.get(transaction, line.product_code)
            after = line_requests.adjusted(transaction, request, line, product, today)
            why = request.reason, request.approval
            return line_changes.adjust(transaction, line, after, today, *why)

        def work(transaction: Connection) -> pb.AdjustCreditLineResponse:
            line = self._booked(transaction, request, change)
            return pb.AdjustCreditLineResponse(line=line.message())

        answer = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "AdjustCreditLine", request, pb.AdjustCreditLineResponse, work
            )
        )
        self._deliver(request.line_id)
        return answer

    def CloseCreditLine(
        self, request: pb.CloseCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.CloseCreditLineResponse:
        """Ends a line and those below it."""

        def change(transaction: Connection, line: CreditLine, book: BookDay) -> CreditLine:
            why = request.reason, request.approval
            closed, _ = line_changes.close(transaction, line, book.business_date, *why)
            return closed

        def work(transaction: Connection) -> pb.CloseCreditLineResponse:
            line = self._booked(transaction, request, change)
            return pb.CloseCreditLineResponse(line=line.message())

        answer = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "CloseCreditLine", request, pb.CloseCreditLineResponse, work
            )
        )
        self._deliver(request.line_id)
        return answer

    def FreezeCreditLine(
        self, request: pb.FreezeCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.FreezeCreditLineResponse:
        """No more drawdowns."""

        def work(transaction: Connection) -> pb.FreezeCreditLineResponse:
            line = self._locked(transaction, request)
            day = books.get(transaction, line.book_id).business_date
            frozen = lines.freeze(transaction, line, request.reason, day)
            events.line_changed(transaction, day, frozen)
            return pb.FreezeCreditLineResponse(line=frozen.message())

        return idempotency.once(
            self._db, "FreezeCreditLine", request, pb.FreezeCreditLineResponse, work
        )

    def UnfreezeCreditLine(
        self, request: pb.UnfreezeCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.UnfreezeCreditLineResponse:
        """Drawdowns again."""

        def work(transaction: Connection) -> pb.UnfreezeCreditLineResponse:
            line = self._locked(transaction, request)
            day = books.get(transaction, line.book_id).business_date
            active = lines.unfreeze(transaction, line, request.reason, day)
            events.line_changed(transaction, day, active)
            return pb.UnfreezeCreditLineResponse(line=active.message())

        return idempotency.once(
            self._db, "UnfreezeCreditLine", request, pb.UnfreezeCreditLineResponse, work
        )

    def ListLineMovements(
        self, request: pb.ListLineMovementsRequest, context: grpc.ServicerContext
    ) -> pb.ListLineMovementsResponse:
        """What moved the line."""
        size = request.page_size or 100
        after = number_key(request.page_token)
        with self._db.read() as connection:
            line = lines.get(connection, request.line_id)
            found = lines.movements(connection, line, after, size + 1)
        return pb.ListLineMovementsResponse(
            movements=found[:size],
            next_page_token=token(found[size - 1].number) if len(found) > size else "",
        )

    def _locked(self, transaction: Connection, request: _OfALine) -> CreditLine:
        line = lines.lock(transaction, request.line_id)
        line.check_etag(request.etag)
        return line

    def _booked(
        self,
        transaction: Connection,
        request: _OfALine,
        change: Callable[[Connection, CreditLine, BookDay], CreditLine],
    ) -> CreditLine:
        """A change that books: no day ends before this transaction does."""
        book_id = lines.get(transaction, request.line_id).book_id
        book = books.hold_open(transaction, book_id)
        return change(transaction, self._locked(transaction, request), book)

    def _deliver(self, line_id: str) -> None:
        """Answers when the ledger has what the change books."""
        with self._db.read() as connection:
            line = lines.get(connection, line_id)
        self._sender.deliver(line.book_id, line.path[0])
