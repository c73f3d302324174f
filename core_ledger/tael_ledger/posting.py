"""One posting transaction: many requests, one set-based write, one link of the chain.

The book is locked first, so that whatever is read after it is still true when it is written, and
several processes may post to one book. Repetitions, rules and limits are decided in order of
arrival before anything is written, so each request succeeds or fails on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from sqlalchemy import Connection

from tael_ledger import books
from tael_ledger.batch import Batch
from tael_ledger.batch_writer import BatchWriter
from tael_ledger.books import Book
from tael_ledger.catalogue import Catalogue
from tael_ledger.entry_columns import Drafts
from tael_ledger.journal import Entry, Receipt, RequestKey, entry_of
from tael_ledger.prepared import Prepared
from tael_ledger.registry import Registry
from tael_ledger.requests import Desk, Plan, PostingRequest
from tael_runtime.errors import AlreadyExists, Reason, TaelError

# One probe of the primary key a request, whatever the planner believes about the table.
EXECUTED = Prepared(
    "executed_requests",
    "text, text[], text[], text[]",
    "SELECT asked.rpc, asked.caller, asked.request_id, found.content_hash "
    "FROM unnest($2, $3, $4) AS asked (rpc, caller, request_id), LATERAL ("
    "SELECT content_hash FROM posting_request AS kept WHERE kept.book_id = $1 "
    "AND kept.rpc = asked.rpc AND kept.caller = asked.caller "
    "AND kept.request_id = asked.request_id LIMIT 1) AS found",
)


@dataclass(frozen=True)
class Posted:
    """A request's success at its first time."""

    receipt: Receipt
    book: Book
    """As it was locked."""
    drafts: Drafts

    def entries(self) -> list[Entry]:
        """The entries it made."""
        return [
            entry_of(self.book.book_id, sequence, self.book.business_date, draft)
            for sequence, draft in enumerate(self.drafts, self.receipt.first_sequence)
        ]


@dataclass(frozen=True)
class Repeated:
    """It was executed before: the records have its answer."""


Outcome = Posted | Repeated | TaelError


@dataclass(frozen=True)
class Group:
    """What a posting transaction came to."""

    outcomes: Sequence[Outcome]
    """In the order of the requests."""
    last_batch: int
    digest: bytes
    """Of the last batch."""
    guards_changed: bool


def post(
    transaction: Connection,
    catalogue: Catalogue,
    registry: Registry,
    book_id: str,
    requests: Sequence[PostingRequest],
    meanwhile: Callable[[], None] = lambda: None,
) -> Group:
    """Executes requests that do not exclude one another; calls `meanwhile` while the store is at it,
    where it has anything to write.

    A refusal is an outcome; what is raised is a fault of the store, and nothing was written.
    """
    book, now = books.lock(transaction, book_id)
    registry.begin(transaction, book)
    chart = catalogue.chart(transaction, book_id)
    rules = registry.rules(transaction, book.rules_version)
    desk = Desk(transaction, book, chart, rules, count(book.reservations_made + 1))
    executed = _executed(transaction, book_id, [request.key for request in requests])
    planned = [_plan(desk, request, executed.get(request.key)) for request in requests]
    batch = Batch(transaction, book, registry)
    batch.prepare([plan for plan in planned if isinstance(plan, Plan)])
    outcomes = [
        _accept(batch, request, plan) for request, plan in zip(requests, planned, strict=True)
    ]
    made = BatchWriter(transaction, book, registry, now, batch.decided, meanwhile).write()
    return Group(
        [
            outcome or Posted(made[request.key].receipt, book, made[request.key].drafts)
            for request, outcome in zip(requests, outcomes, strict=True)
        ],
        book.last_batch + bool(made),
        next((one.receipt.anchor.digest for one in made.values()), book.digest),
        batch.decided.guards_changed,
    )


def _executed(
    transaction: Connection, book_id: str, keys: Sequence[RequestKey]
) -> dict[RequestKey, bytes]:
    """Content hashes of those requests that were executed before."""
    found = EXECUTED.rows(
        transaction,
        book_id,
        [key.rpc for key in keys],
        [key.caller for key in keys],
        [key.request_id for key in keys],
    )
    return {
        RequestKey(rpc, caller, request_id): bytes(content_hash)
        for rpc, caller, request_id, content_hash in found
    }


def _plan(
    desk: Desk, request: PostingRequest, executed: bytes | None
) -> Plan | Repeated | TaelError:
    if executed == request.content_hash:
        return Repeated()
    if executed is not None:
        return AlreadyExists(
            Reason.REQUEST_ID_REUSED,
            f"request_id {request.key.request_id!r} was used for {request.key.rpc} "
            "with other content",
        )
    try:
        return request.plan(desk)
    except TaelError as refusal:
        return refusal


def _accept(
    batch: Batch, request: PostingRequest, plan: Plan | Repeated | TaelError
) -> Outcome | None:
    if isinstance(plan, Repeated | TaelError):
        return plan
    try:
        batch.add(request, plan)
    except TaelError as refusal:
        return refusal
    return None
