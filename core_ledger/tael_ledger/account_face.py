"""LedgerService's accounts: contract messages in, the ledger's calls, contract messages out."""

from __future__ import annotations

import grpc

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import accounts, messages
from tael_ledger.face import Face
from tael_runtime.paging import text_key, token


class Accounts(Face):
    """Accounts, opened ahead or at first use."""

    def ListAccounts(
        self, request: pb.ListAccountsRequest, context: grpc.ServicerContext
    ) -> pb.ListAccountsResponse:
        """A page of accounts."""
        size = request.page_size or messages.DEFAULT_PAGE
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, request.book_id)
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
