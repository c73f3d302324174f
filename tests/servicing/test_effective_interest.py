"""Origination fees become interest by the effective rate: all of them, never more, sooner when paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tael_servicing.arithmetic.effective_interest import (
    Flow,
    effective_discount,
    plan_discount,
    unamortised,
)
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Prepaid, Repaid, Repriced
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.terms import Frequency, Keep, Method, Terms, Unit

START = date(2026, 1, 15)
PLAIN = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.12"))
FEE = 28_302
"""300.00 without 6 % VAT."""
LENT = Disbursed(START, "01", 1_000_000)


def left(terms: Terms, day: date, *events: LoanEvent, fee: int = FEE) -> int:
    return unamortised(terms, replay(terms, [LENT, *events], day).loan, fee)


def test_the_first_month_of_the_worked_example_amortises_41_61() -> None:
    """300.00 with VAT on 10,000.00: 1.45737 % a month on 9,716.98 is 141.61, less 100.00 contract."""
    loan = replay(PLAIN, [LENT], START).loan
    rate = 1 / plan_discount(PLAIN, loan, FEE) - 1
    assert round(rate * 100, 5) == Decimal("1.45737")
    assert left(PLAIN, START) == FEE
    assert left(PLAIN, date(2026, 2, 15)) == FEE - 4_161


def test_on_each_due_date_what_is_left_is_what_the_amortised_cost_lacks() -> None:
    """Against the table: cost grows by the rate and falls by the instalment, row by row."""
    loan = replay(PLAIN, [LENT], START).loan
    rate, cost = 1 / plan_discount(PLAIN, loan, FEE) - 1, Decimal(1_000_000 - FEE)
    for row in loan.rows[:-1]:
        cost += cost * rate - row.instalment.amount
        expected = row.instalment.balance_after - cost
        assert abs(left(PLAIN, row.due_date) - expected) <= Decimal("0.5000001")
    assert left(PLAIN, loan.rows[-1].due_date) == 0


def test_prepaid_principal_takes_its_part_along_and_the_end_takes_the_rest() -> None:
    due, prepaid = date(2026, 7, 15), Repaid(date(2026, 7, 15), "03", 1_000_000)
    paid = [Repaid(date(2026, month, 15), f"{month:02}", 88_849) for month in range(2, 8)]
    before = left(PLAIN, due, *paid)
    half = left(PLAIN, due, *paid, Prepaid(due, "10", 260_000, Keep.TERM))
    assert 0 < half < before * 6 // 10
    gone = replace(prepaid, event_id="11")
    assert left(replace(PLAIN, write_off_performing=True), due, *paid, gone) <= before
    closed = [LENT, *paid, replace(gone, amount=2_000_000)]
    assert left(PLAIN, date(2027, 1, 15), *closed[1:]) == 0


def test_another_rate_changes_the_amortisation_only_a_little() -> None:
    day = date(2026, 4, 15)
    raised = Repriced(day, "05", Decimal("0.18"))
    before, after = left(PLAIN, day), left(PLAIN, day, raised)
    assert abs(after - before) < before // 50


def test_no_rate_explains_a_fee_that_takes_all() -> None:
    with pytest.raises(ValueError, match="no effective rate"):
        effective_discount(0, [Flow(Decimal(1), 100)])
    with pytest.raises(ValueError, match="no effective rate"):
        effective_discount(101, [Flow(Decimal(1), 100)])


@settings(deadline=None, max_examples=60)
@given(
    terms=st.builds(
        Terms,
        st.sampled_from(
            [
                Method.EQUAL_INSTALMENT,
                Method.EQUAL_PRINCIPAL,
                Method.INTEREST_ONLY,
                Method.BULLET,
            ]
        ),
        st.integers(1, 24),
        st.decimals(0, Decimal("0.36"), places=4),
        frequency=st.sampled_from(
            [Frequency(Unit.MONTH, 1), Frequency(Unit.MONTH, 3), Frequency(Unit.WEEK, 2)]
        ),
        repay_day=st.sampled_from([0, 1, 28]),
    ),
    fee=st.integers(1, 90_000),
    days=st.lists(st.integers(1, 90), max_size=12),
)
def test_of_a_loan_left_to_itself_it_only_falls_from_the_fee_to_nothing(
    terms: Terms, fee: int, days: list[int]
) -> None:
    if terms.frequency.unit is Unit.WEEK:
        terms = replace(terms, repay_day=0)
    loan = replay(terms, [LENT], START).loan
    last, day = unamortised(terms, loan, fee), START
    assert abs(last - fee) <= 1
    for step in days:
        day = date.fromordinal(day.toordinal() + step)
        if day >= loan.rows[-1].due_date:
            break
        now = left(terms, day, fee=fee)
        assert 0 <= now <= last + 1, "half a minor unit of accrued interest may show"
        last = now
    assert left(terms, loan.rows[-1].due_date, fee=fee) == 0
