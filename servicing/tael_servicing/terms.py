"""A product's terms as the loan arithmetic takes them: the one mapping."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

from google.type import decimal_pb2

from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import to_date, to_decimal
from tael_servicing.arithmetic.rounding import Rounding
from tael_servicing.arithmetic.terms import (
    ACCRUAL_ORDER,
    NEVER,
    NONACCRUAL_ORDER,
    Annuity,
    Basis,
    ClaimInterest,
    DayCount,
    EarlyInterest,
    Excess,
    Fee,
    FeeAt,
    FeeOn,
    FirstPeriod,
    Frequency,
    Grace,
    InterestOn,
    Keep,
    Maturity,
    Method,
    MonthEnd,
    NonAccrual,
    Overdue,
    Part,
    Partial,
    Residue,
    Shift,
    Sweep,
    Terms,
    Unit,
    Until,
)

EnumT = TypeVar("EnumT", bound=Enum)

DEFAULT_COST_CAP = Decimal("0.24")
DEFAULT_MIN_FIRST_DAYS = 15
DEFAULT_NONACCRUAL_DPD = 90
DEFAULT_CURE_PERIODS = 2
PREPAYMENT_FEE = "Prepayment fee"
"""The name of the fee that `ProductTerms.prepayment_fee_rate` is short for."""

METHODS = {
    pb.REPAYMENT_METHOD_EQUAL_INSTALMENT: Method.EQUAL_INSTALMENT,
    pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL: Method.EQUAL_PRINCIPAL,
    pb.REPAYMENT_METHOD_BULLET: Method.BULLET,
    pb.REPAYMENT_METHOD_INTEREST_ONLY: Method.INTEREST_ONLY,
    pb.REPAYMENT_METHOD_FLAT: Method.FLAT,
}
UNITS = {
    pb.FREQUENCY_UNIT_UNSPECIFIED: Unit.MONTH,
    pb.FREQUENCY_UNIT_DAY: Unit.DAY,
    pb.FREQUENCY_UNIT_WEEK: Unit.WEEK,
    pb.FREQUENCY_UNIT_HALF_MONTH: Unit.HALF_MONTH,
    pb.FREQUENCY_UNIT_MONTH: Unit.MONTH,
}
DAY_COUNTS = {
    pb.DAY_COUNT_UNSPECIFIED: DayCount.ACT_360,
    pb.DAY_COUNT_ACT_360: DayCount.ACT_360,
    pb.DAY_COUNT_ACT_365: DayCount.ACT_365,
    pb.DAY_COUNT_THIRTY_360: DayCount.THIRTY_360,
    pb.DAY_COUNT_ACT_ACT: DayCount.ACT_ACT,
    pb.DAY_COUNT_ACT_ACT_ISDA: DayCount.ACT_ACT_ISDA,
    pb.DAY_COUNT_ACT_365_ACTUAL: DayCount.ACT_365_ACTUAL,
    pb.DAY_COUNT_ACT_364: DayCount.ACT_364,
    pb.DAY_COUNT_ACT_366: DayCount.ACT_366,
    pb.DAY_COUNT_THIRTY_E_360: DayCount.THIRTY_E_360,
    pb.DAY_COUNT_THIRTY_365: DayCount.THIRTY_365,
}
FIRST_PERIODS = {
    pb.FIRST_PERIOD_UNSPECIFIED: FirstPeriod.ODD_DAYS,
    pb.FIRST_PERIOD_ODD_DAYS: FirstPeriod.ODD_DAYS,
    pb.FIRST_PERIOD_FULL_MONTH: FirstPeriod.FULL_MONTH,
    pb.FIRST_PERIOD_EQUAL: FirstPeriod.EQUAL,
}
BASES = {
    pb.INTEREST_BASIS_UNSPECIFIED: Basis.NOMINAL,
    pb.INTEREST_BASIS_NOMINAL: Basis.NOMINAL,
    pb.INTEREST_BASIS_REAL_DAYS: Basis.REAL_DAYS,
}
PARTIALS = {
    pb.PARTIAL_PERIOD_UNSPECIFIED: Partial.BY_DAYS,
    pb.PARTIAL_PERIOD_BY_DAYS: Partial.BY_DAYS,
    pb.PARTIAL_PERIOD_PRO_RATA: Partial.PRO_RATA,
}
ANNUITIES = {
    pb.INSTALMENT_BASIS_UNSPECIFIED: None,
    pb.INSTALMENT_BASIS_NOMINAL: Annuity.NOMINAL,
    pb.INSTALMENT_BASIS_THIRTY_DAYS: Annuity.THIRTY_DAYS,
    pb.INSTALMENT_BASIS_PERIODS: Annuity.PERIODS,
}
INTEREST_ON = {
    pb.INTEREST_ON_UNSPECIFIED: InterestOn.SCHEDULED,
    pb.INTEREST_ON_SCHEDULED: InterestOn.SCHEDULED,
    pb.INTEREST_ON_ACTUAL: InterestOn.ACTUAL,
    pb.INTEREST_ON_PERIOD: InterestOn.PERIOD,
}
CLAIM_INTERESTS = {
    pb.CLAIM_INTEREST_UNSPECIFIED: ClaimInterest.TO_DATE,
    pb.CLAIM_INTEREST_TO_DATE: ClaimInterest.TO_DATE,
    pb.CLAIM_INTEREST_WHOLE: ClaimInterest.WHOLE,
}
RESIDUES = {
    pb.RESIDUE_UNSPECIFIED: Residue.LAST_PRINCIPAL,
    pb.RESIDUE_LAST_PRINCIPAL: Residue.LAST_PRINCIPAL,
    pb.RESIDUE_LAST_INTEREST: Residue.LAST_INTEREST,
    pb.RESIDUE_FIRST: Residue.FIRST,
}
ROUNDINGS = {
    pb.ROUNDING_HALF_UP: Rounding.HALF_UP,
    pb.ROUNDING_HALF_EVEN: Rounding.HALF_EVEN,
    pb.ROUNDING_UP: Rounding.UP,
    pb.ROUNDING_DOWN: Rounding.DOWN,
}
MATURITIES = {
    pb.MATURITY_UNSPECIFIED: Maturity.ALIGN,
    pb.MATURITY_ALIGN: Maturity.ALIGN,
    pb.MATURITY_EXACT: Maturity.EXACT,
}
MONTH_ENDS = {
    pb.MONTH_END_UNSPECIFIED: MonthEnd.CLAMP,
    pb.MONTH_END_CLAMP: MonthEnd.CLAMP,
    pb.MONTH_END_ROLL: MonthEnd.ROLL,
}
SHIFTS = {
    pb.HOLIDAY_SHIFT_UNSPECIFIED: Shift.NONE,
    pb.HOLIDAY_SHIFT_NONE: Shift.NONE,
    pb.HOLIDAY_SHIFT_FOLLOWING: Shift.FOLLOWING,
    pb.HOLIDAY_SHIFT_MODIFIED_FOLLOWING: Shift.MODIFIED_FOLLOWING,
}
OVERDUES = {
    pb.OVERDUE_MODE_UNSPECIFIED: Overdue.PENALTY,
    pb.OVERDUE_MODE_PENALTY: Overdue.PENALTY,
    pb.OVERDUE_MODE_CONTRACT: Overdue.CONTRACT,
    pb.OVERDUE_MODE_NOTHING: Overdue.NOTHING,
}
GRACES = {
    pb.GRACE_MODE_UNSPECIFIED: Grace.RETROACTIVE,
    pb.GRACE_MODE_RETROACTIVE: Grace.RETROACTIVE,
    pb.GRACE_MODE_FROM_END: Grace.FROM_END,
}
KEEPS = {
    pb.PREPAYMENT_RULE_UNSPECIFIED: Keep.TERM,
    pb.PREPAYMENT_RULE_KEEP_TERM: Keep.TERM,
    pb.PREPAYMENT_RULE_KEEP_INSTALMENT: Keep.INSTALMENT,
    pb.PREPAYMENT_RULE_KEEP_SCHEDULE: Keep.SCHEDULE,
}
EXCESSES = {
    pb.EXCESS_RULE_UNSPECIFIED: Excess.PARK,
    pb.EXCESS_RULE_PARK: Excess.PARK,
    pb.EXCESS_RULE_PRINCIPAL: Excess.PRINCIPAL,
    pb.EXCESS_RULE_NEXT: Excess.NEXT,
    pb.EXCESS_RULE_LAST: Excess.LAST,
    pb.EXCESS_RULE_SPREAD: Excess.SPREAD,
    pb.EXCESS_RULE_INSTALMENTS: Excess.INSTALMENTS,
}
EARLY_INTERESTS = {
    pb.EARLY_INTEREST_UNSPECIFIED: EarlyInterest.ON_REPAID,
    pb.EARLY_INTEREST_ON_REPAID: EarlyInterest.ON_REPAID,
    pb.EARLY_INTEREST_ALL: EarlyInterest.ALL,
}
UNTILS = {
    pb.INTEREST_UNTIL_UNSPECIFIED: Until.PAYMENT,
    pb.INTEREST_UNTIL_PAYMENT: Until.PAYMENT,
    pb.INTEREST_UNTIL_DUE_DATE: Until.DUE_DATE,
}
PARTS = {
    pb.REPAYMENT_PART_PRINCIPAL: Part.PRINCIPAL,
    pb.REPAYMENT_PART_INTEREST: Part.INTEREST,
    pb.REPAYMENT_PART_PENALTY: Part.PENALTY,
    pb.REPAYMENT_PART_COMPOUND: Part.COMPOUND,
    pb.REPAYMENT_PART_FEE: Part.FEE,
}
SWEEPS = {
    pb.REPAYMENT_SWEEP_UNSPECIFIED: Sweep.HORIZONTAL,
    pb.REPAYMENT_SWEEP_HORIZONTAL: Sweep.HORIZONTAL,
    pb.REPAYMENT_SWEEP_VERTICAL: Sweep.VERTICAL,
}
POLICIES = {
    ledger_pb2.NON_ACCRUAL_POLICY_UNSPECIFIED: NonAccrual.REVERSAL,
    ledger_pb2.NON_ACCRUAL_POLICY_REVERSAL: NonAccrual.REVERSAL,
    ledger_pb2.NON_ACCRUAL_POLICY_STAGE3_NET: NonAccrual.STAGE3_NET,
}
FEES_AT = {
    pb.FEE_AT_DISBURSEMENT: FeeAt.DISBURSEMENT,
    pb.FEE_AT_INSTALMENT: FeeAt.INSTALMENT,
    pb.FEE_AT_LATE: FeeAt.LATE,
    pb.FEE_AT_PREPAYMENT: FeeAt.PREPAYMENT,
}
FEES_ON = {
    pb.FEE_ON_UNSPECIFIED: FeeOn.PRINCIPAL,
    pb.FEE_ON_PRINCIPAL: FeeOn.PRINCIPAL,
    pb.FEE_ON_BALANCE: FeeOn.BALANCE,
    pb.FEE_ON_INSTALMENT: FeeOn.INSTALMENT,
    pb.FEE_ON_INTEREST: FeeOn.INTEREST,
}
NO_CHOICES = pb.LoanChoices()


def decimal_of(value: decimal_pb2.Decimal, default: Decimal = Decimal(0)) -> Decimal:
    """The number, or the default where the text is empty. ValueError where it is none."""
    return to_decimal(value) if value.value else default


def cost_cap(terms: pb.ProductTerms) -> Decimal:
    """The all-in annual cost its loans may not exceed; the cap of the lender's type is `caps`'."""
    return decimal_of(terms.cost_cap, DEFAULT_COST_CAP)


def loan_terms(
    product: pb.ProductTerms,
    periods: int,
    annual_rate: Decimal,
    repay_day: int = 0,
    *,
    choices: pb.LoanChoices = NO_CHOICES,
    holidays: frozenset[date] = frozenset(),
) -> Terms:
    """The terms of one loan of a product.

    `repay_day` is the short form of `choices.repay_day`. `holidays`: the days of the loan's life that
    are no business days of its book; asked only where the product shifts due dates (`shifts`). Raises
    ValueError for terms no loan can have.
    """
    given = dict(_shared(product.SerializeToString(deterministic=True)))
    if repay_day or choices.repay_day:
        given["repay_day"] = choices.repay_day or repay_day
    if choices.HasField("first_due_date"):
        given["first_due"] = to_date(choices.first_due_date)
    if choices.instalment:
        given["instalment"] = choices.instalment
    if choices.HasField("frequency"):
        given["frequency"] = frequency_of(choices.frequency)
    if choices.HasField("down_payment"):
        given["down_payment"] = decimal_of(choices.down_payment)
    if choices.parts:
        given["parts"] = tuple(choices.parts)
    if given["shift"] is not Shift.NONE:
        given["holidays"] = holidays
    return Terms(periods=periods, annual_rate=annual_rate, **given)


def shifts(product: pb.ProductTerms) -> bool:
    """Its due dates ask the book's calendar."""
    return SHIFTS[product.schedule.holiday_shift] is not Shift.NONE


def frequency_of(value: pb.Frequency) -> Frequency:
    """Monthly where not given."""
    return Frequency(UNITS[value.unit], value.every or 1, tuple(sorted(value.days)))


@lru_cache(maxsize=1024)
def _shared(product: bytes) -> Mapping[str, Any]:
    """What all loans of a version have in common."""
    terms = pb.ProductTerms.FromString(product)
    return {
        "method": METHODS[terms.method],
        "first_period": FIRST_PERIODS[terms.first_period],
        **_schedule(terms),
        **_interest(terms),
        **_overdue(terms),
        **_repayment(terms),
        **_non_accrual(terms),
        "fees": fees_of(terms),
        "vat_rate": decimal_of(terms.vat_rate),
    }


def _schedule(terms: pb.ProductTerms) -> dict[str, Any]:
    given = terms.schedule
    least = terms.min_first_days or DEFAULT_MIN_FIRST_DAYS
    return {
        "frequency": frequency_of(given.frequency),
        "annuity": ANNUITIES[given.instalment_basis],
        "instalment": given.instalment,
        "balloon": decimal_of(given.balloon),
        "multiple": given.multiple or 1,
        "rounding": ROUNDINGS.get(given.rounding, Rounding.HALF_UP),
        "principal_rounding": ROUNDINGS.get(given.principal_rounding, Rounding.DOWN),
        "instalment_rounding": ROUNDINGS.get(given.instalment_rounding),
        "residue": RESIDUES[given.residue],
        "even_out": given.even_out,
        "grace_principal": given.grace_principal,
        "grace_interest": given.grace_interest,
        "down_payment": decimal_of(given.down_payment),
        "repay_day": given.repay_day,
        "min_first_days": given.min_first_days if given.HasField("min_first_days") else least,
        "maturity": MATURITIES[given.maturity],
        "month_end": MONTH_ENDS[given.month_end],
        "shift": SHIFTS[given.holiday_shift],
    }


def _interest(terms: pb.ProductTerms) -> dict[str, Any]:
    given = terms.interest
    return {
        "day_count": DAY_COUNTS[terms.day_count],
        "basis": BASES[given.basis],
        "partial": PARTIALS[given.partial_period],
        "rate_places": given.rate_places,
        "interest_on": INTEREST_ON[given.interest_on],
        "cumulative_interest": given.cumulative,
        "interest_free_periods": given.interest_free_periods,
        "interest_free_days": given.interest_free_days,
    }


def _overdue(terms: pb.ProductTerms) -> dict[str, Any]:
    return {
        "overdue": OVERDUES[terms.overdue.mode],
        "after_maturity": terms.overdue.after_maturity,
        "penalty_multiplier": decimal_of(terms.penalty_multiplier),
        "penalty_rate": decimal_of(terms.overdue.penalty_rate),
        "misuse_multiplier": decimal_of(terms.overdue.misuse_multiplier),
        "compound_enabled": terms.compound_enabled,
        "grace_days": terms.grace_days,
        "grace": GRACES[terms.overdue.grace],
    }


def _repayment(terms: pb.ProductTerms) -> dict[str, Any]:
    given, early = terms.repayment, terms.prepayment
    return {
        "repay_order": tuple(PARTS[part] for part in given.order) or ACCRUAL_ORDER,
        "repay_order_nonaccrual": tuple(PARTS[part] for part in given.order_non_accrual)
        or NONACCRUAL_ORDER,
        "repay_sweep": SWEEPS[given.sweep],
        "excess": EXCESSES[given.excess],
        "direct_debit": not given.no_direct_debit,
        "prepayment": KEEPS[early.rule],
        "early_interest": EARLY_INTERESTS[early.early_interest],
        "interest_until": UNTILS[early.interest_until],
    }


def _non_accrual(terms: pb.ProductTerms) -> dict[str, Any]:
    given = terms.non_accrual
    dpd = given.dpd if given.HasField("dpd") else terms.nonaccrual_dpd or DEFAULT_NONACCRUAL_DPD
    cure = given.cure_periods if given.HasField("cure_periods") else DEFAULT_CURE_PERIODS
    return {
        "nonaccrual": POLICIES[given.policy],
        "nonaccrual_dpd": NEVER if given.never else dpd,
        "cure_periods": cure,
        "write_off_performing": given.write_off_performing,
        "claim_interest": CLAIM_INTERESTS[given.claim_interest],
    }


def fees_of(terms: pb.ProductTerms) -> tuple[Fee, ...]:
    """Every fee of a product, the prepayment fee that is given short included."""
    fees = tuple(
        Fee(
            name=fee.name,
            at=FEES_AT[fee.at],
            amount=fee.amount,
            rate=decimal_of(fee.rate),
            on=FEES_ON[fee.on],
            until_month=fee.until_month,
            charged_by=fee.charged_by,
            penalty=fee.penalty,
        )
        for fee in terms.fees
    )
    short = decimal_of(terms.prepayment_fee_rate)
    if short:
        fees += (Fee(PREPAYMENT_FEE, FeeAt.PREPAYMENT, rate=short),)
    return fees
