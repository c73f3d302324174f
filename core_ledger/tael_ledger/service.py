"""LedgerService: contract messages in, the ledger's calls, contract messages out."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import available_timezones

import grpc
import numpy as np

from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import ledger_pb2_grpc
from tael_ledger import accounts, books, journal, messages, statements
from tael_ledger.accounts import AsOf
from tael_ledger.books import Book
from tael_ledger.catalogue import Catalogue
from tael_ledger.chart import Chart
from tael_ledger.columns import (
    OWNERS_LIMIT,
    Chunk,
    Header,
    RecordedColumns,
    check_chunk,
    content_hash,
)
from tael_ledger.group_commit import GroupCommit
from tael_ledger.journal import Entry, EntryFilter, Receipt, RequestKey, entry_of
from tael_ledger.posting import Posted
from tael_ledger.requests import Desk, PostingRequest, RecordedEvents, Reversal
from tael_runtime import idempotency
from tael_runtime.database import Database
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date, read_date
from tael_runtime.paging import number_key, numbers_key, text_key, token


class Ledger(ledger_pb2_grpc.LedgerServiceServicer):
    """Books, accounts and the journal."""

    def __init__(self, database: Database, catalogue: Catalogue, group_commit: GroupCommit) -> None:
        self._database = database
        self._catalogue = catalogue
        self._group_commit = group_commit

    def CreateBook(
        self, request: pb.CreateBookRequest, context: grpc.ServicerContext
    ) -> pb.CreateBookResponse:
        """Opens a book."""
        time_zone = request.time_zone or "Asia/Shanghai"
        if time_zone not in available_timezones():
            raise InvalidArgument("time_zone", f"{time_zone!r} is no IANA time zone")
        book = Book(
            book_id=request.book_id,
            legal_entity=request.legal_entity,
            currency_code=request.currency_code,
            time_zone=time_zone,
            lender_type=messages.lender_type(request.lender_type) or "BANK",
            vat_mode=messages.vat_mode(request.vat_mode) or "NONE",
            business_date=read_date("business_date", request.business_date),
            rules_version=1,
        )
        return idempotency.once(
            self._database,
            "CreateBook",
            request,
            pb.CreateBookResponse,
            lambda transaction: pb.CreateBookResponse(
                book=messages.book(books.create(transaction, book, idempotency.current_caller()))
            ),
        )

    def GetBook(
        self, request: pb.GetBookRequest, context: grpc.ServicerContext
    ) -> pb.GetBookResponse:
        """One book."""
        with self._database.read() as connection:
            return pb.GetBookResponse(book=messages.book(books.get(connection, request.book_id)))

    def ListBooks(
        self, request: pb.ListBooksRequest, context: grpc.ServicerContext
    ) -> pb.ListBooksResponse:
        """A page of books."""
        size = request.page_size or 50
        with self._database.read() as connection:
            found = books.page(connection, text_key(request.page_token), size + 1)
        return pb.ListBooksResponse(
            books=[messages.book(book) for book in found[:size]],
            next_page_token=token(found[size - 1].book_id) if len(found) > size else "",
        )

    def ListAccounts(
        self, request: pb.ListAccountsRequest, context: grpc.ServicerContext
    ) -> pb.ListAccountsResponse:
        """A page of accounts."""
        size = request.page_size or messages.DEFAULT_PAGE
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            found = accounts.page(
                connection,
                request.book_id,
                request.gl_code,
                request.owner_type,
                request.owner_id,
                text_key(request.page_token),
                size + 1,
            )
        return pb.ListAccountsResponse(
            accounts=[messages.account(account, chart) for account in found[:size]],
            next_page_token=token(found[size - 1].number) if len(found) > size else "",
        )

    def RecordEvents(
        self, request: pb.RecordEventsRequest, context: grpc.ServicerContext
    ) -> pb.RecordEventsResponse:
        """Books business events."""
        chart = self._chart(request.book_id)
        events = RecordedEvents(
            key=_key("RecordEvents", request.request_id),
            content_hash=idempotency.content_hash(request),
            events=messages.read_events(request.events),
            booking_date=optional_date(request, "booking_date"),
        )
        receipt, entries = self._post(request.book_id, events)
        return pb.RecordEventsResponse(
            entries=messages.entries(entries, chart), anchor=messages.anchor(receipt.anchor)
        )

    def PreviewEvents(
        self, request: pb.PreviewEventsRequest, context: grpc.ServicerContext
    ) -> pb.PreviewEventsResponse:
        """What RecordEvents would post."""
        chart = self._chart(request.book_id)
        events = messages.read_events(request.events)
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            rules = self._catalogue.rules(connection, request.book_id, book.rules_version)
            preview = RecordedEvents(_key("PreviewEvents", ""), b"", events)
            drafts = preview.drafts(Desk(connection, book, rules))
        entries = [entry_of(book.book_id, 0, book.business_date, draft) for draft in drafts]
        return pb.PreviewEventsResponse(entries=messages.entries(entries, chart))

    def RecordEventColumns(
        self, requests: Iterator[pb.RecordEventColumnsRequest], context: grpc.ServicerContext
    ) -> pb.RecordEventColumnsResponse:
        """Books one event for many owners."""
        first = next(requests, None)
        if first is None or not first.HasField("header"):
            raise InvalidArgument("header", "comes first, once")
        book_id = first.header.book_id
        self._chart(book_id)
        header = _header(first.header)
        chunks = list(_chunks(requests, header))
        columns = RecordedColumns(
            key=_key("RecordEventColumns", first.header.request_id),
            content_hash=content_hash(idempotency.content_hash(first.header), chunks),
            header=header,
            chunks=chunks,
        )
        outcome = self._group_commit.submit(book_id, columns)
        if isinstance(outcome, Posted):
            receipt = outcome.receipt
        else:
            with self._database.read() as connection:
                receipt = journal.receipt(connection, book_id, columns.key)
        return pb.RecordEventColumnsResponse(
            first_sequence=receipt.first_sequence,
            entries=receipt.entries,
            lines=receipt.lines,
            anchor=messages.anchor(receipt.anchor),
        )

    def ReverseEntry(
        self, request: pb.ReverseEntryRequest, context: grpc.ServicerContext
    ) -> pb.ReverseEntryResponse:
        """Red-ink reversal."""
        chart = self._chart(request.book_id)
        reversal = Reversal(
            key=_key("ReverseEntry", request.request_id),
            content_hash=idempotency.content_hash(request),
            sequence=request.sequence,
            reason=request.reason,
        )
        receipt, entries = self._post(request.book_id, reversal)
        return pb.ReverseEntryResponse(
            entry=messages.entry(entries[0], chart), anchor=messages.anchor(receipt.anchor)
        )

    def GetEntry(
        self, request: pb.GetEntryRequest, context: grpc.ServicerContext
    ) -> pb.GetEntryResponse:
        """One entry."""
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            found = journal.get(connection, request.book_id, request.sequence)
        return pb.GetEntryResponse(entry=messages.entry(found, chart))

    def ListEntries(
        self, request: pb.ListEntriesRequest, context: grpc.ServicerContext
    ) -> pb.ListEntriesResponse:
        """A page of entries."""
        size = request.page_size or messages.DEFAULT_PAGE
        wanted = EntryFilter(
            event=request.event,
            source_prefix=request.source_prefix,
            owner_type=request.owner.owner_type,
            owner_id=request.owner.owner_id,
            from_booking_date=optional_date(request, "from_booking_date"),
            to_booking_date=optional_date(request, "to_booking_date"),
        )
        after = number_key(request.page_token)
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            found = journal.page(connection, request.book_id, wanted, after, size + 1)
        return pb.ListEntriesResponse(
            entries=messages.entries(found[:size], chart),
            next_page_token=token(found[size - 1].sequence) if len(found) > size else "",
        )

    def ListLines(
        self, request: pb.ListLinesRequest, context: grpc.ServicerContext
    ) -> pb.ListLinesResponse:
        """A page of an account's statement."""
        size = request.page_size or messages.DEFAULT_PAGE
        after = numbers_key(request.page_token)
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            found = statements.page(
                connection, request.book_id, chart, request.account_number, after, size + 1
            )
        more = len(found) > size
        last = found[size - 1] if more else None
        return pb.ListLinesResponse(
            lines=[messages.statement_line(line) for line in found[:size]],
            next_page_token=token(last.sequence, last.line_number) if last else "",
        )

    def GetBalances(
        self, request: pb.GetBalancesRequest, context: grpc.ServicerContext
    ) -> pb.GetBalancesResponse:
        """Balances now or as of a date."""
        as_of = AsOf(
            booking_date=optional_date(request, "booking_date"),
            value_date=optional_date(request, "value_date"),
        )
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
            found = accounts.turnovers(connection, request.book_id, request.account_numbers, as_of)
        balances = []
        for place, number in enumerate(request.account_numbers):
            gl_account = chart.get(number.partition(":")[0])
            if gl_account is None:
                raise InvalidArgument(
                    f"account_numbers[{place}]", f"{number!r} begins with no code of the chart"
                )
            debits, credits_ = found.get(number, (0, 0))
            balances.append(
                pb.Balance(
                    account_number=number,
                    debits_posted=debits,
                    credits_posted=credits_,
                    balance=gl_account.balance(debits, credits_),
                )
            )
        return pb.GetBalancesResponse(balances=balances)

    def _chart(self, book_id: str) -> Chart:
        return self._catalogue.known(book_id) or self._read_chart(book_id)

    def _read_chart(self, book_id: str) -> Chart:
        with self._database.read() as connection:
            return self._catalogue.chart(connection, book_id)

    def _post(self, book_id: str, request: PostingRequest) -> tuple[Receipt, list[Entry]]:
        outcome = self._group_commit.submit(book_id, request)
        if isinstance(outcome, Posted):
            return outcome.receipt, outcome.entries()
        with self._database.read() as connection:
            receipt = journal.receipt(connection, book_id, request.key)
            return receipt, journal.entries_of(connection, book_id, receipt)


def _key(rpc: str, request_id: str) -> RequestKey:
    return RequestKey(rpc, idempotency.current_caller(), request_id)


def _header(header: pb.EventColumnsHeader) -> Header:
    return Header(
        event=header.event,
        value_date=read_date("header.value_date", header.value_date),
        product=header.product,
        accrual_status=messages.accrual_status(header.accrual_status),
        owner_type=header.owner_type,
        amount_types=list(header.amount_types),
        source=header.source,
        booking_date=optional_date(header, "booking_date"),
    )


def _chunks(requests: Iterator[pb.RecordEventColumnsRequest], header: Header) -> Iterator[Chunk]:
    owners = 0
    for place, request in enumerate(requests):
        if not request.HasField("chunk"):
            raise InvalidArgument("header", "comes once, before the chunks")
        chunk = Chunk(
            list(request.chunk.owner_ids),
            [np.array(column.minor_units, dtype=np.int64) for column in request.chunk.columns],
        )
        check_chunk(place, chunk, header)
        owners += len(chunk.owner_ids)
        if owners > OWNERS_LIMIT:
            raise InvalidArgument("chunk", f"more than {OWNERS_LIMIT} owners; split the request")
        yield chunk
