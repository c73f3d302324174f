"""Claims that are bought (债权受让): a loan begins with what its contract claims, at its price."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import to_decimal
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_amount, read_date
from tael_runtime.ids import new_id
from tael_servicing import bookings, books, caps, events, loan_store, loans, products
from tael_servicing.arithmetic.events import Purchased
from tael_servicing.arithmetic.fold import begin
from tael_servicing.arithmetic.purchased import bought
from tael_servicing.bookings import Batch
from tael_servicing.books import BookDay
from tael_servicing.loans import FIRST_EVENT, Contract, Held, contract_terms, state_of
from tael_servicing.product_checks import rate_problem
from tael_servicing.products import Product


def purchase(transaction: Connection, request: pb.PurchaseLoanRequest) -> Held:
    """Signs the contract, keeps the loan and stores what its purchase posts.

    Raises NotFound, InvalidArgument; FailedPrecondition PRODUCT_RETIRED, PRODUCT_NOT_IN_FORCE.
    """
    named = products.get(transaction, request.product_code)
    book = books.hold_open(transaction, named.book_id)
    day = book.business_date
    product = products.to_lend(transaction, request.product_code, day)
    event = _event(request, book)
    contract = _contract(transaction, request, product, book, event.principal)
    terms = contract_terms(contract, product.terms)
    loan = begin(terms, event)
    held = Held(contract, terms, state_of(loan), loan)
    loans.sign(transaction, contract)
    (held,) = loan_store.save(transaction, held)
    loans.record(transaction, contract.loan_id, event, day, request.source)
    batch = Batch(
        f"loan:{contract.loan_id}:{event.event_id}", contract.book_id, contract.loan_id, day
    )
    held = bookings.post(transaction, batch, held, bought(event))
    events.loan_opened(transaction, day, held)
    return held


def _event(request: pb.PurchaseLoanRequest, book: BookDay) -> Purchased:
    principal = read_amount("principal", request.principal, book.currency_code)
    price = read_amount("price", request.price, book.currency_code)
    if price > principal:
        raise InvalidArgument(
            "price.minor_units", f"is {price}; at most the principal, {principal}, is right"
        )
    return Purchased(
        book.business_date,
        FIRST_EVENT,
        principal,
        price,
        _due_date(request, book.business_date),
        request.interest,
        request.penalty,
        request.compound,
    )


def _due_date(request: pb.PurchaseLoanRequest, day: date) -> date:
    due = read_date("due_date", request.due_date)
    if due >= day:
        raise InvalidArgument("due_date", f"is {due}; before the business date, {day}, is right")
    return due


def _contract(
    transaction: Connection,
    request: pb.PurchaseLoanRequest,
    product: Product,
    book: BookDay,
    principal: int,
) -> Contract:
    """What was agreed with another lender goes on under our product's terms, as one instalment."""
    limits = caps.limits(transaction, product.lender_type, product.terms, book.business_date)
    cap = caps.tightest(limits).rate
    if problem := rate_problem(request.annual_rate, Decimal(0), cap):
        raise InvalidArgument("annual_rate", problem)
    return Contract(
        loan_id=new_id("ln"),
        customer_id=request.customer_id,
        line_id="",
        book_id=book.book_id,
        product_code=product.code,
        product_version=product.version,
        currency_code=book.currency_code,
        principal=principal,
        annual_rate=to_decimal(request.annual_rate),
        periods=1,
        repay_day=0,
        start_date=book.business_date,
        card_token="",
        source=request.source,
    )
