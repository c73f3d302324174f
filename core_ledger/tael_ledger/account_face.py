"""LedgerService's accounts: contract messages in, the ledger's calls, contract messages out."""

from __future__ import annotations

import asyncio

import grpc

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import accounts, messages
from tael_ledger.account_changes import LimitsChange, NewAccount, Opening
from tael_ledger.drafts import account_number
from tael_ledger.face import Face, key_of
from tael_ledger.operations import StateRequest, state_change
from tael_ledger.requests import PostingRequest
from tael_runtime import idempotency
from tael_runtime.paging import text_key, token


class Accounts(Face):
    """Accounts, opened ahead or at first use."""

    async def CreateAccounts(
        self, request: pb.CreateAccountsRequest, context: grpc.ServicerContext
    ) -> pb.CreateAccountsResponse:
        """Opens accounts."""
        await self.chart_of(request.book_id)
        opening = Opening(
            [_new_account(new) for new in request.accounts],
            key=key_of("CreateAccounts", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        receipt = await self.post(request.book_id, opening)
        numbers = [new.number for new in opening.wanted]
        return pb.CreateAccountsResponse(
            accounts=await asyncio.to_thread(self._standing, request.book_id, numbers),
            anchor=messages.anchor(receipt.anchor),
        )

    async def SetAccountLimits(
        self, request: pb.SetAccountLimitsRequest, context: grpc.ServicerContext
    ) -> pb.SetAccountLimitsResponse:
        """Limits an account."""
        change = LimitsChange(
            request.account_number,
            messages.read_limits(request.limits),
            request.reason,
            key=key_of("SetAccountLimits", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        account = await self._changed(request.book_id, request.account_number, change)
        return pb.SetAccountLimitsResponse(account=account)

    async def FreezeAccount(
        self, request: pb.FreezeAccountRequest, context: grpc.ServicerContext
    ) -> pb.FreezeAccountResponse:
        """No posting until it is unfrozen."""
        return pb.FreezeAccountResponse(account=await self._brought(request))

    async def UnfreezeAccount(
        self, request: pb.UnfreezeAccountRequest, context: grpc.ServicerContext
    ) -> pb.UnfreezeAccountResponse:
        """Ends a freeze."""
        return pb.UnfreezeAccountResponse(account=await self._brought(request))

    async def CloseAccount(
        self, request: pb.CloseAccountRequest, context: grpc.ServicerContext
    ) -> pb.CloseAccountResponse:
        """No posting ever again."""
        return pb.CloseAccountResponse(account=await self._brought(request))

    def GetAccount(
        self, request: pb.GetAccountRequest, context: grpc.ServicerContext
    ) -> pb.GetAccountResponse:
        """One account."""
        (account,) = self._standing(request.book_id, [request.account_number])
        return pb.GetAccountResponse(account=account)

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

    async def _brought(self, request: StateRequest) -> pb.Account:
        change = state_change(request)
        return await self._changed(request.book_id, request.account_number, change)

    async def _changed(self, book_id: str, number: str, change: PostingRequest) -> pb.Account:
        """The account as it stands after a change."""
        await self.chart_of(book_id)
        await self.post(book_id, change)
        (account,) = await asyncio.to_thread(self._standing, book_id, [number])
        return account

    def _standing(self, book_id: str, numbers: list[str]) -> list[pb.Account]:
        """Accounts as they stand now, in the order asked. Raises NotFound."""
        with self.database.read() as connection:
            chart = self.catalogue.chart(connection, book_id)
            found = accounts.find(connection, book_id, numbers)
        return [
            messages.account(accounts.open_among(found, book_id, number), chart)
            for number in numbers
        ]


def _new_account(new: pb.NewAccount) -> NewAccount:
    return NewAccount(
        new.gl_code,
        account_number(new.gl_code, new.owner.owner_type, new.owner.owner_id),
        messages.read_limits(new.limits),
    )
