"""Output VAT in what a loan earns, to the cent: the entries of a loan whose prices include 6 %.

The loan: 10,000.00 over twelve months at 12 % in level instalments of 888.49, penalty of 1.5 times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicing.stories import ANNUITY, HARD, START, amounts, day_after

from tael_servicing.arithmetic.events import (
    Charged,
    CostsAdvanced,
    Disbursed,
    LoanEvent,
    Recovered,
    Repaid,
    Returned,
    Settled,
    Waived,
    WrittenOff,
)
from tael_servicing.arithmetic.fold import end_day, replay
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.terms import Fee, FeeAt, Part, Terms
from tael_servicing.arithmetic.vat import Vat

SPLIT = replace(HARD, vat_rate=Decimal("0.06"))
LENT = Disbursed(START, "00", 1_000_000)
FIRST_DUE, ON_TIME = date(2026, 2, 15), Repaid(date(2026, 2, 15), "01", 88_849)
OFF = date(2026, 6, 14)
"""The ninety-first day after the second instalment was due; the first was paid."""
SIX_PERCENT = (6, 106)


def lived(*events: LoanEvent, until: date, terms: Terms = SPLIT) -> Step:
    return replay(terms, [LENT, *events], until, nightly_from=START)


def on(step: Step, event: str, day: date) -> Mapping[str, int]:
    """The amounts of the day's only posting of an event."""
    (only,) = amounts([each for each in step.postings if each.value_date == day], event)
    return only


def dated(step: Step, day: date) -> dict[str, dict[str, int]]:
    """The day's postings by event."""
    return {each.event: dict(each.amounts) for each in step.postings if each.value_date == day}


def test_the_nights_of_a_period_split_off_its_vat_to_the_cent() -> None:
    step = lived(until=FIRST_DUE)
    nights = amounts(step.postings, "INTEREST_ACCRUED")
    assert [dict(each) for each in nights[:2]] == [
        {"interest": 323, "interest_vat": 18},
        {"interest": 322, "interest_vat": 19},
    ]
    assert len(nights) == 31
    assert sum(each["interest"] for each in nights) == 10_000
    assert sum(each.get("interest_vat", 0) for each in nights) == 566
    assert on(step, "INTEREST_DUE", FIRST_DUE) == {"interest": 10_000, "interest_vat": 566}


def test_a_monthly_fee_is_taxed_when_it_is_paid() -> None:
    monthly = replace(SPLIT, fees=(Fee("service", FeeAt.INSTALMENT, amount=5_000),))
    paid = Repaid(day_after(FIRST_DUE, 1), "1", 93_849)
    step = lived(paid, until=paid.value_date, terms=monthly)
    assert on(step, "FEE_DUE", FIRST_DUE) == {"fee": 5_000, "fee_vat": 283}
    assert "fee_vat" not in dated(step, FIRST_DUE).get("VAT_DUE", {})
    assert on(step, "VAT_DUE", paid.value_date)["fee_vat"] == 283


def test_penalty_and_compound_are_taxed_when_they_are_paid() -> None:
    day = date(2026, 3, 7)
    step = lived(Repaid(day, "1", 89_737), until=day)
    assert on(step, "REPAYMENT_RECEIVED", day)["penalty"] == 788
    assert on(step, "VAT_DUE", day) == {"penalty_vat": 45, "compound_vat": 6}


def test_what_leaves_the_balance_sheet_keeps_the_vat_already_declared_as_paid_in_advance() -> None:
    loan, posted = lived(ON_TIME, until=OFF)
    assert on(Step(loan, posted), "NON_ACCRUAL_ENTERED", OFF) == {
        "principal_normal": 679_842,
        "principal_overdue": 241_309,
        "interest_due": 25_238,
        "interest_accrued": 6_579,
        "penalty": 7_255,
        "compound": 785,
        "vat_declared": 1_429,
        "interest_vat_not_due": 372,
        "penalty_vat_not_due": 411,
        "compound_vat_not_due": 44,
    }
    (night,) = end_day(SPLIT, loan).postings[:1]
    assert (night.event, night.accruing) == ("INTEREST_ACCRUED", False)
    assert night.amounts == {"interest": 219, "penalty": 121, "compound": 13}


def test_interest_collected_off_balance_pays_the_vat_of_what_was_not_declared() -> None:
    both = 241_309 + 25_238
    step = lived(ON_TIME, Repaid(OFF, "02", both), until=OFF)
    assert on(step, "REPAYMENT_RECEIVED", OFF) == {
        "principal_impaired": 241_309,
        "offbalance_interest": 25_238,
        "vat_declared": 1_429,
    }
    vat = Vat(SIX_PERCENT)
    own, _ = vat.split("REPAYMENT_RECEIVED", {"offbalance_interest": 6_579})
    assert own["offbalance_interest_vat"] == 372


def off_balance() -> Vat:
    """As the loan's stands on the day it goes off balance."""
    loan = lived(ON_TIME, until=OFF).loan
    assert loan.vat is not None
    return loan.vat.copy()


def test_interest_that_returns_to_the_balance_sheet_brings_its_vat_back() -> None:
    vat = off_balance()
    own, beside = vat.split("NON_ACCRUAL_LEFT", {"interest": 25_238, "interest_accrued": 6_579})
    assert {name: amount for name, amount in own.items() if amount} == {
        "vat_declared": 1_429,
        "interest_vat_not_due": 372,
    }
    assert not beside
    assert (vat.advanced, vat.advanced_on) == (0, 0)


part_amounts = st.integers(0, 1_000_000)


@given(
    earned=part_amounts, share=st.integers(0, 100), left=st.integers(0, 100), accrued=part_amounts
)
def test_what_leaves_and_returns_whole_leaves_no_vat_in_advance_nor_out_of_place(
    earned: int, share: int, left: int, accrued: int
) -> None:
    vat = Vat(SIX_PERCENT)
    vat.split("INTEREST_ACCRUED", {"interest": earned + accrued})
    vat.split("INTEREST_DUE", {"interest": earned})
    leaves = earned * left // 100
    vat.split("NON_ACCRUAL_ENTERED", {"interest_due": leaves, "interest_accrued": accrued})
    paid = leaves * share // 100
    vat.split("REPAYMENT_RECEIVED", {"offbalance_interest": paid})
    vat.split("NON_ACCRUAL_LEFT", {"interest": leaves - paid, "interest_accrued": accrued})
    assert (vat.advanced, vat.advanced_on) == (0, 0)
    assert vat.not_due(Part.INTEREST) >= 0
    vat.split("INTEREST_DUE", {"interest": accrued})
    assert vat.not_due(Part.INTEREST) == 0


def test_a_waiver_takes_back_vat_not_due_and_red_letters_vat_declared() -> None:
    day = date(2026, 3, 7)
    step = lived(Waived(day, "1", penalty=788, compound=100), until=day)
    assert on(step, "INTEREST_WAIVED", day) == {
        "penalty": 788,
        "compound": 100,
        "penalty_vat_not_due": 45,
        "compound_vat_not_due": 6,
    }
    step = lived(Waived(day, "1", interest=10_000), until=day)
    assert on(step, "INTEREST_WAIVED", day) == {"interest_due": 10_000, "vat_red_lettered": 566}


def test_a_waiver_off_balance_red_letters_the_vat_paid_in_advance_in_its_proportion() -> None:
    step = lived(ON_TIME, Waived(OFF, "02", interest=10_000), until=OFF)
    # 14.29 on 252.38; left is 14.29 x 152.38 / 252.38 = 8.63.
    assert on(step, "INTEREST_WAIVED", OFF) == {
        "offbalance_interest": 10_000,
        "offbalance_vat_red_lettered": 566,
    }


def test_a_write_off_loses_the_vat_paid_in_advance_and_no_vat_of_fees_stays_open() -> None:
    step = lived(ON_TIME, Charged(OFF, "02", 5_000), WrittenOff(OFF, "03"), until=OFF)
    written = on(step, "LOAN_WRITTEN_OFF", OFF)
    assert (written["vat_declared"], written["interest"], written["fee"]) == (1_429, 31_817, 5_000)
    assert on(step, "INTEREST_WAIVED", OFF) == {"fee_vat_not_due": 283}
    assert on(step, "FEE_DUE", OFF) == {"fee": 5_000, "fee_vat": 283}


@pytest.mark.parametrize(("declared_first", "vat"), [(25_238, 0), (25_238 + 10_600, 600)])
def test_interest_of_a_claim_is_taxed_unless_its_vat_was_declared_before(
    declared_first: int, vat: int
) -> None:
    """Principal comes first, then the oldest interest, whose VAT was declared before the write-off."""
    day = day_after(OFF, 10)
    money = 921_151 + declared_first
    step = lived(ON_TIME, WrittenOff(OFF, "03"), Recovered(day, "04", money), until=day)
    recovered = on(step, "RECOVERY_RECEIVED", day)
    assert (recovered["interest"], recovered.get("interest_vat", 0)) == (declared_first, vat)


def test_costs_advanced_for_the_debtor_are_no_income_and_bear_no_vat() -> None:
    day = day_after(FIRST_DUE, 5)
    events = (CostsAdvanced(FIRST_DUE, "1", 50_000), Repaid(day, "2", 50_000))
    assert on(lived(*events, until=day), "REPAYMENT_RECEIVED", day) == {"legal_costs": 50_000}


PAID_SIX = [Repaid(date(2026, month, 15), f"0{month}", 88_849) for month in range(2, 8)]


def test_an_early_settlement_taxes_its_interest_and_the_fee_at_once() -> None:
    terms, day = replace(ANNUITY, vat_rate=Decimal("0.06")), date(2026, 8, 1)
    step = lived(*PAID_SIX, Settled(day, "99", 522_987), until=day, terms=terms)
    # Six instalments of 480.14 interest: 27.18 of VAT; with the 28.24 accrued since 28.78, with the
    # 0.94 trued up 28.83.
    assert on(step, "INTEREST_TRUED_UP", day) == {"interest": 94, "interest_vat": 5}
    received = on(step, "REPAYMENT_RECEIVED", day)
    assert (received["interest_accrued"], received["prepayment_fee"]) == (2_918, 5_149)
    assert received["prepayment_fee_vat"] == 291
    assert on(step, "VAT_DUE", day) == {"interest_vat": 165}


def test_taking_back_what_was_paid_out_leaves_no_vat() -> None:
    """The nights' interest goes in red ink, and its VAT with it."""
    day = day_after(START, 20)
    step = lived(Returned(day, "1", 1_000_000), until=day)
    moved = on(step, "INTEREST_ACCRUED", day)
    nights = [each for each in step.postings if each.value_date < day]
    assert moved == {
        name: -sum(each.amounts.get(name, 0) for each in nights)
        for name in ("interest", "interest_vat")
    }


def test_a_book_without_vat_splits_nothing_off() -> None:
    posted: tuple[Posting, ...] = lived(ON_TIME, until=OFF, terms=HARD).postings
    assert not any("vat" in name for each in posted for name in each.amounts)
