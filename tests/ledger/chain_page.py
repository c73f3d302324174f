"""docs/ledger-chain.md followed to the letter: its SQL, SHA-256, and nothing of the ledger's own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import closing
from io import BytesIO
from typing import Any

import psycopg2
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import make_url

from support import ROOT
from tael_runtime.embedded_postgres import EmbeddedPostgres

PAGE = (ROOT / "docs" / "ledger-chain.md").read_text(encoding="utf-8")
PARTS, RECORDED = (
    [statement.strip() for statement in block.split(";") if statement.strip()]
    for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
)
"""What gives the parts of a batch, and what gives the rows that records have the digests of."""
RECIPE = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[0]
HEADER, TRAILER = 19, 2


def address(book: LedgerUnderTest) -> dict[str, Any]:
    """How libpq reaches the book's store as the superuser."""
    settings = book.house.settings
    url = make_url(EmbeddedPostgres(settings.data_dir).url(settings.database_name, "tael"))
    return {
        "host": url.query["host"],
        "port": url.query["port"],
        "user": "tael",
        "dbname": settings.database_name,
    }


def copied(book: LedgerUnderTest, statements: Sequence[str], number: int) -> list[bytes]:
    """What the page's statements give for a batch or a version, without header and trailer."""
    found = []
    with closing(psycopg2.connect(**address(book), options="-c search_path=ledger")) as connection:
        for statement in statements:
            named = statement.replace(":'book'", f"'{book.book_id}'").replace(
                ":number", str(number)
            )
            target = BytesIO()
            with connection.cursor() as cursor:
                cursor.copy_expert(named, target)
            found.append(target.getvalue()[HEADER:-TRAILER])
    return found


def contents(book: LedgerUnderTest) -> list[bytes]:
    """The content digest of each batch."""
    count = book.house.sql(
        "SELECT count(*) FROM posting_batch WHERE book_id = :book", "ledger", book=book.book_id
    )[0][0]
    return [
        hashlib.sha256(b"".join(copied(book, PARTS, number))).digest()
        for number in range(1, count + 1)
    ]


def links(digests: Sequence[bytes], previous: bytes = bytes(32)) -> list[bytes]:
    """The digest of each batch from the content digests."""
    found = []
    for content in digests:
        previous = hashlib.sha256(previous + content).digest()
        found.append(previous)
    return found


def last_sequences(book: LedgerUnderTest) -> list[int]:
    """Where each batch ends."""
    statement = (
        "SELECT last_sequence FROM posting_batch WHERE book_id = :book ORDER BY batch_number"
    )
    return [row[0] for row in book.house.sql(statement, "ledger", book=book.book_id)]


def recomputed(book: LedgerUnderTest) -> list[tuple[int, bytes]]:
    """(last sequence, digest) of each batch, from the rows."""
    return list(zip(last_sequences(book), links(contents(book)), strict=True))
