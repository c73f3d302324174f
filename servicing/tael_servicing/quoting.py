"""A loan reckoned without any service: what `tael quote` shows. Entry point of the command line.

Terms in, and what happens to the loan; out come its rows, what it costs, what was paid and what is
owed on a day. The arithmetic is the services' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TypeVar

from tael.servicing.v1 import loan_pb2
from tael_runtime.calendar import BusinessCalendar
from tael_servicing import disclosures
from tael_servicing.arithmetic import events, prepaying
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.dates import periods
from tael_servicing.arithmetic.disclosure import Cost, CostMethod, cost
from tael_servicing.arithmetic.events import LoanEvent
from tael_servicing.arithmetic.fold import advance, happen, replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.prepaying import Payoff
from tael_servicing.arithmetic.rounding import Rounding
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import (
    Annuity,
    Basis,
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

__all__ = [
    "Annuity",
    "Basis",
    "Cost",
    "CostMethod",
    "DayCount",
    "EarlyInterest",
    "Excess",
    "Fee",
    "FeeAt",
    "FeeOn",
    "FirstPeriod",
    "Frequency",
    "Grace",
    "InterestOn",
    "Keep",
    "Kind",
    "Line",
    "Maturity",
    "Method",
    "MonthEnd",
    "Overdue",
    "Paid",
    "Part",
    "Partial",
    "Payoff",
    "Quote",
    "Residue",
    "Rounding",
    "Shift",
    "Sweep",
    "Terms",
    "Unit",
    "Until",
    "Wish",
    "holidays",
    "last_day",
    "quote",
    "word",
    "words",
]

EnumT = TypeVar("EnumT", bound=Enum)


class Kind(Enum):
    """What can be asked to happen to a loan, in the order in which it happens on one day."""

    DRAW = "another tranche is paid out"
    REPRICE = "another rate holds"
    EXTEND = "more instalments"
    PAUSE = "instalments are left out, and added at the end"
    REDATE = "instalments fall due on other days"
    REPAY = "money for what is due"
    PAY_CURRENT = "the running instalment is paid early"
    PREPAY = "principal is prepaid, with its interest and fee"
    PAYOFF = "the loan is settled"
    ACCELERATE = "all that is left falls due"


@dataclass(frozen=True)
class Wish:
    """Something that is to happen on a day."""

    kind: Kind
    day: date
    amount: int = 0
    """Minor units; the periods of EXTEND and PAUSE."""
    rate: Decimal = Decimal(0)
    """The annual rate of REPRICE."""
    keep: Keep | None = None
    """What PREPAY and REPRICE leave as it is; the terms say where it is not given."""
    excess: Excess | None = None
    """What becomes of what REPAY leaves."""
    dates: tuple[date, ...] = ()
    """The due dates of REDATE, from the running instalment's on."""


@dataclass(frozen=True)
class Line:
    """One row, minor units."""

    number: int
    start: date
    due: date
    principal: int
    interest: int
    fee: int
    balance: int
    penalty: int = 0
    compound: int = 0
    paid: int = 0
    settled: bool = False

    @property
    def days(self) -> int:
        """Nights of its period."""
        return (self.due - self.start).days

    @property
    def amount(self) -> int:
        """All that it asks."""
        return self.principal + self.interest + self.fee + self.penalty + self.compound


@dataclass(frozen=True)
class Paid:
    """Money that came, and where it went; minor units."""

    day: date
    kind: str
    principal: int
    interest: int
    penalty: int
    compound: int
    fee: int
    held: int
    """For the customer; below zero where it was used."""

    @property
    def total(self) -> int:
        """All of it."""
        parts = self.principal + self.interest + self.penalty + self.compound + self.fee
        return parts + self.held


@dataclass(frozen=True)
class Quote:
    """What there is to show."""

    lines: tuple[Line, ...]
    level: int
    """The fixed part of a row, minor units; 0 where there is none."""
    cost: Cost
    """Of the loan as it was agreed."""
    table: loan_pb2.CostDisclosure
    paid: tuple[Paid, ...] = ()
    as_of: date | None = None
    """The day the rest stands on; None where nothing but the schedule was asked for."""
    loan: Loan | None = None
    payoff: Payoff | None = None
    """What settles the loan on that day; None where it is settled."""


def words(kind: type[Enum]) -> list[str]:
    """An enum's members as one writes them: "equal-instalment"."""
    return [name.lower().replace("_", "-") for name in kind.__members__]


def word(kind: type[EnumT], text: str) -> EnumT:
    """The member of that name. Raises ValueError with those there are."""
    try:
        return kind[text.upper().replace("-", "_")]
    except KeyError:
        raise ValueError(f"{text!r} is none of {', '.join(words(kind))}") from None


def holidays(start: date, days: int, more: Iterable[date] = ()) -> frozenset[date]:
    """The days from `start` on that are no business days: weekends, the State Council's, and `more`."""
    calendar = BusinessCalendar()
    life = (start + timedelta(days=each) for each in range(days))
    return frozenset(day for day in life if not calendar.is_business_day(day)) | frozenset(more)


def last_day(terms: Terms, start: date) -> date:
    """Where its last period ends if no due date is moved."""
    return periods(replace(terms, shift=Shift.NONE), start)[-1].end


def quote(
    terms: Terms,
    principal: int,
    start: date,
    wishes: Sequence[Wish] = (),
    *,
    paid_until: date | None = None,
    as_of: date | None = None,
    method: CostMethod | None = None,
) -> Quote:
    """A loan of `principal` minor units disbursed on `start`, and what became of it by `as_of`.

    `paid_until`: each instalment due by then is paid on its due date. Raises ValueError where no rate
    explains its payments, or a wish lies before the loan or has an excess that the terms cannot have.
    """
    for wish in wishes:
        replace(terms, excess=wish.excess or terms.excess)
    schedule = build_schedule(terms, principal, start)
    found = cost(terms, schedule, principal, start, method)
    table = disclosures.table(terms, Decimal(0), schedule, principal, found, None)
    if not wishes and paid_until is None and as_of is None:
        lines = tuple(
            Line(
                row.number,
                row.period.start,
                row.due_date,
                row.principal,
                row.interest,
                row.fee,
                row.balance_after,
            )
            for row in schedule.instalments
        )
        return Quote(lines, schedule.share, found, table)
    days = [wish.day for wish in wishes]
    if days and min(days) < start:
        raise ValueError(f"{min(days)} lies before the loan, which begins on {start}")
    until = as_of or max([*days, paid_until or start])
    life = _Life(terms, principal, start)
    life.live(wishes, paid_until, until)
    return Quote(
        tuple(life.lines()),
        life.loan.share,
        found,
        table,
        tuple(life.paid),
        until,
        life.loan,
        prepaying.payoff(terms, life.loan) if life.loan.running else None,
    )


@dataclass
class _Life:
    """A loan that is led from day to day."""

    terms: Terms
    principal: int
    start: date
    paid: list[Paid] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        first = events.Disbursed(self.start, self._id(), self.principal)
        self.loan = replay(self.terms, [first], self.start).loan

    def live(self, wishes: Sequence[Wish], paid_until: date | None, until: date) -> None:
        """Everything that is asked for, day by day."""
        ranks = list(Kind)
        waiting = sorted(wishes, key=lambda wish: (wish.day, ranks.index(wish.kind)))
        self._on_time(paid_until)
        while True:
            days = [wish.day for wish in waiting[:1]]
            if due := self._next_due(paid_until):
                days.append(due)
            if not days or min(days) > until:
                break
            day = min(days)
            self._move(advance(self.terms, self.loan, day))
            before = ranks.index(Kind.REPAY)
            today = [wish for wish in waiting if wish.day == day]
            waiting = waiting[len(today) :]
            for wish in (each for each in today if ranks.index(each.kind) < before):
                self._happen(wish.kind.name, self._event(wish))
            self._on_time(paid_until)
            for wish in (each for each in today if ranks.index(each.kind) >= before):
                self._happen(wish.kind.name, self._event(wish))
        self._move(advance(self.terms, self.loan, until))

    def _next_due(self, paid_until: date | None) -> date | None:
        current = self.loan.current
        if paid_until is None or current is None or not self.loan.running:
            return None
        return current.due_date if current.due_date <= paid_until else None

    def _on_time(self, paid_until: date | None) -> None:
        day, due = self.loan.business_date, self.loan.amount_due
        if paid_until is not None and day <= paid_until and due and self.loan.running:
            self._happen("REPAY", events.Repaid(day, self._id(), due))

    def _event(self, wish: Wish) -> LoanEvent:
        at = (wish.day, self._id())
        terms, loan = self.terms, self.loan
        paid = partial(prepaying.due_paid, terms, loan)
        keep = wish.keep or terms.prepayment
        made: dict[Kind, Callable[[], LoanEvent]] = {
            Kind.DRAW: lambda: events.Disbursed(*at, wish.amount),
            Kind.REPRICE: lambda: events.Repriced(*at, wish.rate, wish.keep or Keep.TERM),
            Kind.EXTEND: lambda: events.Rescheduled(*at, Plan(more_periods=wish.amount)),
            Kind.PAUSE: lambda: events.Rescheduled(*at, Plan(skip_periods=wish.amount)),
            Kind.REDATE: lambda: events.Rescheduled(*at, Plan(due_dates=wish.dates)),
            Kind.REPAY: lambda: events.Repaid(*at, wish.amount, wish.excess),
            Kind.PAY_CURRENT: lambda: events.CurrentPaid(
                *at, loan.amount_due + prepaying.current_amount(terms, paid()).total
            ),
            Kind.PREPAY: lambda: events.Prepaid(
                *at, loan.amount_due + prepaying.cost_of(terms, paid(), wish.amount).total, keep
            ),
            Kind.PAYOFF: lambda: events.Settled(*at, prepaying.payoff(terms, loan).total),
            Kind.ACCELERATE: lambda: events.Accelerated(*at),
        }
        return made[wish.kind]()

    def _happen(self, kind: str, event: LoanEvent) -> None:
        step = happen(self.terms, self.loan, event)
        self._move(step)
        received = [each for each in step.postings if each.event in MONEY]
        if received:
            self.paid.append(_paid(kind, event.value_date, received))

    def _move(self, step: Step) -> None:
        self.loan = step.loan

    def _id(self) -> str:
        self.count += 1
        return f"{self.count:06}"

    def lines(self) -> Iterable[Line]:
        """The rows as they stand."""
        for number, row in enumerate(self.loan.rows, 1):
            period = row.instalment.period
            yield Line(
                number,
                period.start,
                period.end,
                row.due[Part.PRINCIPAL],
                row.due[Part.INTEREST],
                row.due[Part.FEE],
                row.instalment.balance_after,
                row.due[Part.PENALTY],
                row.due[Part.COMPOUND],
                sum(row.paid),
                row.settled,
            )


MONEY = ("REPAYMENT_RECEIVED",)


def _paid(kind: str, day: date, postings: Sequence[Posting]) -> Paid:
    def of(*names: str) -> int:
        return sum(posting.amounts.get(name, 0) for posting in postings for name in names)

    return Paid(
        day,
        kind.lower().replace("_", "-"),
        of("principal_normal", "principal_overdue", "principal_impaired"),
        of("interest_due", "interest_accrued", "offbalance_interest"),
        of("penalty", "offbalance_penalty"),
        of("compound", "offbalance_compound"),
        of("fee", "prepayment_fee"),
        of("overpayment"),
    )
