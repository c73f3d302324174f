"""LedgerService's reads: entries, statements, balances."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import (
    accounts,
    balances,
    books,
    entry_search,
    journal,
    messages,
    proposals,
    statements,
)
from tael_ledger.balances import AsOf, Turnover
from tael_ledger.booking_dates import stretch
from tael_ledger.drafts import facts_text
from tael_ledger.entry_search import EntryFilter
from tael_ledger.face import Face
from tael_ledger.reasons import Reason
from tael_ledger.watch import watch
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date
from tael_runtime.paging import number_key, token


class Reading(Face):
    """What stands in the journal and on the accounts."""

    def GetEntry(
        self, request: pb.GetEntryRequest, context: grpc.ServicerContext
    ) -> pb.GetEntryResponse:
        """One entry, and what posted it."""
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
            found = journal.get(connection, request.book_id, request.sequence, journal.TOLD_LINES)
            origin = journal.origin(connection, request.book_id, request.sequence)
            by_hand = origin.request.rpc == proposals.APPROVING
            approved = (
                proposals.get(connection, request.book_id, int(origin.outcome)) if by_hand else None
            )
        return pb.GetEntryResponse(
            entry=messages.entry(found, chart), posting=messages.posting(origin, approved)
        )

    def ListEntries(
        self, request: pb.ListEntriesRequest, context: grpc.ServicerContext
    ) -> pb.ListEntriesResponse:
        """A page of entries."""
        wanted = EntryFilter(
            event=request.event,
            source_prefix=request.source_prefix,
            owner_type=request.owner.owner_type,
            owner_id=request.owner.owner_id,
            account_number=request.account_number,
            metadata=facts_text(request.metadata),
            from_booking_date=optional_date(request, "from_booking_date"),
            to_booking_date=optional_date(request, "to_booking_date"),
        )
        after = number_key(request.page_token)
        size = request.page_size or messages.DEFAULT_PAGE
        with self.database.read() as connection:
            book = books.get(connection, request.book_id)
            chart = self.catalogue.chart(connection, request.book_id)
            found, more = entry_search.page(connection, book, wanted, after, size)
        return pb.ListEntriesResponse(
            entries=messages.entries(found, chart),
            next_page_token=token(found[-1].sequence) if more else "",
        )

    def ListLines(
        self, request: pb.ListLinesRequest, context: grpc.ServicerContext
    ) -> pb.ListLinesResponse:
        """A page of an account's statement."""
        book_id, number = request.book_id, request.account_number
        first_day = optional_date(request, "from_booking_date")
        last_day = optional_date(request, "to_booking_date")
        cipher, subject = self.database.cipher, f"{book_id}:{number}:{first_day}:{last_day}"
        place = statements.read_place(request.page_token, cipher, subject)
        with self.database.read() as connection:
            book = books.get(connection, book_id)
            chart = self.catalogue.chart(connection, book_id)
            held = accounts.find(connection, book_id, [number]).get(number)
            if held is None:
                return pb.ListLinesResponse()
            whole = stretch(connection, book, first_day, last_day)
            place = place or statements.opening(connection, book, held, whole, first_day)
            gl_account = chart[held.gl_code]
            size = request.page_size or messages.DEFAULT_PAGE
            page = statements.page(connection, book_id, held, gl_account, whole, place, size)
        return pb.ListLinesResponse(
            lines=[messages.statement_line(line) for line in page.lines],
            next_page_token=page.next_place.token(cipher, subject) if page.next_place else "",
            opening_balance=gl_account.balance(place.debits, place.credits),
        )

    def GetBalances(
        self, request: pb.GetBalancesRequest, context: grpc.ServicerContext
    ) -> pb.GetBalancesResponse:
        """Balances now or as of a date."""
        as_of = AsOf(
            booking_date=optional_date(request, "booking_date"),
            value_date=optional_date(request, "value_date"),
        )
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
            found = balances.turnovers(connection, request.book_id, request.account_numbers, as_of)
        answer = pb.GetBalancesResponse()
        for place, number in enumerate(request.account_numbers):
            gl_account = chart.get(number.partition(":")[0])
            if gl_account is None:
                raise InvalidArgument(
                    f"account_numbers[{place}]",
                    f"{number!r} begins with no code of the chart",
                    Reason.UNKNOWN_GL_CODE,
                )
            turnover = found.get(number, Turnover())
            answer.balances.add(
                account_number=number,
                debits_posted=turnover.debits_posted,
                credits_posted=turnover.credits_posted,
                balance=gl_account.balance(turnover.debits_posted, turnover.credits_posted),
                debits_pending=turnover.debits_pending,
                credits_pending=turnover.credits_pending,
            )
        return answer

    def WatchEntries(
        self, request: pb.WatchEntriesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchEntriesResponse]:
        """The journal as it grows."""
        chart = self.chart(request.book_id)
        for one in watch(
            self.database,
            self.group_commit.commits,
            request.book_id,
            request.after_sequence,
            request.event,
            context.is_active,
        ):
            yield pb.WatchEntriesResponse(entry=messages.entry(one, chart), lines=one.line_count)
