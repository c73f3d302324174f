"""The terms a loan was born with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cached_property

from tael_servicing.arithmetic.rounding import Rounding


class Method(Enum):
    """How principal and interest are spread."""

    EQUAL_INSTALMENT = "等额本息"
    EQUAL_PRINCIPAL = "等额本金"
    BULLET = "利随本清"
    INTEREST_ONLY = "分期付息到期还本"


class DayCount(Enum):
    """Days of a year where interest is counted by actual days; first day counts, last does not."""

    ACT_360 = 360
    ACT_365 = 365


class FirstPeriod(Enum):
    """Interest of a first period that is not a whole month."""

    ODD_DAYS = "by actual days, principal as in a whole month"
    FULL_MONTH = "a whole month's interest"
    EQUAL = "by actual days, all instalments equal"


class Maturity(Enum):
    """Where the last period ends."""

    ALIGN = "on the repay day"
    EXACT = "the term after disbursement; the last period is odd"


class Part(Enum):
    """What a payment can pay of an instalment."""

    PRINCIPAL = "本金"
    INTEREST = "利息"
    PENALTY = "罚息"
    COMPOUND = "复利"


class Sweep(Enum):
    """Which way a payment walks over instalments and parts."""

    HORIZONTAL = "finish one instalment, then the next"
    VERTICAL = "one part of all instalments, then the next part"


ACCRUAL_ORDER = (Part.COMPOUND, Part.PENALTY, Part.INTEREST, Part.PRINCIPAL)
NONACCRUAL_ORDER = (Part.PRINCIPAL, Part.INTEREST, Part.PENALTY, Part.COMPOUND)


@dataclass(frozen=True)
class Terms:
    """A product version as one loan took it; rates are annual and exact, 0.12 = 12 %.

    Raises ValueError for terms no loan can have; a product's own limits are checked where it is
    published.
    """

    method: Method
    periods: int
    annual_rate: Decimal
    day_count: DayCount = DayCount.ACT_360
    whole_months: bool = True
    """A whole month bears rate/12 whatever its length (30/360 by name)."""
    cumulative_interest: bool = False
    """Period interest is the difference of rounded sums, not rounded alone."""
    repay_day: int = 0
    """1–31; 0 is the day of disbursement."""
    min_first_days: int = 15
    first_period: FirstPeriod = FirstPeriod.ODD_DAYS
    maturity: Maturity = Maturity.ALIGN
    penalty_multiplier: Decimal = Decimal("1.5")
    compound_enabled: bool = False
    grace_days: int = 0
    prepayment_fee_rate: Decimal = Decimal(0)
    repay_order: tuple[Part, ...] = ACCRUAL_ORDER
    repay_sweep: Sweep = Sweep.HORIZONTAL
    repay_order_nonaccrual: tuple[Part, ...] = NONACCRUAL_ORDER
    nonaccrual_dpd: int = 90
    """Days past due above which interest goes off balance."""
    rounding: Rounding = Rounding.HALF_UP

    def __post_init__(self) -> None:
        rules = (
            (self.periods >= 1, "periods is at least 1"),
            (self.annual_rate >= 0, "annual_rate is at least 0"),
            (0 <= self.repay_day <= 31, "repay_day is 1–31, or 0 for the day of disbursement"),
            (self.penalty_multiplier >= 1, "penalty_multiplier is at least 1"),
            (self.prepayment_fee_rate >= 0, "prepayment_fee_rate is at least 0"),
            (self.grace_days >= 0, "grace_days is at least 0"),
            (set(self.repay_order) == set(Part), "repay_order names every part once"),
            (set(self.repay_order_nonaccrual) == set(Part), "repay_order_nonaccrual likewise"),
        )
        broken = [rule for holds, rule in rules if not holds]
        if broken:
            raise ValueError("; ".join(broken))

    @cached_property
    def monthly_rate(self) -> Fraction:
        """Annual ÷ 12."""
        return Fraction(self.annual_rate) / 12

    @cached_property
    def daily_rate(self) -> Fraction:
        """Annual ÷ days of the year."""
        return Fraction(self.annual_rate) / self.day_count.value

    @cached_property
    def daily_penalty_rate(self) -> Fraction:
        """Of overdue principal, and of unpaid due interest for compound."""
        return self.daily_rate * Fraction(self.penalty_multiplier)

    @cached_property
    def fee_rate(self) -> Fraction:
        """Of prepaid principal."""
        return Fraction(self.prepayment_fee_rate)
