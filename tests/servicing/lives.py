"""Terms and lives of loans, drawn: whatever may happen to one, on whatever days."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Purchased, Reversed
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import Allowance, Loan
from tael_servicing.arithmetic.prepaying import current_amount
from tael_servicing.arithmetic.rounding import Rounding
from tael_servicing.arithmetic.terms import (
    ACCRUAL_ORDER,
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

START = date(2026, 1, 15)


class Weekends(frozenset[date]):
    """Every Saturday and Sunday."""

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and day.weekday() >= 5

    def __repr__(self) -> str:
        return "WEEKENDS"


WEEKENDS = Weekends()

RULES = (Excess.PARK, Excess.PRINCIPAL, Excess.NEXT, Excess.LAST, Excess.SPREAD)
"""What any product, and any payment, may say of what is more than due."""

first_dues = st.integers(1, 75).map(lambda days: START + timedelta(days=days))
"""Due dates of the first instalment, as agreed."""

any_fee = st.builds(
    Fee,
    name=st.just("fee"),
    at=st.sampled_from(FeeAt),
    amount=st.integers(0, 500),
    rate=st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.01")]),
    on=st.sampled_from(FeeOn),
    until_month=st.sampled_from([0, 3]),
    penalty=st.booleans(),
)


@st.composite
def any_terms(draw: st.DrawFn, most: int = 60) -> Terms:
    """Terms of every kind, of at most so many periods."""
    count = draw(st.integers(1, most))
    unit = draw(st.sampled_from(Unit))
    every = {
        Unit.DAY: st.integers(1, 40),
        Unit.WEEK: st.integers(1, 4),
        Unit.HALF_MONTH: st.integers(1, 2),
        Unit.MONTH: st.sampled_from([1, 1, 1, 2, 3, 12]),
    }[unit]
    overdue = draw(st.sampled_from(Overdue))
    method, interest_on = draw(st.sampled_from(Method)), draw(st.sampled_from(InterestOn))
    grace_interest = draw(st.integers(0, min(count - 1, 3)))
    by_day = interest_on is InterestOn.ACTUAL and method is not Method.FLAT
    whole = [Excess.INSTALMENTS] if by_day and not grace_interest else []
    parts = draw(st.lists(st.integers(0, 500_000), min_size=count - 1, max_size=count - 1))
    unlike = count > 1 and draw(st.sampled_from([False, False, True]))
    balloon = Decimal(0) if unlike else draw(st.sampled_from([Decimal(0), Decimal("0.3")]))
    residues = [each for each in Residue if each is not Residue.FIRST or not (unlike or balloon)]
    return Terms(
        method=method,
        periods=count,
        annual_rate=draw(st.decimals(0, Decimal("0.36"), places=6)),
        frequency=Frequency(unit, draw(every)),
        day_count=draw(st.sampled_from(DayCount)),
        basis=draw(st.sampled_from(Basis)),
        partial=draw(st.sampled_from(Partial)),
        rate_places=draw(st.sampled_from([0, 0, 6])),
        interest_on=interest_on,
        cumulative_interest=overdue is not Overdue.CONTRACT and draw(st.booleans()),
        after_maturity=overdue is Overdue.CONTRACT and draw(st.booleans()),
        annuity=draw(st.sampled_from([None, *Annuity])),
        instalment=0 if unlike else draw(st.sampled_from([0, 0, 0, 5_000, 90_000])),
        parts=tuple(parts) if unlike else (),
        balloon=balloon,
        multiple=draw(st.sampled_from([1, 1, 100])),
        principal_rounding=draw(st.sampled_from(Rounding)),
        even_out=not unlike and draw(st.booleans()),
        residue=draw(st.sampled_from(residues)),
        rounding=draw(st.sampled_from(Rounding)),
        instalment_rounding=draw(st.sampled_from([None, None, *Rounding])),
        grace_principal=draw(st.integers(0, min(count - 1, 3))),
        grace_interest=grace_interest,
        interest_free_periods=draw(st.integers(0, 2)),
        interest_free_days=draw(st.sampled_from([0, 0, 10, 45])),
        down_payment=draw(st.sampled_from([Decimal(0), Decimal(0), Decimal("0.25")])),
        repay_day=draw(st.integers(0, 31)),
        first_due=draw(st.one_of(st.none(), st.none(), first_dues)),
        min_first_days=draw(st.sampled_from([0, 15, 45])),
        first_period=draw(st.sampled_from(FirstPeriod)),
        maturity=draw(st.sampled_from(Maturity)),
        month_end=draw(st.sampled_from(MonthEnd)),
        shift=draw(st.sampled_from(Shift)),
        holidays=WEEKENDS,
        overdue=overdue,
        penalty_multiplier=draw(st.sampled_from([Decimal("1.3"), Decimal("1.5"), Decimal(2)])),
        penalty_rate=draw(st.sampled_from([Decimal(0), Decimal(0), Decimal("0.24")])),
        misuse_multiplier=draw(st.sampled_from([Decimal(0), Decimal(2)])),
        compound_enabled=draw(st.booleans()),
        grace_days=draw(st.integers(0, 3)),
        grace=draw(st.sampled_from(Grace)),
        fees=tuple(draw(st.lists(any_fee, max_size=2))),
        repay_sweep=draw(st.sampled_from(Sweep)),
        repay_order_nonaccrual=draw(st.sampled_from([NONACCRUAL_ORDER, ACCRUAL_ORDER])),
        excess=draw(st.sampled_from([*RULES, *whole])),
        prepayment=draw(st.sampled_from(Keep)),
        early_interest=draw(st.sampled_from(EarlyInterest)),
        interest_until=draw(st.sampled_from(Until)),
        nonaccrual=draw(st.sampled_from(NonAccrual)),
        nonaccrual_dpd=draw(st.sampled_from([30, 90])),
        cure_periods=draw(st.integers(0, 2)),
        vat_rate=draw(st.sampled_from([Decimal(0), Decimal("0.06"), Decimal("0.03")])),
        write_off_performing=draw(st.booleans()),
        claim_interest=draw(st.sampled_from(ClaimInterest)),
    )


principals = st.integers(10_000, 10_000_000)
some_money = st.one_of(
    st.integers(1, 3_000_000), st.integers(1, 3_000), st.sampled_from([88849, 1_000_000])
)
rates = st.decimals(0, Decimal("0.36"), places=4)
plans = st.builds(
    Plan,
    from_due=st.one_of(
        st.none(), st.integers(0, 300).map(lambda days: START + timedelta(days=days))
    ),
    more_periods=st.integers(0, 3),
    instalments=st.sampled_from([0, 0, 0, 1, 3]),
    skip_periods=st.integers(0, 2),
    repay_day=st.sampled_from([0, 0, 1, 20, 31]),
    due_dates=st.lists(st.integers(20, 400), max_size=3, unique=True).map(
        lambda days: tuple(START + timedelta(days=each) for each in sorted(days))
    ),
    grace_principal=st.integers(0, 2),
    grace_interest=st.sampled_from([0, 0, 1, 3]),
    annual_rate=st.one_of(st.none(), rates),
    re_age=st.booleans(),
    keep=st.sampled_from(Keep),
)
FIELDS: dict[type[LoanEvent], dict[str, st.SearchStrategy[Any]]] = {
    happened.Disbursed: {"principal": st.integers(1, 1_000_000)},
    happened.Repriced: {"annual_rate": rates, "keep": st.sampled_from(Keep)},
    happened.Rescheduled: {"plan": plans},
    happened.Charged: {"amount": st.integers(1, 20_000)},
    happened.CostsAdvanced: {"amount": st.integers(1, 20_000)},
    happened.Returned: {"amount": some_money},
    happened.Repaid: {
        "amount": some_money,
        "excess": st.one_of(st.none(), st.sampled_from(RULES)),
    },
    happened.GoodsRefunded: {"amount": some_money, "excess": st.sampled_from(RULES)},
    happened.GuarantorPaid: {"amount": some_money},
    happened.CurrentPaid: {"amount": st.one_of(some_money, st.just(12_000_000))},
    happened.Prepaid: {"amount": some_money, "keep": st.sampled_from(Keep)},
    happened.Waived: {
        "interest": st.integers(0, 20_000),
        "penalty": st.integers(0, 2_000),
        "compound": st.integers(0, 200),
        "fee": st.integers(0, 5_000),
        "principal": st.sampled_from([0, 0, 0, 30_000]),
    },
    happened.Settled: {"amount": st.integers(1, 12_000_000)},
    happened.Accelerated: {"misused": st.booleans()},
    happened.Impaired: {},
    happened.Restored: {},
    happened.Paused: {"until": st.integers(0, 400).map(lambda days: START + timedelta(days=days))},
    happened.ImpairedInterest: {
        "rate": st.decimals(0, Decimal("0.03"), places=6),
        "deferred": st.sampled_from([0, 0, 5_000]),
    },
    happened.AllowanceAdjusted: {"allowance": st.builds(Allowance, *[st.integers(0, 500_000)] * 3)},
    happened.WrittenOff: {},
    happened.Recovered: {"amount": some_money},
    happened.ClaimWaived: {
        "principal": st.sampled_from([0, 30_000, 10_000_000]),
        "interest": st.sampled_from([0, 3_000, 10_000_000]),
        "legal_costs": st.integers(0, 20_000),
    },
    happened.Sold: {"price": st.integers(0, 1_000_000)},
    happened.AssetTaken: {"fair_value": some_money, "settles": st.booleans()},
    happened.Parked: {"amount": some_money},
    happened.OverpaymentRefunded: {"amount": st.integers(1, 50_000)},
}
purchases = st.builds(
    lambda principal, share, due, *charges: Purchased(
        START, "000", principal, principal * share // 100, START - due, *charges
    ),
    principals,
    st.integers(1, 100),
    st.integers(0, 400).map(lambda days: timedelta(days=days)),
    *[st.integers(0, 50_000)] * 3,
)
lent = st.builds(Disbursed, st.just(START), st.just("000"), principals)
beginnings = st.one_of(lent, lent, lent, purchases)
COMMON = (happened.Repaid, happened.Repaid, happened.Repaid, happened.Prepaid)


@dataclass(frozen=True)
class Life:
    """A loan's terms and all that happened to it, and the day on which it is looked at."""

    terms: Terms
    events: tuple[LoanEvent, ...]
    until: date

    def __repr__(self) -> str:
        plain = Terms(self.terms.method, self.terms.periods, self.terms.annual_rate)
        said = [
            f"{each.name}={value!r}"
            for each in fields(Terms)
            if (value := getattr(self.terms, each.name)) != getattr(plain, each.name)
        ]
        head = f"{self.terms.method}, {self.terms.periods}, {self.terms.annual_rate}"
        lines = [
            f"Terms({', '.join([head, *said])})",
            *map(str, self.events),
            f"until {self.until}",
        ]
        return "\n".join(lines)


@st.composite
def lives(
    draw: st.DrawFn,
    *,
    most: int = 8,
    kinds: tuple[type[LoanEvent], ...] = (*COMMON, *FIELDS),
    terms: st.SearchStrategy[Terms] | None = None,
    reversals: bool = True,
) -> Life:
    """A payout, or a purchase, and up to `most` events, some of which did not happen after all."""
    drawn = draw(terms if terms is not None else any_terms(8))
    events: list[LoanEvent] = [draw(beginnings)]
    day = START
    for number in range(1, draw(st.integers(0, most)) + 1):
        day += timedelta(days=draw(st.integers(0, 50)))
        kind = draw(st.sampled_from(kinds))
        fields = {name: draw(values) for name, values in FIELDS[kind].items()}
        events.append(kind(value_date=day, event_id=f"{number:03}", **fields))
    if reversals and len(events) > 1:
        for number in draw(st.lists(st.integers(1, len(events) - 1), max_size=2, unique=True)):
            target = events[number]
            events.append(Reversed(day, f"R{number:02}", target.event_id))
    return Life(drawn, tuple(events), day + timedelta(days=draw(st.integers(0, 100))))


@st.composite
def customers(draw: st.DrawFn) -> Life:
    """Someone who does exactly what is asked on the day: pays what is due on its day or long after,
    is charged, forgiven, pays the running instalment; is refunded what is held; has it bounce.
    """
    terms = draw(any_terms(8))
    events: list[LoanEvent] = [draw(lent)]
    for number in range(1, draw(st.integers(1, 9)) + 1):
        loan = replay(terms, events, events[-1].value_date).loan
        ahead = loan.current.due_date if loan.current else loan.business_date
        late = draw(st.sampled_from([0, 0, 0, 0, -1, 3, 40, 130]))
        day = max(ahead + timedelta(days=late), loan.business_date)
        loan = replay(terms, events, draw(st.sampled_from([day, day, loan.business_date]))).loan
        events.append(draw(_as_asked(terms, loan, f"{number:03}")))
    paid = [each for each in events[1:] if isinstance(each, happened.Repaid | happened.Parked)]
    if paid and draw(st.sampled_from([False, False, True])):
        bounced = draw(st.sampled_from(paid))
        events.append(Reversed(events[-1].value_date, "R", bounced.event_id))
    return Life(
        terms, tuple(events), events[-1].value_date + timedelta(days=draw(st.integers(0, 60)))
    )


@st.composite
def replanned(draw: st.DrawFn) -> Life:
    """A loan that asks interest later than it is earned, is paid when due or late, and whose plan is
    changed time and again: from any of the rows to come on.
    """
    terms = draw(any_terms(8).filter(lambda each: each.grace_interest or each.parts))
    events: list[LoanEvent] = [draw(lent)]
    for number in range(1, draw(st.integers(1, 5)) + 1):
        day = events[-1].value_date + timedelta(days=draw(st.integers(0, 50)))
        loan = replay(terms, events, day).loan
        if loan.amount_due and draw(st.booleans()):
            events.append(happened.Repaid(day, f"{number:03}", loan.amount_due, Excess.PARK))
            continue
        kind = draw(st.sampled_from([happened.Rescheduled, happened.Rescheduled, *REPLANNING]))
        values = {name: draw(each) for name, each in FIELDS[kind].items()}
        if kind is happened.Rescheduled:
            ahead = [row.due_date for row in loan.rows[loan.due_count :]]
            values["plan"] = replace(values["plan"], from_due=draw(st.sampled_from([None, *ahead])))
        events.append(kind(value_date=day, event_id=f"{number:03}", **values))
    return Life(terms, tuple(events), events[-1].value_date)


REPLANNING = (happened.Repriced, happened.Disbursed, happened.Prepaid, happened.CurrentPaid)


def _as_asked(terms: Terms, loan: Loan, event_id: str) -> st.SearchStrategy[LoanEvent]:
    """What the loan asks today, or what changes that: each as it may be done."""
    today = loan.business_date
    held = loan.overpayment
    due = {part: sum(row.unpaid(part) for row in loan.arrears) for part in Part}
    pays = happened.Repaid(today, event_id, loan.amount_due or 5_000, Excess.PARK)
    may: list[LoanEvent] = [
        pays,
        pays,
        happened.Charged(today, event_id, 5_000),
        happened.Parked(today, event_id, 5_000),
        happened.CostsAdvanced(today, event_id, 3_000),
    ]
    if any((due[Part.INTEREST], due[Part.PENALTY], due[Part.COMPOUND], due[Part.FEE])):
        forgiven = due[Part.PENALTY], due[Part.COMPOUND], due[Part.FEE]
        may.append(happened.Waived(today, event_id, due[Part.INTEREST] // 2, *forgiven))
    if loan.current is not None and not loan.arrears:
        cost = current_amount(terms, loan).total
        may += [happened.CurrentPaid(today, event_id, cost)] * bool(cost)
    if held:
        may.append(happened.OverpaymentRefunded(today, event_id, held))
    return st.sampled_from(may)
