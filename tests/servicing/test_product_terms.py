"""A product's terms reach the arithmetic whole, and bad ones are refused with field and reason."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from google.rpc import error_details_pb2
from google.type import decimal_pb2

from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import from_date
from tael_runtime.errors import InvalidFields
from tael_servicing.arithmetic.terms import NEVER, Fee, FeeAt, FeeOn, Frequency, Method, Terms, Unit
from tael_servicing.caps import Limit
from tael_servicing.product_checks import Setting, check_loan, check_terms
from tael_servicing.terms import loan_terms

RATE = Decimal("0.12")
START = date(2026, 8, 3)
RULE = Limit(Decimal("0.24"), "APR", "a rule")


def decimal(text: str) -> decimal_pb2.Decimal:
    return decimal_pb2.Decimal(value=text)


def product(**choices: Any) -> pb.ProductTerms:
    """Six to twelve months, 等额本息, 12 %, of 1,000.00 to 200,000.00."""
    return pb.ProductTerms(
        **{
            "method": pb.REPAYMENT_METHOD_EQUAL_INSTALMENT,
            "min_periods": 6,
            "max_periods": 12,
            "min_principal": 100_000,
            "max_principal": 20_000_000,
            "annual_rate": decimal("0.12"),
            "penalty_multiplier": decimal("1.5"),
            **choices,
        }
    )


def refused(
    terms: pb.ProductTerms, limits: tuple[Limit, ...] = (RULE,), floating: str = ""
) -> dict[str, str]:
    """Field → why."""
    setting = Setting("CNY", START, Decimal(floating) if floating else None, limits)
    try:
        check_terms(terms, setting)
    except InvalidFields as error:
        return told(error)
    return {}


def told(error: InvalidFields) -> dict[str, str]:
    (bad,) = error.details
    assert isinstance(bad, error_details_pb2.BadRequest)
    return {each.field.removeprefix("terms."): each.description for each in bad.field_violations}


def schedule(**given: Any) -> dict[str, Any]:
    return {"schedule": pb.ScheduleTerms(**given)}


def interest(**given: Any) -> dict[str, Any]:
    return {"interest": pb.InterestTerms(**given)}


WEEKLY = pb.Frequency(unit=pb.FREQUENCY_UNIT_WEEK)
FIRST_AND_15TH = pb.Frequency(unit=pb.FREQUENCY_UNIT_HALF_MONTH, days=[1, 15])
CARRIED: dict[str, dict[str, Any]] = {
    "method": {"method": pb.REPAYMENT_METHOD_FLAT},
    "frequency": schedule(frequency=pb.Frequency(unit=pb.FREQUENCY_UNIT_DAY, every=15)),
    "day_count": {"day_count": pb.DAY_COUNT_ACT_ACT},
    "basis": interest(basis=pb.INTEREST_BASIS_REAL_DAYS),
    "partial": interest(partial_period=pb.PARTIAL_PERIOD_PRO_RATA),
    "rate_places": interest(rate_places=6),
    "interest_on": interest(interest_on=pb.INTEREST_ON_ACTUAL),
    "cumulative_interest": interest(cumulative=True),
    "annuity": schedule(instalment_basis=pb.INSTALMENT_BASIS_THIRTY_DAYS),
    "instalment": schedule(instalment=90_000),
    "balloon": schedule(balloon=decimal("0.3")),
    "multiple": schedule(multiple=100),
    "principal_rounding": schedule(principal_rounding=pb.ROUNDING_UP),
    "instalment_rounding": schedule(instalment_rounding=pb.ROUNDING_UP),
    "even_out": schedule(even_out=True),
    "residue": schedule(residue=pb.RESIDUE_LAST_INTEREST),
    "rounding": schedule(rounding=pb.ROUNDING_HALF_EVEN),
    "grace_principal": schedule(grace_principal=2),
    "grace_interest": schedule(grace_interest=2),
    "interest_free_periods": interest(interest_free_periods=1),
    "interest_free_days": interest(interest_free_days=7),
    "down_payment": schedule(down_payment=decimal("0.25")),
    "repay_day": schedule(repay_day=10),
    "min_first_days": schedule(min_first_days=0),
    "first_period": {"first_period": pb.FIRST_PERIOD_EQUAL},
    "maturity": schedule(maturity=pb.MATURITY_EXACT),
    "month_end": schedule(month_end=pb.MONTH_END_ROLL),
    "shift": schedule(holiday_shift=pb.HOLIDAY_SHIFT_FOLLOWING),
    "overdue": {"overdue": pb.OverdueTerms(mode=pb.OVERDUE_MODE_CONTRACT)},
    "after_maturity": {"overdue": pb.OverdueTerms(after_maturity=True)},
    "penalty_multiplier": {"penalty_multiplier": decimal("1.3")},
    "penalty_rate": {"overdue": pb.OverdueTerms(penalty_rate=decimal("0.1825"))},
    "misuse_multiplier": {"overdue": pb.OverdueTerms(misuse_multiplier=decimal("2"))},
    "compound_enabled": {"compound_enabled": True},
    "grace_days": {"grace_days": 3},
    "grace": {"overdue": pb.OverdueTerms(grace=pb.GRACE_MODE_FROM_END)},
    "fees": {"fees": [pb.FeeTerms(name="Late fee", at=pb.FEE_AT_LATE, amount=500)]},
    "repay_order": {"repayment": pb.RepaymentTerms(order=[1, 2, 3, 4, 5])},
    "repay_sweep": {"repayment": pb.RepaymentTerms(sweep=pb.REPAYMENT_SWEEP_VERTICAL)},
    "repay_order_nonaccrual": {"repayment": pb.RepaymentTerms(order_non_accrual=[5, 4, 3, 2, 1])},
    "excess": {"repayment": pb.RepaymentTerms(excess=pb.EXCESS_RULE_SPREAD)},
    "direct_debit": {"repayment": pb.RepaymentTerms(no_direct_debit=True)},
    "prepayment": {"prepayment": pb.PrepaymentTerms(rule=pb.PREPAYMENT_RULE_KEEP_SCHEDULE)},
    "early_interest": {"prepayment": pb.PrepaymentTerms(early_interest=pb.EARLY_INTEREST_ALL)},
    "interest_until": {"prepayment": pb.PrepaymentTerms(interest_until=pb.INTEREST_UNTIL_DUE_DATE)},
    "nonaccrual": {"non_accrual": pb.NonAccrualTerms(policy=2)},
    "nonaccrual_dpd": {"non_accrual": pb.NonAccrualTerms(dpd=0)},
    "vat_rate": {"vat_rate": decimal("0.06")},
    "cure_periods": {"non_accrual": pb.NonAccrualTerms(cure_periods=0)},
    "claim_interest": {"non_accrual": pb.NonAccrualTerms(claim_interest=2)},
    "write_off_performing": {"non_accrual": pb.NonAccrualTerms(write_off_performing=True)},
}
"""Each term of the arithmetic, and a product that has it otherwise than the default."""
OF_THE_LOAN = {"periods", "annual_rate", "first_due", "holidays", "parts"}


@pytest.mark.parametrize("name", [each.name for each in fields(Terms)])
def test_a_product_can_say_every_term_a_loan_has(name: str) -> None:
    if name in OF_THE_LOAN:
        return
    plain = loan_terms(product(), 12, RATE)
    other = loan_terms(product(**CARRIED[name]), 12, RATE)
    changed = {
        each.name
        for each in fields(Terms)
        if getattr(plain, each.name) != getattr(other, each.name)
    }
    assert changed == {name}


def test_what_is_not_said_is_the_default_of_the_arithmetic() -> None:
    assert loan_terms(product(), 12, RATE) == Terms(Method.EQUAL_INSTALMENT, 12, RATE)


def test_a_loan_brings_its_own_choices_and_the_book_its_holidays() -> None:
    choices = pb.LoanChoices(
        first_due_date=from_date(date(2026, 9, 20)),
        instalment=95_000,
        repay_day=20,
        frequency=pb.Frequency(unit=pb.FREQUENCY_UNIT_WEEK, every=2),
        down_payment=decimal("0.2"),
    )
    off = frozenset({date(2026, 10, 1)})
    shifted = product(schedule=pb.ScheduleTerms(holiday_shift=pb.HOLIDAY_SHIFT_FOLLOWING))
    made = loan_terms(shifted, 12, RATE, choices=choices, holidays=off)
    assert (made.first_due, made.instalment, made.repay_day) == (date(2026, 9, 20), 95_000, 20)
    assert (made.frequency, made.down_payment) == (Frequency(Unit.WEEK, 2), Decimal("0.2"))
    assert made.holidays == off
    assert loan_terms(product(), 12, RATE, holidays=off).holidays == frozenset()
    assert loan_terms(product(), 12, RATE, 7).repay_day == 7


def test_never_and_zero_can_be_said_of_non_accrual() -> None:
    never = product(non_accrual=pb.NonAccrualTerms(never=True))
    assert loan_terms(never, 12, RATE).nonaccrual_dpd == NEVER
    assert loan_terms(product(nonaccrual_dpd=60), 12, RATE).nonaccrual_dpd == 60


def test_fees_keep_whom_they_are_paid_to_and_the_short_prepayment_fee_joins_them() -> None:
    fee = pb.FeeTerms(
        name="Guarantee",
        at=pb.FEE_AT_INSTALMENT,
        amount=100,
        rate=decimal("0.001"),
        on=pb.FEE_ON_BALANCE,
        charged_by="a guarantor",
        disclosed=True,
    )
    made = loan_terms(product(fees=[fee], prepayment_fee_rate=decimal("0.01")), 12, RATE)
    assert made.fees == (
        Fee(
            "Guarantee",
            FeeAt.INSTALMENT,
            100,
            Decimal("0.001"),
            FeeOn.BALANCE,
            charged_by="a guarantor",
        ),
        Fee("Prepayment fee", FeeAt.PREPAYMENT, rate=Decimal("0.01")),
    )


def test_every_bad_term_is_told_at_once() -> None:
    assert refused(
        product(
            annual_rate=decimal("0.36"),
            penalty_multiplier=decimal("1.6"),
            min_periods=13,
            max_principal=1,
            currency_code="USD",
            prepayment_fee_rate=decimal("0.0000001"),
            fees=[pb.FeeTerms(name="Fee", at=pb.FEE_AT_INSTALMENT)],
        )
    ) == {
        "annual_rate": "is above the cost cap of 0.24 (a rule)",
        "penalty_multiplier": "is 1.6; 1.3 to 1.5 is right",
        "max_periods": "is less than min_periods",
        "max_principal": "is less than min_principal",
        "currency_code": "is not the book's, CNY",
        "prepayment_fee_rate": "has more than 6 decimal places",
        "fees[0]": "has neither an amount nor a rate",
        "fees[0].disclosed": "what the cost table does not show may not be charged",
    }


BAD: list[tuple[dict[str, Any], str]] = [
    ({"penalty_multiplier": None}, "penalty_multiplier"),
    ({"penalty_multiplier": decimal("1.29")}, "penalty_multiplier"),
    ({"overdue": pb.OverdueTerms(misuse_multiplier=decimal("1.4"))}, "overdue.misuse_multiplier"),
    ({"overdue": pb.OverdueTerms(misuse_multiplier=decimal("2.1"))}, "overdue.misuse_multiplier"),
    ({"overdue": pb.OverdueTerms(mode=pb.OVERDUE_MODE_NOTHING)}, "penalty_multiplier"),
    ({"overdue": pb.OverdueTerms(after_maturity=True)}, "overdue.after_maturity"),
    ({"overdue": pb.OverdueTerms(penalty_rate=decimal("0.1825"))}, "overdue.penalty_rate"),
    (
        {
            "penalty_multiplier": None,
            "overdue": pb.OverdueTerms(penalty_rate=decimal("0.25")),
        },
        "overdue.penalty_rate",
    ),
    (
        {
            "penalty_multiplier": None,
            "overdue": pb.OverdueTerms(
                mode=pb.OVERDUE_MODE_CONTRACT, penalty_rate=decimal("0.1825")
            ),
        },
        "overdue.penalty_rate",
    ),
    ({"annual_rate": None}, "annual_rate"),
    (
        {
            "penalty_multiplier": None,
            "overdue": pb.OverdueTerms(mode=pb.OVERDUE_MODE_CONTRACT),
            **interest(cumulative=True),
        },
        "interest.cumulative",
    ),
    ({"annual_rate": decimal("12 %")}, "annual_rate"),
    ({"non_accrual": pb.NonAccrualTerms(never=True, dpd=90)}, "non_accrual.dpd"),
    ({"grace_days": 3, "non_accrual": pb.NonAccrualTerms(dpd=2)}, "non_accrual.dpd"),
    ({"repayment": pb.RepaymentTerms(order=[1, 2])}, "repayment.order"),
    (schedule(grace_principal=6), "schedule.grace_principal"),
    (schedule(grace_interest=9), "schedule.grace_interest"),
    (schedule(down_payment=decimal("1")), "schedule.down_payment"),
    (schedule(instalment=90_000, even_out=True), "schedule.even_out"),
    (schedule(instalment=900), "schedule.instalment"),
    (schedule(residue=pb.RESIDUE_FIRST), "schedule.residue"),
    (schedule(principal_rounding=pb.ROUNDING_UP), "schedule.principal_rounding"),
    (
        schedule(instalment=90_000, instalment_rounding=pb.ROUNDING_UP),
        "schedule.instalment_rounding",
    ),
    (
        {
            "method": pb.REPAYMENT_METHOD_INTEREST_ONLY,
            **schedule(instalment_rounding=pb.ROUNDING_UP),
        },
        "schedule.instalment_rounding",
    ),
    (
        schedule(month_end=pb.MONTH_END_ROLL, holiday_shift=pb.HOLIDAY_SHIFT_FOLLOWING),
        "schedule.month_end",
    ),
    (
        schedule(frequency=pb.Frequency(unit=pb.FREQUENCY_UNIT_DAY, every=15), repay_day=5),
        "schedule.repay_day",
    ),
    (schedule(frequency=pb.Frequency(days=[1, 15])), "schedule.frequency.days"),
    (
        schedule(frequency=pb.Frequency(unit=pb.FREQUENCY_UNIT_HALF_MONTH, days=[15])),
        "schedule.frequency.days",
    ),
    (schedule(frequency=FIRST_AND_15TH, repay_day=10), "schedule.repay_day"),
    (
        {
            "cost_method": pb.COST_METHOD_MONTHLY_IRR,
            **schedule(frequency=pb.Frequency(unit=pb.FREQUENCY_UNIT_WEEK)),
        },
        "cost_method",
    ),
    (
        {"repayment": pb.RepaymentTerms(excess=pb.EXCESS_RULE_INSTALMENTS)},
        "repayment.excess",
    ),
    (
        {
            "repayment": pb.RepaymentTerms(excess=pb.EXCESS_RULE_INSTALMENTS),
            "interest": pb.InterestTerms(interest_on=pb.INTEREST_ON_ACTUAL),
            **schedule(grace_interest=1),
        },
        "repayment.excess",
    ),
    (
        {"method": pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL, **schedule(even_out=True)},
        "schedule.even_out",
    ),
    (
        {"method": pb.REPAYMENT_METHOD_BULLET, "first_period": pb.FIRST_PERIOD_EQUAL},
        "first_period",
    ),
    ({"first_period": pb.FIRST_PERIOD_FULL_MONTH, **schedule(frequency=WEEKLY)}, "first_period"),
    (
        {"method": pb.REPAYMENT_METHOD_INTEREST_ONLY, **schedule(grace_principal=1)},
        "schedule.grace_principal",
    ),
    (
        {
            "method": pb.REPAYMENT_METHOD_FLAT,
            **interest(interest_on=pb.INTEREST_ON_ACTUAL),
        },
        "interest.interest_on",
    ),
    (
        interest(basis=pb.INTEREST_BASIS_REAL_DAYS, rate_places=6),
        "interest.rate_places",
    ),
    ({"choices": pb.ChoiceTerms(periods=[6, 24])}, "choices.periods[1]"),
    ({"choices": pb.ChoiceTerms(allowed=[pb.LOAN_CHOICE_FREQUENCY])}, "choices.frequencies"),
    ({"choices": pb.ChoiceTerms(principal_step=30_000)}, "choices.principal_step"),
]


@pytest.mark.parametrize(("terms", "field"), BAD)
def test_a_bad_term_is_refused_with_its_field(terms: dict[str, Any], field: str) -> None:
    assert field in refused(product(**terms))


def test_the_first_of_weekly_instalments_may_be_as_large_as_the_others() -> None:
    assert refused(product(first_period=pb.FIRST_PERIOD_EQUAL, **schedule(frequency=WEEKLY))) == {}


def fee(at: int, **given: Any) -> pb.FeeTerms:
    return pb.FeeTerms(**{"name": "Service fee", "at": at, "disclosed": True, **given})


def test_an_all_in_cost_over_the_cap_is_refused_with_both_figures() -> None:
    dear = product(fees=[fee(pb.FEE_AT_DISBURSEMENT, rate=decimal("0.08"))])
    why = refused(dear)["fees"]
    assert why.startswith("a loan of 200,000.00 over 6 instalments costs 4")
    assert why.endswith("% a year all in; the cap is 24 % (a rule)")
    partner = fee(pb.FEE_AT_INSTALMENT, rate=decimal("0.02"), charged_by="a partner")
    assert "fees" in refused(product(fees=[partner]))
    assert refused(product(fees=[fee(pb.FEE_AT_DISBURSEMENT, rate=decimal("0.01"))])) == {}
    assert refused(product(fees=[fee(pb.FEE_AT_LATE, amount=5_000)])) == {}


def test_a_rate_at_the_cap_is_not_over_it_for_the_cents_it_rounds_to() -> None:
    least = product(annual_rate=decimal("0.24"), min_principal=1_000, min_periods=1, max_periods=24)
    assert refused(least) == {}


def test_the_regulators_cap_holds_where_the_products_own_is_higher() -> None:
    dear = product(annual_rate=decimal("0.3"), cost_cap=decimal("0.36"))
    own = Limit(Decimal("0.36"))
    assert refused(dear, (own,)) == {}
    assert refused(dear, (own, RULE)) == {"annual_rate": "is above the cost cap of 0.24 (a rule)"}


def test_an_effective_rate_is_what_some_caps_are_held_against() -> None:
    terms = product(annual_rate=decimal("0.22"))
    assert refused(terms) == {}
    assert "annual_rate" in refused(terms, (Limit(Decimal("0.24"), "EAR", "a rule"),))


def test_a_floating_rate_takes_the_place_of_a_fixed_one() -> None:
    rate = pb.FloatingRate(spread_bp=300, reprice=pb.REPRICE_MODE_ANNIVERSARY)
    assert refused(product(annual_rate=None, floating_rate=rate), floating="0.06") == {}
    assert "annual_rate" in refused(product(floating_rate=rate), floating="0.06")
    assert "floating_rate" in refused(product(annual_rate=None, floating_rate=rate))
    dear = refused(product(annual_rate=None, floating_rate=rate), floating="0.25")
    assert "floating_rate.spread_bp" in dear


def wanted(terms: pb.ProductTerms, principal: int, periods: int, **choices: Any) -> set[str]:
    try:
        check_loan(terms, principal, periods, pb.LoanChoices(**choices), START)
    except InvalidFields as error:
        return set(told(error))
    return set()


def test_a_loan_has_only_what_its_product_leaves_open() -> None:
    plain = product()
    assert wanted(plain, 100_000, 6, repay_day=5) == set()
    assert wanted(plain, 99_999, 13) == {"principal.minor_units", "periods"}
    assert wanted(plain, 100_000, 6, instalment=20_000) == {"choices.instalment"}
    for no_first in (START, START + timedelta(days=5 * 366 + 1), date.max):
        found = wanted(plain, 100_000, 6, first_due_date=from_date(no_first))
        assert found == {"choices.first_due_date"}
    halves = product(**schedule(frequency=FIRST_AND_15TH))
    assert wanted(halves, 100_000, 6, repay_day=15) == set()
    assert wanted(halves, 100_000, 6, repay_day=10) == {"choices.repay_day"}
    quarter = pb.Frequency(every=3)
    opened = product(
        choices=pb.ChoiceTerms(
            allowed=[pb.LOAN_CHOICE_FREQUENCY],
            frequencies=[quarter],
            periods=[6, 12],
            principal_step=50_000,
        )
    )
    assert refused(opened) == {}
    assert wanted(opened, 150_000, 12, frequency=quarter) == set()
    assert wanted(opened, 120_000, 9, frequency=pb.Frequency(every=2), repay_day=5) == {
        "principal.minor_units",
        "periods",
        "choices.frequency",
        "choices.repay_day",
    }
