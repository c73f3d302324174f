"""A loan that might be: its schedule and the table of what it costs (金规〔2026〕2号)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import from_decimal
from tael_servicing import messages
from tael_servicing.arithmetic.disclosure import annual_cost
from tael_servicing.arithmetic.schedules import Schedule, build_schedule
from tael_servicing.arithmetic.terms import Terms

LENDER = "the lender"


def quote(terms: Terms, principal: int, start: date) -> pb.QuoteScheduleResponse:
    """The schedule and the cost table."""
    schedule = build_schedule(terms, principal, start)
    return pb.QuoteScheduleResponse(
        instalments=[messages.planned_instalment(row) for row in schedule.instalments],
        disclosure=disclosure(terms, schedule),
    )


def disclosure(terms: Terms, schedule: Schedule) -> pb.CostDisclosure:
    """Everything the borrower may be charged; annual cost by monthly IRR (PBOC 2021 no. 3)."""
    cost = annual_cost(schedule.principal, _monthly(terms, schedule))
    return pb.CostDisclosure(
        items=_items(terms, schedule),
        apr=from_decimal(cost.apr),
        ear=from_decimal(cost.ear),
        total_payments=schedule.principal + schedule.interest,
        total_interest=schedule.interest,
    )


def _monthly(terms: Terms, schedule: Schedule) -> list[int]:
    """The payments month by month; a bullet loan's one payment comes after its months."""
    amounts = [row.amount for row in schedule.instalments]
    return [0] * (terms.periods - len(amounts)) + amounts


def _items(terms: Terms, schedule: Schedule) -> list[pb.CostItem]:
    penalty = terms.annual_rate * terms.penalty_multiplier
    items = [
        _item("Interest", f"{messages.percent(terms.annual_rate)} a year", schedule.interest),
        _contingent(
            "Penalty interest", f"{messages.percent(penalty)} a year on overdue principal", penalty
        ),
        _contingent(
            "Compound interest",
            f"{messages.percent(penalty)} a year on unpaid due interest",
            penalty * terms.compound_enabled,
        ),
        *(
            _contingent(fee.name, f"{messages.percent(fee.rate)} of prepaid principal", fee.rate)
            for fee in terms.prepayment_fees
        ),
    ]
    return [item for item in items if item is not None]


def _item(name: str, basis: str, amount: int) -> pb.CostItem:
    return pb.CostItem(name=name, basis=basis, charged_by=LENDER, amount=amount)


def _contingent(name: str, basis: str, rate: Decimal) -> pb.CostItem | None:
    if not rate:
        return None
    return pb.CostItem(name=name, basis=basis, charged_by=LENDER, contingent=True)
