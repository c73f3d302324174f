"""The terms a loan was born with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from functools import cached_property

from tael_servicing.arithmetic.rounding import Rounding


class Method(Enum):
    """How principal and interest are spread."""

    EQUAL_INSTALMENT = "等额本息"
    EQUAL_PRINCIPAL = "等额本金"
    BULLET = "利随本清, and each drawdown of 随借随还"
    INTEREST_ONLY = "分期付息到期还本"
    FLAT = "interest on what was lent less what was prepaid, principal in equal parts; taken over"


class Unit(Enum):
    """What a frequency counts."""

    DAY = "days"
    WEEK = "weeks"
    HALF_MONTH = "half months: two due days in each month"
    MONTH = "months"

    @property
    def days(self) -> int:
        """As one of them is counted where it is no whole number of months."""
        return {Unit.DAY: 1, Unit.WEEK: 7, Unit.HALF_MONTH: 15, Unit.MONTH: 30}[self]

    @property
    def a_year(self) -> int:
        """How many are a year by name."""
        return {Unit.DAY: 365, Unit.WEEK: 52, Unit.HALF_MONTH: 24, Unit.MONTH: 12}[self]


@dataclass(frozen=True)
class Frequency:
    """The length of an interest period: 3 months is a quarter, 15 days are 15 days."""

    unit: Unit = Unit.MONTH
    every: int = 1
    days: tuple[int, ...] = ()
    """Of half months, the two due days (1–31), the lower one first: (1, 15); where not given, the repay
    day and the one 15 days from it."""

    @cached_property
    def by_name(self) -> bool:
        """Its periods are parts of a year by name, whatever their days: months and half months."""
        return self.unit in (Unit.MONTH, Unit.HALF_MONTH)


class DayCount(Enum):
    """How much of a year lies between two days; the first day counts, the last not (算头不算尾)."""

    THIRTY_360 = "months of 30 days, years of 360 (bond basis)"
    THIRTY_E_360 = "months of 30 days, a 31st being a 30th at either end, years of 360"
    THIRTY_365 = "months of 30 days, years of 365"
    ACT_360 = "actual days over 360"
    ACT_364 = "actual days over 364, which is 52 weeks"
    ACT_365 = "actual days over 365, in leap years too"
    ACT_366 = "actual days over 366, in all years"
    ACT_365_ACTUAL = "actual days over 366 where a 29 February is among them, else over 365"
    ACT_ACT = "actual days over the days of the year in which each night ends"
    ACT_ACT_ISDA = "actual days over the days of the year in which each night begins"

    @property
    def year(self) -> int:
        """Days of its year; of one whose years differ, 365."""
        found = self.name.rpartition("_")[2]
        return int(found) if found.isdigit() else 365


class Basis(Enum):
    """What a whole period bears."""

    NOMINAL = "its part of the year by name: a month rate/12 whatever its length"
    REAL_DAYS = "its days by the day count"


class Partial(Enum):
    """What a part of a nominal period bears."""

    BY_DAYS = "its days by the day count"
    PRO_RATA = "its days' share of what the period bears"


class Annuity(Enum):
    """The rate of a period by which the level instalment is found."""

    NOMINAL = "rate/12 a month"
    THIRTY_DAYS = "30 days a month by the day count's year"
    PERIODS = "what each period really bears"


class InterestOn(Enum):
    """Which balance bears interest."""

    SCHEDULED = "the schedule's, until it is changed"
    ACTUAL = "the actual one, day by day: paid early bears less, paid late bears more"
    PERIOD = "the actual one at the period's beginning: what is paid within it tells in the next"


class Residue(Enum):
    """Where what rounding leaves goes."""

    LAST_PRINCIPAL = "the last row takes the principal that is left, and its own interest"
    LAST_INTEREST = "the last row is as large as the others: its interest takes the difference"
    FIRST = "the first row takes what the equal parts leave"


class FirstPeriod(Enum):
    """Interest of a first period that is not whole."""

    ODD_DAYS = "by its days, principal as in a whole period"
    FULL_MONTH = "a whole period's"
    EQUAL = "by its days, all instalments equal"


class Maturity(Enum):
    """Where the last period ends."""

    ALIGN = "on the repay day"
    EXACT = "the term after disbursement; the last period is odd"


class MonthEnd(Enum):
    """A due day that a month does not have."""

    CLAMP = "the month's last day"
    ROLL = "the first of the next month"


class Shift(Enum):
    """A due date on a day that is no working day."""

    NONE = "stays"
    FOLLOWING = "moves to the next working day, and its interest days with it"
    MODIFIED_FOLLOWING = "the same, but back rather than into the next month"


class Overdue(Enum):
    """What principal bears that is not paid when due."""

    PENALTY = "penalty interest (罚息) instead of contract interest"
    CONTRACT = "contract interest as before; no penalty"
    NOTHING = "nothing"


class Grace(Enum):
    """Penalty of the days of grace where they were not kept."""

    RETROACTIVE = "from the due date"
    FROM_END = "from the end of grace"


class ClaimInterest(Enum):
    """Which interest the claim on a written-off loan has."""

    TO_DATE = "what was earned by the day of the write-off"
    WHOLE = "all that the schedule asks"


class Keep(Enum):
    """What a partial prepayment leaves as it is. Kept in the store by these values."""

    TERM = "TERM"  # the same number of instalments, each smaller
    INSTALMENT = "INSTALMENT"  # the same instalment, fewer of them
    SCHEDULE = "SCHEDULE"  # the instalments that come next are paid in advance


class Excess(Enum):
    """What becomes of money beyond what is due. Kept in the store by these values."""

    PARK = "PARK"  # held for the customer until something is due (溢缴款)
    PRINCIPAL = "PRINCIPAL"  # principal at once; the rest of the schedule by the prepayment rule
    NEXT = "NEXT"  # principal of the instalments that come next, in their order
    LAST = "LAST"  # principal of the last instalments, from the end
    SPREAD = "SPREAD"  # principal of all instalments to come in equal parts, cents in the last
    INSTALMENTS = "INSTALMENTS"  # the instalments that come next, each whole, with interest to date


class EarlyInterest(Enum):
    """Which interest a partial prepayment pays."""

    ON_REPAID = "to date on the principal prepaid; the rest stays accrued (INTEREST_ON_REPAID)"
    ALL = "all that has accrued to date (CLEAR_INTEREST)"


class Until(Enum):
    """To when interest is paid where an instalment, or the loan, is paid before its due date."""

    PAYMENT = "to the day of payment"
    DUE_DATE = "the whole period's"


class NonAccrual(Enum):
    """What becomes of income recognised and not collected when a loan is impaired."""

    REVERSAL = "it is taken back, its claim is memo (金融企业会计制度, 2001)"
    STAGE3_NET = "it stays; interest is the effective rate's on amortised cost (CAS 22 §39)"


class Part(IntEnum):
    """What a payment can pay of an instalment; an index of lists of amounts."""

    PRINCIPAL = 0  # 本金
    INTEREST = 1  # 利息
    PENALTY = 2  # 罚息
    COMPOUND = 3  # 复利
    FEE = 4  # 费用


class Sweep(Enum):
    """Which way a payment walks over instalments and parts."""

    HORIZONTAL = "finish one instalment, then the next"
    VERTICAL = "one part of all instalments, then the next part"


class FeeAt(Enum):
    """When a fee falls due."""

    DISBURSEMENT = "when the loan is paid out, beside it"
    INSTALMENT = "with each instalment"
    LATE = "once an instalment, when its grace ends unpaid"
    PREPAYMENT = "when principal is prepaid"


class FeeOn(Enum):
    """What a fee's rate is taken of."""

    PRINCIPAL = (
        "what was lent less what was prepaid; of a late fee, the instalment's unpaid principal"
    )
    BALANCE = "principal outstanding when the period begins; of a prepayment, what is prepaid"
    INSTALMENT = "principal and interest of the instalment; of a late fee, what is unpaid of them"
    INTEREST = "interest of the instalment; of a late fee, what is unpaid of it"


@dataclass(frozen=True)
class Fee:
    """A fee: an amount, a rate of something, or both together."""

    name: str
    at: FeeAt
    amount: int = 0
    """Minor units."""
    rate: Decimal = Decimal(0)
    """0.01 = 1 %."""
    on: FeeOn = FeeOn.PRINCIPAL
    until_month: int = 0
    """Of a prepayment fee: nothing from so many months after disbursement on; 0 = always charged."""
    charged_by: str = ""
    """Whom it is paid to; the lender where empty."""
    penalty: bool = False
    """Of a late fee: a penalty charged once (违约金), and paid and shown as one."""


ACCRUAL_ORDER = (Part.FEE, Part.COMPOUND, Part.PENALTY, Part.INTEREST, Part.PRINCIPAL)
NONACCRUAL_ORDER = (Part.PRINCIPAL, Part.INTEREST, Part.FEE, Part.PENALTY, Part.COMPOUND)
NEVER = 1 << 20
"""Days past due that no loan reaches."""


@dataclass(frozen=True)
class Terms:
    """A product version as one loan took it; rates are annual and exact, 0.12 = 12 %.

    Raises ValueError for terms no loan can have; a product's own limits are checked where it is
    published.
    """

    method: Method
    periods: int
    annual_rate: Decimal
    frequency: Frequency = Frequency()
    day_count: DayCount = DayCount.ACT_360
    basis: Basis = Basis.NOMINAL
    partial: Partial = Partial.BY_DAYS
    rate_places: int = 0
    """Decimal places to which a nominal period's rate is rounded, half up; 0 = exact."""
    interest_on: InterestOn = InterestOn.SCHEDULED
    cumulative_interest: bool = False
    """Period interest is the difference of rounded sums, not rounded alone."""

    annuity: Annuity | None = None
    """Where not given: NOMINAL for a nominal basis, PERIODS for real days."""
    instalment: int = 0
    """The level instalment as agreed, minor units; 0 = found from the annuity."""
    parts: tuple[int, ...] = ()
    """The equal part of each period but the last as agreed, minor units, where they are unlike."""
    balloon: Decimal = Decimal(0)
    """Share of what was lent, less what was prepaid, that the last row repays on top (尾款)."""
    multiple: int = 1
    """Minor units of which the equal part (instalment or principal) is a multiple; 100 = whole yuan."""
    principal_rounding: Rounding = Rounding.DOWN
    """Of equal principal parts."""
    instalment_rounding: Rounding | None = None
    """Of the level instalment where it is found; as `rounding` where not given."""
    even_out: bool = False
    """The level instalment moves once by its share of what the last one differs, if that helps."""
    residue: Residue = Residue.LAST_PRINCIPAL
    rounding: Rounding = Rounding.HALF_UP

    grace_principal: int = 0
    """Periods at the start that repay no principal."""
    grace_interest: int = 0
    """Periods at the start whose interest falls due with the first one after them."""
    interest_free_periods: int = 0
    interest_free_days: int = 0
    down_payment: Decimal = Decimal(0)
    """Share of each disbursement that is due on its own day, without interest."""

    repay_day: int = 0
    """1–31; 0 is the day of disbursement."""
    first_due: date | None = None
    """The first due date as agreed; where given, the rest follows from it."""
    min_first_days: int = 15
    first_period: FirstPeriod = FirstPeriod.ODD_DAYS
    maturity: Maturity = Maturity.ALIGN
    month_end: MonthEnd = MonthEnd.CLAMP
    shift: Shift = Shift.NONE
    holidays: frozenset[date] = frozenset()
    """Days on which nothing falls due, where due dates shift."""

    overdue: Overdue = Overdue.PENALTY
    after_maturity: bool = False
    """Contract interest on what is overdue goes on once all is due; else it ends there."""
    penalty_multiplier: Decimal = Decimal("1.5")
    penalty_rate: Decimal = Decimal(0)
    """An annual one in place of the multiplier; 0 = none."""
    misuse_multiplier: Decimal = Decimal(0)
    """In place of either, where funds were misused and it is the heavier; 0 = not charged."""
    compound_enabled: bool = False
    grace_days: int = 0
    grace: Grace = Grace.RETROACTIVE
    fees: tuple[Fee, ...] = ()

    repay_order: tuple[Part, ...] = ACCRUAL_ORDER
    repay_sweep: Sweep = Sweep.HORIZONTAL
    repay_order_nonaccrual: tuple[Part, ...] = NONACCRUAL_ORDER
    """Of the claim on a loan that is written off too."""
    excess: Excess = Excess.PARK
    direct_debit: bool = True
    """What is due is asked of the bound card; else the customer pays of their own accord."""
    prepayment: Keep = Keep.TERM
    early_interest: EarlyInterest = EarlyInterest.ON_REPAID
    interest_until: Until = Until.PAYMENT

    nonaccrual: NonAccrual = NonAccrual.REVERSAL
    nonaccrual_dpd: int = 90
    """Days past due above which interest goes off balance."""
    cure_periods: int = 2
    """Instalments paid when due, after the arrears are paid, before interest is income again."""
    vat_rate: Decimal = Decimal(0)
    """Output VAT that prices include and that is split off: 0.06; 0 = none."""
    write_off_performing: bool = False
    """A loan that still accrues may be written off too."""
    claim_interest: ClaimInterest = ClaimInterest.TO_DATE

    def __post_init__(self) -> None:
        rules = (
            (self.periods >= 1, "periods is at least 1"),
            (self.annual_rate >= 0, "annual_rate is at least 0"),
            (self.frequency.every >= 1, "frequency counts at least 1"),
            (
                not (days := self.frequency.days)
                or (len(days) == 2 and 0 < days[0] < days[1] < 32),
                "frequency's days are two of a month, 1–31, the lower one first",
            ),
            (
                not days or self.repay_day in (0, *days),
                "repay_day is one of the frequency's days, where they are given",
            ),
            (0 <= self.repay_day <= 31, "repay_day is 1–31, or 0 for the day of disbursement"),
            (
                min(self.penalty_multiplier, self.penalty_rate) >= 0,
                "penalty_multiplier is at least 0, and so is penalty_rate",
            ),
            (self.grace_days >= 0, "grace_days is at least 0"),
            (self.multiple >= 1, "multiple is at least 1"),
            (0 <= self.down_payment < 1, "down_payment is a share below 1"),
            (0 <= self.balloon < 1, "balloon is a share below 1"),
            (
                len(self.parts) in (0, self.periods - 1) and min(self.parts, default=0) >= 0,
                f"parts are those of each period but the last, {self.periods - 1}, none below 0",
            ),
            (
                not (self.parts and (self.instalment or self.balloon or self.even_out)),
                "parts are as agreed: no instalment, balloon or evening out beside them",
            ),
            (
                self.residue is not Residue.FIRST or not (self.parts or self.balloon),
                "residue FIRST is of equal parts: no parts as agreed, no balloon",
            ),
            (
                max(self.grace_principal, self.grace_interest) < self.periods,
                "grace on principal or interest leaves at least one period",
            ),
            (
                not (self.cumulative_interest and self.overdue is Overdue.CONTRACT),
                "cumulative_interest needs a plan that stands: not with overdue CONTRACT",
            ),
            (
                self.excess is not Excess.INSTALMENTS or self.asks_by_day,
                "excess INSTALMENTS pays interest to date: on ACTUAL, not flat, no grace_interest",
            ),
            (set(self.repay_order) == set(Part), "repay_order names every part once"),
            (set(self.repay_order_nonaccrual) == set(Part), "repay_order_nonaccrual likewise"),
        )
        broken = [rule for holds, rule in rules if not holds]
        if broken:
            raise ValueError("; ".join(broken))

    @cached_property
    def asks_by_day(self) -> bool:
        """Every instalment asks the interest that its balance has borne by the day."""
        actual = self.interest_on is InterestOn.ACTUAL and self.method is not Method.FLAT
        return actual and not self.grace_interest

    @cached_property
    def level_by(self) -> Annuity:
        """The rate by which the level instalment is found: what each period really bears where it has
        no rate by name, or the first one is to be as large as the others.
        """
        if not self.frequency.by_name or self.first_period is FirstPeriod.EQUAL:
            return Annuity.PERIODS
        real = self.basis is Basis.REAL_DAYS
        return self.annuity or (Annuity.PERIODS if real else Annuity.NOMINAL)

    @cached_property
    def by_name(self) -> bool:
        """Every whole period bears the same part of the year, whatever its length."""
        free = self.interest_free_periods or self.interest_free_days
        return self.basis is Basis.NOMINAL and self.frequency.by_name and not free

    @cached_property
    def on_what_is_paid(self) -> bool:
        """Interest follows what is really paid: principal paid early or late stays in its row."""
        return self.interest_on is not InterestOn.SCHEDULED

    @cached_property
    def on_what_was_lent(self) -> bool:
        """Rows ask something that is reckoned on what was lent, whatever is repaid of it."""
        fees = [
            fee for fee in self.fees if fee.at is FeeAt.INSTALMENT and fee.on is FeeOn.PRINCIPAL
        ]
        rated = any(fee.rate for fee in fees)
        return self.method is Method.FLAT or rated or self.balloon > 0

    @cached_property
    def late_fees(self) -> tuple[Fee, ...]:
        """Fees on what is not paid in time."""
        return tuple(fee for fee in self.fees if fee.at is FeeAt.LATE)

    @cached_property
    def prepayment_fees(self) -> tuple[Fee, ...]:
        """Fees on prepaid principal."""
        return tuple(fee for fee in self.fees if fee.at is FeeAt.PREPAYMENT)
