"""What is wrong with a product's terms, or with what one loan wants of its own: each field, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from google.type import decimal_pb2

from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import to_date, to_decimal, yuan
from tael_runtime.errors import InvalidFields
from tael_servicing import caps
from tael_servicing.arithmetic.schedules import Schedule, build_schedule
from tael_servicing.arithmetic.terms import Frequency, Method, Terms, Unit
from tael_servicing.caps import Limit
from tael_servicing.terms import PARTS, frequency_of, loan_terms

RATE_PLACES = 6
PENALTY = (Decimal("1.3"), Decimal("1.5"))
"""Penalty rate over contract rate: 30 % to 50 % more (银发〔2003〕251号 §3)."""
PENALTY_RATE = (Decimal("0.000001"), Decimal("0.24"))
"""A penalty rate of its own, a year: a court may cut what is above 24 % (法发〔2017〕22号 §2)."""
MISUSE = (Decimal("1.5"), Decimal("2.0"))
"""Of funds used for another purpose: 50 % to 100 % more."""
LARGEST_PREPAYMENT_FEE = Decimal("0.1")
LATEST_FIRST_DUE = timedelta(days=5 * 366)
"""A loan that waits longer for its first due date was meant to have another."""
OPEN_BY_DEFAULT = (pb.LOAN_CHOICE_REPAY_DAY, pb.LOAN_CHOICE_FIRST_DUE_DATE)

RATES = {"annual_rate", "floating_rate", "floating_rate.spread_bp", "cost_cap"}
"""Fields without which no cost is found."""

Violation = tuple[str, str]
WITH_LEVEL = (pb.REPAYMENT_METHOD_EQUAL_INSTALMENT,)
WITH_PARTS = (pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL, pb.REPAYMENT_METHOD_FLAT)


@dataclass(frozen=True)
class Setting:
    """Where a product is published: what its terms are held against."""

    currency_code: str
    effective_from: date
    floating: Decimal | None
    """The rate a floating product has on that day; None where no loan prime rate is known."""
    limits: tuple[Limit, ...]
    """Caps in force on that day."""


def check_terms(terms: pb.ProductTerms, setting: Setting) -> None:
    """Raises InvalidFields with every term no product can have, and what would be right."""
    found = list(_problems(terms, setting))
    if not RATES & {field for field, _ in found}:
        found += _built(terms, setting, quiet=bool(found))
    if found:
        raise InvalidFields([(f"terms.{field}", why) for field, why in found])


def _problems(terms: pb.ProductTerms, setting: Setting) -> Iterator[Violation]:
    yield from _rate(terms, setting)
    yield from _ranges(terms, setting)
    yield from _overdue(terms)
    yield from _fees(terms)
    yield from _schedule(terms)
    yield from _dates(terms)
    yield from _interest(terms)
    yield from _orders(terms)
    yield from _choices(terms)


def rate_problem(value: decimal_pb2.Decimal, low: Decimal, high: Decimal) -> str | None:
    """What is wrong with a rate; None where nothing is."""
    try:
        number = to_decimal(value)
    except ValueError as error:
        return str(error)
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -RATE_PLACES:
        return f"has more than {RATE_PLACES} decimal places"
    return None if low <= number <= high else f"is {number}; {low} to {high} is right"


def _optional(
    field: str, value: decimal_pb2.Decimal, low: Decimal, high: Decimal
) -> Iterator[Violation]:
    if value.value and (problem := rate_problem(value, low, high)):
        yield field, problem


def _rate(terms: pb.ProductTerms, setting: Setting) -> Iterator[Violation]:
    floats = terms.HasField("floating_rate")
    yield from _optional("cost_cap", terms.cost_cap, Decimal("0.000001"), Decimal(1))
    if floats and terms.annual_rate.value:
        yield "annual_rate", "is left out where the rate floats"
    elif floats:
        if terms.method == pb.REPAYMENT_METHOD_FLAT:
            yield "floating_rate", "a flat rate does not float"
        if setting.floating is None:
            yield "floating_rate", f"no loan prime rate is known of {setting.effective_from}"
        elif problem := _above(setting.floating, setting):
            yield "floating_rate.spread_bp", f"makes the rate {setting.floating}; it {problem}"
    elif not terms.annual_rate.value:
        yield "annual_rate", "is required"
    else:
        problem = rate_problem(terms.annual_rate, Decimal(0), Decimal(1))
        problem = problem or _above(to_decimal(terms.annual_rate), setting)
        if problem:
            yield "annual_rate", problem


def _above(rate: Decimal, setting: Setting) -> str | None:
    if rate < 0:
        return "is below zero"
    limit = caps.tightest(setting.limits)
    if rate <= limit.rate:
        return None
    source = f" ({limit.source})" if limit.source else ""
    return f"is above the cost cap of {limit.rate.normalize():f}{source}"


def _ranges(terms: pb.ProductTerms, setting: Setting) -> Iterator[Violation]:
    if terms.min_periods > terms.max_periods:
        yield "max_periods", "is less than min_periods"
    if terms.min_principal > terms.max_principal:
        yield "max_principal", "is less than min_principal"
    if terms.currency_code not in ("", setting.currency_code):
        yield "currency_code", f"is not the book's, {setting.currency_code}"


def _overdue(terms: pb.ProductTerms) -> Iterator[Violation]:
    if terms.overdue.mode in (pb.OVERDUE_MODE_UNSPECIFIED, pb.OVERDUE_MODE_PENALTY):
        yield from _penalty(terms)
    else:
        yield from _no_penalty(terms)
    if terms.overdue.after_maturity and terms.overdue.mode != pb.OVERDUE_MODE_CONTRACT:
        yield "overdue.after_maturity", "holds only where the overdue mode is CONTRACT"
    non_accrual = terms.non_accrual
    if non_accrual.never and non_accrual.HasField("dpd"):
        yield "non_accrual.dpd", "is left out where it is never"
    elif non_accrual.HasField("dpd") and non_accrual.dpd < terms.grace_days:
        yield "non_accrual.dpd", f"is less than the {terms.grace_days} days of grace"


def _penalty(terms: pb.ProductTerms) -> Iterator[Violation]:
    multiplier, own = terms.penalty_multiplier, terms.overdue.penalty_rate
    if not (multiplier.value or own.value):
        yield "penalty_multiplier", "is required, or overdue.penalty_rate"
    if multiplier.value and own.value:
        yield "overdue.penalty_rate", "takes the place of penalty_multiplier; give one of them"
    yield from _optional("penalty_multiplier", multiplier, *PENALTY)
    yield from _optional("overdue.penalty_rate", own, *PENALTY_RATE)
    yield from _optional("overdue.misuse_multiplier", terms.overdue.misuse_multiplier, *MISUSE)


def _no_penalty(terms: pb.ProductTerms) -> Iterator[Violation]:
    given = {
        "penalty_multiplier": terms.penalty_multiplier.value,
        "overdue.penalty_rate": terms.overdue.penalty_rate.value,
        "overdue.misuse_multiplier": terms.overdue.misuse_multiplier.value,
        "overdue.grace": terms.overdue.grace == pb.GRACE_MODE_FROM_END,
    }
    for field, said in given.items():
        if said:
            yield field, "holds only where the overdue mode is PENALTY"
    if terms.compound_enabled and terms.overdue.mode == pb.OVERDUE_MODE_NOTHING:
        yield "compound_enabled", "is charged at the rate of what is overdue, which bears none"


def _fees(terms: pb.ProductTerms) -> Iterator[Violation]:
    yield from _optional(
        "prepayment_fee_rate", terms.prepayment_fee_rate, Decimal(0), LARGEST_PREPAYMENT_FEE
    )
    names: set[str] = set()
    for index, fee in enumerate(terms.fees):
        at = f"fees[{index}]"
        yield from _optional(f"{at}.rate", fee.rate, Decimal(0), Decimal(1))
        if not fee.amount and not fee.rate.value:
            yield at, "has neither an amount nor a rate"
        if not fee.disclosed:
            yield f"{at}.disclosed", "what the cost table does not show may not be charged"
        if fee.name in names:
            yield f"{at}.name", f"{fee.name!r} is the name of another fee"
        names.add(fee.name)
        if fee.until_month and fee.at != pb.FEE_AT_PREPAYMENT:
            yield f"{at}.until_month", "holds only for a prepayment fee"
        if fee.at in (pb.FEE_AT_DISBURSEMENT, pb.FEE_AT_PREPAYMENT) and fee.on not in (
            pb.FEE_ON_UNSPECIFIED,
            pb.FEE_ON_PRINCIPAL,
        ):
            yield f"{at}.on", "is PRINCIPAL for a fee on what is lent or prepaid"
        if fee.penalty and fee.at != pb.FEE_AT_LATE:
            yield f"{at}.penalty", "is a late fee's: only what is not paid in time is penalised"
        if fee.at == pb.FEE_AT_LATE and fee.on == pb.FEE_ON_BALANCE:
            yield (
                f"{at}.on",
                "a late fee is on what is unpaid of the instalment, not on the balance",
            )


def _schedule(terms: pb.ProductTerms) -> Iterator[Violation]:
    given, method = terms.schedule, terms.method
    level, parts = method in WITH_LEVEL, method in WITH_PARTS
    bullet = method == pb.REPAYMENT_METHOD_BULLET
    no_level = "the method has no level instalment"
    equal = terms.first_period == pb.FIRST_PERIOD_EQUAL
    rules = (
        (given.even_out and not level, "schedule.even_out", no_level),
        (given.instalment and not level, "schedule.instalment", no_level),
        (given.instalment_basis and not level, "schedule.instalment_basis", no_level),
        (equal and not level, "first_period", f"EQUAL is for equal instalments; {no_level}"),
        (
            given.instalment and given.even_out,
            "schedule.even_out",
            "moves the instalment, which is given",
        ),
        (
            given.instalment and given.instalment_basis,
            "schedule.instalment_basis",
            "finds the instalment, which is given",
        ),
        (given.instalment and equal, "first_period", "EQUAL finds the instalment, which is given"),
        (
            equal and given.instalment_basis not in (0, pb.INSTALMENT_BASIS_PERIODS),
            "schedule.instalment_basis",
            "is PERIODS where the first period is EQUAL",
        ),
        (
            given.multiple > 1 and not (level or parts),
            "schedule.multiple",
            "the method has no equal part",
        ),
        (
            given.principal_rounding and not parts,
            "schedule.principal_rounding",
            "the method has no equal principal",
        ),
        (given.instalment_rounding and not level, "schedule.instalment_rounding", no_level),
        (
            given.instalment and given.instalment_rounding,
            "schedule.instalment_rounding",
            "is of an instalment that is found; this one is given",
        ),
        (
            given.residue == pb.RESIDUE_LAST_INTEREST and not level,
            "schedule.residue",
            f"LAST_INTEREST: {no_level}",
        ),
        (
            given.residue == pb.RESIDUE_LAST_INTEREST and given.even_out,
            "schedule.even_out",
            "the last instalment differs from none where the residue is LAST_INTEREST",
        ),
        (
            given.residue == pb.RESIDUE_FIRST and not parts,
            "schedule.residue",
            "FIRST: the method has no equal principal",
        ),
        (
            given.grace_principal and not (level or parts),
            "schedule.grace_principal",
            "the method repays no principal before the end",
        ),
        (
            given.balloon.value and not (level or parts),
            "schedule.balloon",
            "the method repays no principal before the end",
        ),
        (
            given.balloon.value and given.residue == pb.RESIDUE_FIRST,
            "schedule.residue",
            "FIRST is of equal parts; the balloon makes the last one larger",
        ),
        (given.grace_interest and bullet, "schedule.grace_interest", "the method has one payment"),
        (bullet and terms.first_period > 1, "first_period", "the method has one period"),
    )
    yield from ((field, why) for broken, field, why in rules if broken)
    for field in ("grace_principal", "grace_interest"):
        if getattr(given, field) >= max(terms.min_periods, 1):
            yield f"schedule.{field}", f"is not less than min_periods, {terms.min_periods}"
    yield from _optional("schedule.down_payment", given.down_payment, Decimal(0), Decimal("0.99"))
    yield from _optional("schedule.balloon", given.balloon, Decimal(0), Decimal("0.99"))


def _dates(terms: pb.ProductTerms) -> Iterator[Violation]:
    given = terms.schedule
    frequency = frequency_of(given.frequency)
    months, half = frequency.unit is Unit.MONTH, frequency.unit is Unit.HALF_MONTH
    shifted = given.holiday_shift not in (pb.HOLIDAY_SHIFT_UNSPECIFIED, pb.HOLIDAY_SHIFT_NONE)
    rolls = given.month_end == pb.MONTH_END_ROLL
    if frequency.days and not half:
        yield "schedule.frequency.days", "are those of half months"
    elif frequency.days and (len(frequency.days) != 2 or frequency.days[0] == frequency.days[1]):
        yield "schedule.frequency.days", "are two different days of a month"
    if given.repay_day and not (months or half):
        yield "schedule.repay_day", "periods of days or weeks have no day of the month"
    if not _on_due_day(frequency, given.repay_day):
        yield "schedule.repay_day", "is one of the frequency's days"
    if rolls and not months:
        yield "schedule.month_end", "ROLL is for periods of whole months"
    if rolls and shifted:
        yield "schedule.month_end", "ROLL and a holiday shift would move a due date twice"
    if terms.first_period == pb.FIRST_PERIOD_FULL_MONTH and not (months or half):
        yield "first_period", "FULL_MONTH: periods of days or weeks bear their days"
    if terms.cost_method == pb.COST_METHOD_MONTHLY_IRR and not months:
        yield (
            "cost_method",
            "MONTHLY_IRR counts months; UNIT_PERIOD or XIRR is right for other periods",
        )


def _on_due_day(frequency: Frequency, repay_day: int) -> bool:
    return not (repay_day and frequency.days) or repay_day in frequency.days


def _interest(terms: pb.ProductTerms) -> Iterator[Violation]:
    given = terms.interest
    real = given.basis == pb.INTEREST_BASIS_REAL_DAYS
    flat = terms.method == pb.REPAYMENT_METHOD_FLAT
    if given.rate_places and real:
        yield "interest.rate_places", "rounds the rate of a nominal period; the basis is REAL_DAYS"
    if given.partial_period == pb.PARTIAL_PERIOD_PRO_RATA and real:
        yield "interest.partial_period", "is a part of a nominal period; the basis is REAL_DAYS"
    on_what_is_paid = (pb.INTEREST_ON_ACTUAL, pb.INTEREST_ON_PERIOD)
    if given.interest_on in on_what_is_paid and flat:
        yield "interest.interest_on", "a flat rate is on what was lent, not on the balance"
    whole = terms.repayment.excess == pb.EXCESS_RULE_INSTALMENTS
    if whole and given.interest_on != pb.INTEREST_ON_ACTUAL:
        yield (
            "repayment.excess",
            "INSTALMENTS saves interest from its day on: interest is on ACTUAL",
        )
    if whole and terms.schedule.grace_interest:
        yield "repayment.excess", "INSTALMENTS pays interest to date, which grace does not ask yet"
    if given.cumulative and terms.overdue.mode == pb.OVERDUE_MODE_CONTRACT:
        yield "interest.cumulative", "needs a plan that stands; CONTRACT makes it anew when late"
    if given.interest_free_periods > terms.max_periods:
        yield "interest.interest_free_periods", f"is more than max_periods, {terms.max_periods}"


def _orders(terms: pb.ProductTerms) -> Iterator[Violation]:
    for field in ("order", "order_non_accrual"):
        given = list(getattr(terms.repayment, field))
        if given and sorted(given) != sorted(PARTS):
            yield f"repayment.{field}", "must name principal, interest, penalty, compound, fee once"


def _choices(terms: pb.ProductTerms) -> Iterator[Violation]:
    given = terms.choices
    for index, periods in enumerate(given.periods):
        if not terms.min_periods <= periods <= terms.max_periods:
            yield (
                f"choices.periods[{index}]",
                f"lies outside {terms.min_periods} to {terms.max_periods}",
            )
    chooses = pb.LOAN_CHOICE_FREQUENCY in given.allowed
    if chooses != bool(given.frequencies):
        yield "choices.frequencies", "are given where FREQUENCY is allowed, and only there"
    level = terms.method in WITH_LEVEL
    if pb.LOAN_CHOICE_INSTALMENT in given.allowed and not level:
        yield "choices.allowed", "INSTALMENT: the method has no level instalment"
    if pb.LOAN_CHOICE_PARTS in given.allowed:
        yield from _parts(terms)
    if given.principal_step and terms.min_principal % given.principal_step:
        yield "choices.principal_step", f"does not divide min_principal, {terms.min_principal}"


def _parts(terms: pb.ProductTerms) -> Iterator[Violation]:
    """What a product says of equal parts has no meaning where each loan brings its own."""
    given, field = terms.schedule, "choices.allowed"
    if terms.method not in (*WITH_LEVEL, *WITH_PARTS):
        yield field, "PARTS: the method has no equal part"
    says = {
        "an instalment": given.instalment > 0,
        "evening out": given.even_out,
        "a balloon": bool(given.balloon.value),
        "residue FIRST": given.residue == pb.RESIDUE_FIRST,
    }
    if any(says.values()):
        found = ", ".join(name for name, holds in says.items() if holds)
        yield field, f"PARTS are as each loan brings them; the schedule has {found}"


def _built(terms: pb.ProductTerms, setting: Setting, *, quiet: bool) -> Iterator[Violation]:
    """Loans at the corners of what is lent: each can be, is repaid, and costs no more than it may.

    `quiet`: why a loan cannot be is told already.
    """
    rate = setting.floating if setting.floating is not None else to_decimal(terms.annual_rate)
    field = "fees" if terms.fees else "annual_rate"
    for principal in sorted({terms.max_principal, terms.min_principal}, reverse=True):
        for periods in sorted({terms.min_periods, terms.max_periods}):
            loan = f"a loan of {yuan(principal)} over {periods} instalments"
            try:
                problem = _corner(terms, setting, rate, principal, periods)
            except ValueError as error:
                if not quiet:
                    yield "fees" if terms.fees else "schedule", f"{loan}: {error}"
                return
            if problem:
                yield field, f"{loan} {problem}"
                return
    if terms.schedule.instalment:
        made = loan_terms(terms, terms.max_periods, rate)
        if not repays(made, build_schedule(made, terms.min_principal, setting.effective_from)):
            least = yuan(terms.min_principal)
            yield "schedule.instalment", f"never repays: it does not cover the interest of {least}"


def _corner(
    terms: pb.ProductTerms, setting: Setting, rate: Decimal, principal: int, periods: int
) -> str | None:
    made = loan_terms(terms, periods, rate)
    cost, exceeded = caps.cost_of(
        made, principal, setting.effective_from, caps.method_of(terms), setting.limits
    )
    return caps.text_of(cost, exceeded) if exceeded else None


def repays(terms: Terms, schedule: Schedule) -> bool:
    """Whether any instalment before the last repays something, where the method has equal parts.

    A long first period may take a whole instalment for its interest.
    """
    if terms.method in (Method.BULLET, Method.INTEREST_ONLY):
        return True
    paying = [row for row in schedule.instalments[:-1] if row.number > terms.grace_principal]
    return not paying or any(row.principal for row in paying)


def check_loan(
    terms: pb.ProductTerms,
    principal: int,
    periods: int,
    choices: pb.LoanChoices,
    start: date,
) -> None:
    """Raises InvalidFields with everything a loan wants that its product does not lend."""
    found = list(_wanted(terms, principal, periods, choices, start))
    if found:
        raise InvalidFields(found)


def _wanted(
    terms: pb.ProductTerms, principal: int, periods: int, choices: pb.LoanChoices, start: date
) -> Iterator[Violation]:
    step = terms.choices.principal_step or 1
    if not terms.min_principal <= principal <= terms.max_principal:
        yield (
            "principal.minor_units",
            f"the product lends {terms.min_principal} to {terms.max_principal}",
        )
    elif principal % step:
        yield "principal.minor_units", f"the product lends multiples of {step}"
    allowed = list(terms.choices.periods)
    if not terms.min_periods <= periods <= terms.max_periods:
        yield "periods", f"the product lends over {terms.min_periods} to {terms.max_periods}"
    elif allowed and periods not in allowed:
        yield "periods", f"the product lends over {', '.join(map(str, sorted(allowed)))}"
    yield from _chosen(terms, choices, start)
    if choices.parts and len(choices.parts) != periods - 1:
        yield (
            "choices.parts",
            f"are {len(choices.parts)}; one for each period but the last is right",
        )


def _chosen(terms: pb.ProductTerms, choices: pb.LoanChoices, start: date) -> Iterator[Violation]:
    may = list(terms.choices.allowed) if terms.HasField("choices") else OPEN_BY_DEFAULT
    wants = (
        ("repay_day", pb.LOAN_CHOICE_REPAY_DAY, choices.repay_day),
        ("first_due_date", pb.LOAN_CHOICE_FIRST_DUE_DATE, choices.HasField("first_due_date")),
        ("instalment", pb.LOAN_CHOICE_INSTALMENT, choices.instalment),
        ("down_payment", pb.LOAN_CHOICE_DOWN_PAYMENT, choices.HasField("down_payment")),
        ("frequency", pb.LOAN_CHOICE_FREQUENCY, choices.HasField("frequency")),
        ("parts", pb.LOAN_CHOICE_PARTS, bool(choices.parts)),
    )
    for field, choice, wanted in wants:
        if wanted and choice not in may:
            yield f"choices.{field}", "the product does not leave it to the loan"
    if choices.HasField("frequency") and pb.LOAN_CHOICE_FREQUENCY in may:
        offered = [frequency_of(each) for each in terms.choices.frequencies]
        if frequency_of(choices.frequency) not in offered:
            yield "choices.frequency", "is none of those the product offers"
    own = choices.frequency if choices.HasField("frequency") else terms.schedule.frequency
    if not _on_due_day(frequency_of(own), choices.repay_day or terms.schedule.repay_day):
        yield "choices.repay_day", "is one of the frequency's days"
    yield from _optional("choices.down_payment", choices.down_payment, Decimal(0), Decimal("0.99"))
    if choices.HasField("first_due_date"):
        try:
            first = to_date(choices.first_due_date)
        except ValueError as error:
            yield "choices.first_due_date", f"is no calendar date: {error}"
            return
        if not timedelta(0) < first - start <= LATEST_FIRST_DUE:
            most = LATEST_FIRST_DUE.days
            why = f"is {first}; 1 to {most} days after the disbursement, {start}, is right"
            yield "choices.first_due_date", why
