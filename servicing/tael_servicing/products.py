"""Products: terms under a code, versioned. A version never changes; a loan keeps its own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from google.protobuf import json_format
from sqlalchemy import Connection, Row, Select, func, insert, select, text

from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import from_date
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from tael_runtime.fields import optional_date
from tael_servicing import books, caps, rates
from tael_servicing.books import BookDay
from tael_servicing.product_checks import Setting, check_terms
from tael_servicing.reasons import Reason
from tael_servicing.tables import book_day
from tael_servicing.tables import product as products
from tael_servicing.tables import product_retirement as retirements

VAT_RATE = "0.06"
"""Of financial services (财税〔2016〕36号)."""


@dataclass(frozen=True)
class Product:
    """One version."""

    code: str
    version: int
    name: str
    book_id: str
    lender_type: str
    """BANK, CONSUMER_FINANCE or MICROLOAN: whose cost caps hold."""
    effective_from: date
    terms: pb.ProductTerms
    retired_from: date | None = None

    def message(self) -> pb.Product:
        """In the contract's words."""
        return pb.Product(
            code=self.code,
            version=self.version,
            name=self.name,
            terms=self.terms,
            book_id=self.book_id,
            effective_from=from_date(self.effective_from),
            retired_from=from_date(self.retired_from) if self.retired_from else None,
            lender_type=ledger_pb2.LenderType.Value(f"LENDER_TYPE_{self.lender_type}"),
        )


def setting(
    transaction: Connection, book: BookDay, lender_type: str, terms: pb.ProductTerms, day: date
) -> Setting:
    """What terms published for a day are held against."""
    rate = None
    if terms.HasField("floating_rate"):
        with suppress(rates.NoRateKnown):
            rate = rates.annual_rate(transaction, terms, day, terms.max_periods)
    try:
        holding = caps.limits(transaction, lender_type, terms, day)
    except ValueError:  # its own cap is no number: that is told with the other terms
        holding = caps.limits(transaction, lender_type, pb.ProductTerms(), day)
    return Setting(book.currency_code, day, rate, tuple(holding))


def in_book(request: pb.PublishProductRequest, book: ledger_pb2.Book) -> pb.PublishProductRequest:
    """The request with what its book decides: the VAT rate of its loans, how impaired ones earn.

    Raises InvalidArgument for a VAT rate where the book has none, for another policy than the book's.
    """
    whole = pb.PublishProductRequest()
    whole.CopyFrom(request)
    splits = book.vat_mode == ledger_pb2.VAT_MODE_SPLIT
    if request.terms.vat_rate.value and not splits:
        raise InvalidArgument("terms.vat_rate", "only a book of VAT mode SPLIT has one")
    if splits and not request.terms.vat_rate.value:
        whole.terms.vat_rate.value = VAT_RATE
    policy, asked = book.non_accrual_policy, request.terms.non_accrual.policy
    if asked not in (ledger_pb2.NON_ACCRUAL_POLICY_UNSPECIFIED, policy):
        name = ledger_pb2.NonAccrualPolicy.Name(policy).removeprefix("NON_ACCRUAL_POLICY_")
        raise InvalidArgument(
            "terms.non_accrual.policy", f"is the book's, {name}, for all of its loans"
        )
    whole.terms.non_accrual.policy = policy
    return whole


def publish(
    transaction: Connection, request: pb.PublishProductRequest, book: BookDay, lender_type: str
) -> Product:
    """The next version of the code.

    Raises InvalidFields; FailedPrecondition PRODUCT_RETIRED.
    """
    _lock(transaction, request.code)
    last = _newest(transaction, request.code)
    if last is not None and last.retired_from is not None:
        raise _retired(last)
    day = _effective_from(request, book.business_date, last)
    check_terms(request.terms, setting(transaction, book, lender_type, request.terms, day))
    product = Product(
        code=request.code,
        version=last.version + 1 if last else 1,
        name=request.name,
        book_id=request.book_id,
        lender_type=lender_type,
        effective_from=day,
        terms=request.terms,
    )
    values = {name: value for name, value in vars(product).items() if name != "retired_from"}
    values["terms"] = json_format.MessageToDict(product.terms)
    transaction.execute(insert(products).values(**values))
    return product


def _effective_from(
    request: pb.PublishProductRequest, business_date: date, last: Product | None
) -> date:
    day = optional_date(request, "effective_from") or max(
        business_date, last.effective_from if last else business_date
    )
    if day < business_date:
        raise InvalidArgument("effective_from", f"is before the business date, {business_date}")
    if last is not None and day < last.effective_from:
        raise InvalidArgument(
            "effective_from",
            f"is before that of version {last.version}, {last.effective_from}",
        )
    return day


def retire(transaction: Connection, request: pb.RetireProductRequest) -> Product:
    """Ends lending under a code.

    Raises NotFound, InvalidArgument; FailedPrecondition PRODUCT_RETIRED.
    """
    _lock(transaction, request.code)
    last = _newest(transaction, request.code)
    if last is None:
        raise NotFound("product", request.code)
    if last.retired_from is not None:
        raise _retired(last)
    business_date = books.get(transaction, last.book_id).business_date
    day = optional_date(request, "retired_from") or business_date
    if day < business_date:
        raise InvalidArgument("retired_from", f"is before the business date, {business_date}")
    transaction.execute(insert(retirements).values(code=request.code, retired_from=day))
    return replace(last, retired_from=day)


def _lock(transaction: Connection, code: str) -> None:
    transaction.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('product'), hashtext(:code))"), {"code": code}
    )


def _retired(product: Product) -> FailedPrecondition:
    return FailedPrecondition(
        Reason.PRODUCT_RETIRED,
        f"product {product.code} is retired from {product.retired_from} on",
        product.code,
    )


def _select() -> Select[Any]:
    return select(products, retirements.c.retired_from).outerjoin(
        retirements, retirements.c.code == products.c.code
    )


def _newest(transaction: Connection, code: str) -> Product | None:
    row = transaction.execute(
        _select().where(products.c.code == code).order_by(products.c.version.desc()).limit(1)
    ).first()
    return _product(row) if row else None


def get(transaction: Connection, code: str, version: int = 0, on: date | None = None) -> Product:
    """One version; for 0 the one in force on a day (the business date of its book), or the newest
    where none is in force yet. Raises NotFound.
    """
    query = _select().where(products.c.code == code)
    if version:
        row = transaction.execute(query.where(products.c.version == version)).first()
    else:
        day: Any = on
        if on is None:
            day = (
                select(book_day.c.business_date)
                .where(book_day.c.book_id == products.c.book_id)
                .scalar_subquery()
            )
        in_force = products.c.effective_from <= day
        ordered = query.order_by(in_force.desc(), products.c.version.desc())
        row = transaction.execute(ordered.limit(1)).first()
    if row is None:
        raise NotFound("product", f"{code} version {version}" if version else code)
    return _product(row)


def to_lend(transaction: Connection, code: str, day: date) -> Product:
    """The version that is lent on a day.

    Raises NotFound; FailedPrecondition PRODUCT_RETIRED, PRODUCT_NOT_IN_FORCE.
    """
    found = get(transaction, code, on=day)
    check_lent(found, day)
    if found.effective_from > day:
        raise FailedPrecondition(
            Reason.PRODUCT_NOT_IN_FORCE,
            f"product {code} is lent from {found.effective_from} on",
            code,
        )
    return found


def check_lent(product: Product, day: date) -> None:
    """Raises FailedPrecondition PRODUCT_RETIRED where nothing is lent under its code any more."""
    if product.retired_from is not None and product.retired_from <= day:
        raise _retired(product)


def page(transaction: Connection, after: str, size: int) -> list[Product]:
    """The newest version of each code after `after`, by code."""
    other = products.alias()
    newest = select(func.max(other.c.version)).where(other.c.code == products.c.code)
    rows = transaction.execute(
        _select()
        .where(products.c.code > after, products.c.version == newest.scalar_subquery())
        .order_by(products.c.code)
        .limit(size)
    )
    return [_product(row) for row in rows]


def versions(transaction: Connection, code: str, before: int, size: int) -> list[Product]:
    """Versions of a code, newest first; below `before` where it is not 0."""
    query = _select().where(products.c.code == code)
    if before:
        query = query.where(products.c.version < before)
    rows = transaction.execute(query.order_by(products.c.version.desc()).limit(size)).all()
    if not rows and not before:
        raise NotFound("product", code)
    return [_product(row) for row in rows]


KNOWN = "tael_products"
"""The versions a connection has read before: but for its retirement, none ever changes."""


def terms_of(
    transaction: Connection, versions: set[tuple[str, int]]
) -> dict[tuple[str, int], pb.ProductTerms]:
    """The terms of several versions, each read once a connection."""
    return {key: version.terms for key, version in _known(transaction, versions).items()}


def lender_of(transaction: Connection, code: str, version: int) -> str:
    """The type of the lender under a version, read once a connection."""
    return _known(transaction, {(code, version)})[code, version].lender_type


def _known(
    transaction: Connection, versions: set[tuple[str, int]]
) -> dict[tuple[str, int], Product]:
    known: dict[tuple[str, int], Product] = transaction.info.setdefault(KNOWN, {})
    if missing := versions - known.keys():
        codes = {code for code, _ in missing}
        rows = transaction.execute(_select().where(products.c.code.in_(codes)))
        known |= {(row.code, row.version): _product(row) for row in rows}
    return {version: known[version] for version in versions}


def _product(row: Row[tuple[object, ...]]) -> Product:
    values = row._asdict()
    terms = json_format.ParseDict(values.pop("terms"), pb.ProductTerms())
    return Product(**values, terms=terms)
