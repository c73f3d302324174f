"""Products: terms under a code, versioned. A version never changes; a loan keeps its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from google.protobuf import json_format
from google.type import decimal_pb2
from sqlalchemy import Connection, Row, func, insert, select, text

from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import from_date, to_decimal
from tael_runtime.errors import InvalidFields, NotFound
from tael_servicing.tables import product as products
from tael_servicing.terms import cost_cap, decimal_of

RATE_PLACES = 6


@dataclass(frozen=True)
class Product:
    """One version."""

    code: str
    version: int
    name: str
    book_id: str
    effective_from: date
    terms: pb.ProductTerms

    def message(self) -> pb.Product:
        """In the contract's words."""
        return pb.Product(
            code=self.code,
            version=self.version,
            name=self.name,
            terms=self.terms,
            book_id=self.book_id,
            effective_from=from_date(self.effective_from),
        )


def check_terms(terms: pb.ProductTerms, book_currency: str) -> None:
    """Raises InvalidFields with every term no product can have, and what would be right."""
    found: list[tuple[str, str]] = []

    def rate(field: str, low: Decimal, high: Decimal, default: Decimal) -> Decimal:
        given: decimal_pb2.Decimal = getattr(terms, field)
        problem = rate_problem(given, low, high) if given.value else None
        if problem:
            found.append((f"terms.{field}", problem))
            return default
        return decimal_of(given, default)

    cap = rate("cost_cap", Decimal("0.000001"), Decimal(1), cost_cap(pb.ProductTerms()))
    required = ("annual_rate", "penalty_multiplier")
    found += [
        (f"terms.{name}", "is required") for name in required if not getattr(terms, name).value
    ]
    annual_rate = rate("annual_rate", Decimal(0), Decimal(1), Decimal(0))
    rate("penalty_multiplier", Decimal(1), Decimal(2), Decimal(1))
    rate("prepayment_fee_rate", Decimal(0), Decimal("0.1"), Decimal(0))
    rules = (
        (annual_rate <= cap, "annual_rate", f"is above the cost cap of {cap}"),
        (terms.min_periods <= terms.max_periods, "max_periods", "is less than min_periods"),
        (terms.min_principal <= terms.max_principal, "max_principal", "is less than min_principal"),
        (
            terms.currency_code in ("", book_currency),
            "currency_code",
            f"is not the book's, {book_currency}",
        ),
    )
    found += [(f"terms.{field}", why) for holds, field, why in rules if not holds]
    if found:
        raise InvalidFields(found)


def rate_problem(value: decimal_pb2.Decimal, low: Decimal, high: Decimal) -> str | None:
    """What is wrong with a rate; None where nothing is."""
    try:
        number = to_decimal(value)
    except ValueError as error:
        return str(error)
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -RATE_PLACES:
        return f"has more than {RATE_PLACES} decimal places"
    return None if low <= number <= high else f"is {number}; {low} to {high} is right"


def publish(
    transaction: Connection, request: pb.PublishProductRequest, effective_from: date
) -> Product:
    """The next version of the code."""
    transaction.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('product'), hashtext(:code))"),
        {"code": request.code},
    )
    last = transaction.execute(
        select(func.max(products.c.version)).where(products.c.code == request.code)
    ).scalar()
    product = Product(
        code=request.code,
        version=(last or 0) + 1,
        name=request.name,
        book_id=request.book_id,
        effective_from=effective_from,
        terms=request.terms,
    )
    transaction.execute(
        insert(products).values(
            **{**vars(product), "terms": json_format.MessageToDict(product.terms)}
        )
    )
    return product


def get(transaction: Connection, code: str, version: int = 0) -> Product:
    """One version, or the newest for 0. Raises NotFound."""
    query = select(products).where(products.c.code == code)
    if version:
        query = query.where(products.c.version == version)
    row = transaction.execute(query.order_by(products.c.version.desc()).limit(1)).first()
    if row is None:
        raise NotFound("product", f"{code} version {version}" if version else code)
    return _product(row)


def page(transaction: Connection, after: str, size: int) -> list[Product]:
    """The newest version of each code after `after`, by code."""
    other = products.alias()
    newest = select(func.max(other.c.version)).where(other.c.code == products.c.code)
    rows = transaction.execute(
        select(products)
        .where(products.c.code > after, products.c.version == newest.scalar_subquery())
        .order_by(products.c.code)
        .limit(size)
    )
    return [_product(row) for row in rows]


KNOWN = "tael_product_terms"
"""The terms a connection has read before; a version never changes."""


def terms_of(
    transaction: Connection, versions: set[tuple[str, int]]
) -> dict[tuple[str, int], pb.ProductTerms]:
    """The terms of several versions, each read once a connection."""
    known: dict[tuple[str, int], pb.ProductTerms] = transaction.info.setdefault(KNOWN, {})
    if missing := versions - known.keys():
        codes = {code for code, _ in missing}
        rows = transaction.execute(select(products).where(products.c.code.in_(codes)))
        known |= {(row.code, row.version): _product(row).terms for row in rows}
    return {version: known[version] for version in versions}


def _product(row: Row[tuple[object, ...]]) -> Product:
    values = row._asdict()
    terms = json_format.ParseDict(values.pop("terms"), pb.ProductTerms())
    return Product(**values, terms=terms)
