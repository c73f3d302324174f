"""TaxService: contract messages in, a book's taxes by period, contract messages out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import grpc
from sqlalchemy import Connection

from tael.ledger.v1 import ledger_pb2 as ledger
from tael.servicing.v1 import tax_pb2 as pb
from tael.servicing.v1 import tax_pb2_grpc
from tael_client.values import from_date, to_decimal
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_amount, read_date
from tael_runtime.paging import text_key, token
from tael_servicing import taxes
from tael_servicing.book_desk import book_of, check_vat_mode, on_book
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.product_checks import rate_problem
from tael_servicing.taxes import SURTAX_RATE, TaxEntry


class Taxes(tax_pb2_grpc.TaxServiceServicer):
    """Books and tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def RecordTax(
        self, request: pb.RecordTaxRequest, context: grpc.ServicerContext
    ) -> pb.RecordTaxResponse:
        """Books a step for a period."""
        step = pb.TaxStep.Name(request.step).removeprefix("TAX_STEP_")
        book_id, rate = request.book_id, _rate(request)
        first, last = taxes.period_of(step, read_date("period", request.period))
        known = book_of(self._desk, book_id)
        if request.step != pb.TAX_STEP_GENERAL_RESERVE_APPROPRIATED:
            check_vat_mode(known, "step")
        wanted = None
        if request.HasField("amount"):
            wanted = read_amount("amount", request.amount, known.currency_code)
        balances = self._vat_balances(book_id, last) if step == "VAT_TRANSFERRED_OUT" else None

        def due(transaction: Connection) -> int | None:
            if balances is not None:
                return taxes.vat_to_transfer(transaction, book_id, balances)
            if step == "GENERAL_RESERVE_APPROPRIATED":
                return None
            return taxes.owed(transaction, book_id, first, step, rate)

        def work(transaction: Connection, book: BookDay) -> pb.RecordTaxResponse:
            taxes.check_ended(last, book.business_date)
            entry = TaxEntry(
                book_id=book_id,
                period=first,
                step=step,
                currency_code=book.currency_code,
                amount=taxes.amount_to_book(wanted, due(transaction)),
                booked_on=book.business_date,
                reference=request.reference,
            )
            paid = step in taxes.PAYS
            taxes.book_entry(transaction, book, entry, book.business_date if paid else last)
            return pb.RecordTaxResponse(entry=entry.message())

        return on_book(
            self._desk,
            "RecordTax",
            request,
            pb.RecordTaxResponse,
            book_id,
            work,
            lane=lambda _made: taxes.LANE,
        )

    def ListTaxes(
        self, request: pb.ListTaxesRequest, context: grpc.ServicerContext
    ) -> pb.ListTaxesResponse:
        """A page of what was booked."""
        size = request.page_size or 100
        period, _, step = text_key(request.page_token).partition(" ")
        with self._db.read() as connection:
            found = taxes.page(connection, request.book_id, (_day(period), step), size + 1)
        last = found[size - 1] if len(found) > size else None
        return pb.ListTaxesResponse(
            entries=[each.message() for each in found[:size]],
            next_page_token=token(f"{last.period} {last.step}") if last else "",
        )

    def _vat_balances(self, book_id: str, last: date) -> dict[str, int]:
        """The VAT accounts as they stood when the month ended."""
        request = ledger.GetBalancesRequest(
            book_id=book_id,
            account_numbers=[taxes.OUTPUT, taxes.INPUT],
            booking_date=from_date(last),
        )
        answer = self._desk.ledger.GetBalances(request)
        return {each.account_number: each.balance for each in answer.balances}


def _rate(request: pb.RecordTaxRequest) -> Decimal:
    if not request.HasField("rate"):
        return SURTAX_RATE
    if problem := rate_problem(request.rate, Decimal(0), Decimal(1)):
        raise InvalidArgument("rate", problem)
    return to_decimal(request.rate)


def _day(text: str) -> str:
    """A date's text, or none. Raises InvalidArgument for any other."""
    try:
        return text and date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise InvalidArgument("page_token", "is not one this list gave") from error
