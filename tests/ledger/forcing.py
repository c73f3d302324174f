"""Forcing the store: what its triggers refuse, done by who can switch them off."""

from __future__ import annotations

from ledger import chain_page
from ledger.ledger_case import LedgerUnderTest
from sqlalchemy import TextClause, text


def forcing(book: LedgerUnderTest, statement: str) -> TextClause:
    """A statement with every trigger off; {} is the book's condition."""
    own = f"book_id = '{book.book_id}'"
    named = statement.format(own, own).replace(":", r"\:")
    return text(f"SET LOCAL session_replication_role = replica; {named}")


def force(book: LedgerUnderTest, statement: str) -> None:
    """Runs it as the superuser."""
    book.house.sql(forcing(book, statement).text, "ledger", write=True)


def rewrite_tail(book: LedgerUnderTest, first: int) -> None:
    """Makes the chain follow from the rows as they are, from a batch on."""
    contents = chain_page.contents(book)
    for number, digest in enumerate(chain_page.links(contents), 1):
        if number >= first:
            force(
                book,
                f"UPDATE posting_batch SET content_digest = '\\x{contents[number - 1].hex()}', "
                f"digest = '\\x{digest.hex()}' WHERE {{}} AND batch_number = {number}",
            )
            force(book, f"UPDATE book SET digest = '\\x{digest.hex()}' WHERE {{}}")
