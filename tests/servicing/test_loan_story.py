"""One loan of 10,000.00 through its life, to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from servicing.stories import ANNUITY, HARD, START, amounts, night_by_night, owed

from tael_runtime.errors import FailedPrecondition
from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.checks import check
from tael_servicing.arithmetic.events import (
    Accelerated,
    AllowanceAdjusted,
    ClaimWaived,
    CostsAdvanced,
    Disbursed,
    LoanEvent,
    Parked,
    Prepaid,
    Recovered,
    Repaid,
    Settled,
    Waived,
    WrittenOff,
)
from tael_servicing.arithmetic.fold import advance, end_day, happen, replay
from tael_servicing.arithmetic.loan import Allowance, Claim, Closure, InstalmentState, Loan, Status
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.terms import Keep, Part

DISBURSED = Disbursed(START, "00", 1_000_000)
FIRST_PAID = Repaid(date(2026, 2, 15), "01", 88849)
SIX_PAID = [Repaid(date(2026, month, 15), f"{month:02}", 88849) for month in range(2, 8)]


def test_interest_accrues_night_by_night_and_falls_due_whole() -> None:
    loan, posted = replay(ANNUITY, [DISBURSED], START)
    loan, posted = night_by_night(ANNUITY, loan, date(2026, 2, 15))
    nights = amounts(posted, "INTEREST_ACCRUED")
    assert nights[:2] == [{"interest": 323}, {"interest": 322}]
    assert len(nights) == 31
    assert amounts(posted, "INTEREST_DUE") == [{"interest": 10000}]
    assert posted[-1].value_date == date(2026, 2, 15)
    assert owed(ANNUITY, loan) == {"principal_normal": 1_000_000, "interest_due": 10000}
    assert (loan.status, loan.days_past_due) == (Status.NORMAL, 0)


def test_a_payment_on_the_due_date_pays_interest_due_and_normal_principal() -> None:
    loan, posted = replay(ANNUITY, [DISBURSED, FIRST_PAID], date(2026, 2, 15))
    assert amounts(posted, "REPAYMENT_RECEIVED") == [
        {"principal_normal": 78849, "interest_due": 10000}
    ]
    assert owed(ANNUITY, loan) == {"principal_normal": 921151}
    assert loan.instalment_states[:2] == (InstalmentState.PAID, InstalmentState.NOT_DUE)


def test_what_is_paid_beyond_what_is_due_is_parked() -> None:
    paid = replace(FIRST_PAID, amount=90000)
    loan, posted = replay(ANNUITY, [DISBURSED, paid], date(2026, 2, 15))
    assert amounts(posted, "REPAYMENT_RECEIVED")[0]["overpayment"] == 1151
    assert loan.overpayment == 1151


def test_twenty_days_late_cost_7_88_penalty_and_1_00_compound() -> None:
    late = Repaid(date(2026, 3, 7), "02", 89737)
    loan, posted = replay(HARD, [DISBURSED, late], date(2026, 3, 7))
    assert amounts(posted, "PRINCIPAL_OVERDUE") == [{"principal": 78849}]
    assert amounts(posted, "REPAYMENT_RECEIVED") == [
        {"principal_overdue": 78849, "interest_due": 10000, "penalty": 788, "compound": 100}
    ]
    assert (loan.status, loan.overpayment, loan.arrears) == (Status.NORMAL, 0, [])


def test_a_part_payment_takes_compound_penalty_interest_then_principal() -> None:
    part = Repaid(date(2026, 3, 7), "02", 50000)
    loan, posted = replay(HARD, [DISBURSED, part], date(2026, 3, 7))
    assert amounts(posted, "REPAYMENT_RECEIVED") == [
        {"principal_overdue": 39112, "interest_due": 10000, "penalty": 788, "compound": 100}
    ]
    assert (loan.status, loan.days_past_due) == (Status.OVERDUE, 20)
    assert loan.instalment_states[0] is InstalmentState.PARTIAL
    assert owed(HARD, loan)["principal_overdue"] == 39737
    loan, _ = advance(HARD, loan, date(2026, 3, 20))
    assert loan.arrears[0].unpaid(Part.PENALTY) == 258


def test_penalty_runs_from_the_due_date_when_grace_is_not_kept() -> None:
    graceful = replace(HARD, grace_days=3)
    loan, _ = replay(graceful, [DISBURSED], date(2026, 2, 18))
    assert (loan.days_past_due, loan.arrears[0].due[Part.PENALTY]) == (3, 0)
    assert "penalty" not in owed(graceful, loan)
    assert loan.instalment_states[0] is InstalmentState.DUE
    loan, posted = end_day(graceful, loan)
    assert posted[0].event == "PRINCIPAL_OVERDUE"
    assert owed(graceful, loan)["penalty"] == 158
    kept, _ = replay(graceful, [DISBURSED, Repaid(date(2026, 2, 18), "1", 88849)], date(2026, 3, 1))
    assert kept.arrears == []


SILENT = [DISBURSED, FIRST_PAID]


def test_day_ninety_one_moves_everything_off_balance() -> None:
    loan, posted = replay(HARD, SILENT, date(2026, 6, 14))
    assert (loan.days_past_due, loan.status) == (91, Status.NON_ACCRUAL)
    assert loan.amount_due == 241309 + 25238 + 7255 + 785
    assert amounts(posted, "NON_ACCRUAL_ENTERED") == [
        {
            "principal_normal": 679842,
            "principal_overdue": 241309,
            "interest_due": 25238,
            "interest_accrued": 6579,
            "penalty": 7255,
            "compound": 785,
        }
    ]
    assert posted[-1].accruing
    assert owed(HARD, loan) == {
        "principal_impaired": 921151,
        "offbalance_interest": 31817,
        "offbalance_penalty": 7255,
        "offbalance_compound": 785,
    }
    assert [row.due[Part.PENALTY] for row in loan.arrears] == [3623, 2413, 1219]
    assert [row.due[Part.COMPOUND] for row in loan.arrears] == [419, 252, 114]


def test_the_day_before_everything_is_still_on_balance() -> None:
    loan, _ = replay(HARD, SILENT, date(2026, 6, 13))
    assert (loan.days_past_due, loan.status) == (90, Status.OVERDUE)


def test_nights_after_that_accrue_off_balance_and_late_instalments_join() -> None:
    loan, _ = replay(HARD, SILENT, date(2026, 6, 14))
    loan, (night,) = end_day(HARD, loan)
    assert (night.event, night.accruing) == ("INTEREST_ACCRUED", False)
    assert night.amounts == {"interest": 219, "penalty": 121, "compound": 13}
    assert len(loan.arrears) == 4
    loan, (night,) = end_day(HARD, loan)
    assert night.amounts["penalty"] == 161


def test_a_loan_once_paid_late_goes_off_balance_with_the_same_amounts() -> None:
    late = [DISBURSED, Repaid(date(2026, 3, 7), "02", 89737)]
    loan, posted = replay(HARD, late, date(2026, 6, 14))
    (entered,) = amounts(posted, "NON_ACCRUAL_ENTERED")
    assert (entered["penalty"], entered["compound"]) == (7255, 785)
    _, (night,) = end_day(HARD, loan)
    assert night.amounts == {"interest": 219, "penalty": 121, "compound": 13}


def test_off_balance_a_payment_takes_principal_first() -> None:
    paid = [*SILENT, Repaid(date(2026, 6, 14), "03", 50000)]
    loan, posted = replay(HARD, paid, date(2026, 6, 14))
    assert posted[-1].amounts == {"principal_impaired": 50000}
    assert owed(HARD, loan)["principal_impaired"] == 871151
    paid = [*SILENT, Repaid(date(2026, 6, 14), "03", 241309 + 25238 + 7255 + 700)]
    loan, posted = replay(HARD, paid, date(2026, 6, 14))
    assert posted[-1].amounts == {
        "principal_impaired": 241309,
        "offbalance_interest": 25238,
        "offbalance_penalty": 7255,
        "offbalance_compound": 700,
    }


def written_off() -> list[LoanEvent]:
    day = date(2026, 6, 14)
    return [
        *SILENT,
        Repaid(day, "03", 50000),
        AllowanceAdjusted(date(2026, 5, 31), "04", Allowance(stage2=110538)),
        AllowanceAdjusted(day, "05", Allowance(stage3=552691)),
        WrittenOff(day, "06"),
    ]


def test_a_write_off_tops_the_allowance_up_and_keeps_the_claim() -> None:
    loan, posted = replay(HARD, written_off(), date(2026, 9, 1))
    assert amounts(posted, "ALLOWANCE_ADJUSTED") == [
        {"stage2": 110538},
        {"stage2": -110538, "stage3": 552691},
    ]
    assert amounts(posted, "LOAN_WRITTEN_OFF") == [
        {
            "allowance_top_up": 318460,
            "principal": 871151,
            "interest": 31817,
            "penalty": 7255,
            "compound": 785,
        }
    ]
    assert (loan.status, loan.days_past_due) == (Status.WRITTEN_OFF, 170)
    assert owed(HARD, loan) == {
        "written_off_principal": 871151,
        "written_off_interest": 39857,
    }


def test_a_recovery_takes_principal_first_and_no_more_than_the_claim() -> None:
    day = date(2026, 10, 1)
    recovered = [*written_off(), Recovered(day, "07", 100000), Recovered(day, "08", 781757)]
    loan, posted = replay(HARD, recovered, day)
    assert amounts(posted, "RECOVERY_RECEIVED") == [
        {"principal": 100000},
        {"principal": 771151, "interest": 10606},
    ]
    loan, posted = happen(HARD, loan, Recovered(day, "09", 29252))
    assert [each.amounts for each in posted] == [{"interest": 29251}, {"overpayment": 1}]
    assert (loan.closure, loan.claim, loan.days_past_due) == (Closure.PAID_OVERDUE, None, 0)


def test_a_recovery_follows_the_order_for_loans_that_do_not_accrue() -> None:
    day = date(2026, 10, 1)
    charges = (Part.INTEREST, Part.PENALTY, Part.COMPOUND, Part.FEE)
    terms = replace(HARD, repay_order_nonaccrual=(*charges, Part.PRINCIPAL))
    recovered = [*written_off(), Recovered(day, "07", 5_000), Recovered(day, "08", 40_000)]
    step = replay(terms, recovered, day)
    claim = replay(terms, written_off(), day).loan.claim
    assert claim is not None
    left = claim.interest - 5_000
    assert amounts(step.postings, "RECOVERY_RECEIVED") == [
        {"interest": 5_000},
        {"principal": 40_000 - left, "interest": left},
    ]


def test_principal_given_up_is_lost_against_the_allowance_and_bears_no_penalty_any_more() -> None:
    day = date(2026, 6, 14)
    before = replay(HARD, written_off()[:-1], day).loan
    due = before.overdue_principal
    given_up = Waived(day, "06", principal=due)
    check(HARD, before, given_up)
    loan, posted = replay(HARD, [*written_off()[:-1], given_up], day)
    lost = amounts(posted, "PRINCIPAL_WAIVED")
    assert (loan.overdue_principal, sum(each["principal_impaired"] for each in lost)) == (0, due)
    undue = loan.undue_principal
    assert balances(HARD, loan).principal_impaired == undue == before.undue_principal


def test_costs_of_pursuing_a_claim_are_recovered_first_and_keep_it_open() -> None:
    day = date(2026, 10, 1)
    costs = CostsAdvanced(day, "07", 5_000)
    check(HARD, replay(HARD, written_off(), day).loan, costs)
    loan, _ = replay(HARD, [*written_off(), costs, Recovered(day, "08", 911_008)], day)
    assert (loan.closure, loan.claim, loan.legal_costs) == (None, Claim(0, 5_000), 0)
    loan, _ = happen(HARD, loan, Recovered(day, "09", 5_000))
    assert loan.closure is Closure.PAID_OVERDUE


def test_costs_advanced_on_the_day_of_the_write_off_are_owed_still() -> None:
    day = date(2026, 6, 14)
    silent = [each for each in written_off() if not isinstance(each, Repaid) or each == FIRST_PAID]
    loan, posted = replay(HARD, [*silent, CostsAdvanced(day, "07", 5_000)], day)
    assert loan.legal_costs == 5_000
    assert "legal_costs" not in amounts(posted, "LOAN_WRITTEN_OFF")[0]
    loan, posted = happen(HARD, loan, Recovered(day, "08", 5_001))
    assert posted[-1].amounts == {"legal_costs": 5_000, "principal": 1}


def test_a_claim_is_given_up_in_part_and_ends_with_the_rest_of_it() -> None:
    day = date(2026, 10, 1)
    claim = replay(HARD, [*written_off(), CostsAdvanced(day, "07", 5_000)], day).loan
    given_up = ClaimWaived(day, "08", principal=871_151, interest=9_857, legal_costs=5_000)
    check(HARD, claim, given_up)

    loan, posted = happen(HARD, claim, given_up)

    assert [(each.event, dict(each.amounts)) for each in posted] == [
        ("PRINCIPAL_WAIVED", {"written_off_principal": 871_151}),
        ("INTEREST_WAIVED", {"written_off_interest": 9_857}),
        ("LOAN_WRITTEN_OFF", {"legal_costs": 5_000}),
    ]
    assert owed(HARD, loan) == {"written_off_interest": 30_000}
    assert sum(row.owed for row in loan.rows) == 30_000
    assert happen(HARD, loan, Recovered(day, "09", 30_000)).loan.closure is Closure.PAID_OVERDUE
    with pytest.raises(FailedPrecondition, match="0 of legal_costs is left of the claim, not 1"):
        check(HARD, loan, ClaimWaived(day, "09", legal_costs=1))


@pytest.mark.parametrize(("multiplier", "night"), [("2", 667), ("1.5", 500)])
def test_of_two_penalties_the_heavier_is_charged(multiplier: str, night: int) -> None:
    terms = replace(HARD, misuse_multiplier=Decimal(multiplier), compound_enabled=False)
    day = date(2026, 1, 20)
    loan, _ = replay(terms, [DISBURSED, Accelerated(day, "01", misused=True)], date(2026, 1, 21))
    assert owed(terms, loan)["penalty"] == night


def rows(loan: Loan) -> list[tuple[int, int, int]]:
    ahead = [row.instalment for row in loan.rows[loan.due_count :]]
    return [(row.amount, row.principal, row.interest) for row in ahead]


PREPAID = Prepaid(date(2026, 7, 15), "20", 303000, Keep.TERM)


def test_a_prepayment_that_keeps_the_term_lowers_the_instalment() -> None:
    loan, posted = replay(ANNUITY, [DISBURSED, *SIX_PAID, PREPAID], date(2026, 7, 15))
    assert amounts(posted, "INTEREST_TRUED_UP") == []
    assert posted[-1].amounts == {"principal_normal": 300000, "prepayment_fee": 3000}
    assert rows(loan) == [
        (37084, 34935, 2149),
        (37084, 35284, 1800),
        (37084, 35637, 1447),
        (37084, 35993, 1091),
        (37084, 36353, 731),
        (37085, 36718, 367),
    ]
    assert sum(interest for *_, interest in rows(loan)) == 7585


def test_a_prepayment_that_keeps_the_instalment_shortens_the_loan() -> None:
    shorter = replace(PREPAID, keep=Keep.INSTALMENT)
    loan, _ = replay(ANNUITY, [DISBURSED, *SIX_PAID, shorter], date(2026, 7, 15))
    assert rows(loan) == [(88849, 86700, 2149), (88849, 87567, 1282), (41060, 40653, 407)]
    assert sum(interest for *_, interest in rows(loan)) == 3838


def test_a_settlement_inside_a_period_trues_interest_up_by_actual_days() -> None:
    settled = Settled(date(2026, 8, 1), "20", 522987)
    loan, _ = replay(ANNUITY, [DISBURSED, *SIX_PAID], date(2026, 8, 1))
    quote = payoff(ANNUITY, loan)
    assert (quote.interest_to_date, quote.prepayment_fee, quote.total) == (2918, 5149, 522987)
    assert owed(ANNUITY, loan)["interest_accrued"] == 2824
    loan, posted = happen(ANNUITY, loan, settled)
    assert [(each.event, each.amounts) for each in posted] == [
        ("INTEREST_TRUED_UP", {"interest": 94}),
        (
            "REPAYMENT_RECEIVED",
            {"principal_normal": 514920, "interest_accrued": 2918, "prepayment_fee": 5149},
        ),
    ]
    assert (loan.closure, owed(ANNUITY, loan)) == (Closure.PAID_EARLY, {})


def test_a_prepayment_inside_a_period_settles_its_own_interest_and_the_rest_goes_on() -> None:
    day = date(2026, 8, 1)
    cost = 300000 + 1700 + 3000
    events = [DISBURSED, *SIX_PAID, Prepaid(day, "20", cost, Keep.TERM)]
    loan, posted = replay(ANNUITY, events, day)
    # 5,149.20: 28.24 accrued; after it 2,149.20: R(21.49 × 17/31) = 11.78, and 17.00 paid.
    assert amounts(posted, "INTEREST_TRUED_UP") == [{"interest": 1178 + 1700 - 2824}]
    assert posted[-1].amounts == {
        "principal_normal": 300000,
        "interest_accrued": 1700,
        "prepayment_fee": 3000,
    }
    assert owed(ANNUITY, loan) == {"principal_normal": 214920, "interest_accrued": 1178}
    loan, posted = advance(ANNUITY, loan, date(2026, 8, 15))
    assert amounts(posted, "INTEREST_DUE") == [{"interest": 2149}]


def test_a_prepayment_while_something_is_due_pays_that_first() -> None:
    paid = Prepaid(date(2026, 2, 15), "1", 88849 + 303000, Keep.TERM)
    loan, posted = replay(ANNUITY, [DISBURSED, paid], date(2026, 2, 15))
    assert posted[-1].amounts == {
        "principal_normal": 78849 + 300000,
        "interest_due": 10000,
        "prepayment_fee": 3000,
    }
    assert (loan.arrears, loan.overpayment, loan.undue_principal) == ([], 0, 621151)


def test_what_is_prepaid_off_balance_is_held_once_the_arrears_are_paid() -> None:
    events = [*SILENT, Repaid(date(2026, 6, 14), "03", 241309 + 25238 + 7255 + 785)]
    loan, _ = replay(HARD, events, date(2026, 6, 14))
    assert (loan.arrears, loan.status) == ([], Status.NON_ACCRUAL)
    loan, posted = happen(HARD, loan, Prepaid(loan.business_date, "04", 300000, Keep.TERM))
    assert posted[-1].amounts == {"overpayment": 300000}


def test_a_settlement_that_is_not_enough_prepays_and_one_of_too_much_is_held() -> None:
    loan, _ = replay(ANNUITY, [DISBURSED], START)
    less, _ = happen(ANNUITY, loan, Settled(START, "1", 1_000_000))
    # 990,099 and its fee of 1 %: 9,900.99 is 9,901.
    assert (less.closure, less.undue_principal, less.overpayment) == (None, 9901, 0)
    more, posted = happen(ANNUITY, loan, Settled(START, "1", 1_010_007))
    assert (more.closure, more.overpayment) == (Closure.PAID_EARLY, 7)
    assert posted[-1].amounts == {
        "principal_normal": 1_000_000,
        "prepayment_fee": 10_000,
        "overpayment": 7,
    }


def test_a_loan_paid_as_scheduled_closes_normally_and_more_money_is_held() -> None:
    plan = replay(ANNUITY, [DISBURSED], START).loan.rows
    paid = [
        Repaid(row.instalment.due_date, f"{row.instalment.number:02}", row.instalment.amount)
        for row in plan
    ]
    loan, posted = replay(ANNUITY, [DISBURSED, *paid], date(2027, 2, 1))
    assert (loan.closure, loan.status) == (Closure.PAID_NORMAL, Status.CLOSED)
    assert sum(each.get("interest", 0) for each in amounts(posted, "INTEREST_ACCRUED")) == 66186
    loan, posted = happen(ANNUITY, loan, Repaid(loan.business_date, "99", 1))
    assert (loan.overpayment, posted[-1].amounts) == (1, {"overpayment": 1})


def test_a_loan_settled_late_was_paid_overdue() -> None:
    terms = replace(HARD, periods=1)
    loan, _ = replay(terms, [DISBURSED], date(2026, 3, 1))
    loan, _ = happen(terms, loan, Settled(loan.business_date, "1", payoff(terms, loan).total))
    assert (loan.closure, owed(terms, loan)) == (Closure.PAID_OVERDUE, {})


def test_a_performing_loan_that_is_written_off_goes_off_balance_first() -> None:
    loan, _ = replay(HARD, SILENT, date(2026, 6, 13))
    loan, posted = happen(HARD, loan, WrittenOff(loan.business_date, "1"))
    assert [each.event for each in posted] == ["NON_ACCRUAL_ENTERED", "LOAN_WRITTEN_OFF"]
    assert loan.claim is not None
    assert loan.claim.principal == 921151


def test_a_payment_on_a_written_off_loan_is_a_recovery_and_a_recovery_before_it_a_payment() -> None:
    loan, _ = replay(HARD, written_off(), date(2026, 6, 14))
    _, posted = happen(HARD, loan, Repaid(loan.business_date, "99", 1))
    assert [(each.event, each.amounts) for each in posted] == [
        ("RECOVERY_RECEIVED", {"principal": 1})
    ]
    loan, _ = replay(HARD, SILENT, date(2026, 6, 14))
    _, posted = happen(HARD, loan, Recovered(loan.business_date, "99", 1))
    assert [(each.event, each.amounts) for each in posted] == [
        ("REPAYMENT_RECEIVED", {"principal_impaired": 1})
    ]


def test_a_loan_begins_with_its_disbursement() -> None:
    with pytest.raises(ValueError, match="disbursement"):
        replay(HARD, [FIRST_PAID], FIRST_PAID.value_date)


def test_terms_no_loan_can_have_are_refused_all_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"penalty_multiplier is at least 0.*multiple is at least 1"
    ):
        replace(HARD, penalty_multiplier=Decimal("-0.5"), multiple=0)


def test_money_parked_pays_what_falls_due_next_before_anyone_is_asked() -> None:
    paid = replace(FIRST_PAID, amount=90_000)
    loan, posted = replay(ANNUITY, [DISBURSED, paid], date(2026, 3, 15))
    assert amounts(posted, "OVERPAYMENT_APPLIED") == [{"interest_due": 1151}]
    assert (loan.overpayment, loan.amount_due) == (0, 88849 - 1151)


def test_money_under_way_while_the_loan_was_settled_is_held_for_the_customer() -> None:
    settled = Settled(date(2026, 2, 15), "02", 88849 + 921151 + 9212)
    late = Parked(date(2026, 2, 15), "03", 88849)
    loan, posted = replay(ANNUITY, [DISBURSED, late, settled], date(2026, 3, 1))
    assert (loan.closure, loan.overpayment) == (Closure.PAID_EARLY, 88849)
    assert posted[-1].amounts == {"overpayment": 88849}
