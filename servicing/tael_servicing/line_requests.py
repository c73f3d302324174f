"""Lines as they are asked for: requests in, lines out, or the field that no line can have."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

from google.type import decimal_pb2
from sqlalchemy import Connection

from tael.servicing.v1 import credit_line_pb2 as pb
from tael_client.values import to_decimal
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import optional_date, read_amount, read_date
from tael_runtime.ids import new_id
from tael_servicing import rates
from tael_servicing.arithmetic.loan import charge_rate
from tael_servicing.books import BookDay
from tael_servicing.line_tree import DEEPEST, CreditLine, raise_until, regrant
from tael_servicing.product_checks import rate_problem
from tael_servicing.products import Product
from tael_servicing.reasons import Reason
from tael_servicing.terms import cost_cap, loan_terms

LARGEST_NUMERATOR = 2**62
LONGEST_NIGHTS = 100 * 366
"""An accrual line that ran so long would still fit (DESIGN.md §4)."""

OWNER_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_shape(request: pb.GrantCreditLineRequest) -> None:
    """Raises InvalidArgument where fields of the request do not go together."""
    if not OWNER_ID.fullmatch(request.customer_id):
        raise InvalidArgument("customer_id", f"must match {OWNER_ID.pattern}")
    if not request.overall and not request.product_code:
        raise InvalidArgument("product_code", "is missing; only an overall limit has none")
    if request.overall == request.HasField("annual_rate"):
        problem = "belongs to the lines below it" if request.overall else "is missing"
        raise InvalidArgument("annual_rate", problem)
    placed = bool(request.product_code or request.parent_line_id)
    if placed == bool(request.book_id):
        problem = "follows from the product or the line above" if placed else "is missing"
        raise InvalidArgument("book_id", problem)


def granted(
    transaction: Connection,
    request: pb.GrantCreditLineRequest,
    parent: CreditLine | None,
    product: Product | None,
    book: BookDay,
) -> CreditLine:
    """The line asked for, below a parent that nobody else moves.

    Raises InvalidArgument with the field that no such line can have; FailedPrecondition
    LINE_EXPIRED where the parent is closed.
    """
    if parent:
        _check_parent(parent, request, book)
    limit = read_amount("limit", request.limit, book.currency_code)
    valid_from, valid_to = _validity(request, book.business_date)
    line_id = new_id("cl")
    drawn = None if request.overall else product
    annual_rate = _priced(request.annual_rate, limit, drawn)
    return CreditLine(
        line_id=line_id,
        path=(*(parent.path if parent else ()), line_id),
        customer_id=request.customer_id,
        product_code=request.product_code,
        book_id=book.book_id,
        currency_code=book.currency_code,
        overall=request.overall,
        revolving=request.revolving,
        granted=limit,
        temporary=0,
        temporary_to=None,
        credit_limit=limit,
        used=0,
        reserved=0,
        annual_rate=annual_rate,
        spread=_spread(transaction, drawn, annual_rate, book.business_date),
        valid_from=valid_from,
        valid_to=valid_to,
        state="ACTIVE" if valid_from <= book.business_date else "PENDING",
        freeze_reason="",
        source=request.source,
        movements=0,
        above=(*parent.above, parent) if parent else (),
    )


def _check_parent(parent: CreditLine, request: pb.GrantCreditLineRequest, book: BookDay) -> None:
    for wrong, problem in (
        (not parent.overall, "is a line that is drawn; an overall limit is right"),
        (parent.customer_id != request.customer_id, f"is of customer {parent.customer_id}"),
        (parent.book_id != book.book_id, f"stands in book {parent.book_id}"),
        (len(parent.path) >= DEEPEST, f"is the {DEEPEST}th of its tree, which goes no deeper"),
        (
            parent.product_code not in ("", request.product_code),
            f"is for product {parent.product_code} only",
        ),
    ):
        if wrong:
            raise InvalidArgument("parent_line_id", problem)
    if parent.state == "CLOSED":
        raise FailedPrecondition(Reason.LINE_EXPIRED, "the line above is closed", parent.line_id)


def _validity(request: pb.GrantCreditLineRequest, today: date) -> tuple[date, date]:
    valid_to = read_date("valid_to", request.valid_to)
    if valid_to <= today:
        raise InvalidArgument("valid_to", f"must lie after the business date, {today}")
    valid_from = optional_date(request, "valid_from") or today
    if not today <= valid_from <= valid_to:
        raise InvalidArgument("valid_from", f"is {valid_from}; {today} to {valid_to} is right")
    return valid_from, valid_to


def _priced(rate: decimal_pb2.Decimal, limit: int, product: Product | None) -> Decimal:
    """The rate of a line that is drawn, where its interest stays exact; 0 of an overall limit."""
    if product is None:
        return Decimal(0)
    cap = cost_cap(product.terms)
    if problem := rate_problem(rate, cap * 0, cap):
        raise InvalidArgument("annual_rate", problem)
    annual_rate = to_decimal(rate)
    check_exact(limit, annual_rate, product)
    return annual_rate


def _spread(
    transaction: Connection, product: Product | None, annual_rate: Decimal, day: date
) -> Decimal | None:
    """What a line that is drawn is priced at over the prime rate; None where its rate is fixed."""
    if product is None:
        return None
    try:
        return rates.spread_of(transaction, product.terms, annual_rate, day)
    except rates.NoRateKnown as unknown:
        raise InvalidArgument("annual_rate", str(unknown)) from unknown


def check_exact(limit: int, annual_rate: Decimal, product: Product) -> None:
    """Raises InvalidArgument where exact interest on so much would outgrow 62 bits."""
    terms = loan_terms(product.terms, product.terms.max_periods, annual_rate, 0)
    if (
        limit * charge_rate(terms, annual_rate, misused=True)[0] * LONGEST_NIGHTS
        >= LARGEST_NUMERATOR
    ):
        raise InvalidArgument("limit", "is too large for exact interest at this rate")


def adjusted(
    transaction: Connection,
    request: pb.AdjustCreditLineRequest,
    line: CreditLine,
    product: Product | None,
    today: date,
) -> CreditLine:
    """The line on the terms asked for; product: of a line that is drawn itself.

    Raises InvalidArgument with the field that the line cannot have.
    """
    given = [name for name in ("limit", "annual_rate", "valid_to") if request.HasField(name)]
    if not given:
        raise InvalidArgument("limit", "nothing is to change: give a limit, a rate or a last day")
    after = line
    if "valid_to" in given:
        after = replace(after, valid_to=_last_day(request, line, today))
    if "annual_rate" in given:
        if product is None:
            raise InvalidArgument("annual_rate", "belongs to the lines below an overall limit")
        rate = _priced(request.annual_rate, 0, product)
        spread = _spread(transaction, product, rate, today)
        after = replace(after, annual_rate=rate, spread=spread)
    after = _regranted(request, after, today)
    if product:
        check_exact(after.credit_limit, after.annual_rate, product)
    return after


def _last_day(request: pb.AdjustCreditLineRequest, line: CreditLine, today: date) -> date:
    valid_to = read_date("valid_to", request.valid_to)
    first = max(today, line.valid_from)
    if valid_to < first:
        raise InvalidArgument("valid_to", f"is {valid_to}; {first} or later is right")
    return valid_to


def _regranted(request: pb.AdjustCreditLineRequest, line: CreditLine, today: date) -> CreditLine:
    until = optional_date(request, "temporary_to")
    if not request.HasField("limit"):
        if until:
            raise InvalidArgument("temporary_to", "is the last day of a limit; give the limit too")
        return line
    limit = _new_limit(request, line)
    if until is None:
        return regrant(line, limit)
    if not today <= until <= line.valid_to:
        raise InvalidArgument("temporary_to", f"is {until}; {today} to {line.valid_to} is right")
    if limit <= line.granted:
        raise InvalidArgument(
            "limit.minor_units", f"a temporary limit is above {line.granted}, what is granted"
        )
    return raise_until(line, limit, until)


def _new_limit(request: pb.AdjustCreditLineRequest, line: CreditLine) -> int:
    """Zero, or a positive amount: nothing more is lent, or so much."""
    if request.limit.minor_units == 0 and request.limit.currency_code == line.currency_code:
        return 0
    return read_amount("limit", request.limit, line.currency_code)
