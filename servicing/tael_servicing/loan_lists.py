"""Which loans: by customer, line, product, book, state, days past due, next due date."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from tael.servicing.v1 import loan_pb2 as pb
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import optional_date
from tael_runtime.paging import text_key
from tael_servicing.loan_days import days_past_due
from tael_servicing.tables import book_day, loan_state
from tael_servicing.tables import loan as loans

SAME = ("customer_id", "line_id", "product_code", "book_id")
"""Fields of the contract that a list may ask for by name."""


def ids_of(connection: Connection, request: pb.ListLoansRequest, size: int) -> list[str]:
    """Ids of the first loans after the page token that pass every filter.

    Raises InvalidArgument for ranges that are none.
    """
    query = (
        select(loans.c.loan_id)
        .join(loan_state, loan_state.c.loan_id == loans.c.loan_id)
        .where(loans.c.loan_id > text_key(request.page_token))
        .order_by(loans.c.loan_id)
        .limit(size)
    )
    asked = {name: getattr(request, name) for name in SAME}
    query = query.where(*(loans.c[name] == value for name, value in asked.items() if value))
    if request.state:
        name = pb.LoanState.Name(request.state).removeprefix("LOAN_STATE_")
        query = query.where(loan_state.c.state == name)
    query = _past_due(query, request)
    return list(connection.execute(query.where(*_next_due(request))).scalars())


def _past_due(query: Select[Any], request: pb.ListLoansRequest) -> Select[Any]:
    """By days past due (loan_days.days_past_due), of what is still owed."""
    has_most = request.HasField("max_dpd")
    if not (request.min_dpd or has_most):
        return query
    if has_most and request.max_dpd < request.min_dpd:
        raise InvalidArgument("max_dpd", f"is {request.max_dpd}; min_dpd or more is right")
    query = query.join(book_day, book_day.c.book_id == loans.c.book_id)
    today = book_day.c.business_date
    dpd = days_past_due(loan_state.c, today)
    if request.min_dpd:
        # A pause makes it younger than its due date says, never older: by that the index finds it.
        query = query.where(loan_state.c.oldest_due <= today - request.min_dpd)
        query = query.where(dpd >= request.min_dpd)
    return query.where(dpd <= request.max_dpd) if has_most else query


def _next_due(request: pb.ListLoansRequest) -> list[ColumnElement[bool]]:
    first, last = optional_date(request, "next_due_from"), optional_date(request, "next_due_to")
    if first and last and last < first:
        raise InvalidArgument("next_due_to", f"is {last}; {first} or later is right")
    wanted: list[ColumnElement[bool]] = []
    if first:
        wanted.append(loan_state.c.next_due >= first)
    if last:
        wanted.append(loan_state.c.next_due <= last)
    return wanted
