"""An account's statement: its lines in journal order with the running balance.

The balance runs on from page to page in the page's token, so that no page costs more than another.
The token carries a keyed hash, so that a balance that is shown is always one that was added up.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from tael_ledger.accounts import Account
from tael_ledger.balances import AsOf, Turnover, turnovers
from tael_ledger.booking_dates import Stretch, rest, windows
from tael_ledger.books import Book
from tael_ledger.chart import GlAccount
from tael_runtime.crypto import Cipher
from tael_runtime.errors import InvalidArgument
from tael_runtime.paging import text_key, token

# Lines by their account's index, and each one's entry by a probe of its key, whatever the planner
# believes about the tables.
LINES = text(
    "SELECT own.sequence, own.line_number, own.value_date, own.booking_date, own.debit, own.credit, "
    "head.event, head.narrative, head.source "
    "FROM (SELECT * FROM line WHERE book_id = :book_id AND account_id = :account_id "
    "AND booking_date BETWEEN :first_day AND :last_day "
    "AND (sequence, line_number) > (:sequence, :line_number) AND sequence <= :until "
    "ORDER BY sequence, line_number LIMIT :size) AS own, "
    "LATERAL (SELECT event, narrative, source FROM entry WHERE book_id = :book_id "
    "AND entry.sequence = own.sequence LIMIT 1) AS head "
    "ORDER BY own.sequence, own.line_number"
)


@dataclass(frozen=True)
class StatementLine:
    """One line; amounts in minor units, balance on the normal side."""

    sequence: int
    event: str
    value_date: date
    booking_date: date
    debit: int
    credit: int
    balance_after: int
    narrative: str
    source: str


@dataclass(frozen=True)
class Place:
    """After which line a page begins, and the account's turnover up to there, minor units."""

    sequence: int
    line_number: int
    debits: int
    credits: int

    def token(self, cipher: Cipher, subject: str) -> str:
        """For the next page of the subject, an account's statement of some days, and of no other."""
        text = f"{self.sequence}:{self.line_number}:{self.debits}:{self.credits}"
        return token(f"{text}:{_seal(cipher, subject, text)}")


def _seal(cipher: Cipher, subject: str, text: str) -> str:
    return cipher.blind_index("statement", f"{subject}:{text}").hex()


def read_place(page_token: str, cipher: Cipher, subject: str) -> Place | None:
    """The place in a token; None for the first page. Raises InvalidArgument for another's token."""
    if not page_token:
        return None
    text, _, seal = text_key(page_token).rpartition(":")
    if not hmac.compare_digest(seal.encode(), _seal(cipher, subject, text).encode()):
        raise InvalidArgument("page_token", "is not one this list gave; give it back unchanged")
    return Place(*(int(part) for part in text.split(":")))


def opening(
    connection: Connection, book: Book, held: Account, whole: Stretch, first_day: date | None
) -> Place:
    """Where the statement of a stretch begins; `first_day`: as it was asked for."""
    if first_day is None or first_day <= book.first_date:
        return Place(whole.after + 1, 0, 0, 0)
    before = AsOf(booking_date=first_day - timedelta(days=1))
    found = turnovers(connection, book.book_id, [held.number], before)
    turnover = found.get(held.number, Turnover())
    return Place(whole.after + 1, 0, turnover.debits_posted, turnover.credits_posted)


@dataclass(frozen=True)
class Page:
    """Some lines, and where the next page begins; None = nowhere."""

    lines: Sequence[StatementLine]
    next_place: Place | None


def page(
    connection: Connection,
    book_id: str,
    held: Account,
    gl_account: GlAccount,
    whole: Stretch,
    place: Place,
    size: int,
) -> Page:
    """Lines of an account by (sequence, line number), after a place."""
    rows = _lines(connection, book_id, held, whole, place, size + 1)
    lines = []
    for row in rows[:size]:
        debits, credits_ = place.debits + row.debit, place.credits + row.credit
        place = Place(row.sequence, row.line_number, debits, credits_)
        lines.append(
            StatementLine(
                row.sequence,
                row.event,
                row.value_date,
                row.booking_date,
                row.debit,
                row.credit,
                gl_account.balance(debits, credits_),
                row.narrative,
                row.source,
            )
        )
    return Page(lines, place if len(rows) > size else None)


def _lines(
    connection: Connection, book_id: str, held: Account, whole: Stretch, place: Place, size: int
) -> list[Row[Any]]:
    """At most `size` lines after a place, looked for month by month."""
    left = rest(connection, book_id, whole, place.sequence)
    found: list[Row[Any]] = []
    for first_day, last_day in windows(left.first_day, left.last_day):
        asked = {
            "book_id": book_id,
            "account_id": held.account_id,
            "first_day": first_day,
            "last_day": last_day,
            "sequence": place.sequence,
            "line_number": place.line_number,
            "until": whole.until,
            "size": size - len(found),
        }
        found += connection.execute(LINES, asked)
        if len(found) == size:
            break
    return found
