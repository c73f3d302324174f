"""DirectDebitService: contract messages in, rounds, results and differences, contract messages out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy import Connection

from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import direct_debit_pb2 as pb
from tael.servicing.v1 import direct_debit_pb2_grpc
from tael_runtime import idempotency
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_date
from tael_runtime.paging import text_key, token
from tael_servicing import (
    bank_statements,
    books,
    debit_batches,
    debit_results,
    debits,
    differences,
    resolutions,
    settlement_files,
    settlements,
)
from tael_servicing.debit_results import Verdict
from tael_servicing.desk import Desk
from tael_servicing.reasons import Reason

MOST_ROWS = 100_000
"""Rows of a file, which is recorded in one transaction."""

RequestT = TypeVar("RequestT", pb.RecordResultsRequest, pb.RecordSettlementRequest)


class DirectDebits(direct_debit_pb2_grpc.DirectDebitServiceServicer):
    """Asks, learns, reconciles and tells."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database
        self._sender = desk.sender
        self._ledger = desk.ledger

    def PrepareBatch(
        self, request: pb.PrepareBatchRequest, context: grpc.ServicerContext
    ) -> pb.PrepareBatchResponse:
        """The next round of the open day."""
        day = read_date("business_date", request.business_date)

        def work(transaction: Connection) -> pb.PrepareBatchResponse:
            book = books.hold_open(transaction, request.book_id)
            if day != book.business_date:
                raise FailedPrecondition(
                    Reason.NOT_THE_BUSINESS_DATE,
                    f"the business date is {book.business_date}, not {day}",
                    request.book_id,
                )
            batch = debit_batches.prepare_next(transaction, book, request.partial_minimum)
            (message,) = debit_batches.messages(transaction, [batch])
            return pb.PrepareBatchResponse(batch=message)

        return books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "PrepareBatch", request, pb.PrepareBatchResponse, work
            )
        )

    def SubmitBatch(
        self, request: pb.SubmitBatchRequest, context: grpc.ServicerContext
    ) -> pb.SubmitBatchResponse:
        """Hands a batch to the sender."""

        def work(transaction: Connection) -> pb.SubmitBatchResponse:
            batch = debit_batches.get(transaction, request.batch_id)
            book = books.hold_open(transaction, batch.book_id)
            debit_batches.submit(transaction, batch, book)
            batch = debit_batches.get(transaction, request.batch_id)
            (message,) = debit_batches.messages(transaction, [batch])
            return pb.SubmitBatchResponse(batch=message)

        return books.on_an_open_day(
            lambda: idempotency.once(self._db, "SubmitBatch", request, pb.SubmitBatchResponse, work)
        )

    def GetBatch(
        self, request: pb.GetBatchRequest, context: grpc.ServicerContext
    ) -> pb.GetBatchResponse:
        """One batch."""
        with self._db.read() as connection:
            batch = debit_batches.get(connection, request.batch_id)
            (message,) = debit_batches.messages(connection, [batch])
        return pb.GetBatchResponse(batch=message)

    def ListBatches(
        self, request: pb.ListBatchesRequest, context: grpc.ServicerContext
    ) -> pb.ListBatchesResponse:
        """A book's batches."""
        size = request.page_size or 100
        before = _batch_key(request.page_token)
        with self._db.read() as connection:
            found = debit_batches.page(connection, request.book_id, before, size + 1)
            batches = debit_batches.messages(connection, found[:size])
        last = found[size - 1] if len(found) > size else None
        return pb.ListBatchesResponse(
            batches=batches,
            next_page_token=token(f"{last.business_date} {last.round}") if last else "",
        )

    def ListDebits(
        self, request: pb.ListDebitsRequest, context: grpc.ServicerContext
    ) -> pb.ListDebitsResponse:
        """Debits of a batch or a loan."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            found = debits.page(connection, request, after, size + 1)
        return pb.ListDebitsResponse(
            debits=[debit.message() for debit in found[:size]],
            next_page_token=token(found[size - 1].payment_id) if len(found) > size else "",
        )

    def RecordResults(
        self, request_iterator: Iterator[pb.RecordResultsRequest], context: grpc.ServicerContext
    ) -> pb.RecordResultsResponse:
        """A result file or callback."""
        request = whole(request_iterator, "results")

        def work(transaction: Connection) -> pb.RecordResultsResponse:
            book = books.get(transaction, request.book_id)
            told = [debit_results.of_message(result) for result in request.results]
            recorded = debit_results.record(transaction, book, told)
            return pb.RecordResultsResponse(
                taken=recorded.verdicts[Verdict.TAKEN],
                late=recorded.late,
                repeated_results=recorded.verdicts[Verdict.REPEATED],
                queued=recorded.queued,
            )

        return idempotency.once(self._db, "RecordResults", request, pb.RecordResultsResponse, work)

    def RecordSettlement(
        self, request_iterator: Iterator[pb.RecordSettlementRequest], context: grpc.ServicerContext
    ) -> pb.RecordSettlementResponse:
        """A settlement file, answered when the ledger has it."""
        request = whole(request_iterator, "lines")
        self._check_file(request)
        collected_on = read_date("collected_on", request.collected_on)

        def work(transaction: Connection) -> pb.RecordSettlementResponse:
            book = books.hold_open(transaction, request.book_id)
            _check_not_after("collected_on", collected_on, book.business_date)
            return settlement_files.record(transaction, book, request, collected_on)

        answer = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "RecordSettlement", request, pb.RecordSettlementResponse, work
            )
        )
        settlement_id = answer.settlement.settlement_id
        self._sender.deliver(request.book_id, settlement_id)
        with self._db.read() as connection:
            entries = settlements.sequences(connection, settlement_id)
        answer.settlement.entry_sequences.extend(entries)
        return answer

    def RecordBankStatement(
        self, request: pb.RecordBankStatementRequest, context: grpc.ServicerContext
    ) -> pb.RecordBankStatementResponse:
        """Credits at the bank."""
        day = read_date("statement_date", request.statement_date)

        def work(transaction: Connection) -> pb.RecordBankStatementResponse:
            book = books.get(transaction, request.book_id)
            _check_not_after("statement_date", day, book.business_date)
            return bank_statements.record(transaction, book, request, day)

        return idempotency.once(
            self._db, "RecordBankStatement", request, pb.RecordBankStatementResponse, work
        )

    def ListDifferences(
        self, request: pb.ListDifferencesRequest, context: grpc.ServicerContext
    ) -> pb.ListDifferencesResponse:
        """A book's differences."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            today = books.get(connection, request.book_id).business_date
            found = differences.page(connection, request, after, size + 1)
        return pb.ListDifferencesResponse(
            differences=[each.message(today) for each in found[:size]],
            next_page_token=token(found[size - 1].difference_id) if len(found) > size else "",
        )

    def ResolveDifference(
        self, request: pb.ResolveDifferenceRequest, context: grpc.ServicerContext
    ) -> pb.ResolveDifferenceResponse:
        """The first person's word."""
        resolution = pb.Resolution.Name(request.resolution).removeprefix("RESOLUTION_")

        def work(transaction: Connection) -> pb.ResolveDifferenceResponse:
            proposed = resolutions.propose(
                transaction, request.difference_id, resolution, request.reason
            )
            today = books.get(transaction, proposed.book_id).business_date
            return pb.ResolveDifferenceResponse(difference=proposed.message(today))

        return idempotency.once(
            self._db, "ResolveDifference", request, pb.ResolveDifferenceResponse, work
        )

    def DecideResolution(
        self, request: pb.DecideResolutionRequest, context: grpc.ServicerContext
    ) -> pb.DecideResolutionResponse:
        """The second person's word, answered when the ledger has what it posts."""

        def work(transaction: Connection) -> pb.DecideResolutionResponse:
            found = differences.get(transaction, request.difference_id)
            book = books.hold_open(transaction, found.book_id)
            decided = resolutions.decide(
                transaction, book, request.difference_id, approve=request.approve
            )
            return pb.DecideResolutionResponse(difference=decided.message(book.business_date))

        answer = books.on_an_open_day(
            lambda: idempotency.once(
                self._db, "DecideResolution", request, pb.DecideResolutionResponse, work
            )
        )
        self._sender.deliver(answer.difference.book_id, answer.difference.difference_id)
        return answer

    def _check_file(self, request: pb.RecordSettlementRequest) -> None:
        """Raises InvalidArgument where a settlement file does not add up."""
        if not request.reference:
            raise InvalidArgument("reference", "name the file")
        total = sum(line.amount for line in request.lines)
        if request.gross != total:
            raise InvalidArgument("gross", f"is {request.gross}, the lines add up to {total}")
        if request.fee > request.gross:
            raise InvalidArgument("fee", f"must not exceed gross, {request.gross}")
        if request.fee_vat > request.fee:
            raise InvalidArgument("fee_vat", f"must not exceed fee, {request.fee}")
        if request.fee_vat:
            asked = ledger_pb2.GetBookRequest(book_id=request.book_id)
            if self._ledger.GetBook(asked).book.vat_mode != ledger_pb2.VAT_MODE_SPLIT:
                raise InvalidArgument("fee_vat", "must be 0: the book does not split VAT")


def whole(messages: Iterator[RequestT], rows: str) -> RequestT:
    """The messages of a stream as one: heads are the first's, rows add up.

    Raises InvalidArgument where there is no head, a later one differs, or there are too many rows.
    """
    first = next(messages, None)
    if first is None or not first.request_id:
        raise InvalidArgument("request_id", "the first message of the stream has it")
    if not first.book_id:
        raise InvalidArgument("book_id", "the first message of the stream has it")
    for message in messages:
        _check_head(first, message, rows)
        getattr(first, rows).extend(getattr(message, rows))
        if len(getattr(first, rows)) > MOST_ROWS:
            raise InvalidArgument(rows, f"{MOST_ROWS} in a stream at most; send another file")
    return first


def _check_head(first: Message, message: Message, rows: str) -> None:
    for field, value in message.ListFields():
        if field.name != rows and value != getattr(first, field.name):
            raise InvalidArgument(field.name, "differs from the first message's")


def _check_not_after(field: str, day: date, business_date: date) -> None:
    if day > business_date:
        raise InvalidArgument(field, f"must not lie after the business date, {business_date}")


def _batch_key(page_token: str) -> tuple[date, int] | None:
    day, _, number = text_key(page_token).partition(" ")
    if not day:
        return None
    try:
        return date.fromisoformat(day), int(number)
    except ValueError as error:
        raise InvalidArgument("page_token", "is not one this list gave") from error
