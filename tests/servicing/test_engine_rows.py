"""What a row asks and tells once its loan was changed, against figures worked out apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from servicing.stories import owed

from tael_servicing.arithmetic.changing import projected
from tael_servicing.arithmetic.events import (
    Charged,
    Disbursed,
    LoanEvent,
    OverpaymentRefunded,
    Prepaid,
    Recovered,
    Repaid,
    Repriced,
    Reversed,
    WrittenOff,
)
from tael_servicing.arithmetic.fold import happen, replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.rounding import Rounding
from tael_servicing.arithmetic.terms import (
    Annuity,
    Excess,
    Fee,
    FeeAt,
    Frequency,
    InterestOn,
    Keep,
    Method,
    Overdue,
    Partial,
    Residue,
    Terms,
    Unit,
)

START = date(2025, 3, 10)
LENT = 2_000_000
TWELVE = Terms(
    Method.EQUAL_INSTALMENT,
    12,
    Decimal("0.09"),
    annuity=Annuity.PERIODS,
    partial=Partial.PRO_RATA,
    interest_on=InterestOn.ACTUAL,
    overdue=Overdue.CONTRACT,
    rounding=Rounding.HALF_EVEN,
)
FREE = Terms(
    Method.EQUAL_PRINCIPAL,
    3,
    Decimal(0),
    frequency=Frequency(Unit.DAY, 10),
    down_payment=Decimal("0.2"),
    overdue=Overdue.CONTRACT,
    excess=Excess.NEXT,
)
"""900.00: 180.00 at once, then 240.00 every ten days."""


def cents(value: Fraction) -> int:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def level(balance: int, factors: list[Fraction]) -> int:
    discount, total = Fraction(1), Fraction(0)
    for factor in factors:
        discount /= 1 + factor
        total += discount
    return cents(balance / total)


def asked(loan: Loan) -> list[tuple[int, int]]:
    """Principal and interest of each row."""
    return [(row.due[0], row.due[1]) for row in loan.rows]


def test_a_rate_that_changes_inside_a_period_counts_by_its_nights_in_the_new_instalment() -> None:
    old, new = Fraction(9, 1200), Fraction(6, 1200)
    instalment = level(LENT, [old] * 12)
    rows, balance = [], LENT
    for _ in range(2):
        interest = cents(balance * old)
        rows.append((instalment - interest, interest))
        balance -= instalment - interest
    before = Fraction(17, 31)  # 10 to 27 May, of a period that ends on 10 June
    mixed = old * before + new * (1 - before)
    then = level(balance, [mixed] + [new] * 9)
    for number in range(10):
        interest = cents(balance * new)
        if not number:
            interest = cents(balance * old * before) + cents(balance * new * (1 - before))
        principal = then - interest if number < 9 else balance
        rows.append((principal, interest))
        balance -= principal
    day = date(2025, 5, 27)
    loan = replay(
        TWELVE,
        [
            Disbursed(START, "0", LENT),
            Repaid(date(2025, 4, 10), "1", instalment),
            Repaid(date(2025, 5, 10), "2", instalment),
            Repriced(day, "3", Decimal("0.06")),
        ],
        day,
    ).loan
    assert asked(loan) == rows


def test_a_loan_that_ends_sooner_asks_no_more_interest_with_its_last_row() -> None:
    """The last row's interest takes what rounding leaves, not what a shorter term does."""
    terms = Terms(Method.EQUAL_INSTALMENT, 6, Decimal("0.06"), residue=Residue.LAST_INTEREST)
    day = date(2025, 4, 10)
    events = [
        Disbursed(START, "0", 600_000),
        Repaid(day, "1", 101_757),
        Prepaid(day, "2", 250_000, Keep.INSTALMENT),
        Repriced(date(2025, 5, 10), "3", Decimal("0.06"), Keep.INSTALMENT),
    ]
    last = replay(terms, events, date(2025, 5, 10)).loan.rows[-1]
    assert sum(last.due) < 101_757
    assert last.due[1] == round(last.due[0] * 0.005)


def test_a_fee_on_what_was_lent_stays_when_the_rate_changes() -> None:
    monthly = Fee("service", FeeAt.INSTALMENT, rate=Decimal("0.001"))
    terms = replace(TWELVE, fees=(monthly,))
    day = date(2025, 4, 10)
    loan = replay(
        terms, [Disbursed(START, "0", LENT), Repriced(day, "1", Decimal("0.06"))], day
    ).loan
    assert {row.due[4] for row in loan.rows} == {2_000}


def test_a_row_tells_what_came_before_and_after_its_due_date() -> None:
    paid = [(date(2025, 3, 12), 20_000), (date(2025, 3, 15), 8_000), (date(2025, 3, 25), 40_000)]
    events = [Disbursed(START, "0", 90_000)]
    events += [Repaid(day, str(n), amount) for n, (day, amount) in enumerate(paid, 1)]
    loan = replay(FREE, events, date(2025, 3, 25)).loan
    told = [(sum(row.paid), row.late, row.paid_on) for row in loan.rows]
    assert told == [
        (18_000, 18_000, date(2025, 3, 12)),
        (24_000, 14_000, date(2025, 3, 25)),
        (24_000, 0, date(2025, 3, 25)),
        (2_000, 0, date(2025, 3, 25)),
    ]
    assert [row.in_advance for row in loan.rows[:2]] == [0, 10_000]
    closed = happen(FREE, loan, Repaid(date(2025, 3, 25), "9", 22_000)).loan
    assert [row.in_advance for row in closed.rows] == [0, 10_000, 24_000, 24_000]


def test_what_was_refunded_and_is_owed_after_all_is_asked_with_the_next_row_whatever_is_overdue() -> (
    None
):
    first, second = date(2025, 3, 10), date(2025, 3, 22)
    events = [
        Disbursed(START, "0", 90_000),
        Repaid(first, "1", 95_000),
        OverpaymentRefunded(date(2025, 3, 21), "2", 5_000),
        Repaid(second, "3", 1_000),
        Reversed(second, "4", "1"),
    ]
    loan = replay(FREE, events, second).loan
    shown = projected(FREE, loan)
    assert asked(shown) == asked(loan) == [(18_000, 0), (24_000, 0), (29_000, 0), (24_000, 0)]
    assert [row.instalment.balance_after for row in shown.rows] == [72_000, 48_000, 24_000, 0]


def test_a_tranche_on_a_due_date_stands_in_the_balance_after_its_row() -> None:
    day = date(2025, 3, 20)
    terms = replace(FREE, down_payment=Decimal(0))
    loan = replay(
        terms,
        [Disbursed(START, "0", 90_000), Repaid(day, "1", 30_000), Disbursed(day, "2", 30_000)],
        day,
    ).loan
    told = [(row.due[0], row.instalment.balance_after) for row in loan.rows]
    assert told == [(30_000, 90_000), (45_000, 45_000), (45_000, 0)]


def test_what_is_recovered_is_paid_of_the_rows() -> None:
    terms = replace(FREE, down_payment=Decimal(0), write_off_performing=True)
    gone, back = date(2025, 3, 25), date(2025, 3, 28)
    events = [
        Disbursed(START, "0", 90_000),
        WrittenOff(gone, "1"),
        Recovered(back, "2", 40_000),
        Repaid(back, "3", 10_000),
    ]
    loan = replay(terms, events, back).loan
    assert [row.paid[0] for row in loan.rows] == [30_000, 20_000, 0]
    assert loan.claim == (40_000, 0)
    assert loan.rows[0].late == 30_000


def test_a_fee_that_is_charged_leaves_the_loan_before_it_as_it_was() -> None:
    day = date(2025, 3, 10)
    before = replay(FREE, [Disbursed(START, "0", 90_000), Repaid(day, "1", 18_000)], day).loan
    after = happen(FREE, before, Charged(day, "2", 700)).loan
    assert (before.amount_due, after.amount_due) == (0, 700)
    assert [row.due[4] for row in before.rows[:2]] == [0, 0]


def test_a_down_payment_that_is_not_paid_bears_contract_interest_from_its_day_on() -> None:
    terms = Terms(
        Method.INTEREST_ONLY,
        3,
        Decimal("0.12"),
        down_payment=Decimal("0.25"),
        overdue=Overdue.CONTRACT,
    )
    lent = Disbursed(START, "0", 400_000)
    later = START + timedelta(days=10)

    def interest(*events: LoanEvent) -> list[int]:
        rows = replay(terms, [lent, *events], later).loan.rows
        return [row.instalment.interest for row in rows if row.number]

    assert interest(Repaid(START, "1", 100_000)) == [3000, 3000, 3000]
    assert interest() == [4000, 3000, 3000], "1 % of all that was lent until it is paid"
    paid = Repaid(later, "1", 100_000)
    assert interest(paid) == [1333 + 2100, 3000, 3000], "10 nights at 133.33, 21 at 100.00"
    assert owed(terms, replay(terms, [lent], later).loan)["interest_accrued"] == 1290
