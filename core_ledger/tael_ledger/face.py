"""What the parts of the ledger's contract service share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import journal
from tael_ledger.catalogue import Catalogue
from tael_ledger.chart import Chart
from tael_ledger.drafts import Line
from tael_ledger.group_commit import GroupCommit
from tael_ledger.journal import Entry, Receipt, RequestKey
from tael_ledger.posting import Posted
from tael_ledger.requests import PostingRequest
from tael_runtime import idempotency
from tael_runtime.database import Database

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Face:
    """The store, what never changes in it, and the way to change it."""

    database: Database
    catalogue: Catalogue
    group_commit: GroupCommit

    def chart(self, book_id: str) -> Chart:
        """A book's chart. Raises NotFound."""
        known = self.catalogue.known(book_id)
        return self._read_chart(book_id) if known is None else known

    async def chart_of(self, book_id: str) -> Chart:
        """As `chart`, on an event loop."""
        known = self.catalogue.known(book_id)
        if known is None:
            known = await asyncio.to_thread(self._read_chart, book_id)
        return known

    def _read_chart(self, book_id: str) -> Chart:
        with self.database.read() as connection:
            return self.catalogue.chart(connection, book_id)

    def submit(self, book_id: str, request: PostingRequest) -> Receipt:
        """Executes a request; its receipt, the first time and every time. The book exists."""
        outcome = self.group_commit.submit(book_id, request)
        if isinstance(outcome, Posted):
            return outcome.receipt
        return self._receipt(book_id, request.key)

    async def post(self, book_id: str, request: PostingRequest) -> Receipt:
        """As `submit`, on an event loop."""
        outcome = await self.group_commit.post(book_id, request)
        if isinstance(outcome, Posted):
            return outcome.receipt
        return await asyncio.to_thread(self._receipt, book_id, request.key)

    async def post_entries(
        self, book_id: str, request: PostingRequest
    ) -> tuple[Receipt, list[Entry]]:
        """As `post`, with the entries it made."""
        outcome = await self.group_commit.post(book_id, request)
        if isinstance(outcome, Posted):
            return outcome.receipt, await aside(outcome.receipt.lines, outcome.entries)
        return await asyncio.to_thread(self._made, book_id, request.key)

    def _receipt(self, book_id: str, key: RequestKey) -> Receipt:
        with self.database.read() as connection:
            return journal.receipt(connection, book_id, key)

    def _made(self, book_id: str, key: RequestKey) -> tuple[Receipt, list[Entry]]:
        with self.database.read() as connection:
            receipt = journal.receipt(connection, book_id, key)
            return receipt, journal.entries_of(connection, book_id, receipt)


MANY_LINES = 500
"""More are not read or told on the event loop: everybody else would wait."""


async def aside(
    lines: int, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs
) -> Result:
    """Does work on some lines: in a thread where they are many, in the caller's context."""
    if lines <= MANY_LINES:
        return work(*args, **named)
    return await asyncio.to_thread(work, *args, **named)


def key_of(rpc: str, request_id: str) -> RequestKey:
    """The identity of the current caller's request."""
    return RequestKey(rpc, idempotency.current_caller(), request_id)


def read_line(line: pb.PostingLine) -> Line:
    """A line to post."""
    if line.side == pb.SIDE_DEBIT:
        return Line(line.account_number, line.amount, 0)
    return Line(line.account_number, 0, line.amount)
