"""ReceiptService: contract messages in, money of unknown payers, contract messages out."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import receipt_pb2 as pb
from tael.servicing.v1 import receipt_pb2_grpc, repayment_pb2
from tael_client.values import from_date
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_amount
from tael_runtime.ids import new_id
from tael_runtime.paging import text_key, token
from tael_servicing import books, receipts, transit
from tael_servicing.book_desk import book_of, on_book
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.receipts import Parked


class Receipts(receipt_pb2_grpc.ReceiptServiceServicer):
    """Parks, allocates, gives back and tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def ParkReceipt(
        self, request: pb.ParkReceiptRequest, context: grpc.ServicerContext
    ) -> pb.ParkReceiptResponse:
        """Money of an unknown payer."""
        currency = book_of(self._desk, request.book_id).currency_code
        amount = read_amount("amount", request.amount, currency)
        funding = repayment_pb2.Funding.Name(request.funding or repayment_pb2.FUNDING_TRANSFER)

        def work(transaction: Connection, book: BookDay) -> pb.ParkReceiptResponse:
            day = book.business_date
            parked = Parked(
                receipt_id=new_id("rc"),
                book_id=book.book_id,
                currency_code=currency,
                amount=amount,
                funding=funding.removeprefix("FUNDING_"),
                reference=request.reference,
                parked_on=day,
                left=amount,
            )
            receipts.park(transaction, parked)
            if parked.funding == "CHANNEL":
                transit.explain(transaction, book.book_id, parked.reference, amount)
            return pb.ParkReceiptResponse(receipt=parked.message(day))

        return on_book(
            self._desk,
            "ParkReceipt",
            request,
            pb.ParkReceiptResponse,
            request.book_id,
            work,
            lane=lambda made: made.receipt.receipt_id,
        )

    def AllocateReceipt(
        self, request: pb.AllocateReceiptRequest, context: grpc.ServicerContext
    ) -> pb.AllocateReceiptResponse:
        """Repays loans out of a receipt."""
        book_id = self._book_id(request.receipt_id)

        def work(transaction: Connection, book: BookDay) -> pb.AllocateReceiptResponse:
            day = book.business_date
            parked = receipts.lock(transaction, request.receipt_id)
            amount = receipts.to_spend(parked, _wanted(request, parked))
            if request.WhichOneof("target") == "loan_id":
                kind = repayment_pb2.RepaymentKind.Name(
                    request.kind or repayment_pb2.REPAYMENT_KIND_DUE
                )
                kind = kind.removeprefix("REPAYMENT_KIND_")
                made = [
                    receipts.allocate_to_loan(
                        transaction, parked, request.loan_id, amount, kind, day
                    )
                ]
            else:
                _check_kind(request)
                made = receipts.allocate_to_customer(
                    transaction, parked, request.customer_id, amount, day
                )
            after = receipts.get(transaction, request.receipt_id)
            return pb.AllocateReceiptResponse(receipt=after.message(day), repayments=made)

        answer = on_book(
            self._desk, "AllocateReceipt", request, pb.AllocateReceiptResponse, book_id, work
        )
        for repayment in answer.repayments:
            self._desk.sender.deliver(book_id, repayment.loan_id)
        return answer

    def RefundReceipt(
        self, request: pb.RefundReceiptRequest, context: grpc.ServicerContext
    ) -> pb.RefundReceiptResponse:
        """Gives it back."""
        book_id = self._book_id(request.receipt_id)

        def work(transaction: Connection, book: BookDay) -> pb.RefundReceiptResponse:
            day = book.business_date
            parked = receipts.lock(transaction, request.receipt_id)
            amount = receipts.to_spend(parked, _wanted(request, parked))
            receipts.refund(transaction, parked, amount, request.reference, day)
            after = receipts.get(transaction, request.receipt_id)
            return pb.RefundReceiptResponse(receipt=after.message(day))

        return on_book(
            self._desk,
            "RefundReceipt",
            request,
            pb.RefundReceiptResponse,
            book_id,
            work,
            lane=lambda made: made.receipt.receipt_id,
        )

    def GetReceipt(
        self, request: pb.GetReceiptRequest, context: grpc.ServicerContext
    ) -> pb.GetReceiptResponse:
        """One receipt."""
        with self._db.read() as connection:
            found = receipts.get(connection, request.receipt_id)
            day = books.get(connection, found.book_id).business_date
            uses = receipts.uses(connection, found)
        return pb.GetReceiptResponse(receipt=found.message(day), uses=uses)

    def ListReceipts(
        self, request: pb.ListReceiptsRequest, context: grpc.ServicerContext
    ) -> pb.ListReceiptsResponse:
        """A page of a book's receipts."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            day = books.get(connection, request.book_id).business_date
            found = receipts.page(
                connection, request.book_id, after, size + 1, open_only=request.open_only
            )
        return pb.ListReceiptsResponse(
            receipts=[each.message(day) for each in found[:size]],
            next_page_token=token(found[size - 1].receipt_id) if len(found) > size else "",
        )

    def AgeReceipts(
        self, request: pb.AgeReceiptsRequest, context: grpc.ServicerContext
    ) -> pb.AgeReceiptsResponse:
        """How long money waits."""
        limits: Sequence[int] = list(request.bucket_limits) or receipts.AGES
        if list(limits) != sorted(limits):
            raise InvalidArgument("bucket_limits", "rise from one to the next")
        with self._db.read() as connection:
            day = books.get(connection, request.book_id).business_date
            ages = receipts.ages(connection, request.book_id, day, limits)
        return pb.AgeReceiptsResponse(date=from_date(day), ages=ages)

    def _book_id(self, receipt_id: str) -> str:
        with self._db.read() as connection:
            return receipts.get(connection, receipt_id).book_id


def _wanted(
    request: pb.AllocateReceiptRequest | pb.RefundReceiptRequest, parked: Parked
) -> int | None:
    """What is asked for; None where it is all that is left."""
    if not request.HasField("amount"):
        return None
    return read_amount("amount", request.amount, parked.currency_code)


def _check_kind(request: pb.AllocateReceiptRequest) -> None:
    if request.kind not in (0, repayment_pb2.REPAYMENT_KIND_DUE):
        raise InvalidArgument("kind", "is DUE where it is for all of a customer's loans")
