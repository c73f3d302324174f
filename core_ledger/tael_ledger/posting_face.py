"""LedgerService's postings: contract messages in, requests of the group commit, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import grpc
import numpy as np

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import books, guards, journal, messages, rules_store
from tael_ledger.columns import (
    OWNERS_LIMIT,
    Chunk,
    Header,
    RecordedColumns,
    check_chunk,
    content_hash,
)
from tael_ledger.drafts import Draft, LineColumns
from tael_ledger.face import Face, aside, key_of
from tael_ledger.journal import Receipt, entry_of
from tael_ledger.opening_balances import IMPORT_LIMIT, ControlTotals, ImportedBalances
from tael_ledger.operations import lines_of, posted_entries, recorded_events, reversal
from tael_ledger.postings import (
    LINES_LIMIT,
    PostedColumns,
    check_columns,
    check_line_columns,
    columns_hash,
    columns_of,
)
from tael_ledger.recorded_events import drafts_at
from tael_ledger.requests import OPENING_BALANCE, Desk, read_refusals
from tael_runtime import idempotency
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date


class Postings(Face):
    """Events, entries, columns, imports and reversals."""

    async def RecordEvents(
        self, request: pb.RecordEventsRequest, context: grpc.ServicerContext
    ) -> pb.RecordEventsResponse:
        """Books business events."""
        chart = await self.chart_of(request.book_id)
        recorded = await aside(4 * len(request.events), recorded_events, request)
        receipt, entries = await self.post_entries(request.book_id, recorded)
        told = await aside(receipt.lines, messages.entries, entries, chart)
        return pb.RecordEventsResponse(entries=told, anchor=messages.anchor(receipt.anchor))

    def PreviewEvents(
        self, request: pb.PreviewEventsRequest, context: grpc.ServicerContext
    ) -> pb.PreviewEventsResponse:
        """What RecordEvents would post, or its refusal."""
        chart = self.chart(request.book_id)
        events = messages.read_events(request.events)
        with self.database.read() as connection:
            book = books.get(connection, request.book_id)
            rules = rules_store.rule_set(connection, request.book_id, book.rules_version)
            drafts = drafts_at(Desk(connection, book, chart, rules, iter(())), events)
            guards.check(connection, book.book_id, drafts)
        entries = [entry_of(book.book_id, 0, book.business_date, draft) for draft in drafts]
        return pb.PreviewEventsResponse(entries=messages.entries(entries, chart))

    async def PostEntries(
        self, request: pb.PostEntriesRequest, context: grpc.ServicerContext
    ) -> pb.PostEntriesResponse:
        """Posts entries on named accounts."""
        chart = await self.chart_of(request.book_id)
        lines = lines_of(request)
        posting = await aside(lines, posted_entries, request, lines, chart)
        return _outcomes(len(posting.drafts), await self.post(request.book_id, posting))

    async def ReverseEntry(
        self, request: pb.ReverseEntryRequest, context: grpc.ServicerContext
    ) -> pb.ReverseEntryResponse:
        """Red ink, or the opposite sides."""
        chart = await self.chart_of(request.book_id)
        lines = await asyncio.to_thread(self._line_count, request)
        receipt, entries = await self.post_entries(request.book_id, reversal(request, lines))
        told = await aside(receipt.lines, messages.entry, entries[0], chart)
        return pb.ReverseEntryResponse(entry=told, anchor=messages.anchor(receipt.anchor))

    def _line_count(self, request: pb.ReverseEntryRequest) -> int:
        with self.database.read() as connection:
            return journal.line_count(connection, request.book_id, request.sequence)

    def RecordEventColumns(
        self, requests: Iterator[pb.RecordEventColumnsRequest], context: grpc.ServicerContext
    ) -> pb.RecordEventColumnsResponse:
        """Books one event for many owners."""
        first = next(requests, None)
        if first is None or not first.HasField("header"):
            raise InvalidArgument("header", "comes first, once")
        book_id = first.header.book_id
        self.chart(book_id)
        header = _header(first.header)
        chunks = list(_chunks(requests, header))
        columns = RecordedColumns(
            header,
            chunks,
            key=key_of("RecordEventColumns", first.header.request_id),
            content_hash=content_hash(idempotency.content_hash(first.header), chunks),
        )
        receipt = self.submit(book_id, columns)
        return pb.RecordEventColumnsResponse(
            first_sequence=receipt.first_sequence,
            entries=receipt.entries,
            lines=receipt.lines,
            anchor=messages.anchor(receipt.anchor),
        )

    def PostColumns(
        self, requests: Iterator[pb.PostColumnsRequest], context: grpc.ServicerContext
    ) -> pb.PostColumnsResponse:
        """One compound entry."""
        first = next(requests, None)
        if first is None or not first.HasField("header"):
            raise InvalidArgument("header", "comes first, once")
        header = first.header
        chart = self.chart(header.book_id)
        lines = columns_of(list(_line_chunks(requests, LINES_LIMIT)))
        check_columns(lines, chart)
        draft = Draft(
            header.event,
            messages.read_day("header.value_date", header.value_date),
            header.source,
            header.narrative,
            lines,
        )
        posting = PostedColumns(
            draft,
            optional_date(header, "booking_date"),
            key=key_of("PostColumns", header.request_id),
            content_hash=columns_hash(idempotency.content_hash(header), lines),
        )
        receipt = self.submit(header.book_id, posting)
        return pb.PostColumnsResponse(
            sequence=receipt.first_sequence,
            lines=receipt.lines,
            anchor=messages.anchor(receipt.anchor),
        )

    def ImportOpeningBalances(
        self, requests: Iterator[pb.ImportOpeningBalancesRequest], context: grpc.ServicerContext
    ) -> pb.ImportOpeningBalancesResponse:
        """Opening balances, held against their control totals."""
        first = next(requests, None)
        if first is None or not first.HasField("header"):
            raise InvalidArgument("header", "comes first, once")
        header = first.header
        chart = self.chart(header.book_id)
        lines = columns_of(list(_line_chunks(requests, IMPORT_LIMIT)))
        _totals(header.totals).check(lines)
        check_columns(lines, chart)
        draft = Draft(
            OPENING_BALANCE,
            messages.read_day("header.value_date", header.value_date),
            header.source,
            "",
            lines,
        )
        posting = ImportedBalances(
            draft,
            optional_date(header, "booking_date"),
            key=key_of("ImportOpeningBalances", header.request_id),
            content_hash=columns_hash(idempotency.content_hash(header), lines),
        )
        receipt = self.submit(header.book_id, posting)
        return pb.ImportOpeningBalancesResponse(
            sequence=receipt.first_sequence,
            accounts=receipt.lines,
            anchor=messages.anchor(receipt.anchor),
        )


def _outcomes(count: int, receipt: Receipt) -> pb.PostEntriesResponse:
    refusals = read_refusals(receipt.outcome)
    refused = {refusal.entry for refusal in refusals}
    sequences = iter(range(receipt.first_sequence, receipt.first_sequence + receipt.entries))
    return pb.PostEntriesResponse(
        sequences=[0 if place in refused else next(sequences) for place in range(count)],
        refusals=[pb.EntryRefusal(**refusal._asdict()) for refusal in refusals],
        anchor=messages.anchor(receipt.anchor),
    )


def _header(header: pb.EventColumnsHeader) -> Header:
    return Header(
        event=header.event,
        value_date=messages.read_day("header.value_date", header.value_date),
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
    if not owners:
        raise InvalidArgument("chunk", "at least one, with at least one owner")


def _line_chunks(
    requests: Iterable[pb.PostColumnsRequest | pb.ImportOpeningBalancesRequest], limit: int
) -> Iterator[LineColumns]:
    lines = 0
    for place, request in enumerate(requests):
        if not request.HasField("chunk"):
            raise InvalidArgument("header", "comes once, before the chunks")
        chunk = LineColumns(
            list(request.chunk.account_numbers),
            np.array(request.chunk.debits, dtype=np.int64),
            np.array(request.chunk.credits, dtype=np.int64),
        )
        check_line_columns(f"chunk[{place}]", chunk)
        lines += len(chunk.account_numbers)
        if lines > limit:
            raise InvalidArgument("chunk", f"more than {limit} lines; split the request")
        yield chunk
    if not lines:
        raise InvalidArgument("chunk", "at least one, with at least one line")


def _totals(totals: pb.ControlTotals) -> ControlTotals:
    nets = {one.gl_code: one.net for one in totals.gl_codes}
    if len(nets) < len(totals.gl_codes):
        raise InvalidArgument("header.totals.gl_codes", "names a code twice; one total a code")
    return ControlTotals(totals.accounts, totals.debits, totals.credits, nets)
