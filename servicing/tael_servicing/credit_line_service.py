"""CreditLineService: contract messages in, credit lines, contract messages out."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import credit_line_pb2 as pb
from tael.servicing.v1 import credit_line_pb2_grpc
from tael_client.values import to_decimal
from tael_runtime import idempotency
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_amount, read_date
from tael_runtime.ids import new_id
from tael_runtime.paging import number_key, token
from tael_servicing import bookings, books, events, lines, products
from tael_servicing.bookings import Batch
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.lines import CreditLine
from tael_servicing.products import Product, rate_problem
from tael_servicing.terms import cost_cap, loan_terms

LARGEST_NUMERATOR = 2**62
LONGEST_NIGHTS = 100 * 366
"""An accrual line that ran so long would still fit (DESIGN.md §4)."""

OWNER_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class CreditLines(credit_line_pb2_grpc.CreditLineServiceServicer):
    """Grants, freezes and tells."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database
        self._sender = desk.sender

    def GrantCreditLine(
        self, request: pb.GrantCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.GrantCreditLineResponse:
        """Opens a line and books its commitment."""

        def work(transaction: Connection) -> pb.GrantCreditLineResponse:
            product = products.get(transaction, request.product_code)
            book = books.hold_open(transaction, product.book_id)
            day = book.business_date
            line = lines.grant(transaction, _granted(request, product, book), day)
            batch = Batch(f"grant:{line.line_id}", line.book_id, line.line_id, day)
            bookings.post_line(transaction, batch, line, "LINE_GRANTED")
            events.line_changed(transaction, day, line)
            return pb.GrantCreditLineResponse(line=line.message())

        answer = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "GrantCreditLine", request, pb.GrantCreditLineResponse, work
            )
        )
        with self._db.read() as connection:
            line = lines.get(connection, answer.line.line_id)
        self._sender.deliver(line.book_id, line.line_id)
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
        """A customer's lines."""
        with self._db.read() as connection:
            found = lines.of_customer(connection, request.customer_id)
        return pb.ListCreditLinesResponse(lines=[line.message() for line in found])

    def FreezeCreditLine(
        self, request: pb.FreezeCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.FreezeCreditLineResponse:
        """No more drawdowns."""

        def work(transaction: Connection) -> pb.FreezeCreditLineResponse:
            line = self._change(
                transaction,
                request,
                lambda found, day: lines.freeze(transaction, found, request.reason, day),
            )
            return pb.FreezeCreditLineResponse(line=line.message())

        return idempotency.once(
            self._db, "FreezeCreditLine", request, pb.FreezeCreditLineResponse, work
        )

    def UnfreezeCreditLine(
        self, request: pb.UnfreezeCreditLineRequest, context: grpc.ServicerContext
    ) -> pb.UnfreezeCreditLineResponse:
        """Drawdowns again."""

        def work(transaction: Connection) -> pb.UnfreezeCreditLineResponse:
            line = self._change(
                transaction,
                request,
                lambda found, day: lines.unfreeze(transaction, found, day),
            )
            return pb.UnfreezeCreditLineResponse(line=line.message())

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

    def _change(
        self,
        transaction: Connection,
        request: pb.FreezeCreditLineRequest | pb.UnfreezeCreditLineRequest,
        change: Callable[[CreditLine, date], CreditLine],
    ) -> CreditLine:
        found = lines.lock(transaction, request.line_id)
        found.check_etag(request.etag)
        day = books.get(transaction, found.book_id).business_date
        changed = change(found, day)
        events.line_changed(transaction, day, changed)
        return changed


def _granted(request: pb.GrantCreditLineRequest, product: Product, book: BookDay) -> CreditLine:
    """The line asked for. Raises InvalidArgument with the field that no line can have."""
    limit = read_amount("limit", request.limit, book.currency_code)
    cap = cost_cap(product.terms)
    if problem := rate_problem(request.annual_rate, cap * 0, cap):
        raise InvalidArgument("annual_rate", problem)
    annual_rate = to_decimal(request.annual_rate)
    penalty = loan_terms(
        product.terms, product.terms.max_periods, annual_rate, 0
    ).daily_penalty_rate
    if limit * penalty.numerator * LONGEST_NIGHTS >= LARGEST_NUMERATOR:
        raise InvalidArgument("limit", "is too large for exact interest at this rate")
    valid_to = read_date("valid_to", request.valid_to)
    if valid_to <= book.business_date:
        raise InvalidArgument("valid_to", f"must lie after the business date, {book.business_date}")
    if not OWNER_ID.fullmatch(request.customer_id):
        raise InvalidArgument("customer_id", f"must match {OWNER_ID.pattern}")
    return CreditLine(
        line_id=new_id("cl"),
        customer_id=request.customer_id,
        product_code=product.code,
        book_id=product.book_id,
        currency_code=book.currency_code,
        revolving=request.revolving,
        credit_limit=limit,
        used=0,
        reserved=0,
        annual_rate=annual_rate,
        valid_to=valid_to,
        state="ACTIVE",
        freeze_reason="",
        source=request.source,
        movements=0,
    )
