"""A loan as it stands: its instalments, what was paid of them, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from math import gcd
from operator import attrgetter
from typing import NamedTuple

from tael_servicing.arithmetic.recognised import Recognised
from tael_servicing.arithmetic.rounding import Ratio
from tael_servicing.arithmetic.schedules import NO_RELIEF, Instalment, Relief, accrued_by
from tael_servicing.arithmetic.terms import Overdue, Part, Terms
from tael_servicing.arithmetic.vat import Vat

DAY = timedelta(days=1)


class Status(Enum):
    """The loan's status; NORMAL and OVERDUE follow from days past due."""

    NORMAL = "nothing past due"
    OVERDUE = "something past due"
    NON_ACCRUAL = "interest accrues off balance"
    WRITTEN_OFF = "off the books; the claim stays (账销案存)"
    CLOSED = "repaid, or left in another way"


class Closure(Enum):
    """How a closed loan ended. Kept in the store by these values."""

    PAID_NORMAL = "PAID_NORMAL"  # as scheduled
    PAID_EARLY = "PAID_EARLY"  # settled before it was due
    PAID_OVERDUE = "PAID_OVERDUE"  # after having been overdue
    GUARANTOR = "GUARANTOR"  # a guarantor paid
    TRANSFERRED = "TRANSFERRED"  # sold
    ASSET = "ASSET"  # an asset was taken for the debt
    RETURNED = "RETURNED"  # what was paid out came back


class InstalmentState(Enum):
    """The state of one instalment."""

    NOT_DUE = "its due date lies ahead"
    DUE = "due today or within grace"
    OVERDUE = "past due, nothing paid"
    PARTIAL = "past due, paid in part"
    PAID = "paid"


@dataclass(slots=True)
class Owed:
    """An instalment and what became of it; amounts by `Part`, minor units."""

    instalment: Instalment
    due: list[int]
    """What it asks; penalty and compound as far as they have grown."""
    paid: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0])
    overdue: bool = False
    """Its grace has passed with something unpaid; stays set when it is paid later."""
    penalty_exact: int = 0
    """Numerator of the penalty over the denominator of the loan's charge rate."""
    compound_exact: int = 0
    carried: int = 0
    """Of its interest, what was due before and is payable with it after a rescheduling."""
    paid_on: date | None = None
    """When something was paid of it last."""
    in_advance: int = 0
    """Paid before the day it fell due; counted on that day."""
    late: int = 0
    """Paid after the day it fell due."""
    lent: int = 0
    """Of its principal, what was paid back to the customer and was owed after all: it is asked with the
    row, whatever the schedule keeps fixed."""
    closed: bool = False
    """Paid whole before its due date: what its period bears after that is asked with a later row."""
    matured: int = 0
    """Of its interest, what principal bore after all of the loan was due; it bears no compound."""
    paused: int = 0
    """Days of pauses that are over, by which it is no older."""

    @classmethod
    def of(cls, instalment: Instalment) -> Owed:
        """A row of a new schedule."""
        return cls(instalment, [instalment.principal, instalment.interest, 0, 0, instalment.fee])

    def copy(self) -> Owed:
        """Another that may change by itself."""
        other = Owed(*_OWED(self))
        other.due, other.paid = self.due.copy(), self.paid.copy()
        return other

    def continues(self, old: Owed) -> None:
        """Takes over what was paid of the row whose place it takes."""
        self.paid, self.paid_on = old.paid, old.paid_on
        self.in_advance, self.late = old.in_advance, old.late
        self.closed = old.closed

    def pay(self, part: Part, amount: int, day: date) -> None:
        """Something is paid of it on a day."""
        self.paid[part] += amount
        if amount:
            self.paid_on = day
            if day > self.instalment.period.end:
                self.late += amount

    @property
    def number(self) -> int:
        """The row's."""
        return self.instalment.period.number

    @property
    def charged(self) -> bool:
        """A fee that was asked by itself, of no instalment."""
        return not self.number and not self.instalment.principal

    @property
    def due_date(self) -> date:
        """The period's end."""
        return self.instalment.period.end

    def unpaid(self, part: Part) -> int:
        """What is still owed of a part, were the instalment due."""
        return self.due[part] - self.paid[part]

    @property
    def principal_unpaid(self) -> int:
        """Principal still owed."""
        return self.due[0] - self.paid[0]

    @property
    def interest_unpaid(self) -> int:
        """Contract interest still owed."""
        return self.due[1] - self.paid[1]

    @property
    def compounds(self) -> int:
        """Contract interest still owed that may bear compound interest."""
        return max(self.interest_unpaid - self.matured, 0)

    @property
    def owed(self) -> int:
        """All that is still owed of it, were it due."""
        return sum(self.due) - sum(self.paid)

    @property
    def settled(self) -> bool:
        """Nothing is owed on it."""
        return self.due == self.paid


_OWED = attrgetter(*(each.name for each in fields(Owed)))
"""Its fields, in the order in which one is made of them."""


class Allowance(NamedTuple):
    """Loss allowance by stage (1304.01–.03), minor units."""

    stage1: int = 0
    stage2: int = 0
    stage3: int = 0


NO_ALLOWANCE = Allowance()


class Claim(NamedTuple):
    """What is left of a written-off loan's claim (7101, 7102), minor units."""

    principal: int = 0
    interest: int = 0


class Pause(NamedTuple):
    """Nights by which arrears grow no older, and for which they bear no charge."""

    begins: date
    until: date
    """The first day that counts again."""

    def days(self, due_date: date) -> int:
        """By how many what falls due on a date is no older."""
        return max((self.until - max(self.begins, due_date)).days, 0)


class EventOrder(NamedTuple):
    """Where an event stands in the fold: by value date, rank of its kind, id given at creation."""

    value_date: date
    rank: int
    event_id: str


NO_EVENT = EventOrder(date.min, 0, "")


class RateStep(NamedTuple):
    """An annual rate and the first night that bears it."""

    since: date
    annual_rate: Decimal


@dataclass(slots=True)
class Loan:
    """A loan as it stands on its business date; whatever can be derived is.

    What changes a loan works on a copy of its own (`fold`); nobody else changes one.
    """

    business_date: date
    principal: int
    """Lent in all."""
    rows: list[Owed]
    share: int
    """What the running schedule keeps fixed (schedules.Schedule.share)."""
    rates: list[RateStep]
    """Oldest first; the last one holds."""
    charge: Ratio
    """What a night adds to a penalty: of the overdue principal, over a common denominator."""
    due_count: int = 0
    """Instalments whose due date has come: rows[:due_count]."""
    settled_count: int = 0
    """Oldest due instalments that are settled: rows[:settled_count]."""
    deferred: int = 0
    """Interest earned in earlier periods that falls due with a later row."""
    matured_exact: int = 0
    """Numerator, over the denominator of the charge rate, of what principal bore after all was due."""
    matured_accrued: int = 0
    """Of that, in whole minor units, what its rows ask and nothing has made due in the books yet."""
    legal_costs: int = 0
    """Advanced for the debtor and owed."""
    nonaccrual_since: date | None = None
    recognised: Recognised | None = None
    """Off balance under STAGE3_NET: what stays on the balance sheet all the same."""
    cost: int | None = None
    """Of a loan that was bought: what of its price is not recovered, its principal on the books."""
    clean_periods: int = 0
    """Off balance: instalments paid when due since the arrears were paid."""
    judged: bool = False
    """Off balance by hand (class, bankruptcy, fraud), until that is withdrawn."""
    claim: Claim | None = None
    """Set by the write-off."""
    closure: Closure | None = None
    allowance: Allowance = NO_ALLOWANCE
    overpayment: int = 0
    misused: bool = False
    """What is overdue bears the penalty of misused funds, where that is the heavier."""
    restructured: date | None = None
    """When it was last rescheduled."""
    due_day: int = 0
    """Of the month, as a rescheduling has it; 0 = as the terms do."""
    relief: Relief = NO_RELIEF
    pause: Pause | None = None
    """The one that runs."""
    last_event: EventOrder = NO_EVENT
    """The place in the fold of the last event that happened."""
    vat: Vat | None = None
    """None where nothing is split off: the book's VAT mode is not SPLIT, or the loan is exempt."""

    def copy(self) -> Loan:
        """Another that may change by itself; settled rows, which never change, are shared."""
        other, settled = Loan(*_LOAN(self)), self.settled_count
        other.rows = [*self.rows[:settled], *(row.copy() for row in self.rows[settled:])]
        other.rates = self.rates.copy()
        other.recognised = self.recognised.copy() if self.recognised else None
        other.vat = self.vat.copy() if self.vat else None
        return other

    def own(self, index: int) -> Owed:
        """A row that may be changed though it is settled: copies of the loan share those."""
        self.rows[index] = self.rows[index].copy()
        return self.rows[index]

    @property
    def begun(self) -> date:
        """The day on which it was paid out, or bought."""
        return self.rates[0].since

    @property
    def annual_rate(self) -> Decimal:
        """The rate that holds."""
        return self.rates[-1].annual_rate

    def rate_of(self, night: date) -> Decimal:
        """The rate that a night of the loan's life bears."""
        return next(step.annual_rate for step in reversed(self.rates) if step.since <= night)

    @property
    def running(self) -> bool:
        """Still earns interest: neither closed nor written off."""
        return self.closure is None and self.claim is None

    @property
    def accruing(self) -> bool:
        """Still earns interest on balance."""
        return self.closure is None and self.claim is None and self.nonaccrual_since is None

    def recover_cost(self, amounts: dict[str, int]) -> None:
        """Names what is paid of a bought loan's principal: of its price, then beyond it."""
        if self.cost is not None and (paid := amounts.pop("principal_impaired", 0)):
            here = min(paid, self.cost)
            self.cost -= here
            parts = {"principal_impaired": here, "claimed_principal": paid - here}
            amounts.update({name: amount for name, amount in parts.items() if amount})

    @property
    def arrears(self) -> list[Owed]:
        """Due instalments from the oldest unsettled one on."""
        return self.rows[self.settled_count : self.due_count]

    @property
    def current(self) -> Owed | None:
        """The instalment whose period is running."""
        return self.rows[self.due_count] if self.due_count < len(self.rows) else None

    @property
    def last_instalment(self) -> Owed:
        """The last row that is no fee by itself."""
        return next(row for row in reversed(self.rows) if not row.charged)

    @property
    def undue_principal(self) -> int:
        """Principal whose due date lies ahead; contract interest runs on it."""
        return sum([row.due[0] - row.paid[0] for row in self.rows[self.due_count :]])

    @property
    def interest_ahead(self) -> int:
        """Interest paid of instalments whose due date lies ahead."""
        return sum([row.paid[1] for row in self.rows[self.due_count :]])

    @property
    def overdue_principal(self) -> int:
        """Principal due and unpaid."""
        return sum([row.due[0] - row.paid[0] for row in self.arrears])

    @property
    def anything_due(self) -> bool:
        """Something is due and unpaid."""
        return self.settled_count < self.due_count or self.legal_costs > 0

    @property
    def amount_due(self) -> int:
        """Due and unpaid, penalty, compound and costs included."""
        return self.legal_costs + sum(row.owed for row in self.arrears)

    @property
    def paused(self) -> bool:
        """Arrears grow no older tonight."""
        return self.pause is not None and self.business_date < self.pause.until

    def aged_from(self, row: Owed) -> date:
        """The day from which the age of a due row counts, once no pause runs: its due date, but for
        pauses.
        """
        running = self.pause.days(row.due_date) if self.pause else 0
        return row.due_date + (row.paused + running) * DAY

    def age(self, row: Owed) -> int:
        """Days since a due row fell due, but for pauses."""
        today = self.business_date
        counted = max(today, self.pause.until) if self.pause else today
        return (counted - self.aged_from(row)).days

    @property
    def days_past_due(self) -> int:
        """Business date less the due date of the oldest unpaid instalment, but for pauses; 0 on the
        due date.

        It goes on after the write-off: the claim is as old as its oldest instalment.
        """
        if self.settled_count >= self.due_count or self.closure is not None:
            return 0
        return self.age(self.rows[self.settled_count])

    @property
    def status(self) -> Status:
        """Where the loan is in its life."""
        if self.closure is not None:
            return Status.CLOSED
        if self.claim is not None:
            return Status.WRITTEN_OFF
        if self.nonaccrual_since is not None:
            return Status.NON_ACCRUAL
        return Status.OVERDUE if self.days_past_due > 0 else Status.NORMAL

    @property
    def instalment_states(self) -> tuple[InstalmentState, ...]:
        """The state of each row."""
        return tuple(self.instalment_state(index) for index in range(len(self.rows)))

    def instalment_state(self, index: int) -> InstalmentState:
        """The state of rows[index]."""
        row = self.rows[index]
        if index >= self.due_count:
            return InstalmentState.NOT_DUE
        if row.settled:
            return InstalmentState.PAID
        if not row.overdue:
            return InstalmentState.DUE
        return InstalmentState.PARTIAL if any(row.paid) else InstalmentState.OVERDUE


_LOAN = attrgetter(*(each.name for each in fields(Loan)))
"""Its fields, in the order in which one is made of them."""


def current_accrual(terms: Terms, loan: Loan) -> int:
    """Interest of the running period earned by the business date, 0 once all is due."""
    current = loan.current
    if current is None or loan.closure is not None:
        return 0
    return accrued_by(current.instalment, loan.business_date, terms)


def charge_rate(terms: Terms, annual_rate: Decimal, *, misused: bool = False) -> Ratio:
    """What a night adds to what is overdue: the penalty rate over the day count's year; the annual rate
    itself where what is overdue goes on at it.
    """
    contract = terms.overdue is Overdue.CONTRACT
    rate = annual_rate if contract else penalty_rate(terms, annual_rate, misused=misused)
    numerator, denominator = rate.as_integer_ratio()
    denominator *= terms.day_count.year
    return _lowest(numerator, denominator)


def penalty_rate(terms: Terms, annual_rate: Decimal, *, misused: bool = False) -> Decimal:
    """A year's: the product's own, else annual rate x multiplier; of misused funds that of misuse where
    it is the heavier (银发〔2003〕251号 §3).
    """
    rate = terms.penalty_rate or annual_rate * terms.penalty_multiplier
    return max(rate, annual_rate * terms.misuse_multiplier) if misused else rate


def _lowest(numerator: int, denominator: int) -> Ratio:
    common = gcd(numerator, denominator) or 1
    return numerator // common, denominator // common
