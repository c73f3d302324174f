"""What changes a loan, against figures worked out by hand or with Fractions.

The loan of most of them: 10,000.00 over twelve months at 12 %, level instalments of 888.49; a night
bears 12 %/360 of what is not yet due and 18 %/360 of what is overdue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from servicing.lives import WEEKENDS
from servicing.stories import HARD, START, amounts, day_after, half_up, level, owed, repaid, totals

from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.changing import Plan, projected
from tael_servicing.arithmetic.difference import refolded
from tael_servicing.arithmetic.events import CurrentPaid, Disbursed, LoanEvent, Prepaid, Repaid
from tael_servicing.arithmetic.fold import end_day, happen, replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.prepaying import current_amount, payoff
from tael_servicing.arithmetic.rounding import Rounding, rounded
from tael_servicing.arithmetic.terms import (
    Annuity,
    Basis,
    DayCount,
    EarlyInterest,
    Excess,
    Fee,
    FeeAt,
    FeeOn,
    Frequency,
    InterestOn,
    Keep,
    Maturity,
    Method,
    Overdue,
    Part,
    Partial,
    Residue,
    Shift,
    Terms,
    Unit,
    Until,
)

PLAIN = replace(HARD, compound_enabled=False)
LENT = Disbursed(START, "00", 1_000_000)
FIRST_DUE = date(2026, 2, 15)
PAID_FIRST = Repaid(FIRST_DUE, "01", 88_849)
LEFT = 921_151
"""Principal after the first instalment."""
MONTH = Fraction(1, 100)
NIGHT, LATE_NIGHT = Fraction(12, 36_000), Fraction(18, 36_000)


def loan_on(day: date, *events: LoanEvent, terms: Terms = HARD, lent: Disbursed = LENT) -> Loan:
    return replay(terms, [lent, *events], day).loan


def ahead(loan: Loan) -> list[tuple[int, int, int]]:
    """(principal, interest, balance after) of what is not yet due."""
    rows = [row.instalment for row in loan.rows[loan.due_count :]]
    return [(row.principal, row.interest, row.balance_after) for row in rows]


def running(
    balance: int, own: int, factors: Sequence[Fraction], share: int
) -> list[tuple[int, int, int]]:
    """Rows that pay `share`, the first of which bears the interest `own`."""
    left = balance - (share - own)
    return [(share - own, own, left), *repaid(left, list(factors), share)]


THIRTY = Terms(
    Method.EQUAL_INSTALMENT,
    6,
    Decimal("0.12"),
    basis=Basis.REAL_DAYS,
    day_count=DayCount.ACT_360,
    annuity=Annuity.THIRTY_DAYS,
)
SPRING = Disbursed(date(2026, 3, 10), "00", 600_000)
"""Due on 10 April (31 nights), May (30), June (31), July (30), August (31), September (31)."""
AFTER_APRIL = [Fraction(days * 12, 36_000) for days in (30, 31, 30, 31, 31)]


def test_prepaying_makes_a_thirty_day_instalment_smaller_or_the_term_shorter() -> None:
    share = half_up(level(600_000, [MONTH] * 6))
    first = share - half_up(600_000 * NIGHT * 31)
    left = 600_000 - first - 200_000
    day = date(2026, 4, 10)
    paid = Repaid(day, "01", share)
    smaller = loan_on(day, paid, Prepaid(day, "02", 200_000, Keep.TERM), terms=THIRTY, lent=SPRING)
    less = half_up(level(left, [MONTH] * 5))
    assert ahead(smaller) == repaid(left, AFTER_APRIL, less)
    shorter = loan_on(
        day, paid, Prepaid(day, "02", 200_000, Keep.INSTALMENT), terms=THIRTY, lent=SPRING
    )
    rows, balance = [], left
    for factor in AFTER_APRIL:
        interest = half_up(balance * factor)
        part = min(balance, share - interest)
        balance -= part
        rows.append((part, interest, balance))
        if not balance:
            break
    assert len(rows) == 3
    assert ahead(shorter) == rows


def test_a_payoff_inside_a_period_bears_its_days_or_its_share_of_the_month() -> None:
    day = date(2026, 2, 1)
    by_days = payoff(PLAIN, loan_on(day, terms=PLAIN))
    assert by_days.interest_to_date == half_up(1_000_000 * NIGHT * 17) == 5667
    pro_rata = replace(PLAIN, partial=Partial.PRO_RATA)
    shared = payoff(pro_rata, loan_on(day, terms=pro_rata))
    assert shared.interest_to_date == half_up(10_000 * Fraction(17, 31)) == 5484


def test_a_rate_learned_late_makes_a_repayment_after_it_pay_less_interest() -> None:
    """6 % from the sixteenth night on: 53.33 and 15 nights' 25.00 instead of 100.00."""
    known = [LENT, PAID_FIRST]
    late = happened.Repriced(date(2026, 1, 31), "09", Decimal("0.06"))
    as_of = date(2026, 2, 20)
    before = replay(PLAIN, known, as_of, nightly_from=START)
    loan, adjusting = refolded(PLAIN, known, late, as_of)
    share = half_up(level(1_000_000, [Fraction(1, 200)] * 12))
    own = 5333 + 2500
    left = 1_000_000 - (share - own)
    assert loan.rows[0].paid[:2] == [share - own, own]
    assert loan.overpayment == 88_849 - share
    second = half_up(left * Fraction(1, 200))
    assert ahead(loan)[0] == (share - second, second, left - (share - second))
    sums = totals([*before.postings, *adjusting])
    assert sums["INTEREST_DUE", "interest"] == own
    earned = own + half_up(second * Fraction(5, 28))
    assert (
        sums["INTEREST_ACCRUED", "interest"] + sums.get(("INTEREST_TRUED_UP", "interest"), 0)
        == earned
    )


def test_overdue_principal_at_the_contract_rate_and_the_plan_if_it_is_paid_today() -> None:
    """4,000.00 in four parts: 1,000.00 is ten nights late, and bears interest with the 3,000.00."""
    terms = Terms(
        Method.EQUAL_PRINCIPAL, 4, Decimal("0.12"), overdue=Overdue.CONTRACT, nonaccrual_dpd=1000
    )
    lent, day = Disbursed(START, "00", 400_000), date(2026, 2, 25)
    loan = loan_on(day, terms=terms, lent=lent)
    assert ahead(loan)[0][1] == half_up(400_000 * MONTH)
    assert payoff(terms, loan).interest_to_date == 1333
    if_paid = [3133, 2000, 1000]
    assert [row[1] for row in ahead(projected(terms, loan))] == if_paid
    paid = loan_on(day, Repaid(day, "01", 104_000), terms=terms, lent=lent)
    assert [row[1] for row in ahead(paid)] == if_paid
    assert sum(row.due[Part.PENALTY] for row in loan.rows) == 0


def test_a_tranche_on_a_due_date_joins_whole_periods() -> None:
    loan = loan_on(FIRST_DUE, Disbursed(FIRST_DUE, "02", 300_000), terms=PLAIN)
    first, *rest = loan.rows
    assert not first.settled
    share = half_up(level(LEFT + 300_000, [MONTH] * 11))
    assert [
        (row.instalment.principal, row.instalment.interest, row.instalment.balance_after)
        for row in rest
    ] == repaid(LEFT + 300_000, [MONTH] * 11, share)


def test_what_is_paid_on_its_due_date_moves_no_instalment_found_that_day() -> None:
    late = replace(PLAIN, even_out=True, overdue=Overdue.CONTRACT)
    never = replace(late, overdue=Overdue.NOTHING)
    for change in (
        happened.Repriced(FIRST_DUE, "02", Decimal("0.09")),
        Disbursed(FIRST_DUE, "02", 300_000),
    ):
        found = ahead(loan_on(FIRST_DUE, PAID_FIRST, change, terms=late))
        assert found == ahead(loan_on(FIRST_DUE, PAID_FIRST, change, terms=never))
        assert abs(sum(found[-1][:2]) - sum(found[0][:2])) <= 11 // 2


def test_a_tranche_inside_a_period_bears_its_own_nights() -> None:
    """Ten nights of 28 on what was there, eighteen on both."""
    day = date(2026, 2, 25)
    loan = loan_on(day, PAID_FIRST, Disbursed(day, "02", 300_000), terms=PLAIN)
    balance = LEFT + 300_000
    own = half_up(LEFT * NIGHT * 10) + half_up(balance * NIGHT * 18)
    share = half_up(level(balance, [MONTH] * 11))
    assert ahead(loan) == running(balance, own, [MONTH] * 10, share)


def test_a_refund_of_goods_after_a_down_payment_is_spread_over_the_parts_and_taken_back() -> None:
    terms = Terms(Method.EQUAL_PRINCIPAL, 3, Decimal("0.12"), down_payment=Decimal("0.25"))
    lent, day = Disbursed(START, "00", 400_000), date(2026, 1, 20)
    down = Repaid(START, "01", 100_000)
    refund = happened.GoodsRefunded(day, "02", 90_000, Excess.SPREAD)
    known: list[LoanEvent] = [lent, down, refund]
    loan = replay(terms, known, day).loan
    assert [row.due[0] for row in loan.rows] == [100_000] * 4
    assert [row.paid[0] for row in loan.rows] == [100_000, 30_000, 30_000, 30_000]
    as_of = date(2026, 2, 20)  # five nights late
    back = happened.Reversed(as_of, "03", "02")
    after, adjusting = refolded(terms, known, back, as_of)
    assert after == replay(terms, [lent, down], as_of).loan
    assert after.arrears[0].owed == 100_000 + 3_000 + 250
    assert {
        key: amount for key, amount in totals(adjusting).items() if key[0] == "GOODS_REFUNDED"
    } == {("GOODS_REFUNDED", "principal_normal"): -90_000}


def test_a_claim_grows_by_a_repayment_that_did_not_happen_after_all() -> None:
    """Without it the loan has been off balance since 17 May, and the first row is owed too."""
    day = date(2026, 6, 14)
    known: list[LoanEvent] = [LENT, PAID_FIRST, happened.WrittenOff(day, "02")]
    before = replay(HARD, known, day).loan
    assert before.claim is not None
    assert before.claim.principal == LEFT
    after = refolded(HARD, known, happened.Reversed(day, "03", "01"), day).loan
    assert after.claim is not None
    assert after.claim.principal == 1_000_000
    parts = repaid(1_000_000, [MONTH] * 12, 88_849)[:4]
    contract = sum(interest for _, interest, _ in parts) + half_up(6_798 * Fraction(30, 31))
    charges = 0
    # Nights up to 17 May, on the balance sheet; 28 more off it, from whole cents on.
    for nights, (principal, interest, _) in zip((91, 63, 32, 2), parts, strict=True):
        for base in (principal, interest):
            on_balance = half_up(base * nights * LATE_NIGHT)
            charges += half_up(on_balance + base * 28 * LATE_NIGHT)
    assert after.claim.interest == contract + charges


def test_a_late_fee_falls_due_when_grace_ends_unkept() -> None:
    """5.00 and 1 % of what is unpaid of 888.49."""
    fee = Fee("late", FeeAt.LATE, amount=500, rate=Decimal("0.01"), on=FeeOn.INSTALMENT)
    terms = replace(HARD, grace_days=3, fees=(fee,))
    kept = replay(terms, [LENT, Repaid(date(2026, 2, 18), "01", 88_849)], date(2026, 2, 19))
    assert amounts(kept.postings, "FEE_DUE") == []
    missed = replay(terms, [LENT], date(2026, 2, 19))
    assert amounts(missed.postings, "FEE_DUE") == [{"fee": 1_388}]
    partly = replay(terms, [LENT, Repaid(date(2026, 2, 18), "01", 48_849)], date(2026, 2, 19))
    assert amounts(partly.postings, "FEE_DUE") == [{"fee": 900}]


PARTS = Terms(Method.EQUAL_PRINCIPAL, 3, Decimal("0.12"))
THREE = Disbursed(START, "00", 300_000)


def test_a_prepayment_pays_the_interest_of_what_it_repays() -> None:
    """600.00 for ten nights: 2.00; what stays bears its whole month."""
    day = date(2026, 1, 25)
    loan, posted = replay(PARTS, [THREE, Prepaid(day, "01", 60_200, Keep.TERM)], day)
    assert posted[-1].amounts == {"principal_normal": 60_000, "interest_accrued": 200}
    assert ahead(loan) == [(80_000, 2400, 160_000), (80_000, 1600, 80_000), (80_000, 800, 0)]


def test_a_prepayment_may_clear_all_interest_to_date() -> None:
    """Ten nights of 3,000.00: 10.00; 21 nights of 2,400.00 are left: 16.80."""
    terms, day = replace(PARTS, early_interest=EarlyInterest.ALL), date(2026, 1, 25)
    loan, posted = replay(terms, [THREE, Prepaid(day, "01", 61_000, Keep.TERM)], day)
    assert posted[-1].amounts == {"principal_normal": 60_000, "interest_accrued": 1_000}
    assert [row[1] for row in ahead(loan)] == [1_000 + 1_680, 1600, 800]
    assert loan.rows[0].paid[Part.INTEREST] == 1_000
    due = loan_on(FIRST_DUE, Prepaid(day, "01", 61_000, Keep.TERM), terms=terms, lent=THREE)
    assert due.arrears[0].owed == 80_000 + 1_680


def test_days_past_due_count_from_the_working_day_a_due_date_moved_to() -> None:
    """15 February 2026 is a Sunday; the 16th and 17th are new year's holidays here."""
    holidays = frozenset(date(2026, 2, day) for day in (15, 16, 17))
    terms = replace(HARD, shift=Shift.FOLLOWING, holidays=holidays)
    assert loan_on(date(2026, 2, 17), terms=terms).arrears == []
    assert loan_on(date(2026, 2, 18), terms=terms).days_past_due == 0
    late = loan_on(date(2026, 2, 20), terms=terms)
    assert late.days_past_due == 2
    principal = late.arrears[0].principal_unpaid
    assert late.arrears[0].due[Part.PENALTY] == half_up(principal * 2 * LATE_NIGHT)


def test_re_ageing_spreads_overdue_principal_and_asks_interest_and_charges_with_the_next_row() -> (
    None
):
    """Twenty nights late. Of the running 28, twenty are on 9,211.51 and eight on all of it."""
    day = date(2026, 3, 7)
    loan = loan_on(day, happened.Rescheduled(day, "01", Plan(re_age=True)))
    own = half_up(LEFT * NIGHT * 20) + half_up(1_000_000 * NIGHT * 8)
    share = half_up(level(1_000_000, [MONTH] * 11))
    assert ahead(loan) == running(1_000_000, own, [MONTH] * 10, share)
    current = loan.current
    assert current is not None
    assert current.due == [share - own, own + 10_000, 788, 100, 0]
    assert (loan.days_past_due, loan.overdue_principal) == (0, 0)


def test_interest_that_rows_before_a_later_change_do_not_ask_falls_due_after_it() -> None:
    """1 % a month of what is left: in grace for three months, and of parts and of an instalment that
    do not cover it.
    """
    level_six = Terms(Method.EQUAL_INSTALMENT, 6, Decimal("0.12"))
    for terms, from_due, more in (
        (replace(level_six, grace_interest=3), date(2026, 3, 15), 2),
        (replace(level_six, grace_interest=4), date(2026, 4, 15), 1),
        (replace(level_six, parts=(300_000, 0, 0, 200_000, 200_000)), date(2026, 5, 15), 1),
        (replace(level_six, instalment=5_000), date(2026, 5, 15), 1),
    ):
        plan = Plan(from_due=from_due, more_periods=more)
        loan = loan_on(START, happened.Rescheduled(START, "01", plan), terms=terms)
        balance = earned = 0
        for row in reversed(loan.rows):
            balance += row.due[Part.PRINCIPAL]
            earned += half_up(balance * MONTH)
        assert balance == 1_000_000
        assert sum(row.due[Part.INTEREST] for row in loan.rows) == earned


def extended(terms: Terms, plan: Plan, start: date = START, lent: int = 900_000) -> Loan:
    """On the day it was paid out."""
    born = Disbursed(start, "00", lent)
    return loan_on(start, happened.Rescheduled(start, "01", plan), terms=terms, lent=born)


def test_equal_parts_spread_anew_before_the_first_due_date_leave_the_rest_in_the_first() -> None:
    """10,000.00 in ten parts, and in seven of which 3,000.00 is prepaid and the parts are kept."""
    terms = Terms(Method.EQUAL_PRINCIPAL, 7, Decimal("0.12"), residue=Residue.FIRST)
    loan = extended(terms, Plan(more_periods=3), lent=1_000_000)
    assert [row.due[0] for row in loan.rows] == [100_000] * 10
    loan = extended(terms, Plan(more_periods=2), lent=1_000_000)
    assert [row.due[0] for row in loan.rows] == [111_112] + [111_111] * 8
    prepaid = loan_on(START, Prepaid(START, "01", 300_000, Keep.INSTALMENT), terms=terms)
    assert [row.due[0] for row in prepaid.rows] == [142_857] * 4 + [128_572]
    none = Plan(grace_principal=2)
    assert [row.due[0] for row in extended(terms, none, lent=1_000_000).rows] == [0, 0] + [
        200_000
    ] * 5


def test_a_bullet_that_is_extended_bears_its_days_to_its_new_end() -> None:
    """15 July to 15 September: 62 nights of 10,000.00."""
    terms = Terms(Method.BULLET, 1, Decimal("0.12"))
    loan = extended(terms, Plan(more_periods=1), date(2026, 7, 15), 1_000_000)
    assert [(row.due_date, row.due[:2]) for row in loan.rows] == [
        (date(2026, 9, 15), [1_000_000, half_up(1_000_000 * NIGHT * 62)])
    ]


def test_an_extension_goes_on_from_the_due_day_and_leaves_the_rows_that_were_there() -> None:
    parts = Terms(Method.EQUAL_PRINCIPAL, 3, Decimal("0.12"))
    born, paid = date(2026, 1, 31), [Repaid(date(2026, 3, 31), "01", 615_000, Excess.PARK)]
    today = date(2026, 4, 5)
    more = happened.Rescheduled(today, "02", Plan(more_periods=3))
    loan = loan_on(today, *paid, more, terms=parts, lent=Disbursed(born, "00", 900_000))
    ends = [date(2026, 4, 30), date(2026, 5, 31), date(2026, 6, 30), date(2026, 7, 31)]
    assert [row.due_date for row in loan.rows[2:]] == ends
    moved = replace(parts, shift=Shift.FOLLOWING, holidays=WEEKENDS)
    ends = [date(2026, 5, 14), date(2026, 6, 15), date(2026, 7, 14)]
    loan = extended(moved, Plan(more_periods=3), date(2026, 1, 14))
    assert [row.due_date for row in loan.rows[3:]] == ends
    later = happened.Rescheduled(date(2026, 4, 1), "02", Plan(more_periods=2))
    day = happened.Rescheduled(START, "01", Plan(repay_day=31))
    loan = loan_on(date(2026, 4, 1), day, later, terms=parts)
    ends = [date(2026, 4, 30), date(2026, 5, 31), date(2026, 6, 30)]
    assert [row.due_date for row in loan.rows[2:]] == ends


def test_a_running_month_whose_rate_and_balance_stand_bears_its_whole_interest() -> None:
    """100.00 of 10,000.00 at 12 %, whatever else is planned anew on the fifth day; where the rate came
    in the midst, its days at both rates.
    """
    fifth, tenth = START + timedelta(days=5), START + timedelta(days=10)
    more = happened.Rescheduled(fifth, "01", Plan(more_periods=3))
    same = happened.Repriced(fifth, "01", Decimal("0.12"), Keep.TERM)
    for terms in (PLAIN, replace(PLAIN, annuity=Annuity.PERIODS)):
        whole = [loan_on(tenth, each, terms=terms).rows[0].due[1] for each in (more, same)]
        assert whole == [10_000, 10_000]
    lower = happened.Repriced(fifth, "01", Decimal("0.06"), Keep.TERM)
    later = happened.Rescheduled(tenth, "02", Plan(more_periods=3))
    nights = 1_000_000 * (NIGHT * 5 + NIGHT / 2 * 26)
    assert loan_on(tenth, lower, later).rows[0].due[1] == half_up(nights)
    life = replay(PLAIN, [LENT, more], FIRST_DUE, nightly_from=START)
    assert totals(life.postings)["INTEREST_ACCRUED", "interest"] == 10_000


def test_a_running_month_that_bears_its_opening_balance_keeps_its_interest() -> None:
    """4,000.00 paid on the fifth day tells in the next month, an extension after it or not."""
    terms = replace(PLAIN, interest_on=InterestOn.PERIOD, excess=Excess.PRINCIPAL)
    paid = Repaid(START + timedelta(days=5), "01", 400_000)
    tenth = START + timedelta(days=10)
    more = happened.Rescheduled(tenth, "02", Plan(more_periods=3))
    rows = loan_on(tenth, paid, more, terms=terms).rows
    assert [row.due[1] for row in rows[:2]] == [10_000, 6_000]


def test_a_period_from_one_due_day_to_another_of_the_next_month_bears_its_days() -> None:
    """15 January to 28 February, 44 nights, planned on the day of the payout or within."""
    for day in (START, START + timedelta(days=5)):
        loan = loan_on(day, happened.Rescheduled(day, "01", Plan(due_dates=(date(2026, 2, 28),))))
        assert loan.rows[0].due[1] == half_up(1_000_000 * NIGHT * 44)


def test_a_penalty_rate_of_its_own_is_borne_without_interest_and_whatever_the_rate_becomes() -> (
    None
):
    """0.05 % a day of 1,000.00 for the twenty nights from 15 February: 10.00."""
    own = Decimal("0.1825")
    free = Terms(
        Method.EQUAL_PRINCIPAL, 12, Decimal(0), day_count=DayCount.ACT_365, penalty_rate=own
    )
    dearer = happened.Repriced(FIRST_DUE + timedelta(days=5), "01", Decimal("0.06"), Keep.TERM)
    born, day = Disbursed(START, "00", 1_200_000), FIRST_DUE + timedelta(days=20)
    for events in ([], [dearer]):
        loan = loan_on(day, *events, terms=free, lent=born)
        assert loan.rows[0].due == [100_000, 0, 1_000, 0, 0]


def test_an_odd_last_period_stays_odd_when_the_loan_is_extended() -> None:
    """Repay day 25, from 20 January for three months: 26 nights to 20 April, and then whole months."""
    terms = Terms(Method.INTEREST_ONLY, 3, Decimal("0.12"), repay_day=25, maturity=Maturity.EXACT)
    loan = extended(terms, Plan(more_periods=2), date(2026, 1, 20), 1_000_000)
    assert [(row.due_date, row.due[1]) for row in loan.rows[2:]] == [
        (date(2026, 4, 20), half_up(1_000_000 * NIGHT * 26)),
        (date(2026, 5, 20), 10_000),
        (date(2026, 6, 20), 10_000),
    ]


def test_an_instalment_that_is_kept_when_the_rate_rises_is_paid_as_often_as_it_takes() -> None:
    """860.66 at 6 %; at 18 % once more, and less; for interest it does not cover one is found."""
    terms = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.06"))

    def at(rate: str) -> Loan:
        raised = happened.Repriced(START, "01", Decimal(rate), Keep.INSTALMENT)
        return loan_on(START, raised, terms=terms)

    factors = [Fraction(15, 1000)] * 12
    kept = repaid(1_000_000, factors, 86_066)
    left = kept[-2][2] - (86_066 - kept[-1][1])
    assert ahead(at("0.18"))[:11] == kept[:11]
    assert ahead(at("0.18"))[12:] == [(left, half_up(left * factors[0]), 0)]
    assert at("0.18").rows[-1].due_date == date(2027, 2, 15)
    assert ahead(at("0.02"))[0][0] == 86_066 - 1_667
    share = half_up(level(1_000_000, [Fraction(12, 100)] * 12))
    assert ahead(at("1.44")) == repaid(1_000_000, [Fraction(12, 100)] * 12, share)


def test_a_plan_puts_interest_off_for_a_time_and_whatever_changes_meanwhile_leaves_it_put_off() -> (
    None
):
    """Of the second and third instalment; 1 % a month."""
    plan = Plan(from_due=date(2026, 3, 15), grace_interest=2)
    off = happened.Rescheduled(START, "01", plan)
    loan = loan_on(START, off, terms=PLAIN)
    bears = [row.instalment.accrues for row in loan.rows]
    asks = [row.due[Part.INTEREST] for row in loan.rows]
    assert asks[:5] == [bears[0], 0, 0, sum(bears[1:4]), bears[4]]
    assert loan.rows[4].due[0] + asks[4] == 88_849
    assert {row.due[0] + row.instalment.accrues for row in loan.rows[:-1]} == {88_849}
    day = date(2026, 2, 20)
    again = happened.Repriced(day, "03", Decimal("0.06"))
    later = ahead(loan_on(day, off, PAID_FIRST, again, terms=PLAIN))
    assert [interest for _, interest, _ in later[:2]] == [0, 0]
    assert later[2][1] > 0


def test_a_plan_of_fewer_instalments_ends_the_loan_sooner() -> None:
    """Two of five after the first of six, of which the last is paid in part already."""
    six = Terms(Method.EQUAL_PRINCIPAL, 6, Decimal("0.12"), excess=Excess.LAST)
    early = Repaid(START, "01", 50_000)
    plan = Plan(from_due=date(2026, 3, 15), instalments=2)
    loan = loan_on(
        START,
        happened.Rescheduled(START, "02", plan),
        early,
        terms=six,
        lent=Disbursed(START, "00", 600_000),
    )
    assert [(row.due_date, row.due[0], row.paid[0]) for row in loan.rows] == [
        (FIRST_DUE, 100_000, 0),
        (date(2026, 3, 15), 250_000, 0),
        (date(2026, 4, 15), 250_000, 50_000),
    ]


def test_another_rate_is_borne_by_the_instalments_before_the_first_that_changes_too() -> None:
    """12 % for ten nights, then 24 %: of 31 nights, and of the whole second month."""
    day = date(2026, 1, 25)
    plan = Plan(from_due=date(2026, 4, 15), annual_rate=Decimal("0.24"), more_periods=1)
    loan = loan_on(day, happened.Rescheduled(day, "01", plan), terms=PLAIN)
    own = half_up(1_000_000 * NIGHT * 10) + half_up(1_000_000 * 2 * NIGHT * 21)
    left = 1_000_000 - (88_849 - own)
    second = half_up(left * 2 * MONTH)
    assert ahead(loan)[:2] == [
        (88_849 - own, own, left),
        (88_849 - second, second, left - (88_849 - second)),
    ]
    later = replay(PLAIN, [LENT, happened.Rescheduled(day, "01", plan)], date(2026, 2, 14)).loan
    assert payoff(PLAIN, later).interest_to_date == half_up(1_000_000 * NIGHT * 10) + half_up(
        1_000_000 * 2 * NIGHT * 20
    )


def test_acceleration_makes_everything_due_with_interest_to_the_day() -> None:
    day = date(2026, 2, 25)
    loan = loan_on(day, PAID_FIRST, happened.Accelerated(day, "02"))
    interest = half_up(LEFT * NIGHT * 10)
    assert loan.amount_due == LEFT + interest
    assert loan.current is None
    late = replay(HARD, [LENT, PAID_FIRST, happened.Accelerated(day, "02")], day_after(day, 7)).loan
    charges = half_up(LEFT * 7 * LATE_NIGHT) + half_up(interest * 7 * LATE_NIGHT)
    assert late.amount_due == LEFT + interest + charges


def test_two_instalments_paid_when_due_after_the_arrears_bring_a_loan_back() -> None:
    """Off balance on 14 June and paid up that day; the sixth of them leaves 5,149.20, whose first
    night of 31 is 1.66 of 51.49.
    """
    off = date(2026, 6, 14)
    owed = loan_on(off, PAID_FIRST).amount_due
    on_time = [Repaid(date(2026, month, 15), f"0{month}", 88_849) for month in (6, 7)]
    events: list[LoanEvent] = [LENT, PAID_FIRST, Repaid(off, "02", owed), *on_time]
    waiting = replay(HARD, events, date(2026, 7, 15)).loan
    assert waiting.nonaccrual_since == off
    back, posted = replay(HARD, events, date(2026, 7, 16))
    assert back.nonaccrual_since is None
    assert amounts(posted, "NON_ACCRUAL_LEFT") == [
        {"principal_normal": 514_920, "interest_accrued": 166}
    ]
    missed = replay(HARD, [*events[:3], on_time[1]], date(2026, 7, 16)).loan
    assert (missed.nonaccrual_since, missed.clean_periods) == (off, 0)


FLAT = Terms(Method.FLAT, 4, Decimal("0.12"))
FOUR = Disbursed(START, "00", 400_000)
FLAT_PAID = Repaid(FIRST_DUE, "01", 104_000)


def test_flat_interest_is_on_what_was_lent_less_what_was_prepaid() -> None:
    """4,000.00 in four parts; 600.00 is prepaid: 1 % of 3,400.00 a month from then on."""
    prepaid = Prepaid(FIRST_DUE, "02", 60_000, Keep.TERM)
    more = Repaid(FIRST_DUE, "01", 164_000, Excess.PRINCIPAL)
    for events in ([FLAT_PAID, prepaid], [more]):
        loan = loan_on(FIRST_DUE, *events, terms=FLAT, lent=FOUR)
        assert [row[:2] for row in ahead(loan)] == [(80_000, 3_400)] * 3


def test_flat_interest_of_what_is_prepaid_inside_a_period_is_its_part_of_the_nights() -> None:
    """Ten nights of 31 on 40.00 are 12.90; 600.00 of 4,000.00 is 15 % of it."""
    day = date(2026, 1, 25)
    loan, posted = replay(FLAT, [FOUR, Prepaid(day, "01", 60_194, Keep.TERM)], day)
    assert posted[-1].amounts == {"principal_normal": 60_000, "interest_accrued": 194}
    assert [row[:2] for row in ahead(loan)] == [(85_000, 3_400)] * 4


def test_another_flat_rate_is_on_what_was_lent_too() -> None:
    lower = happened.Repriced(FIRST_DUE, "02", Decimal("0.06"))
    loan = loan_on(FIRST_DUE, FLAT_PAID, lower, terms=FLAT, lent=FOUR)
    assert [row[:2] for row in ahead(loan)] == [(100_000, 2_000)] * 3


def test_penalty_that_joined_the_plan_stays_owed_when_the_plan_is_not_kept() -> None:
    """7.88 of twenty days on the first instalment: with the second, nights on that alone come to it."""
    plan = happened.Rescheduled(date(2026, 3, 7), "01", Plan(re_age=True))
    terms = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.12"))
    born = Disbursed(date(2026, 1, 15), "00", 1_000_000)
    late = replay(terms, [born, plan], date(2026, 3, 16)).loan.arrears[0]
    night = rounded(late.principal_unpaid * 5, 10_000, Rounding.HALF_UP)
    assert late.unpaid(Part.PENALTY) == 788 + night


def test_arrears_that_are_paused_grow_no_older_and_bear_nothing_until_the_pause_is_over() -> None:
    """Five days past due on 02-20, and again on 04-01; what falls due meanwhile is of that day."""
    pause = happened.Paused(date(2026, 2, 20), "01", date(2026, 4, 1))
    began, penalty = loan_on(date(2026, 2, 20)), Part.PENALTY
    for day, ages in (
        (date(2026, 2, 20), [5]),
        (date(2026, 3, 31), [5, 0]),
        (date(2026, 4, 1), [5, 0]),
        (date(2026, 4, 2), [6, 1]),
    ):
        loan = loan_on(day, pause)
        assert [loan.age(row) for row in loan.arrears] == ages
        grown = loan.arrears[0].unpaid(penalty) - began.arrears[0].unpaid(penalty)
        assert grown in ([0], [39, 40])[ages[0] - 5], "a night bears 39.42"
    off = HARD.nonaccrual_dpd + 1
    slow = loan_on(date(2026, 4, 1) + timedelta(days=off - 5), pause)
    assert (slow.days_past_due, slow.nonaccrual_since) == (off, slow.business_date)


def test_a_pause_may_end_sooner_or_later_than_was_said_and_is_known_in_any_order() -> None:
    until = date(2026, 5, 20)
    first = happened.Paused(date(2026, 2, 20), "01", date(2026, 4, 1))
    longer = happened.Paused(date(2026, 3, 1), "02", date(2026, 4, 11))
    ended = happened.Paused(date(2026, 3, 21), "03", date(2026, 3, 21))
    whole = loan_on(until).days_past_due
    for pauses, days in (([first], 40), ([first, longer], 50), ([first, longer, ended], 29)):
        known = loan_on(until, *pauses)
        assert known.days_past_due == whole - days
        walked = replay(HARD, [LENT], date(2026, 2, 15)).loan
        while walked.business_date < until:
            walked, _ = end_day(HARD, walked)
            for pause in pauses:
                if pause.value_date == walked.business_date:
                    walked = happen(HARD, walked, pause).loan
        assert walked == known
        *others, last = reversed(pauses)
        assert refolded(HARD, [LENT, *others], last, until).loan == known


def test_a_loan_judged_impaired_stays_off_balance_whatever_is_paid_until_that_is_withdrawn() -> (
    None
):
    """Every instalment is paid on its day; only the words of people differ."""
    terms = replace(PLAIN, cure_periods=0)
    paid = [
        Repaid(date(2026, month, 15), f"0{month}", 88_849, Excess.PARK) for month in range(2, 6)
    ]
    judged = happened.Impaired(date(2026, 2, 20), "10")
    withdrawn = happened.Restored(date(2026, 4, 20), "11")
    for day, since in (
        (date(2026, 4, 20), judged.value_date),
        (date(2026, 4, 21), None),
        (date(2026, 6, 1), None),
    ):
        assert loan_on(day, *paid, judged, withdrawn, terms=terms).nonaccrual_since == since
    held = loan_on(date(2026, 6, 1), *paid, judged, terms=terms)
    assert held.nonaccrual_since == judged.value_date
    late = refolded(terms, [LENT, *paid, judged], withdrawn, date(2026, 6, 1))
    assert late.loan == loan_on(date(2026, 6, 1), *paid, judged, withdrawn, terms=terms)
    gone = [judged, withdrawn, happened.Reversed(date(2026, 6, 1), "12", "11")]
    assert loan_on(date(2026, 6, 1), *paid, *gone, terms=terms).judged


def test_non_accrual_ends_with_the_opening_that_finds_it_cured_however_the_days_are_walked() -> (
    None
):
    """Arrears of 06-01 paid, the next two instalments on their day: cured on the morning after the
    second, though the third is missed.
    """
    paid: list[LoanEvent] = []
    for number, day in enumerate((date(2026, 6, 1), date(2026, 6, 15), date(2026, 7, 15)), 1):
        due = loan_on(day, *paid, terms=PLAIN).amount_due
        paid.append(Repaid(day, f"{number:02}", due))
    until = date(2026, 8, 20)
    loan = loan_on(date(2026, 5, 31), terms=PLAIN)
    assert loan.nonaccrual_since == date(2026, 5, 17)
    left = []
    while loan.business_date < until:
        loan, posted = end_day(PLAIN, loan)
        left += [each.value_date for each in posted if each.event == "NON_ACCRUAL_LEFT"]
        for event in paid:
            if event.value_date == loan.business_date:
                loan = happen(PLAIN, loan, event).loan
    assert left == [date(2026, 7, 16)]
    assert owed(PLAIN, loan)["principal_overdue"] == 83_700
    assert loan_on(until, *paid, terms=PLAIN) == loan
    late = Repaid(date(2026, 8, 18), "09", 10_000)
    told = refolded(PLAIN, [LENT, *paid], late, until)
    assert {each.accruing for each in told.postings} == {True}


def test_a_waiver_before_the_payment_of_the_same_day_stands() -> None:
    """Of 897.37 the charges of 8.88 are given up: who pays the rest owes nothing."""
    today = date(2026, 3, 7)
    waived = happened.Waived(today, "01", penalty=788, compound=100)
    asked = loan_on(today, waived).amount_due
    assert asked == 88_849
    loan = refolded(HARD, [LENT, waived], Repaid(today, "02", asked), today).loan
    assert (loan.amount_due, loan.days_past_due) == (0, 0)


def test_a_part_of_a_charge_that_is_waived_does_not_come_back_with_the_next_night() -> None:
    today, tomorrow = date(2026, 3, 7), date(2026, 3, 8)
    waived = happened.Waived(today, "01", penalty=300, compound=40)
    assert loan_on(today).amount_due - loan_on(today, waived).amount_due == 340
    assert loan_on(tomorrow).amount_due - loan_on(tomorrow, waived).amount_due == 340


def test_what_was_reversed_did_not_happen_on_the_days_before_its_reversal_either() -> None:
    then, bounced = date(2026, 3, 1), happened.Reversed(date(2026, 3, 10), "02", "01")
    assert loan_on(then, PAID_FIRST, bounced) == loan_on(then)
    assert loan_on(then).amount_due > 0


def test_a_fee_that_joined_the_running_instalment_is_income_once() -> None:
    """Charged and re-aged into it: paying it early asks the fee, and does not make it due again."""
    today = date(2026, 2, 25)
    charged = happened.Charged(FIRST_DUE, "02", 5_000)
    planned = happened.Rescheduled(date(2026, 2, 20), "03", Plan(re_age=True))
    cost = current_amount(HARD, loan_on(today, PAID_FIRST, charged, planned)).total
    step = replay(HARD, [LENT, PAID_FIRST, charged, planned, CurrentPaid(today, "04", cost)], today)
    assert totals(step.postings)["FEE_DUE", "fee"] == 5_000
    assert totals(step.postings)["REPAYMENT_RECEIVED", "fee"] == 5_000
    assert step.loan.overpayment == 0


def test_instalments_paid_before_their_day_with_all_their_interest_bear_what_the_plan_says() -> (
    None
):
    """Three in a row, of which two have not begun; the next one on its own due date; and the rest."""
    terms = replace(PLAIN, interest_until=Until.DUE_DATE)
    plan = [(row.due[0], row.due[1]) for row in loan_on(START, terms=terms).rows]
    today, then = date(2026, 1, 20), date(2026, 5, 15)
    paid = [CurrentPaid(today, f"0{number}", 88_849) for number in (1, 2, 3)]
    early = loan_on(today, *paid, terms=terms)
    assert (early.due_count, early.overpayment, early.amount_due) == (3, 0, 0)
    assert payoff(terms, early).total == early.undue_principal
    assert {row.instalment.period.days for row in early.rows[:3]} == {5, 0}
    fourth = Repaid(then, "04", 88_849)
    loan = loan_on(then, *paid, fourth, CurrentPaid(then, "05", 88_849), terms=terms)
    assert [(row.due[0], row.due[1]) for row in loan.rows] == plan
    assert loan.due_count == 5
    begins = date(2026, 6, 15)
    assert payoff(terms, replay(terms, [LENT, *paid, fourth], then).loan).interest_to_date == 0
    assert loan.rows[5].instalment.period.start == begins


@pytest.mark.parametrize("interest_on", InterestOn)
def test_money_that_pays_principal_out_of_its_turn_pays_the_prepayment_fee(
    interest_on: InterestOn,
) -> None:
    """3 %: 4,000.00 pay 3,883.49 and 116.51; 3,870.97 where its interest to date is paid too."""
    fee = Fee("early", FeeAt.PREPAYMENT, rate=Decimal("0.03"))
    terms, day = replace(PLAIN, interest_on=interest_on, fees=(fee,)), date(2026, 1, 25)
    for rule in Excess:
        paid = Repaid(day, "01", 400_000, rule)
        loan, posted = replay(terms, [LENT, paid], day)
        moved = totals(posted)
        principal = moved["REPAYMENT_RECEIVED", "principal_normal"]
        charged = moved["REPAYMENT_RECEIVED", "prepayment_fee"]
        if rule in (Excess.PRINCIPAL, Excess.LAST, Excess.SPREAD):
            assert charged == half_up(principal * Fraction(3, 100)) > 11_000
        else:
            assert charged == 0
        assert sum(amounts(posted, "REPAYMENT_RECEIVED")[0].values()) == 400_000
        assert loan.overpayment <= (400_000 if rule is Excess.PARK else 1)


def test_a_fee_is_late_from_the_day_it_was_charged_on_and_asks_no_fee_of_its_own() -> None:
    """On a quarterly loan whose last instalment is 90 days old, and on one not yet due at all."""
    late = Fee("late", FeeAt.LATE, amount=3_000)
    terms = replace(PLAIN, frequency=Frequency(Unit.MONTH, 3), periods=4, fees=(late,))
    first, charge = date(2026, 4, 15), date(2026, 7, 14)
    paid = Repaid(first, "01", loan_on(first, terms=terms).amount_due)
    charged = happened.Charged(charge, "02", 5_000)
    for until, days in ((charge, 0), (day_after(charge, 1), 1)):
        loan = loan_on(until, paid, charged, terms=terms)
        assert (loan.days_past_due, loan.nonaccrual_since) == (days, None)
        assert loan.rows[1].owed == 5_000
    young = loan_on(date(2026, 1, 20), happened.Charged(date(2026, 1, 20), "01", 5_000))
    assert (young.amount_due, young.days_past_due) == (5_000, 0)


def test_money_refunded_whose_source_bounces_is_owed_again_by_a_closed_loan_too() -> None:
    settled, today = date(2026, 1, 25), date(2026, 1, 28)
    whole = payoff(HARD, loan_on(settled)).total
    events = [
        LENT,
        happened.Settled(settled, "01", whole),
        happened.Parked(date(2026, 1, 26), "02", 5_000),
        happened.OverpaymentRefunded(date(2026, 1, 27), "03", 5_000),
    ]
    bounced = happened.Reversed(today, "04", "02")
    loan = refolded(HARD, events, bounced, today).loan
    assert (loan.closure, loan.overpayment, loan.days_past_due) == (None, 0, 1)
    assert owed(HARD, loan) == {"principal_overdue": 5_000, "penalty": 3}
    lost = [*events[:1], happened.WrittenOff(settled, "01"), *events[2:]]
    claim = loan_on(today, lost[1]).claim
    assert claim is not None
    after = refolded(HARD, lost, bounced, today).loan
    assert after.claim == claim._replace(principal=claim.principal + 5_000)
