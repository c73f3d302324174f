"""The journal as text that others read: Beancount with balance assertions, or CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from io import StringIO
from typing import Any

from sqlalchemy import Connection, Row, select

from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.journal_stream import PAGE
from tael_ledger.tables import account, entry, line

CHUNK = 64 * 1024
"""Characters a chunk, about."""

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

DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "XAF": 0, "XOF": 0}
DECIMALS |= {"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3}
"""ISO 4217 minor units where they are not two."""


def decimal_text(minor_units: int, currency_code: str) -> str:
    """-123456, CNY → "-1234.56"; exact."""
    places = DECIMALS.get(currency_code, 2)
    digits = str(abs(minor_units)).rjust(places + 1, "0")
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def beancount_account(number: str, chart: Chart) -> str:
    """ "1303.01:LOAN:l_1" → "Assets:1303-01:LOAN:0-6C-5F1": one name an account, both ways.

    What Beancount has no place for becomes "-" and two hexadecimal digits; a name that would begin
    with a small letter, or with one of those, has its first character written so after a "0".
    """
    gl_code, *owner = number.split(":")
    parts = [ROOTS[chart[gl_code].account_class], gl_code.replace(".", "-")]
    return ":".join([*parts, *(_component(part) for part in owner)])


def _component(text: str) -> str:
    escaped = re.sub(r"[^A-Za-z0-9]", _escape, text)
    if re.match(r"[a-z]", escaped):
        return f"0-{ord(escaped[0]):02X}{escaped[1:]}"
    return f"0{escaped}" if escaped.startswith("-") else escaped


def _escape(found: re.Match[str]) -> str:
    return f"-{ord(found[0]):02X}"


def beancount(connection: Connection, book: Book, chart: Chart) -> Iterator[str]:
    """Every account opened, every entry on its booking date, every balance asserted the day after."""
    accounts = connection.execute(
        select(account).where(account.c.book_id == book.book_id).order_by(account.c.number)
    ).all()
    names = {row.number: beancount_account(row.number, chart) for row in accounts}
    currency = book.currency_code
    yield f'option "title" {_quoted(f"{book.legal_entity} ({book.book_id})")}\n'
    yield f'option "operating_currency" "{currency}"\n\n'
    first: date | None = None
    last = book.business_date
    for voucher in vouchers(connection, book.book_id):
        head = voucher[0]
        if first is None:
            first = head.booking_date
            for row in accounts:
                yield f"{first} open {names[row.number]} {currency}\n"
                yield f'  account: "{row.number}"\n'
        last = head.booking_date
        yield f"\n{head.booking_date} * {_quoted(head.event)} {_quoted(head.narrative)}\n"
        yield f"  sequence: {head.sequence}\n  value_date: {head.value_date}\n"
        yield f"  source: {_quoted(head.source)}\n" if head.source else ""
        yield f"  reversal_of: {head.reversal_of}\n" if head.reversal_of else ""
        for row in voucher:
            amount = decimal_text(row.debit - row.credit, currency)
            yield f"  {names[row.number]}  {amount} {currency}\n"
    if first is not None:
        day_after = last + timedelta(days=1)
        yield "\n"
        for row in accounts:
            amount = decimal_text(row.debits_posted - row.credits_posted, currency)
            # "~ 0": to the last minor unit, where Beancount would let one pass.
            yield f"{day_after} balance {names[row.number]}  {amount} ~ 0 {currency}\n"


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
)


def comma_separated(connection: Connection, book: Book, chart: Chart) -> Iterator[str]:
    """One row a line; amounts in minor units."""
    yield row_text(COLUMNS)
    for voucher in vouchers(connection, book.book_id):
        for row in voucher:
            name = chart[row.number.partition(":")[0]].full_name
            yield row_text(
                (
                    row.sequence,
                    row.booking_date,
                    row.value_date,
                    row.event,
                    row.line_number,
                    row.number,
                    name,
                    row.debit,
                    row.credit,
                    book.currency_code,
                    row.reversal_of,
                    row.source,
                    row.narrative,
                )
            )


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


def vouchers(connection: Connection, book_id: str) -> Iterator[list[Row[Any]]]:
    """The lines of each entry with its head, streamed by sequence."""
    rows = connection.execute(
        select(
            entry,
            line.c.line_number,
            line.c.debit,
            line.c.credit,
            account.c.number,
            account.c.gl_code,
            account.c.owner_type,
        )
        .join(line, (line.c.book_id == entry.c.book_id) & (line.c.sequence == entry.c.sequence))
        .join(
            account,
            (account.c.book_id == line.c.book_id) & (account.c.account_id == line.c.account_id),
        )
        .where(entry.c.book_id == book_id)
        .order_by(entry.c.sequence, line.c.line_number),
        execution_options={"yield_per": PAGE},
    )
    voucher: list[Row[Any]] = []
    for row in rows:
        if voucher and voucher[0].sequence != row.sequence:
            yield voucher
            voucher = []
        voucher.append(row)
    if voucher:
        yield voucher


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{" ".join(escaped.split())}"'


def row_text(values: Iterable[Any]) -> str:
    """One CSV record, its line end included."""
    buffer = StringIO()
    csv.writer(buffer).writerow(values)
    return buffer.getvalue()
