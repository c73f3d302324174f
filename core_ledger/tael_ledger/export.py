"""The journal as text that others read: Beancount with balance assertions, or CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, select

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.currencies import DECIMALS
from tael_ledger.journal_stream import PAGE
from tael_ledger.rows import day_of
from tael_ledger.tables import account
from tael_ledger.vouchers import vouchers

CHUNK = 64 * 1024
"""Characters a chunk, about."""

NAMES_KEPT = 100_000
"""Names of accounts kept while an export runs."""

OWN = "Own"
"""The leaf of the book's own account of a code: a balance that Beancount asserts of an account takes
in what lies under it. No owner's type has small letters."""

ROOTS = {
    "ASSET": "Assets",
    "LIABILITY": "Liabilities",
    "CLEARING": "Assets",
    "EQUITY": "Equity",
    "INCOME": "Income",
    "EXPENSE": "Expenses",
    # Memo accounts balance among themselves, so under Equity they come to nothing.
    "MEMO": "Equity:Memo",
}


def decimal_text(minor_units: int, currency_code: str) -> str:
    """-123456, CNY → "-1234.56"; exact."""
    places = DECIMALS[currency_code]
    digits = str(abs(minor_units)).rjust(places + 1, "0")
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def beancount_account(number: str, chart: Chart) -> str:
    """ "1303.01:LOAN:l_1" → "Assets:1303-01:LOAN:0-6C-5F1": one name an account, both ways.

    The book's own "1003" is "Assets:1003:Own", so that no account stands above another. What
    Beancount has no place for becomes "-" and two hexadecimal digits; a name that would begin with a
    small letter, or with one of those, has its first character written so after a "0".
    """
    gl_code, *owner = number.split(":")
    parts = [ROOTS[chart[gl_code].account_class], gl_code.replace(".", "-")]
    return ":".join([*parts, *map(_component, owner or [OWN])])


def _component(text: str) -> str:
    escaped = re.sub(r"[^A-Za-z0-9]", _escape, text)
    if re.match(r"[a-z]", escaped):
        return f"0-{ord(escaped[0]):02X}{escaped[1:]}"
    return f"0{escaped}" if escaped.startswith("-") else escaped


def _escape(found: re.Match[str]) -> str:
    return f"-{ord(found[0]):02X}"


def beancount(connection: Connection, book: Book, chart: Chart) -> Iterator[str]:
    """Every account opened, every entry on its booking date, every balance asserted the day after."""
    currency = book.currency_code
    name_of = lru_cache(NAMES_KEPT)(lambda number: beancount_account(number, chart))
    yield f'option "title" {_quoted(f"{book.legal_entity} ({book.book_id})")}\n'
    yield f'option "operating_currency" "{currency}"\n\n'
    last: date | None = None
    for voucher in vouchers(connection, book.book_id):
        booked = day_of(voucher.booking_date)
        if last is None:
            for row in _accounts(connection, book.book_id):
                yield f'{booked} open {name_of(row.number)} {currency}\n  account: "{row.number}"\n'
        last = booked
        yield f"\n{booked} * {_quoted(voucher.event)} {_quoted(voucher.narrative)}\n"
        yield f"  sequence: {voucher.sequence}\n  value_date: {day_of(voucher.value_date)}\n"
        yield f"  source: {_quoted(voucher.source)}\n" if voucher.source else ""
        yield f"  reversal_of: {voucher.reversal_of}\n" if voucher.reversal_of else ""
        yield f"  facts: {_quoted(voucher.metadata)}\n" if voucher.metadata else ""
        for _, number, debit, credit in voucher.lines:
            yield f"  {name_of(number)}  {decimal_text(debit - credit, currency)} {currency}\n"
    if last is not None:
        day_after = last + timedelta(days=1)
        yield "\n"
        for row in _accounts(connection, book.book_id):
            amount = decimal_text(row.debits_posted - row.credits_posted, currency)
            # "~ 0": to the last minor unit, where Beancount would let one pass.
            yield f"{day_after} balance {name_of(row.number)}  {amount} ~ 0 {currency}\n"


def _accounts(connection: Connection, book_id: str) -> Iterable[Row[Any]]:
    own = select(account).where(account.c.book_id == book_id).order_by(account.c.number)
    return connection.execute(own, execution_options={"yield_per": PAGE})


COLUMNS = (
    "sequence",
    "booking_date",
    "value_date",
    "event",
    "line_number",
    "account_number",
    "account_name",
    "debit",
    "credit",
    "currency_code",
    "reversal_of",
    "source",
    "narrative",
    "metadata",
)


def comma_separated(connection: Connection, book: Book, chart: Chart) -> Iterator[str]:
    """One row a line; amounts in minor units, the entry's facts as JSON."""
    yield row_text(COLUMNS)
    names = {code: one.full_name for code, one in chart.items()}
    for voucher in vouchers(connection, book.book_id):
        booked, worth = day_of(voucher.booking_date), day_of(voucher.value_date)
        rows = (
            (
                voucher.sequence,
                booked,
                worth,
                voucher.event,
                line_number,
                number,
                names[number.partition(":")[0]],
                debit,
                credit,
                book.currency_code,
                voucher.reversal_of,
                voucher.source,
                voucher.narrative,
                voucher.metadata,
            )
            for line_number, number, debit, credit in voucher.lines
        )
        while some := rows_text(islice(rows, PAGE)):
            yield some


def in_chunks(texts: Iterable[str]) -> Iterator[bytes]:
    """Joins texts into UTF-8 chunks of about CHUNK characters."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= CHUNK:
            yield "".join(held).encode()
            held, size = [], 0
    if held:
        yield "".join(held).encode()


def cut(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Cuts bytes so that no piece has more than CHUNK."""
    for part in parts:
        for start in range(0, len(part), CHUNK):
            yield part[start : start + CHUNK]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{" ".join(escaped.split())}"'


def row_text(values: Iterable[Any]) -> str:
    """One CSV record, its line end included."""
    return rows_text((values,))


def rows_text(rows: Iterable[Iterable[Any]]) -> str:
    """CSV records."""
    buffer = StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
