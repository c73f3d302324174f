"""What the chain keeps of a book, its chart and its rules: the records of what was decided once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tael_ledger import books, rules_store
from tael_ledger.books import Book
from tael_ledger.catalogue import Catalogue
from tael_ledger.copying import copy_out
from tael_ledger.journal import RequestKey
from tael_ledger.journal_stream import select
from tael_ledger.posting import post
from tael_ledger.registry import Registry
from tael_ledger.requests import Desk, Plan, PostingRequest, Record
from tael_ledger.rows import Layout
from tael_runtime.errors import TaelError

BOOK_OPENED = "BOOK_OPENED"
RULES_APPROVED = "RULES_APPROVED"

CHART = Layout("gl_account", (), ("code", "name", "english_name", "account_class", "normal_side"))
RULES = Layout(
    "posting_rule",
    (("version", ">i4"), ("rule", ">i4"), ("posting", ">i4"), ("step", ">i4")),
    (
        "event",
        "amount_type",
        "product",
        "accrual_status",
        "lender_type",
        "vat_mode",
        "debit_gl_code",
        "debit_owner_type",
        "credit_gl_code",
        "credit_owner_type",
    ),
)


def book_facts(connection: Connection, book: Book) -> Mapping[str, Any]:
    """What never changes of a book; of its chart, the SHA-256 of its rows."""
    chart = copy_out(connection, select(CHART, book.book_id, "true", "code"))
    return {
        "legal_entity": book.legal_entity,
        "currency_code": book.currency_code,
        "time_zone": book.time_zone,
        "lender_type": book.lender_type,
        "vat_mode": book.vat_mode,
        "non_accrual_policy": book.non_accrual_policy,
        "first_date": str(book.first_date),
        "chart": hashlib.sha256(chart).hexdigest(),
    }


def rules_facts(connection: Connection, book_id: str, version: int) -> Mapping[str, Any]:
    """What never changes of an approved version; of its rules, the SHA-256 of their rows."""
    known = rules_store.get(connection, book_id, version)
    rules = copy_out(connection, select(RULES, book_id, f"version = {version}", "rule, posting"))
    return {
        "effective_from": str(known.effective_from),
        "maker": known.maker,
        "checker": known.checker,
        "description": known.description,
        "rules": hashlib.sha256(rules).hexdigest(),
    }


@dataclass(frozen=True)
class Recorded(PostingRequest):
    """A request whose effect stands already: only its records are to be written."""

    records: tuple[Record, ...]

    def plan(self, desk: Desk) -> Plan:  # noqa: ARG002  every request is asked the same way
        """Nothing but the records."""
        return Plan(records=self.records)


def open_book(transaction: Connection, book: Book, key: RequestKey, content_hash: bytes) -> Book:
    """Opens a book with its first batch. Raises AlreadyExists BOOK_EXISTS."""
    made = books.create(transaction, book, key.caller)
    opened = Record(BOOK_OPENED, book.book_id, book_facts(transaction, made))
    approved = _approved(transaction, book.book_id, made.rules_version)
    _write(
        transaction, book.book_id, Recorded((opened, approved), key=key, content_hash=content_hash)
    )
    return made


def record_approval(
    transaction: Connection, book_id: str, version: int, key: RequestKey, content_hash: bytes
) -> None:
    """The chain's record of a version just approved."""
    approved = _approved(transaction, book_id, version)
    _write(transaction, book_id, Recorded((approved,), key=key, content_hash=content_hash))


def _approved(connection: Connection, book_id: str, version: int) -> Record:
    return Record(RULES_APPROVED, str(version), rules_facts(connection, book_id, version))


def _write(transaction: Connection, book_id: str, request: Recorded) -> None:
    """One batch in the caller's transaction. What is read here is not kept: it may be rolled back."""
    catalogue = Catalogue()
    registry = Registry(book_id, catalogue.chart(transaction, book_id))
    outcome = post(transaction, catalogue, registry, book_id, [request]).outcomes[0]
    if isinstance(outcome, TaelError):
        raise outcome
