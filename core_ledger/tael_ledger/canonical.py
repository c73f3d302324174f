"""The journal without what differs between two runs of the same business: to compare them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from tael_ledger.export import row_text, vouchers
from tael_ledger.journal_stream import PAGE
from tael_ledger.tables import posting_request

COLUMNS = (
    "booking_date",
    "request",
    "event",
    "value_date",
    "gl_code",
    "owner_type",
    "side",
    "amount",
)

GENERATED_ID = re.compile(r"\b([a-z]+)_[0-9a-f]{32}\b")
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def kind_of_request(request_id: str) -> str:
    """ "disburse:ln_0198c…" → "disburse:ln"; a UUID → "uuid"; what was not generated stays."""
    return UUID.sub("uuid", GENERATED_ID.sub(r"\1", request_id))


def canonical(connection: Connection, book_id: str) -> Iterator[str]:
    """One row a line, sorted by booking date, request and text; memory holds one booking date.

    Amounts are minor units, negative in red ink.
    """
    yield row_text(COLUMNS)
    # Booking dates never fall along the journal, so each day is one run of it.
    days = groupby(_requested(connection, book_id), lambda pair: pair[1][0].booking_date)
    for _, day in days:
        yield from _sorted_day(day)


def _sorted_day(day: Iterable[tuple[str, list[Row[Any]]]]) -> Iterator[str]:
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for request, voucher in day:
        texts[request].extend(_text(request, row) for row in voucher)
    for request in sorted(texts):
        yield from sorted(texts[request])


def _text(request: str, row: Row[Any]) -> str:
    side, amount = ("DEBIT", row.debit) if row.debit else ("CREDIT", row.credit)
    return row_text(
        (
            row.booking_date,
            request,
            row.event,
            row.value_date,
            row.gl_code,
            row.owner_type,
            side,
            amount,
        )
    )


def _requested(connection: Connection, book_id: str) -> Iterator[tuple[str, list[Row[Any]]]]:
    """Each entry's lines after the kind of the request that made it, both read once, in step."""
    requests = iter(
        connection.execute(
            select(
                posting_request.c.request_id,
                posting_request.c.first_sequence,
                (posting_request.c.first_sequence + posting_request.c.entries).label("end"),
            )
            .where(posting_request.c.book_id == book_id, posting_request.c.entries > 0)
            .order_by(posting_request.c.first_sequence),
            execution_options={"yield_per": PAGE},
        )
    )
    request = next(requests, None)
    for voucher in vouchers(connection, book_id):
        sequence = voucher[0].sequence
        while request is not None and request.end <= sequence:
            request = next(requests, None)
        if request is not None and request.first_sequence <= sequence:
            yield kind_of_request(request.request_id), voucher
        else:
            # Forced into the store: nobody asked for it, and the comparison shows that.
            yield "", voucher
