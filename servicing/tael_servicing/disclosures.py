"""The table of what a loan costs (综合融资成本明示表, 金规〔2026〕2号), in the contract's words."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from tael.servicing.v1 import loan_pb2 as pb
from tael.servicing.v1 import product_pb2
from tael_client.values import from_decimal, yuan
from tael_servicing.arithmetic.disclosure import Cost, CostMethod, upfront, with_instalments
from tael_servicing.arithmetic.loan import penalty_rate
from tael_servicing.arithmetic.schedules import Schedule
from tael_servicing.arithmetic.terms import Fee, FeeAt, FeeOn, Overdue, Terms

if TYPE_CHECKING:
    from tael_servicing.caps import Limit

LENDER = "the lender"
METHODS = {
    CostMethod.MONTHLY_IRR: product_pb2.COST_METHOD_MONTHLY_IRR,
    CostMethod.UNIT_PERIOD: product_pb2.COST_METHOD_UNIT_PERIOD,
    CostMethod.XIRR: product_pb2.COST_METHOD_XIRR,
}
FEES_AT = {
    FeeAt.DISBURSEMENT: product_pb2.FEE_AT_DISBURSEMENT,
    FeeAt.INSTALMENT: product_pb2.FEE_AT_INSTALMENT,
    FeeAt.LATE: product_pb2.FEE_AT_LATE,
    FeeAt.PREPAYMENT: product_pb2.FEE_AT_PREPAYMENT,
}
WHEN = {
    FeeAt.DISBURSEMENT: "when the loan is paid out",
    FeeAt.INSTALMENT: "with each instalment",
    FeeAt.LATE: "once an instalment not paid in time",
    FeeAt.PREPAYMENT: "when principal is prepaid",
}
OF_WHAT = {
    FeeOn.PRINCIPAL: "of the principal",
    FeeOn.BALANCE: "of the principal outstanding",
    FeeOn.INSTALMENT: "of the instalment",
    FeeOn.INTEREST: "of the instalment's interest",
}
OF_WHAT_IS_LATE = {
    FeeOn.PRINCIPAL: "of its unpaid principal",
    FeeOn.BALANCE: "of its unpaid principal",
    FeeOn.INSTALMENT: "of the unpaid part of its principal and interest",
    FeeOn.INTEREST: "of its unpaid interest",
}


def table(
    terms: Terms,
    misuse: Decimal,
    schedule: Schedule,
    principal: int,
    cost: Cost,
    limit: Limit | None,
) -> pb.CostDisclosure:
    """Everything the borrower may be charged, and the annual cost with its method named.

    `misuse`: the penalty multiplier of funds used for another purpose; 0 where it is not charged.
    """
    first, later = upfront(terms, principal), with_instalments(terms, schedule)
    fees = sum(first.values()) + sum(later.values())
    message = pb.CostDisclosure(
        items=[
            _interest(terms, schedule),
            *(_fee(fee, amount) for fee, amount in (first | later).items()),
            *_contingent(terms, misuse),
        ],
        apr=from_decimal(cost.annual.apr),
        ear=from_decimal(cost.annual.ear),
        total_payments=principal + schedule.interest + fees,
        total_interest=schedule.interest,
        total_fees=fees,
        received=cost.received,
        method=METHODS[cost.method],
        xirr=from_decimal(cost.xirr),
    )
    if limit is not None:
        message.cost_cap.CopyFrom(from_decimal(limit.rate))
        message.cost_cap_source = limit.source
    return message


def _interest(terms: Terms, schedule: Schedule) -> pb.CostItem:
    rate = terms.annual_rate
    return pb.CostItem(
        name="Interest",
        basis=f"{percent(rate)} a year",
        charged_by=LENDER,
        amount=schedule.interest,
        rate=from_decimal(rate),
    )


def _fee(fee: Fee, amount: int, *, contingent: bool = False) -> pb.CostItem:
    return pb.CostItem(
        name=fee.name,
        basis=fee_basis(fee),
        charged_by=fee.charged_by or LENDER,
        contingent=contingent,
        amount=amount,
        rate=from_decimal(fee.rate) if fee.rate else None,
        at=FEES_AT[fee.at],
    )


def fee_basis(fee: Fee) -> str:
    """ "5.00 and 1 % of the principal, when the loan is paid out"."""
    parts = [yuan(fee.amount)] if fee.amount else []
    if fee.rate:
        parts.append(f"{percent(fee.rate)} {_of_what(fee)}")
    said = " and ".join(parts)
    if fee.at is FeeAt.PREPAYMENT:
        until = f", in the first {fee.until_month} months" if fee.until_month else ""
        return f"{said}{until}; instalments paid early in their turn are free"
    return f"{said}, {WHEN[fee.at]}"


def _of_what(fee: Fee) -> str:
    if fee.at is FeeAt.PREPAYMENT:
        return "of prepaid principal"
    return (OF_WHAT_IS_LATE if fee.at is FeeAt.LATE else OF_WHAT)[fee.on]


def _contingent(terms: Terms, misuse: Decimal) -> Iterator[pb.CostItem]:
    """What only a breach, or a wish of the borrower, brings about."""
    if terms.overdue is Overdue.PENALTY:
        rate = penalty_rate(terms, terms.annual_rate)
        yield _if_it_happens("Penalty interest", rate, "on overdue principal")
        if terms.compound_enabled:
            yield _if_it_happens("Compound interest", rate, "on unpaid due interest")
        if misuse:
            heavier = max(terms.annual_rate * misuse, rate)
            what = "on principal used for another purpose than agreed"
            yield _if_it_happens("Penalty interest for misuse of funds", heavier, what)
    elif terms.overdue is Overdue.CONTRACT:
        until = "as before, until it is paid" if terms.after_maturity else "as before, to maturity"
        yield _if_it_happens("Interest on overdue principal", terms.annual_rate, until)
        if terms.compound_enabled:
            yield _if_it_happens("Compound interest", terms.annual_rate, "on unpaid due interest")
    for fee in terms.fees:
        if fee.at in (FeeAt.LATE, FeeAt.PREPAYMENT):
            yield _fee(fee, 0, contingent=True)


def _if_it_happens(name: str, rate: Decimal, what: str) -> pb.CostItem:
    return pb.CostItem(
        name=name,
        basis=f"{percent(rate)} a year {what}",
        charged_by=LENDER,
        contingent=True,
        rate=from_decimal(rate),
    )


def percent(rate: Decimal) -> str:
    """0.12 -> "12 %"."""
    return f"{(rate * 100).normalize():f} %"
