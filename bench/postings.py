"""What benches post: interest accruing on loans, every entry into the same income account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import uuid4

from bench.house import BOOK
from bench.load import Rpc
from tael.ledger.v1.ledger_pb2 import (
    ACCRUAL_STATUS_ACCRUAL,
    SIDE_CREDIT,
    SIDE_DEBIT,
    AmountColumn,
    BusinessEvent,
    EventAmount,
    EventColumnsChunk,
    EventColumnsHeader,
    LineColumns,
    NewEntry,
    Owner,
    PostColumnsHeader,
    PostColumnsRequest,
    PostEntriesRequest,
    PostEntriesResponse,
    PostingLine,
    RecordEventColumnsRequest,
    RecordEventsRequest,
    RecordEventsResponse,
)
from tael_client.values import from_date

EVENT = "INTEREST_ACCRUED"
ADJUSTMENT = "MANUAL_ADJUSTMENT"
INCOME = "6011.01"
RECEIVABLE = "1132.01"
COLUMN_LIMIT = 50_000
"""Owners, or lines, of one columnar request."""


def _posted(answer: Any) -> int:
    return len(answer.sequences) - len(answer.refusals)


POST_ENTRIES = Rpc("/tael.ledger.v1.LedgerService/PostEntries", PostEntriesResponse, _posted)
RECORD_EVENTS = Rpc(
    "/tael.ledger.v1.LedgerService/RecordEvents",
    RecordEventsResponse,
    lambda answer: len(answer.entries),
)


def request_id() -> str:
    """A fresh one."""
    return str(uuid4())


def loan_id(number: int) -> str:
    """ "L0000042"."""
    return f"L{number:07d}"


def receivable_of(loan: int) -> str:
    """The account of a loan's accrued interest."""
    return f"{RECEIVABLE}:LOAN:{loan_id(loan)}"


def entry(debit: str, credit: str, amount: int, value_date: date, source: str) -> NewEntry:
    """From one account to another."""
    return NewEntry(
        event=ADJUSTMENT,
        value_date=from_date(value_date),
        source=source,
        lines=[
            PostingLine(account_number=debit, side=SIDE_DEBIT, amount=amount),
            PostingLine(account_number=credit, side=SIDE_CREDIT, amount=amount),
        ],
    )


def entries_request(loans: Sequence[int], value_date: date, identity: str = "") -> Any:
    """PostEntries of one entry a loan, its interest, into the account that all share; without an
    identity it is a body for `load.Requests`.
    """
    entries = [
        entry(
            receivable_of(loan),
            INCOME,
            100 + loan % 900,
            value_date,
            f"bench/loan/{loan_id(loan)}",
        )
        for loan in loans
    ]
    return PostEntriesRequest(request_id=identity, book_id=BOOK, entries=entries)


def events_request(loan: int, value_date: date) -> RecordEventsRequest:
    """RecordEvents of one night's interest of a loan: a body for `load.Requests`."""
    return RecordEventsRequest(
        book_id=BOOK,
        events=[
            BusinessEvent(
                event=EVENT,
                value_date=from_date(value_date),
                product="bench",
                accrual_status=ACCRUAL_STATUS_ACCRUAL,
                owners=[Owner(owner_type="LOAN", owner_id=loan_id(loan))],
                amounts=[EventAmount(amount_type="interest", minor_units=100 + loan % 900)],
                source=f"bench/loan/{loan_id(loan)}",
            )
        ],
    )


def event_columns(
    loans: Sequence[int], value_date: date, chunk: int = COLUMN_LIMIT
) -> list[RecordEventColumnsRequest]:
    """RecordEventColumns of one night's interest: one line a loan, and one of income a chunk."""
    header = EventColumnsHeader(
        request_id=request_id(),
        book_id=BOOK,
        event=EVENT,
        value_date=from_date(value_date),
        product="bench",
        accrual_status=ACCRUAL_STATUS_ACCRUAL,
        owner_type="LOAN",
        amount_types=["interest"],
        source="bench/night",
    )
    return [
        RecordEventColumnsRequest(header=header),
        *(
            RecordEventColumnsRequest(
                chunk=EventColumnsChunk(
                    owner_ids=[loan_id(loan) for loan in part],
                    columns=[AmountColumn(minor_units=[100 + loan % 900 for loan in part])],
                )
            )
            for part in _parts(loans, chunk)
        ),
    ]


def line_columns(
    loans: Sequence[int], value_date: date, chunk: int = COLUMN_LIMIT
) -> list[PostColumnsRequest]:
    """PostColumns of the same: one compound entry, a debit a loan but the last, a credit of all."""
    header = PostColumnsHeader(
        request_id=request_id(),
        book_id=BOOK,
        event=ADJUSTMENT,
        value_date=from_date(value_date),
        source="bench/night",
    )
    debited = loans[:-1]
    accounts = [*map(receivable_of, debited), INCOME]
    debits = [*(100 + loan % 900 for loan in debited), 0]
    credits_ = [*(0 for _ in debited), sum(debits)]
    return [
        PostColumnsRequest(header=header),
        *(
            PostColumnsRequest(
                chunk=LineColumns(
                    account_numbers=accounts[part.start : part.stop],
                    debits=debits[part.start : part.stop],
                    credits=credits_[part.start : part.stop],
                )
            )
            for part in _parts(range(len(accounts)), chunk)
        ),
    ]


def _parts(items: Any, size: int) -> Iterator[Any]:
    """A sequence cut into pieces of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
