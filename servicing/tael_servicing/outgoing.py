"""Postings on their way to the ledger: stored with their cause, sent unchanged until answered.

A lane (a loan, a line, a batch) is delivered in order. What the ledger refuses stays, with its
reason, ahead of its lane: it blocks the day's close until the cause is cured and it is sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.message import Message
from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael_runtime import later
from tael_runtime.database import Database, is_lost
from tael_runtime.errors import FailedPrecondition, Unavailable
from tael_runtime.refusals import reason_of
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan, outgoing_posting

log = structlog.get_logger()

FINAL = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.OUT_OF_RANGE,
)
"""Answers that repeating does not change; every other failure is silence."""


def passes(error: BaseException) -> bool:
    """Whether it is silence, of the store or of a service, that may end by itself."""
    if isinstance(error, DBAPIError):
        return is_lost(error)
    if isinstance(error, grpc.Call):
        return error.code() not in FINAL
    return isinstance(error, PoolTimeout | Unavailable)


STALE_SECONDS = 1.0
"""What waits longer than this lost its sender."""


ROWS_AT_ONCE = 100
LANES_AT_ONCE = 8
"""Postings of a lane go one after the other; those of different lanes do not wait for each other."""
LANES_A_PASS = 1000

Vouchers = dict[str, list[int]]
"""Entry sequences by source; "*" for all of a batch."""


class PostingRefused(FailedPrecondition):
    """The ledger said no."""

    def __init__(self, request_id: str, refusal: str) -> None:
        message = f"the ledger refused posting {request_id!r}: {refusal}"
        super().__init__(Reason.POSTING_REFUSED, message, request_id)


@dataclass(frozen=True)
class Outgoing:
    """A posting to store."""

    request_id: str
    book_id: str
    lane: str
    business_date: date
    rpc: str
    messages: tuple[bytes, ...]


class _Request(Protocol):
    request_id: str
    book_id: str

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        """Its bytes."""
        ...


def single(rpc: str, request: _Request, lane: str, day: date) -> Outgoing:
    """A RecordEvents or ReverseEntry request as it will be sent."""
    message = request.SerializeToString()
    return Outgoing(request.request_id, request.book_id, lane, day, rpc, (message,))


def store(transaction: Connection, *postings: Outgoing) -> None:
    """Writes postings in the transaction of their cause, in order."""
    rows = [{**vars(each), "messages": list(each.messages)} for each in postings]
    later.write(transaction, STORE, *rows)


STORE = insert(outgoing_posting)


def vouchers(transaction: Connection, request_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Entry sequences by source, of each posting that was delivered."""
    rows = transaction.execute(
        select(outgoing_posting.c.request_id, outgoing_posting.c.vouchers).where(
            outgoing_posting.c.request_id.in_(request_ids)
        )
    )
    return {row.request_id: row.vouchers or {} for row in rows}


def sequences(posted: dict[str, Any], source: str) -> list[int]:
    """The entries of one source among a posting's vouchers."""
    found: list[int] = posted.get(source) or posted.get("*") or []
    return found


def undelivered(book_id: Any) -> Any:
    """What the ledger does not have yet of a book's."""
    return (outgoing_posting.c.book_id == book_id) & (outgoing_posting.c.state != "DELIVERED")


def _lane(book_id: Any) -> Select[Any]:
    """What waits in a lane, the oldest first."""
    return (
        select(outgoing_posting)
        .where(undelivered(book_id), outgoing_posting.c.lane == bindparam("lane"))
        .order_by(outgoing_posting.c.number)
        .limit(ROWS_AT_ONCE)
    )


LANE = _lane(bindparam("book"))
LANE_OF_LOAN = _lane(
    select(loan.c.book_id).where(loan.c.loan_id == bindparam("lane")).scalar_subquery()
)
LANES = (
    select(outgoing_posting.c.lane)
    .where(undelivered(bindparam("book")))
    .group_by(outgoing_posting.c.lane)
    .order_by(func.min(outgoing_posting.c.number))
    .limit(LANES_A_PASS)
)
STALE_LANES = (
    select(outgoing_posting.c.book_id, outgoing_posting.c.lane)
    .where(outgoing_posting.c.state != "DELIVERED")
    .group_by(outgoing_posting.c.book_id, outgoing_posting.c.lane)
    .having(
        func.bool_and(outgoing_posting.c.state == "PENDING"),
        func.min(outgoing_posting.c.created_at)
        < func.now() - text(f"interval '{STALE_SECONDS} seconds'"),
    )
    .limit(LANES_A_PASS)
)
SETTLE = text(
    """
    SET LOCAL synchronous_commit TO off;
    UPDATE outgoing_posting SET state = :state, refusal = :refusal, vouchers = :vouchers,
        anchor_sequence = :sequence, anchor_digest = :digest
    WHERE request_id = :id AND state <> 'DELIVERED'
    """
).bindparams(bindparam("vouchers", type_=JSONB(none_as_null=True)))
"""Not waited for on the disk: what a crash forgets is sent again, and the ledger answers alike."""


class Sender:
    """Delivers stored postings to the ledger."""

    def __init__(self, database: Database, ledger: ledger_pb2_grpc.LedgerServiceStub) -> None:
        self._db = database
        self._ledger = ledger
        self._turns = [threading.Lock() for _ in range(256)]
        """Whoever comes to a lane while it is delivered waits, and mostly finds it done."""

    def deliver(self, book_id: str, lane: str) -> None:
        """Delivers what waits in the lane, oldest first, and returns when the ledger has it.

        Raises PostingRefused; passes on the RpcError of a ledger that does not answer.
        """
        self._deliver(LANE, {"book": book_id, "lane": lane})

    def deliver_loan(self, loan_id: str) -> None:
        """As `deliver`, of a loan's lane in whatever book it stands."""
        self._deliver(LANE_OF_LOAN, {"lane": loan_id})

    def _deliver(self, query: Select[Any], values: dict[str, str]) -> None:
        with self._turns[hash(values["lane"]) % len(self._turns)]:
            page_is_full = True
            while page_is_full:
                rows = self._waiting(query, values)
                for row in rows:
                    self._send(row)
                page_is_full = len(rows) == ROWS_AT_ONCE

    def retry(self, book_id: str) -> None:
        """What the ledger refused before may be sent once more."""
        with self._db.begin() as transaction:
            transaction.execute(
                update(outgoing_posting)
                .where(undelivered(book_id), outgoing_posting.c.state == "REFUSED")
                .values(state="PENDING")
            )

    def drain(self, book_id: str, patience: float) -> None:
        """Delivers everything of the book, asking a silent ledger again for `patience` seconds.

        Raises as `deliver` does.
        """
        end = time.monotonic() + patience
        with ThreadPoolExecutor(LANES_AT_ONCE, "drain") as couriers:
            while lanes := self._lanes(book_id):
                try:
                    for _ in couriers.map(partial(self.deliver, book_id), lanes):
                        pass
                except grpc.RpcError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.2)

    def run(self, stop: threading.Event) -> None:
        """The loop that delivers what a crash, or a ledger that was away, left behind."""
        while not stop.wait(0.25):
            for book_id, lane in self._stale_lanes():
                try:
                    self.deliver(book_id, lane)
                except PostingRefused as refused:
                    log.warning("posting refused", lane=lane, why=refused.message)

    def _stale_lanes(self) -> list[tuple[str, str]]:
        with self._db.engine.connect() as connection:
            return [(row.book_id, row.lane) for row in connection.execute(STALE_LANES)]

    def _lanes(self, book_id: str) -> Sequence[str]:
        """Lanes of a book in which something waits, the one that waits longest first."""
        with self._db.engine.connect() as connection:
            return connection.execute(LANES, {"book": book_id}).scalars().all()

    def _waiting(self, query: Select[Any], values: dict[str, str]) -> Sequence[Row[Any]]:
        with self._db.engine.connect() as connection:
            return connection.execute(query, values).all()

    def _send(self, row: Row[Any]) -> None:
        if row.state == "REFUSED":
            raise PostingRefused(row.request_id, row.refusal)
        try:
            posted, anchor = self._call(row.rpc, [bytes(each) for each in row.messages])
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() not in FINAL:
                raise
            refusal = _why(error)
            self._settle(row.request_id, "REFUSED", refusal=refusal)
            raise PostingRefused(row.request_id, refusal) from error
        self._settle(row.request_id, "DELIVERED", posted, anchor)

    def _settle(
        self,
        request_id: str,
        state: str,
        posted: Vouchers | None = None,
        anchor: Any = None,
        refusal: str = "",
    ) -> None:
        values = {
            "id": request_id,
            "state": state,
            "refusal": refusal,
            "vouchers": posted,
            "sequence": anchor.sequence if anchor else None,
            "digest": anchor.digest if anchor else None,
        }
        with self._db.begin() as transaction:
            transaction.execute(SETTLE, values)

    def _call(self, rpc: str, messages: list[bytes]) -> tuple[Vouchers, Any]:
        answer: Any
        if rpc == "RecordEventColumns":
            parts = [ledger_pb2.RecordEventColumnsRequest.FromString(each) for each in messages]
            answer = self._ledger.RecordEventColumns(iter(parts))
            made = range(answer.first_sequence, answer.first_sequence + answer.entries)
            return {"*": list(made)}, answer.anchor
        if rpc == "ReverseEntry":
            reversal = ledger_pb2.ReverseEntryRequest.FromString(messages[0])
            answer = self._ledger.ReverseEntry(reversal)
            return {"*": [answer.entry.sequence]}, answer.anchor
        events = ledger_pb2.RecordEventsRequest.FromString(messages[0])
        answer = self._ledger.RecordEvents(events)
        posted: dict[str, list[int]] = {}
        for entry in answer.entries:
            posted.setdefault(entry.source, []).append(entry.sequence)
        return posted, answer.anchor


def _why(error: grpc.Call) -> str:
    """ "NO_POSTING_RULE: …": the ledger's reason and words."""
    return f"{reason_of(error) or error.code().name}: {error.details()}"


def packed(*messages: Message) -> tuple[bytes, ...]:
    """The messages of a stream as they will be sent."""
    return tuple(each.SerializeToString() for each in messages)
