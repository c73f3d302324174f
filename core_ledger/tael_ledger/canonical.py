"""The journal without what differs between two runs of the same business: to compare them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from sqlalchemy import Connection

from tael_ledger.export import row_text
from tael_ledger.rows import day_of
from tael_ledger.vouchers import Voucher, VoucherLine, vouchers

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
    for _, day in groupby(vouchers(connection, book_id), lambda voucher: voucher.booking_date):
        yield from _sorted_day(day)


def _sorted_day(day: Iterable[Voucher]) -> Iterator[str]:
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for voucher in day:
        request = kind_of_request(voucher.request_id)
        texts[request].extend(_text(request, voucher, line) for line in voucher.lines)
    for request in sorted(texts):
        yield from sorted(texts[request])


def _text(request: str, voucher: Voucher, line: VoucherLine) -> str:
    gl_code, _, owner = line.account_number.partition(":")
    side, amount = ("DEBIT", line.debit) if line.debit else ("CREDIT", line.credit)
    return row_text(
        (
            day_of(voucher.booking_date),
            request,
            voucher.event,
            day_of(voucher.value_date),
            gl_code,
            owner.partition(":")[0],
            side,
            amount,
        )
    )
