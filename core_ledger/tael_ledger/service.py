"""LedgerService: books here; accounts, postings, reservations and reads in parts of their own."""

from __future__ import annotations

from zoneinfo import available_timezones

import grpc

from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import ledger_pb2_grpc
from tael_ledger import books, messages, recording
from tael_ledger.account_face import Accounts
from tael_ledger.books import Book
from tael_ledger.currencies import DECIMALS
from tael_ledger.face import key_of
from tael_ledger.posting_face import Postings
from tael_ledger.reading_face import Reading
from tael_ledger.reservation_face import Reservations
from tael_runtime import idempotency
from tael_runtime.errors import InvalidArgument
from tael_runtime.paging import text_key, token


class Ledger(Accounts, Postings, Reservations, Reading, ledger_pb2_grpc.LedgerServiceServicer):
    """Books, accounts and the journal."""

    def CreateBook(
        self, request: pb.CreateBookRequest, context: grpc.ServicerContext
    ) -> pb.CreateBookResponse:
        """Opens a book."""
        time_zone = request.time_zone or "Asia/Shanghai"
        if time_zone not in available_timezones():
            raise InvalidArgument("time_zone", f"{time_zone!r} is no IANA time zone")
        if request.currency_code not in DECIMALS:
            raise InvalidArgument(
                "currency_code", f"{request.currency_code!r} is no currency in use of ISO 4217"
            )
        first_date = messages.read_day("business_date", request.business_date)
        book = Book(
            book_id=request.book_id,
            legal_entity=request.legal_entity,
            currency_code=request.currency_code,
            time_zone=time_zone,
            lender_type=messages.lender_type(request.lender_type) or "BANK",
            vat_mode=messages.vat_mode(request.vat_mode) or "NONE",
            non_accrual_policy=messages.non_accrual_policy(request.non_accrual_policy)
            or "REVERSAL",
            first_date=first_date,
            business_date=first_date,
            rules_version=1,
        )
        return idempotency.once(
            self.database,
            "CreateBook",
            request,
            pb.CreateBookResponse,
            lambda transaction: pb.CreateBookResponse(
                book=messages.book(
                    recording.open_book(
                        transaction,
                        book,
                        key_of("CreateBook", request.request_id),
                        idempotency.content_hash(request),
                    )
                )
            ),
        )

    def GetBook(
        self, request: pb.GetBookRequest, context: grpc.ServicerContext
    ) -> pb.GetBookResponse:
        """One book."""
        with self.database.read() as connection:
            return pb.GetBookResponse(book=messages.book(books.get(connection, request.book_id)))

    def ListBooks(
        self, request: pb.ListBooksRequest, context: grpc.ServicerContext
    ) -> pb.ListBooksResponse:
        """A page of books."""
        size = request.page_size or 50
        with self.database.read() as connection:
            found = books.page(connection, text_key(request.page_token), size + 1)
        return pb.ListBooksResponse(
            books=[messages.book(book) for book in found[:size]],
            next_page_token=token(found[size - 1].book_id) if len(found) > size else "",
        )
