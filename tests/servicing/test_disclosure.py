"""The annual cost of a loan to its borrower."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.disclosure import (
    Cost,
    CostMethod,
    annual_cost,
    cost,
    effective_rate,
    upfront,
    with_instalments,
)
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import (
    Fee,
    FeeAt,
    FeeOn,
    FirstPeriod,
    Frequency,
    Maturity,
    Method,
    Terms,
    Unit,
)

PLAIN = [88849] * 11 + [88847]


@pytest.mark.parametrize(
    ("received", "payments", "apr", "ear"),
    [
        pytest.param(1_000_000, PLAIN, "0.1200", "0.1268", id="plain"),
        pytest.param(970_000, PLAIN, "0.1783", "0.1936", id="fee of 300 at the start"),
        pytest.param(
            1_000_000, [each + 5000 for each in PLAIN], "0.2253", "0.2501", id="50 a month"
        ),
        pytest.param(
            1_000_000, [91333] * 11 + [91337], "0.1727", "0.1871", id="flat 0.8 % a month"
        ),
    ],
)
def test_the_annual_cost_counts_every_fee_and_the_principal_in_use(
    received: int, payments: list[int], apr: str, ear: str
) -> None:
    cost = annual_cost(received, payments)
    cent = Decimal("0.0001")
    assert (cost.apr.quantize(cent), cost.ear.quantize(cent)) == (Decimal(apr), Decimal(ear))


def test_payments_on_any_dates_give_the_rate_that_discounts_them_by_actual_days() -> None:
    start = date(2026, 1, 15)
    assert effective_rate(1_000_000, start, [(date(2027, 1, 15), 1_120_000)]) == Decimal("0.12")
    monthly = [(months_after(start, month, 15), each) for month, each in enumerate(PLAIN, 1)]
    rate = effective_rate(1_000_000, start, monthly)
    worth = sum(each / (1 + rate) ** (Decimal((day - start).days) / 365) for day, each in monthly)
    assert abs(worth - 1_000_000) < 1


@given(received=st.integers(10_000, 10**9), parts=st.lists(st.integers(1, 100), min_size=1))
def test_payments_that_return_just_what_was_received_cost_nothing(
    received: int, parts: list[int]
) -> None:
    payments = [received * part // sum(parts) for part in parts]
    payments[-1] += received - sum(payments)
    assert annual_cost(received, payments).apr == 0


def test_payments_that_no_rate_explains_are_refused() -> None:
    with pytest.raises(ValueError, match="no rate"):
        annual_cost(1_000_000, [1])


START = date(2026, 1, 15)
EI = Method.EQUAL_INSTALMENT


def cost_of(
    rate: str, start: date = START, principal: int = 1_000_000, method: Method = EI, **given: Any
) -> Cost:
    terms = Terms(**{"method": method, "periods": 12, "annual_rate": Decimal(rate), **given})
    return cost(terms, build_schedule(terms, principal, start), principal, start)


def percent(rate: Decimal) -> Decimal:
    return rate.quantize(Decimal("0.0001"))


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({}, CostMethod.MONTHLY_IRR),
        ({"frequency": Frequency(Unit.MONTH, 3)}, CostMethod.MONTHLY_IRR),
        ({"method": Method.BULLET}, CostMethod.MONTHLY_IRR),
        ({"repay_day": 10}, CostMethod.UNIT_PERIOD),
        ({"repay_day": 10, "first_period": FirstPeriod.FULL_MONTH}, CostMethod.UNIT_PERIOD),
        ({"first_due": date(2026, 3, 1)}, CostMethod.UNIT_PERIOD),
        ({"first_due": date(2026, 3, 1), "repay_day": 10}, CostMethod.XIRR),
        ({"repay_day": 10, "maturity": Maturity.EXACT}, CostMethod.XIRR),
        ({"frequency": Frequency(Unit.DAY, 15)}, CostMethod.XIRR),
    ],
)
def test_the_method_follows_the_periods_and_is_told(
    given: dict[str, Any], method: CostMethod
) -> None:
    assert cost_of("0.12", **given).method is method


@pytest.mark.parametrize("start", [date(2026, 1, 20), date(2026, 1, 11), date(2028, 4, 15)])
def test_odd_days_at_the_contract_rate_cost_the_contract_rate(start: date) -> None:
    found = cost_of("0.12", start, principal=10**9, repay_day=10)
    assert abs(found.annual.apr - Decimal("0.12")) < Decimal("0.0002")


def test_a_whole_months_interest_for_fewer_days_costs_more_than_the_rate() -> None:
    start = date(2026, 1, 20)
    short = cost_of("0.12", start, repay_day=10, first_period=FirstPeriod.FULL_MONTH)
    assert short.annual.apr > Decimal("0.125")


def test_a_financed_fee_counts_over_an_odd_first_period() -> None:
    # 20,080.00 of which 80.00 are a fee; 46 days, then months. What is received grows simply over
    # the 15 odd days, and then month by month.
    start, first = date(2026, 3, 17), date(2026, 5, 1)
    fee = Fee("Arrangement fee", FeeAt.DISBURSEMENT, 8_000)
    terms = Terms(EI, 12, Decimal("0.066"), first_due=first, fees=(fee,))
    schedule = build_schedule(terms, 2_008_000, start)
    found = cost(terms, schedule, 2_008_000, start)
    assert found.received == 2_000_000
    rate = found.annual.apr / 12
    odd = 1 + rate * (date(2026, 4, 1) - start).days / 30
    worth = sum(row.amount / (1 + rate) ** row.number for row in schedule.instalments)
    assert abs(worth - 2_000_000 * odd) < 1


def test_fees_of_the_start_lower_what_is_received_and_fees_of_instalments_raise_what_is_paid() -> (
    None
):
    fees = (
        Fee("Arrangement fee", FeeAt.DISBURSEMENT, 10_000, Decimal("0.02")),
        Fee("Guarantee", FeeAt.INSTALMENT, rate=Decimal("0.001"), on=FeeOn.BALANCE, charged_by="G"),
        Fee("Late fee", FeeAt.LATE, 5_000),
        Fee("Prepayment fee", FeeAt.PREPAYMENT, rate=Decimal("0.01")),
    )
    terms = Terms(EI, 12, Decimal("0.12"), fees=fees)
    schedule = build_schedule(terms, 1_000_000, START)
    found = cost(terms, schedule, 1_000_000, START)
    assert upfront(terms, 1_000_000) == {fees[0]: 30_000}
    balances = [1_000_000, *(row.balance_after for row in schedule.instalments[:-1])]
    guarantee = sum(round(Decimal(balance) / 1000) for balance in balances)
    assert abs(with_instalments(terms, schedule)[fees[1]] - guarantee) <= 6
    assert sum(with_instalments(terms, schedule).values()) == schedule.fees
    assert found.received == 970_000
    only_at_the_start = Terms(EI, 12, Decimal("0.12"), fees=fees[:1])
    assert (
        found.annual.apr
        > cost(
            only_at_the_start, build_schedule(only_at_the_start, 1_000_000, START), 1_000_000, START
        ).annual.apr
    )


def test_a_down_payment_is_no_money_the_borrower_has_the_use_of() -> None:
    found = cost_of("0.12", down_payment=Decimal("0.25"))
    assert found.received == 750_000
    assert percent(found.annual.apr) == Decimal("0.1200")


@given(
    rate=st.decimals("0.001", "0.6", places=4),
    periods=st.integers(1, 60),
    every=st.integers(1, 3),
    principal=st.integers(10**7, 10**9),
)
def test_a_loan_without_fees_costs_its_rate(
    rate: Decimal, periods: int, every: int, principal: int
) -> None:
    terms = Terms(EI, periods, rate, frequency=Frequency(Unit.MONTH, every))
    found = cost(terms, build_schedule(terms, principal, START), principal, START)
    nominal = ((1 + rate * every / 12) ** (Decimal(1) / every) - 1) * 12
    assert abs(found.annual.apr - nominal) < Decimal("0.00005")
    assert found.xirr > 0


@given(
    received=st.integers(1_000, 10**10),
    gaps=st.lists(st.integers(0, 400), min_size=1, max_size=40),
    rate=st.decimals("-0.5", "5", places=3),
)
def test_what_discounts_to_what_was_received_is_found_again(
    received: int, gaps: list[int], rate: Decimal
) -> None:
    """One payment a gap, each worth its share at the rate: the rate comes back."""
    days = [sum(gaps[: index + 1]) + 1 for index in range(len(gaps))]
    growth = 1 + rate
    payments = [
        (START + timedelta(days=day), int(received * growth ** (Decimal(day) / 365)) + 1)
        for day in days
    ]
    found = effective_rate(received * len(days), START, payments)
    worth = sum(
        amount / (1 + found) ** (Decimal((day - START).days) / 365) for day, amount in payments
    )
    assert abs(worth / (received * len(days)) - 1) < Decimal("1e-5")
