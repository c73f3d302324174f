"""Builds a portfolio in running services: what its loans owe, the ledger has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

from bench import opening, portfolio
from bench.house import BOOK
from tael.ledger.v1.ledger_pb2 import VAT_MODE_SPLIT, CreateBookRequest
from tael.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from tael.servicing.v1.product_pb2 import PublishProductRequest
from tael.servicing.v1.product_pb2_grpc import ProductServiceStub
from tael_client.values import from_date
from tael_runtime.database import open_database
from tael_runtime.settings import Settings
from tael_servicing.tables import metadata


@dataclass(frozen=True)
class Site:
    """A ledger and a servicing that run, and how their store is reached."""

    journal: LedgerServiceStub
    products: ProductServiceStub
    settings: Settings
    """Of the store that both work on."""
    connect: Callable[[], Any]
    """A psycopg2 connection in servicing's schema, the superuser's."""


def build(site: Site, loans: int, day: date, say: Callable[[str], None]) -> None:
    """Opens the book on a day, with so many loans in it."""
    _open_book(site, day)
    database = open_database(site.settings, "servicing", "tael_servicing", metadata)
    portfolio.write(database, day, min(loans, portfolio.CONTRACTS))
    database.close()
    say("contracts written")
    portfolio.multiply(site.connect, loans)
    say("loans written")
    with closing(site.connect()) as connection:
        accounts = opening.import_all(site.journal, connection, day)
    say(f"{accounts:,} opening balances imported")


def _open_book(site: Site, day: date) -> None:
    site.journal.CreateBook(
        CreateBookRequest(
            request_id="book",
            book_id=BOOK,
            legal_entity="Bench",
            currency_code="CNY",
            vat_mode=VAT_MODE_SPLIT,
            business_date=from_date(day),
        )
    )
    for code, terms in portfolio.products().items():
        site.products.PublishProduct(
            PublishProductRequest(request_id=code, code=code, name=code, terms=terms, book_id=BOOK)
        )
