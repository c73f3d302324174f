"""A product's terms as the loan arithmetic takes them."""

from __future__ import annotations

from decimal import Decimal

from google.type import decimal_pb2

from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import to_decimal
from tael_servicing.arithmetic.terms import (
    DayCount,
    Fee,
    FeeAt,
    FeeOn,
    FirstPeriod,
    Method,
    Terms,
)

METHODS = {
    pb.REPAYMENT_METHOD_EQUAL_INSTALMENT: Method.EQUAL_INSTALMENT,
    pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL: Method.EQUAL_PRINCIPAL,
    pb.REPAYMENT_METHOD_BULLET: Method.BULLET,
    pb.REPAYMENT_METHOD_INTEREST_ONLY: Method.INTEREST_ONLY,
}
FIRST_PERIODS = {
    pb.FIRST_PERIOD_UNSPECIFIED: FirstPeriod.ODD_DAYS,
    pb.FIRST_PERIOD_ODD_DAYS: FirstPeriod.ODD_DAYS,
    pb.FIRST_PERIOD_FULL_MONTH: FirstPeriod.FULL_MONTH,
    pb.FIRST_PERIOD_EQUAL: FirstPeriod.EQUAL,
}
DEFAULT_COST_CAP = Decimal("0.24")
DEFAULT_MIN_FIRST_DAYS = 15
DEFAULT_NONACCRUAL_DPD = 90


def decimal_of(value: decimal_pb2.Decimal, default: Decimal = Decimal(0)) -> Decimal:
    """The number, or the default where the text is empty. ValueError where it is none."""
    return to_decimal(value) if value.value else default


def cost_cap(terms: pb.ProductTerms) -> Decimal:
    """The all-in annual cost its loans may not exceed."""
    return decimal_of(terms.cost_cap, DEFAULT_COST_CAP)


def _fees(product: pb.ProductTerms) -> tuple[Fee, ...]:
    rate = decimal_of(product.prepayment_fee_rate)
    if not rate:
        return ()
    return (Fee("Prepayment fee", FeeAt.PREPAYMENT, rate=rate, on=FeeOn.BALANCE),)


def loan_terms(
    product: pb.ProductTerms, periods: int, annual_rate: Decimal, repay_day: int
) -> Terms:
    """The terms of one loan of a product."""
    return Terms(
        method=METHODS[product.method],
        periods=periods,
        annual_rate=annual_rate,
        day_count=(
            DayCount.ACT_365 if product.day_count == pb.DAY_COUNT_ACT_365 else DayCount.ACT_360
        ),
        repay_day=repay_day,
        min_first_days=product.min_first_days or DEFAULT_MIN_FIRST_DAYS,
        first_period=FIRST_PERIODS[product.first_period],
        penalty_multiplier=to_decimal(product.penalty_multiplier),
        compound_enabled=product.compound_enabled,
        grace_days=product.grace_days,
        fees=_fees(product),
        nonaccrual_dpd=product.nonaccrual_dpd or DEFAULT_NONACCRUAL_DPD,
    )
