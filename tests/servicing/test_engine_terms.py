"""Terms and plans beyond the plain ones, against figures worked out by hand or with Fractions.

The loan of most of them: 10,000.00 over twelve months at 12 %, level instalments of 888.49.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicing.lives import any_terms, principals
from servicing.stories import HARD, START, amounts, day_after, half_up, owed

from tael_servicing import quoting
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Repaid
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import Closure, Loan
from tael_servicing.arithmetic.postings import Step
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import (
    ClaimInterest,
    Excess,
    Fee,
    FeeAt,
    FeeOn,
    Frequency,
    InterestOn,
    Keep,
    Method,
    Overdue,
    Part,
    Terms,
    Unit,
)

PRINCIPAL = 1_000_000
PLAIN = replace(HARD, compound_enabled=False)
LENT = Disbursed(START, "00", PRINCIPAL)
FIRST_DUE = date(2026, 2, 15)
SECOND_DUE = date(2026, 3, 15)
PAID_FIRST = Repaid(FIRST_DUE, "01", 88_849)
LEFT = 921_151
"""Principal after the first instalment."""
MONTH = Fraction(1, 100)
NIGHT = Fraction(12, 36_000)


def lived(terms: Terms, day: date, *events: LoanEvent) -> Step:
    return replay(terms, [LENT, *events], day)


def asked(loan: Loan) -> list[tuple[int, int]]:
    """(principal, interest) of every row."""
    return [(row.due[Part.PRINCIPAL], row.due[Part.INTEREST]) for row in loan.rows]


def test_a_balloon_is_repaid_with_the_last_row_on_top_of_the_level_instalment() -> None:
    """30 % stay to the end: A = (P − L·v^12)/Σ v^k, v = 1/1.01."""
    rows = build_schedule(replace(PLAIN, balloon=Decimal("0.3")), PRINCIPAL, START).instalments
    present = sum(Fraction(100, 101) ** k for k in range(1, 13))
    level = half_up((PRINCIPAL - 300_000 * Fraction(100, 101) ** 12) / present)
    assert {row.principal + row.interest for row in rows[:-1]} == {level}
    last = rows[-1].principal + rows[-1].interest
    assert abs(last - level - 300_000) <= 12
    assert sum(row.principal for row in rows) == PRINCIPAL


def test_equal_principal_beside_a_balloon_repays_the_rest_in_equal_parts() -> None:
    terms = Terms(Method.EQUAL_PRINCIPAL, 7, Decimal("0.12"), balloon=Decimal("0.4"))
    parts = [row.principal for row in build_schedule(terms, PRINCIPAL, START).instalments]
    assert parts == [*[85_714] * 6, 485_716]


def test_a_prepayment_takes_its_share_of_the_balloon_with_it() -> None:
    """2,500.00 on a due date, of 10,000.00 with 30 % at the end: 2,250.00 stay at the end."""
    terms = replace(PLAIN, balloon=Decimal("0.3"))
    level = build_schedule(terms, PRINCIPAL, START).share
    events = (Repaid(FIRST_DUE, "01", level), happened.Prepaid(FIRST_DUE, "02", 250_000, Keep.TERM))
    *rows, last = lived(terms, FIRST_DUE, *events).loan.rows[1:]
    parts = {sum(row.due) for row in rows}
    assert len(parts) == 1
    assert abs(sum(last.due) - parts.pop() - 225_000) <= 12


def test_parts_as_agreed_are_what_the_rows_ask_until_the_plan_is_changed() -> None:
    steps = tuple(40_000 + 8_000 * k for k in range(11))
    terms = replace(PLAIN, parts=steps)
    rows = build_schedule(terms, PRINCIPAL, START).instalments
    assert [row.principal + row.interest for row in rows[:-1]] == [*steps]
    assert rows[-1].balance_after == 0
    paid = [Repaid(FIRST_DUE, "01", 40_000)]
    prepaid = happened.Prepaid(FIRST_DUE, "02", 100_000, Keep.TERM)
    level = {sum(row.due) for row in lived(terms, FIRST_DUE, *paid, prepaid).loan.rows[1:-1]}
    assert len(level) == 1, "a new plan is level"
    kept = happened.Prepaid(FIRST_DUE, "02", 100_000, Keep.INSTALMENT)
    asks = [sum(row.due) for row in lived(terms, FIRST_DUE, *paid, kept).loan.rows[1:]]
    assert asks[:9] == [*steps[1:10]]


def test_parts_of_equal_principal_are_principal() -> None:
    terms = Terms(Method.EQUAL_PRINCIPAL, 4, Decimal("0.12"), parts=(100_000, 0, 300_000))
    rows = build_schedule(terms, PRINCIPAL, START).instalments
    assert [(row.principal, row.interest) for row in rows] == [
        (100_000, 10_000),
        (0, 9_000),
        (300_000, 9_000),
        (600_000, 6_000),
    ]


def test_parts_that_are_too_few_or_stand_beside_another_rule_are_no_terms() -> None:
    with pytest.raises(ValueError, match="each period but the last, 11"):
        replace(PLAIN, parts=(1, 2))
    with pytest.raises(ValueError, match="no instalment, balloon or evening out"):
        replace(PLAIN, parts=(1,) * 11, balloon=Decimal("0.1"))


@pytest.mark.parametrize(
    "said",
    [
        {"interest_on": InterestOn.SCHEDULED},
        {"interest_on": InterestOn.PERIOD},
        {"method": Method.FLAT},
        {"grace_interest": 1},
    ],
)
def test_instalments_paid_whole_in_advance_ask_interest_day_by_day(said: dict[str, Any]) -> None:
    terms = replace(PLAIN, interest_on=InterestOn.ACTUAL)
    wish = quoting.Wish(quoting.Kind.REPAY, START, 100_000, excess=Excess.INSTALMENTS)
    assert quoting.quote(terms, PRINCIPAL, START, [wish]).lines
    with pytest.raises(ValueError, match="INSTALMENTS pays interest to date"):
        replace(terms, excess=Excess.INSTALMENTS, **said)
    with pytest.raises(ValueError, match="INSTALMENTS pays interest to date"):
        quoting.quote(replace(terms, **said), PRINCIPAL, START, [wish])


def test_with_rest_by_period_money_within_a_period_tells_in_the_next() -> None:
    """3,000.00 fourteen days into the second period: it bears 92.12 to its end all the same."""
    terms = replace(PLAIN, interest_on=InterestOn.PERIOD, excess=Excess.PRINCIPAL)
    early = Repaid(date(2026, 3, 1), "02", 300_000)
    loan = lived(terms, date(2026, 3, 1), PAID_FIRST, early).loan
    assert asked(loan)[1] == (300_000, half_up(LEFT * MONTH))
    assert asked(loan)[2][1] == half_up((LEFT - 300_000) * MONTH)
    assert payoff(terms, loan).interest_to_date == half_up(Fraction(9_212) * 14 / 28)
    by_days = lived(replace(terms, interest_on=InterestOn.ACTUAL), SECOND_DUE, PAID_FIRST, early)
    assert asked(by_days.loan)[1][1] < asked(loan)[1][1], "day by day it tells at once"


def test_with_rest_by_period_what_is_late_bears_interest_of_whole_periods() -> None:
    """The first instalment is paid a day late: its principal bears the second month whole."""
    terms = replace(PLAIN, interest_on=InterestOn.PERIOD, overdue=Overdue.CONTRACT)
    late = Repaid(day_after(FIRST_DUE, 1), "01", 88_849)
    loan = lived(terms, day_after(FIRST_DUE, 1), late).loan
    assert asked(loan)[1][1] == half_up(PRINCIPAL * MONTH)
    assert asked(loan)[2][1] < asked(loan)[1][1]


def test_unpaid_interest_compounds_at_the_contract_rate_where_overdue_principal_bears_that() -> (
    None
):
    """100.00 of interest, 20 nights late, at 12 %/360: 0.67; what grows after maturity bears none."""
    terms = replace(
        PLAIN,
        overdue=Overdue.CONTRACT,
        after_maturity=True,
        compound_enabled=True,
        nonaccrual_dpd=900,
    )
    loan = lived(terms, day_after(FIRST_DUE, 20)).loan
    assert loan.rows[0].due[Part.COMPOUND] == half_up(10_000 * NIGHT * 20)
    assert loan.rows[0].due[Part.PENALTY] == 0
    end = loan.rows[-1].due_date
    matured, later = (lived(terms, day_after(end, days)).loan for days in (0, 50))
    last, after = matured.rows[-1].due, later.rows[-1].due
    assert after[Part.INTEREST] - last[Part.INTEREST] == half_up(PRINCIPAL * NIGHT * 50)
    assert after[Part.COMPOUND] == half_up(last[Part.INTEREST] * NIGHT * 50)


BORROWED = Terms(
    Method.BULLET,
    1,
    Decimal("0.12"),
    overdue=Overdue.CONTRACT,
    after_maturity=True,
    nonaccrual_dpd=10_000,
)
"""10,000.00 from 15 January, due with 103.33 on 15 February; 3.33 a night."""


def test_principal_that_is_late_bears_contract_interest_after_maturity_until_it_is_paid() -> None:
    for days, bore in ((0, 0), (30, 10_000), (60, 20_000)):
        loan = lived(BORROWED, day_after(FIRST_DUE, days)).loan
        assert loan.amount_due == payoff(BORROWED, loan).total == 1_010_333 + bore
    until, half = day_after(FIRST_DUE, 60), day_after(FIRST_DUE, 30)
    paid = Repaid(half, "01", 20_333 + 500_000)
    step = lived(BORROWED, until, paid)
    assert amounts(step.postings, "REPAYMENT_RECEIVED") == [
        {"interest_due": 20_333, "principal_overdue": 500_000}
    ]
    assert step.loan.amount_due == 500_000 + half_up(500_000 * NIGHT * 30)
    closed = lived(BORROWED, until, paid, Repaid(until, "02", step.loan.amount_due)).loan
    assert closed.closure is Closure.PAID_OVERDUE


def test_contract_interest_ends_with_the_last_due_date_where_the_product_does_not_say_else() -> (
    None
):
    terms = replace(BORROWED, after_maturity=False)
    for days in (0, 60):
        assert lived(terms, day_after(FIRST_DUE, days)).loan.amount_due == 1_010_333


def test_all_that_was_called_in_bears_contract_interest_from_that_day() -> None:
    terms = replace(PLAIN, overdue=Overdue.CONTRACT, after_maturity=True)
    day = day_after(START, 10)
    called = happened.Accelerated(day, "01")
    at_once, later = (
        lived(terms, day_after(day, days), called).loan.amount_due for days in (0, 30)
    )
    assert later - at_once == half_up(PRINCIPAL * NIGHT * 30)


def test_interest_after_maturity_that_is_given_up_does_not_come_back() -> None:
    day = day_after(FIRST_DUE, 30)
    waived = happened.Waived(day, "01", interest=15_000)
    later = lived(BORROWED, day_after(day, 30), waived)
    assert later.loan.amount_due == 1_000_000 + 5_333 + 10_000
    assert owed(BORROWED, later.loan) == {
        "principal_overdue": 1_000_000,
        "interest_due": 5_333,
        "interest_accrued": 10_000,
    }


def test_a_late_fee_that_is_a_penalty_is_due_paid_and_posted_as_one() -> None:
    """5 % of the 888.49 unpaid, once: 44.42; penalty interest grows on the principal beside it."""
    once = Fee("late", FeeAt.LATE, rate=Decimal("0.05"), on=FeeOn.INSTALMENT, penalty=True)
    terms = replace(PLAIN, fees=(once,))
    until = day_after(FIRST_DUE, 10)
    step = lived(terms, until)
    interest = half_up(78_849 * NIGHT * Fraction(3, 2) * 10)
    row = step.loan.rows[0]
    assert (row.due[Part.PENALTY], row.due[Part.FEE]) == (4_442 + interest, 0)
    assert owed(terms, step.loan)["penalty"] == 4_442 + interest
    assert not amounts(step.postings, "FEE_DUE")
    paid = lived(terms, until, Repaid(until, "01", 4_442 + interest)).loan
    assert paid.rows[0].paid[Part.PENALTY] == 4_442 + interest, "before interest, as penalties are"


def written_off(claims: ClaimInterest) -> Loan:
    terms = replace(PLAIN, write_off_performing=True, claim_interest=claims)
    day = day_after(FIRST_DUE, 14)
    return lived(terms, day, PAID_FIRST, happened.WrittenOff(day, "02")).loan


def test_the_rows_of_a_loan_written_off_ask_what_its_claim_is() -> None:
    """Fourteen days into the second month: 46.06 of interest, and no more."""
    loan = written_off(ClaimInterest.TO_DATE)
    unpaid = [row.interest_unpaid for row in loan.rows]
    assert unpaid == [0, half_up(Fraction(9_212) * 14 / 28), *[0] * 10]
    assert loan.claim == (LEFT, 4_606)


def test_a_claim_may_be_for_all_the_interest_of_the_schedule() -> None:
    loan = written_off(ClaimInterest.WHOLE)
    whole = sum(row.interest for row in build_schedule(PLAIN, PRINCIPAL, START).instalments)
    assert loan.claim == (LEFT, whole - 10_000)


@given(
    terms=any_terms(8),
    principal=principals,
    claims=st.sampled_from(ClaimInterest),
    days=st.integers(0, 300),
)
def test_what_the_rows_ask_after_a_write_off_is_the_claim(
    terms: Terms, principal: int, claims: ClaimInterest, days: int
) -> None:
    terms = replace(terms, claim_interest=claims)
    day = START + timedelta(days=days)
    before = replay(terms, [Disbursed(START, "00", principal)], day).loan
    if not before.running:
        return
    held = balances(terms, before)
    after = replay(terms, [Disbursed(START, "00", principal), happened.WrittenOff(day, "01")], day)
    claim = after.loan.claim
    assert claim is not None
    rows = after.loan.rows
    assert sum(row.principal_unpaid for row in rows) == claim.principal == held.principal
    assert sum(row.owed for row in rows) == sum(claim)


def test_due_dates_as_agreed_take_the_place_of_the_schedules() -> None:
    """The second instalment falls due on 31 March, the third on 20 April, the rest monthly on the
    20th. A month and sixteen days bear 44 nights' interest, principal as in any month.
    """
    plan = Plan(due_dates=(date(2026, 3, 31), date(2026, 4, 20)))
    day = day_after(FIRST_DUE, 5)
    loan = lived(PLAIN, day, PAID_FIRST, happened.Rescheduled(day, "02", plan)).loan
    due = [row.due_date for row in loan.rows]
    assert due[:5] == [FIRST_DUE, *plan.due_dates, date(2026, 5, 20), date(2026, 6, 20)]
    assert len(due) == 12
    # Cut on the day of the change: both parts are rounded.
    assert asked(loan)[1][1] == half_up(LEFT * NIGHT * 5) + half_up(LEFT * NIGHT * 39)
    assert asked(loan)[3][1] == half_up(loan.rows[2].instalment.balance_after * MONTH)


def test_one_due_date_moved_later_on_leaves_the_rows_before_it() -> None:
    terms = Terms(Method.EQUAL_PRINCIPAL, 4, Decimal("0.12"), frequency=Frequency(Unit.WEEK, 2))
    plain = build_schedule(terms, PRINCIPAL, START).instalments
    moved = plain[2].due_date + timedelta(days=4)
    plan = Plan(from_due=plain[2].due_date, due_dates=(moved,))
    loan = lived(terms, START, happened.Rescheduled(START, "01", plan)).loan
    assert [row.due_date for row in loan.rows] == [
        *(row.due_date for row in plain[:2]),
        moved,
        moved + timedelta(days=14),
    ]
    assert asked(loan)[:2] == [(row.principal, row.interest) for row in plain[:2]]


def test_due_dates_that_another_past_finds_passed_are_left_out() -> None:
    plan = Plan(due_dates=(date(2026, 3, 1), date(2026, 4, 1)))
    day = date(2026, 3, 20)
    loan = lived(PLAIN, day, PAID_FIRST, happened.Rescheduled(day, "02", plan)).loan
    assert [row.due_date for row in loan.rows[2:4]] == [date(2026, 4, 1), date(2026, 5, 1)]


@pytest.mark.parametrize("tranche_first", [True, False])
def test_a_tranche_and_a_settlement_of_one_day_leave_the_tranche_owed_whichever_came_first(
    tranche_first: bool,
) -> None:
    terms = replace(PLAIN, interest_on=InterestOn.ACTUAL)
    before = lived(terms, FIRST_DUE, PAID_FIRST).loan
    tranche, settled = (
        Disbursed(FIRST_DUE, "02" if tranche_first else "03", 500_000),
        happened.Settled(FIRST_DUE, "03" if tranche_first else "02", payoff(terms, before).total),
    )
    loan = lived(terms, FIRST_DUE, PAID_FIRST, tranche, settled).loan
    assert loan.running
    assert (loan.undue_principal, loan.overpayment) == (500_000, 0)
