"""What may not be asked of a loan as it stands: each refusal and its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from servicing.stories import HARD, START, day_after

from tael_runtime.errors import FailedPrecondition, ReasonEnum
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.checks import check, check_partial
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Repaid
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import NO_ALLOWANCE, Loan
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.terms import Fee, FeeAt, Keep, Overdue, Terms
from tael_servicing.reasons import Reason

LENT = Disbursed(START, "00", 1_000_000)
FIRST_DUE = date(2026, 2, 15)
LATE = day_after(FIRST_DUE, 20)
OFF = day_after(FIRST_DUE, 91)
MATURED = date(2027, 1, 15)
NEVER_OFF = replace(HARD, nonaccrual_dpd=10_000)


def loan_on(day: date, *events: LoanEvent, terms: Terms = HARD) -> Loan:
    return replay(terms, [LENT, *events], day).loan


def refused(loan: Loan, event: LoanEvent, terms: Terms = HARD) -> ReasonEnum:
    with pytest.raises(FailedPrecondition) as error:
        check(terms, loan, event)
    return error.value.reason


STATES: dict[str, Loan] = {
    "new": loan_on(day_after(START, 10)),
    "due": loan_on(FIRST_DUE),
    "late": loan_on(LATE),
    "off balance": loan_on(OFF),
    "matured": loan_on(MATURED, terms=NEVER_OFF),
    "written off": loan_on(OFF, happened.WrittenOff(OFF, "01")),
    "closed": loan_on(START, happened.Settled(START, "01", 1_000_000)),
    "overpaid": loan_on(START, Repaid(START, "01", 500)),
}
"""A loan in every state that something may not be asked in."""
DAY = date(2026, 6, 1)
TRANCHE = Disbursed(DAY, "99", 5_000)
REFUSED: list[tuple[str, LoanEvent, Reason]] = [
    ("closed", TRANCHE, Reason.LOAN_CLOSED),
    ("written off", TRANCHE, Reason.LOAN_WRITTEN_OFF),
    ("matured", TRANCHE, Reason.LOAN_MATURED),
    ("off balance", TRANCHE, Reason.CUSTOMER_OVERDUE),
    ("late", TRANCHE, Reason.CUSTOMER_OVERDUE),
    ("closed", Repaid(DAY, "99", 1), Reason.LOAN_CLOSED),
    ("written off", Repaid(DAY, "99", 10_000_000), Reason.RECOVERY_EXCEEDS_CLAIM),
    ("closed", happened.GoodsRefunded(DAY, "99", 1), Reason.LOAN_CLOSED),
    ("written off", happened.GoodsRefunded(DAY, "99", 1), Reason.LOAN_WRITTEN_OFF),
    ("written off", happened.GuarantorPaid(DAY, "99", 1), Reason.LOAN_WRITTEN_OFF),
    ("closed", happened.Charged(DAY, "99", 1), Reason.LOAN_CLOSED),
    ("closed", happened.CostsAdvanced(DAY, "99", 1), Reason.LOAN_CLOSED),
    ("late", happened.Waived(DAY, "99", principal=1), Reason.NOT_NON_ACCRUAL),
    ("closed", happened.Impaired(DAY, "99"), Reason.LOAN_CLOSED),
    ("late", happened.Restored(DAY, "99"), Reason.NOT_JUDGED_IMPAIRED),
    ("closed", happened.Returned(DAY, "99", 1_000_000), Reason.LOAN_CLOSED),
    ("off balance", happened.Returned(DAY, "99", 1_000_000), Reason.LOAN_NOT_UNTOUCHED),
    ("overpaid", happened.Returned(DAY, "99", 1_000_000), Reason.LOAN_NOT_UNTOUCHED),
    ("new", happened.Returned(DAY, "99", 999_999), Reason.LOAN_NOT_UNTOUCHED),
    ("late", happened.Prepaid(DAY, "99", 5_000, Keep.TERM), Reason.PREPAYMENT_WHILE_OVERDUE),
    (
        "off balance",
        happened.Prepaid(DAY, "99", 5_000, Keep.TERM),
        Reason.PREPAYMENT_WHILE_NON_ACCRUAL,
    ),
    ("new", happened.Prepaid(DAY, "99", 2_000_000, Keep.TERM), Reason.PREPAYMENT_NOT_PARTIAL),
    ("new", happened.CurrentPaid(DAY, "99", 1), Reason.CURRENT_INSTALMENT_AMOUNT),
    ("late", happened.CurrentPaid(DAY, "99", 88_849), Reason.CURRENT_INSTALMENT_AMOUNT),
    ("due", happened.CurrentPaid(DAY, "99", 88_849 + 79_636), Reason.CURRENT_INSTALMENT_AMOUNT),
    ("due", happened.Prepaid(DAY, "99", 88_849, Keep.TERM), Reason.PREPAYMENT_TOO_SMALL),
    ("due", happened.Prepaid(DAY, "99", 1_010_000, Keep.TERM), Reason.PREPAYMENT_NOT_PARTIAL),
    ("off balance", happened.CurrentPaid(DAY, "99", 10**7), Reason.PREPAYMENT_WHILE_NON_ACCRUAL),
    ("new", happened.Settled(DAY, "99", 1), Reason.PAYOFF_AMOUNT_MISMATCH),
    ("closed", happened.Settled(DAY, "99", 0), Reason.LOAN_CLOSED),
    ("late", happened.Waived(DAY, "99", interest=10_001), Reason.WAIVER_EXCEEDS_DUE),
    ("late", happened.Waived(DAY, "99", penalty=789), Reason.WAIVER_EXCEEDS_DUE),
    ("late", happened.Waived(DAY, "99", compound=101), Reason.WAIVER_EXCEEDS_DUE),
    ("late", happened.Waived(DAY, "99", fee=1), Reason.WAIVER_EXCEEDS_DUE),
    ("late", happened.WrittenOff(DAY, "99"), Reason.NOT_NON_ACCRUAL),
    ("written off", happened.WrittenOff(DAY, "99"), Reason.LOAN_WRITTEN_OFF),
    ("off balance", happened.Recovered(DAY, "99", 1), Reason.NOT_WRITTEN_OFF),
    ("written off", happened.Recovered(DAY, "99", 10_000_000), Reason.RECOVERY_EXCEEDS_CLAIM),
    ("overpaid", happened.OverpaymentRefunded(DAY, "99", 501), Reason.OVERPAYMENT_EXCEEDED),
    (
        "new",
        happened.OverpaymentRefunded(DAY, "99", 1, owed_again=True),
        Reason.OVERPAYMENT_EXCEEDED,
    ),
    ("closed", happened.OverpaymentRefunded(DAY, "99", 1, owed_again=True), Reason.LOAN_CLOSED),
    ("matured", happened.OverpaymentRefunded(DAY, "99", 1, owed_again=True), Reason.LOAN_MATURED),
    ("closed", happened.Sold(DAY, "99", 1), Reason.LOAN_CLOSED),
    ("off balance", happened.AssetTaken(DAY, "99", 10**7, True), Reason.ASSET_EXCEEDS_DEBT),
    ("off balance", happened.AssetTaken(DAY, "99", 1_000_001, False), Reason.ASSET_EXCEEDS_DEBT),
    ("closed", happened.AssetTaken(DAY, "99", 1, True), Reason.LOAN_CLOSED),
    ("matured", happened.Rescheduled(DAY, "99", Plan()), Reason.LOAN_MATURED),
    (
        "new",
        happened.Rescheduled(DAY, "99", Plan(from_due=date(2026, 2, 16))),
        Reason.NO_SUCH_INSTALMENT,
    ),
    ("matured", happened.Repriced(DAY, "99", Decimal("0.1")), Reason.LOAN_MATURED),
    ("closed", happened.Repriced(DAY, "99", Decimal("0.1")), Reason.LOAN_CLOSED),
    ("matured", happened.Accelerated(DAY, "99"), Reason.LOAN_MATURED),
    ("written off", happened.Accelerated(DAY, "99"), Reason.LOAN_WRITTEN_OFF),
]


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [pytest.param(*each, id=f"{each[0]}-{type(each[1]).__name__}-{each[2]}") for each in REFUSED],
)
def test_what_a_loan_in_a_state_may_not_be_asked(
    state: str, event: LoanEvent, reason: Reason
) -> None:
    assert refused(STATES[state], event) == reason


def test_a_prepayment_that_only_pays_its_own_fee_prepays_nothing() -> None:
    terms = replace(HARD, fees=(Fee("early", FeeAt.PREPAYMENT, amount=500),))
    loan = STATES["new"]
    check(terms, loan, happened.Prepaid(DAY, "99", 501, Keep.TERM))
    assert refused(loan, happened.Prepaid(DAY, "99", 500, Keep.TERM), terms) == (
        Reason.PREPAYMENT_TOO_SMALL
    )


def test_a_partial_prepayment_leaves_something() -> None:
    loan = STATES["new"]
    check_partial(loan, 999_999)
    with pytest.raises(FailedPrecondition, match="1000000 is not yet due"):
        check_partial(loan, 1_000_000)


ALLOWED: list[tuple[str, LoanEvent]] = [
    ("new", TRANCHE),
    ("new", happened.Returned(DAY, "99", 1_000_000)),
    ("new", happened.Prepaid(DAY, "99", 5_000, Keep.TERM)),
    ("due", happened.Prepaid(DAY, "99", 88_850, Keep.TERM)),
    ("due", happened.CurrentPaid(DAY, "99", 88_849 + 79_637)),
    ("late", happened.CurrentPaid(DAY, "99", 10**7)),
    ("late", happened.Waived(DAY, "99", interest=10_000, penalty=788, compound=100)),
    ("off balance", happened.WrittenOff(DAY, "99")),
    ("off balance", Repaid(DAY, "99", 1)),
    ("written off", Repaid(DAY, "99", 1)),
    ("written off", happened.Recovered(DAY, "99", 1)),
    ("written off", happened.CostsAdvanced(DAY, "99", 1)),
    ("off balance", happened.Waived(DAY, "99", principal=1)),
    ("written off", happened.Sold(DAY, "99", 1)),
    ("overpaid", happened.OverpaymentRefunded(DAY, "99", 500)),
    ("matured", happened.Rescheduled(DAY, "99", Plan(re_age=True))),
    ("closed", happened.Parked(DAY, "99", 1)),
    ("closed", happened.AllowanceAdjusted(DAY, "99", NO_ALLOWANCE)),
    ("closed", happened.Reversed(DAY, "99", "01")),
]


@pytest.mark.parametrize(
    ("state", "event"),
    [pytest.param(*each, id=f"{each[0]}-{type(each[1]).__name__}") for each in ALLOWED],
)
def test_what_a_loan_in_a_state_may_be_asked(state: str, event: LoanEvent) -> None:
    check(HARD, STATES[state], event)


def test_the_payoff_settles_and_a_performing_loan_is_written_off_where_its_terms_say_so() -> None:
    loan = STATES["late"]
    check(HARD, loan, happened.Settled(LATE, "99", payoff(HARD, loan).total))
    check(replace(HARD, write_off_performing=True), loan, happened.WrittenOff(LATE, "99"))


def test_a_claim_takes_the_costs_advanced_since_the_write_off_too() -> None:
    costs = happened.CostsAdvanced(OFF, "00", 7_000)
    written = loan_on(OFF, happened.WrittenOff(OFF, "01"))
    claim = written.claim
    assert claim is not None
    whole = claim.principal + claim.interest
    later = replay(
        HARD,
        [LENT, happened.WrittenOff(OFF, "01"), replace(costs, value_date=day_after(OFF, 1))],
        day_after(OFF, 1),
    ).loan
    check(HARD, later, happened.Recovered(DAY, "99", whole + 7_000))
    assert (
        refused(later, happened.Recovered(DAY, "99", whole + 7_001))
        == Reason.RECOVERY_EXCEEDS_CLAIM
    )


def test_terms_that_round_sums_together_need_a_plan_that_stands() -> None:
    with pytest.raises(ValueError, match="cumulative_interest"):
        replace(HARD, cumulative_interest=True, overdue=Overdue.CONTRACT)
