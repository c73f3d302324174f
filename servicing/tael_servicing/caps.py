"""What a loan may cost at most, by the lender's type and the day, and whether one costs more.

The caps of 金规〔2025〕9号 and 银发〔2025〕247号 come with this version (data/cost_caps.csv); the store
holds what came later. A product may set a lower one of its own.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import product_pb2, rate_pb2
from tael_client.values import from_date, from_decimal
from tael_runtime.errors import FailedPrecondition
from tael_servicing import rates
from tael_servicing.arithmetic import disclosure
from tael_servicing.arithmetic.disclosure import AnnualCost, Cost, CostMethod
from tael_servicing.arithmetic.factors import added_by_cut
from tael_servicing.arithmetic.loan import Loan, Owed
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import Part, Terms
from tael_servicing.rates import Lpr
from tael_servicing.reasons import Reason
from tael_servicing.tables import cost_cap as cost_caps
from tael_servicing.terms import cost_cap

SHOWN = Decimal("0.0001")
"""Costs are shown, and held against caps, in percent with two decimals."""
LENDER = "LENDER_TYPE_"
MEASURE = "CAP_MEASURE_"
METHODS = {
    product_pb2.COST_METHOD_MONTHLY_IRR: CostMethod.MONTHLY_IRR,
    product_pb2.COST_METHOD_UNIT_PERIOD: CostMethod.UNIT_PERIOD,
    product_pb2.COST_METHOD_XIRR: CostMethod.XIRR,
}


@dataclass(frozen=True)
class DatedCap:
    """A cap of a type of lender from a day on."""

    lender_type: str
    effective_from: date
    rate: Decimal | None
    lpr_multiple: Decimal | None
    measure: str
    source: str

    def limit(self, lprs: Sequence[Lpr], day: date) -> Limit:
        """What it comes to on a day: the lower of its rate and its multiple of the one-year LPR."""
        said = [] if self.rate is None else [self.rate]
        if self.lpr_multiple is not None:
            said.append(self.lpr_multiple * rates.on(lprs, day).one_year)
        return Limit(min(said), self.measure, self.source)

    def message(self) -> rate_pb2.CostCap:
        """In the contract's words."""
        message = rate_pb2.CostCap(
            lender_type=ledger_pb2.LenderType.Value(LENDER + self.lender_type),
            effective_from=from_date(self.effective_from),
            measure=rate_pb2.CapMeasure.Value(MEASURE + self.measure),
            source=self.source,
        )
        if self.rate is not None:
            message.rate.CopyFrom(from_decimal(self.rate))
        if self.lpr_multiple is not None:
            message.lpr_multiple.CopyFrom(from_decimal(self.lpr_multiple))
        return message


@dataclass(frozen=True)
class Limit:
    """The most a loan may cost on a day."""

    rate: Decimal
    measure: str = "APR"
    source: str = ""
    """Where it is written; empty where it is the product's own."""

    def exceeded(self, cost: AnnualCost) -> bool:
        """A cost above it, both as shown."""
        value = cost.ear if self.measure == "EAR" else cost.apr
        return value.quantize(SHOWN, rounding=decimal.ROUND_HALF_UP) > self.rate


@lru_cache(maxsize=1)
def shipped() -> tuple[DatedCap, ...]:
    """What came with this version."""
    return tuple(
        DatedCap(
            row["lender_type"],
            date.fromisoformat(row["effective_from"]),
            Decimal(row["rate"]) if row["rate"] else None,
            Decimal(row["lpr_multiple"]) if row["lpr_multiple"] else None,
            row["measure"],
            row["source"],
        )
        for row in rates.read_data("cost_caps.csv")
    )


def known(transaction: Connection) -> list[DatedCap]:
    """Every cap, by lender type and date."""
    by_key = {(each.lender_type, each.effective_from): each for each in shipped()}
    for row in transaction.execute(select(cost_caps)):
        by_key[row.lender_type, row.effective_from] = DatedCap(**row._asdict())
    return [by_key[key] for key in sorted(by_key)]


def keep(transaction: Connection, cap: DatedCap) -> None:
    """Adds a cap, or corrects the one of its lender type and day."""
    values = dict(vars(cap))
    transaction.execute(
        insert(cost_caps)
        .values(**values)
        .on_conflict_do_update(index_elements=["lender_type", "effective_from"], set_=values)
    )


def limits(
    transaction: Connection, lender_type: str, terms: product_pb2.ProductTerms, day: date
) -> list[Limit]:
    """What holds on a day: the product's own cap, and that of the lender's type where there is one."""
    found = [Limit(cost_cap(terms))]
    in_force = [
        each
        for each in known(transaction)
        if each.lender_type == lender_type and each.effective_from <= day
    ]
    if in_force:
        found.append(in_force[-1].limit(rates.known(transaction), day))
    return found


def tightest(holding: Sequence[Limit]) -> Limit:
    """The one to show: the lowest rate, the regulator's where two are alike."""
    return min(holding, key=_tightness)


def _tightness(limit: Limit) -> tuple[Decimal, bool]:
    return limit.rate, not limit.source


def method_of(terms: product_pb2.ProductTerms) -> CostMethod | None:
    """How the product wants its cost found; None where its schedule decides."""
    return METHODS.get(terms.cost_method)


def over(
    holding: Sequence[Limit], cost: Cost, without_rounding: Callable[[], AnnualCost]
) -> Limit | None:
    """The limit that a loan costs more than; None where it keeps them all.

    A loan keeps a limit where it would without what rounding may have added, a minor unit a payment,
    and without what a tranche inside a month adds by counting its nights.
    """
    for limit in sorted(holding, key=_tightness):
        if limit.exceeded(cost.annual) and limit.exceeded(without_rounding()):
            return limit
    return None


def cost_of(
    terms: Terms, principal: int, start: date, method: CostMethod | None, holding: Sequence[Limit]
) -> tuple[Cost, Limit | None]:
    """What a loan would cost, and the limit it would exceed. Raises ValueError as `disclosure.cost`."""
    schedule = build_schedule(terms, principal, start)
    cost = disclosure.cost(terms, schedule, principal, start, method)
    exceeded = over(
        holding,
        cost,
        lambda: disclosure.cost(terms, schedule, principal, start, method, less=1).annual,
    )
    return cost, exceeded


def check(
    transaction: Connection,
    lender_type: str,
    product: product_pb2.ProductTerms,
    terms: Terms,
    principal: int,
    start: date,
) -> Cost:
    """What a loan would cost that is signed today, `start`.

    Raises FailedPrecondition COST_OVER_CAP.
    """
    holding = limits(transaction, lender_type, product, start)
    try:
        cost, exceeded = cost_of(terms, principal, start, method_of(product), holding)
    except ValueError as error:
        raise FailedPrecondition(Reason.COST_OVER_CAP, str(error)) from error
    if exceeded is not None:
        raise refusal(cost, exceeded)
    return cost


def check_fee(
    transaction: Connection,
    lender_type: str,
    product: product_pb2.ProductTerms,
    terms: Terms,
    loan: Loan,
    lent: Sequence[tuple[date, int]],
    prepaid: Sequence[tuple[date, int]],
    amount: int,
    agreed: date,
) -> None:
    """Whether a running loan keeps its limits with a fee of `amount` minor units more: those of the day
    on which that was `agreed`.

    As `cost_with_fee`. Raises FailedPrecondition COST_OVER_CAP.
    """
    found = partial(cost_with_fee, terms, loan, lent, prepaid, amount, method_of(product))
    try:
        cost = found()
    except ValueError as error:
        raise FailedPrecondition(Reason.COST_OVER_CAP, str(error)) from error
    holding = limits(transaction, lender_type, product, agreed)
    exceeded = over(holding, cost, lambda: found(less=1).annual)
    if exceeded is not None:
        raise refusal(cost, exceeded)


def cost_with_fee(
    terms: Terms,
    loan: Loan,
    lent: Sequence[tuple[date, int]],
    prepaid: Sequence[tuple[date, int]],
    amount: int,
    method: CostMethod | None = None,
    *,
    less: int = 0,
) -> Cost:
    """What a running loan costs with a fee of `amount` minor units more, due today, by the method by
    which it was signed.

    `lent`: its disbursements, oldest first. `prepaid`: what was paid ahead and stands in no row any
    more. These count, what it asks by its schedule, what was charged at the start, and the fee; penalty
    does not, since it need not be. `less`: as `disclosure.cost`, and what tranches add by cutting a
    period. Raises ValueError where no rate explains them.
    """
    start, first = lent[0]
    flows = [(day, -more) for day, more in lent[1:]] + list(prepaid)
    flows += [
        (row.due_date, planned(row.due) - (_noise(terms, row, lent[1:], less) if less else 0))
        for row in loan.rows
    ]
    flows.append((loan.business_date, amount))
    received = first - sum(disclosure.upfront(terms, first).values())
    schedule = build_schedule(terms, first, start)
    return disclosure.running_cost(terms, schedule, start, received, sorted(flows), method)


def _noise(terms: Terms, row: Owed, tranches: Sequence[tuple[date, int]], rounding: int) -> int:
    """What of a row is no cost that anybody agreed: `rounding`, and what the nights of a period that
    tranches cut add for what was lent before them.
    """
    if not row.number:
        return 0
    period, interest = row.instalment.period, row.due[Part.INTEREST]
    inside = [each for each in tranches if period.start < each[0] < period.end]
    if not inside:
        return rounding
    later = sum(more for _, more in inside)
    before = max(row.instalment.balance_after + row.due[Part.PRINCIPAL] - later, 0)
    nights = before * period.days
    all_nights = nights + sum(more * (period.end - day).days for day, more in inside)
    return rounding + added_by_cut(terms, period, interest * nights // all_nights)


def planned(due: Sequence[int]) -> int:
    """Principal, interest and fees of a row."""
    return due[Part.PRINCIPAL] + due[Part.INTEREST] + due[Part.FEE]


def refusal(cost: Cost, limit: Limit) -> FailedPrecondition:
    """COST_OVER_CAP with both figures."""
    return FailedPrecondition(Reason.COST_OVER_CAP, f"the loan {text_of(cost, limit)}")


def text_of(cost: Cost, limit: Limit) -> str:
    """ "costs 25.31 % a year all in; the cap is 24 % (金规〔2025〕9号)"."""
    value = cost.annual.ear if limit.measure == "EAR" else cost.annual.apr
    shown = (value * 100).quantize(Decimal("0.01"), rounding=decimal.ROUND_HALF_UP)
    source = limit.source or "the product's own"
    cap = f"{(limit.rate * 100).normalize():f} %"
    return f"costs {shown:f} % a year all in; the cap is {cap} ({source})"
