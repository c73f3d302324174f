"""LedgerService's reads: entries, statements, balances."""

from __future__ import annotations

import grpc

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import accounts, journal, messages, statements
from tael_ledger.accounts import AsOf
from tael_ledger.face import Face
from tael_ledger.journal import EntryFilter
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date
from tael_runtime.paging import number_key, numbers_key, token


class Reading(Face):
    """What stands in the journal and on the accounts."""

    def GetEntry(
        self, request: pb.GetEntryRequest, context: grpc.ServicerContext
    ) -> pb.GetEntryResponse:
        """One entry."""
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
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
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
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
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
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
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
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
