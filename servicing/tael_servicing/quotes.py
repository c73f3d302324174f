"""A loan that might be: its schedule and the table of what it costs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2 as pb
from tael.servicing.v1 import product_pb2
from tael_client.values import from_decimal, to_decimal, yuan
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import optional_date, read_amount
from tael_servicing import books, caps, disclosures, holidays, messages, products, rates
from tael_servicing.arithmetic.disclosure import cost
from tael_servicing.arithmetic.schedules import Schedule, build_schedule
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.caps import Limit
from tael_servicing.product_checks import check_loan, rate_problem, repays
from tael_servicing.products import Product
from tael_servicing.reasons import Reason
from tael_servicing.terms import decimal_of, loan_terms


def answer(connection: Connection, request: pb.QuoteScheduleRequest) -> pb.QuoteScheduleResponse:
    """The quote a request asks for.

    Raises NotFound; InvalidFields for what the product does not lend; FailedPrecondition
    PRODUCT_RETIRED, COST_OVER_CAP.
    """
    start = optional_date(request, "start_date")
    product = products.get(connection, request.product_code, request.product_version, start)
    book = books.get(connection, product.book_id)
    day = start or book.business_date
    principal = read_amount("principal", request.principal, book.currency_code)
    choices = choices_of(request.choices, request.repay_day)
    products.check_lent(product, day)
    check_loan(product.terms, principal, request.periods, choices, day)
    rate = _rate(connection, product, request, day)
    terms = signed_terms(connection, product.terms, request.periods, rate, choices, day)
    holding = caps.limits(connection, product.lender_type, product.terms, day)
    response = quote(terms, product.terms, principal, day, holding)
    response.product_version = product.version
    return response


def choices_of(choices: product_pb2.LoanChoices, repay_day: int) -> product_pb2.LoanChoices:
    """The choices of a request with its short form of the repay day in them."""
    if not repay_day or choices.repay_day:
        return choices
    whole = product_pb2.LoanChoices(repay_day=repay_day)
    whole.MergeFrom(choices)
    return whole


def _rate(
    connection: Connection, product: Product, request: pb.QuoteScheduleRequest, day: date
) -> Decimal:
    if request.HasField("annual_rate"):
        cap = caps.tightest(caps.limits(connection, product.lender_type, product.terms, day)).rate
        if problem := rate_problem(request.annual_rate, Decimal(0), cap):
            raise InvalidArgument("annual_rate", problem)
        return to_decimal(request.annual_rate)
    try:
        return rates.annual_rate(connection, product.terms, day, request.periods)
    except rates.NoRateKnown as unknown:
        raise InvalidArgument("start_date", str(unknown)) from unknown


def signed_terms(
    connection: Connection,
    product: product_pb2.ProductTerms,
    periods: int,
    annual_rate: Decimal,
    choices: product_pb2.LoanChoices,
    start: date,
) -> Terms:
    """The terms a loan is signed with on a day. Raises InvalidArgument for terms no loan can have."""
    off = holidays.of_loan(connection, product, start, periods)
    try:
        return loan_terms(product, periods, annual_rate, choices=choices, holidays=off)
    except ValueError as error:
        raise InvalidArgument("choices", str(error)) from error


def plan(terms: Terms, principal: int, start: date) -> Schedule:
    """The schedule of a loan, as it is quoted and signed.

    Raises InvalidArgument where there is none, its instalment never repays, or its parts are nothing
    or done before its last.
    """
    try:
        schedule = build_schedule(terms, principal, start)
    except ValueError as error:
        raise InvalidArgument("start_date", f"makes no plan: {error}") from error
    if not repays(terms, schedule):
        if not schedule.share:
            what = f"{terms.periods} parts that round to nothing in units of {yuan(terms.multiple)}"
            raise InvalidArgument("principal", f"makes {what}: lend more, or over fewer periods")
        raise InvalidArgument(
            "choices.instalment" if terms.instalment else "principal",
            "the instalment does not cover the interest: it never repays",
        )
    if terms.parts and schedule.instalments[-1].number < terms.periods:
        last = schedule.instalments[-1].number
        raise InvalidArgument(
            "choices.parts", f"repay all of it by instalment {last}, of {terms.periods}"
        )
    return schedule


def quote(
    terms: Terms,
    product: product_pb2.ProductTerms,
    principal: int,
    start: date,
    holding: list[Limit],
) -> pb.QuoteScheduleResponse:
    """The schedule and the cost table of a loan of `principal` minor units.

    Raises InvalidArgument as `plan`; FailedPrecondition COST_OVER_CAP.
    """
    schedule = plan(terms, principal, start)
    method = caps.method_of(product)
    try:
        found = cost(terms, schedule, principal, start, method)
    except ValueError as error:
        raise FailedPrecondition(Reason.COST_OVER_CAP, str(error)) from error
    exceeded = caps.over(
        holding, found, lambda: cost(terms, schedule, principal, start, method, less=1).annual
    )
    if exceeded is not None:
        raise caps.refusal(found, exceeded)
    misuse = decimal_of(product.overdue.misuse_multiplier)
    limit = caps.tightest(holding) if holding else None
    answer = pb.QuoteScheduleResponse(
        disclosure=disclosures.table(terms, misuse, schedule, principal, found, limit),
        annual_rate=from_decimal(terms.annual_rate),
        level=max(schedule.share, 0),
    )
    messages.add_plan(answer, schedule.instalments)
    return answer
