"""A loan as it stands: its instalments, what was paid of them, and what follows from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import NamedTuple

from tael_servicing.arithmetic.accrual import NO_CHARGES, Charges
from tael_servicing.arithmetic.schedules import Instalment, accrued_by
from tael_servicing.arithmetic.terms import Part, Terms


class Status(Enum):
    """The loan's status; NORMAL and OVERDUE follow from days past due."""

    NORMAL = "nothing past due"
    OVERDUE = "something past due"
    NON_ACCRUAL = "interest accrues off balance"
    WRITTEN_OFF = "off the books; the claim stays (账销案存)"
    CLOSED = "repaid"


class Closure(Enum):
    """How a closed loan was repaid."""

    PAID_NORMAL = "as scheduled"
    PAID_EARLY = "settled before it was due"
    PAID_OVERDUE = "after having been overdue"


class InstalmentState(Enum):
    """The state of one instalment."""

    NOT_DUE = "its due date lies ahead"
    DUE = "due today or within grace"
    OVERDUE = "past due, nothing paid"
    PARTIAL = "past due, paid in part"
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class Owed:
    """An instalment and what became of it, minor units."""

    instalment: Instalment
    principal_paid: int = 0
    interest_paid: int = 0
    charges: Charges = NO_CHARGES
    overdue: bool = False
    """Its grace has passed with something unpaid; stays set when it is paid later."""

    @property
    def principal_unpaid(self) -> int:
        """Principal still owed."""
        return self.instalment.principal - self.principal_paid

    @property
    def interest_unpaid(self) -> int:
        """Contract interest still owed."""
        return self.instalment.interest - self.interest_paid

    @property
    def unpaid(self) -> Mapping[Part, int]:
        """Each part still owed, were the instalment due."""
        return {
            Part.PRINCIPAL: self.principal_unpaid,
            Part.INTEREST: self.interest_unpaid,
            **self.charges.unpaid,
        }

    @property
    def settled(self) -> bool:
        """Nothing is owed on it."""
        return not any(self.unpaid.values())

    def paid_with(self, terms: Terms, taken: Mapping[Part, int]) -> Owed:
        """After a payment took these parts."""
        return replace(
            self,
            principal_paid=self.principal_paid + taken.get(Part.PRINCIPAL, 0),
            interest_paid=self.interest_paid + taken.get(Part.INTEREST, 0),
            charges=self.charges.paid_with(terms, taken),
        )


class Allowance(NamedTuple):
    """Loss allowance by stage (1304.01–.03), minor units."""

    stage1: int = 0
    stage2: int = 0
    stage3: int = 0


NO_ALLOWANCE = Allowance()


@dataclass(frozen=True, slots=True)
class Claim:
    """What is left of a written-off loan's claim (7101, 7102), minor units."""

    principal: int = 0
    interest: int = 0


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan as it stands on its business date; whatever can be derived is."""

    business_date: date
    principal: int
    rows: tuple[Owed, ...]
    share: int
    """What the running schedule keeps fixed (schedules.Schedule.share)."""
    due_count: int = 0
    """Instalments whose due date has come: rows[:due_count]."""
    settled_count: int = 0
    """Oldest due instalments that are settled: rows[:settled_count]."""
    nonaccrual_since: date | None = None
    memo: Charges | None = None
    """From non-accrual on, penalty and compound run as one line over all overdue amounts."""
    claim: Claim | None = None
    """Set by the write-off."""
    closure: Closure | None = None
    allowance: Allowance = NO_ALLOWANCE
    overpayment: int = 0

    @property
    def running(self) -> bool:
        """Still earns interest: neither closed nor written off."""
        return self.closure is None and self.claim is None

    @property
    def accruing(self) -> bool:
        """Still earns interest on balance."""
        return self.running and self.nonaccrual_since is None

    @property
    def arrears(self) -> tuple[Owed, ...]:
        """Due instalments from the oldest unsettled one on."""
        return self.rows[self.settled_count : self.due_count]

    @property
    def current(self) -> Owed | None:
        """The instalment whose period is running."""
        return self.rows[self.due_count] if self.due_count < len(self.rows) else None

    @property
    def undue_principal(self) -> int:
        """Principal whose due date lies ahead; contract interest runs on it."""
        return sum(row.principal_unpaid for row in self.rows[self.due_count :])

    @property
    def amount_due(self) -> int:
        """Due and unpaid, penalty and compound included."""
        memo = sum(self.memo.unpaid.values()) if self.memo else 0
        return memo + sum(sum(row.unpaid.values()) for row in self.arrears)

    @property
    def days_past_due(self) -> int:
        """Business date less the due date of the oldest unpaid instalment; 0 on the due date.

        It goes on after the write-off: the claim is as old as its oldest instalment.
        """
        if not self.arrears:
            return 0
        return (self.business_date - self.arrears[0].instalment.due_date).days

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
        return tuple(
            self._instalment_state(row, is_due=index < self.due_count)
            for index, row in enumerate(self.rows)
        )

    def _instalment_state(self, row: Owed, *, is_due: bool) -> InstalmentState:
        if not is_due:
            return InstalmentState.NOT_DUE
        if row.settled:
            return InstalmentState.PAID
        if not row.overdue:
            return InstalmentState.DUE
        paid = row.principal_paid + row.interest_paid + row.charges.paid
        return InstalmentState.PARTIAL if paid else InstalmentState.OVERDUE


@dataclass(frozen=True, slots=True)
class Balances:
    """What a loan owes by the account it stands on, minor units."""

    principal_normal: int = 0
    """1303.01."""
    principal_overdue: int = 0
    """1303.02."""
    principal_impaired: int = 0
    """1303.03."""
    interest_accrued: int = 0
    """1132.01."""
    interest_due: int = 0
    """1132.02."""
    penalty: int = 0
    """1132.03."""
    compound: int = 0
    """1132.04."""
    offbalance_interest: int = 0
    """7001."""
    offbalance_penalty: int = 0
    """7002."""
    offbalance_compound: int = 0
    """7003."""
    written_off_principal: int = 0
    """7101."""
    written_off_interest: int = 0
    """7102."""
    allowance: int = 0
    """1304."""
    overpayment: int = 0
    """2241.03."""


def balances(terms: Terms, loan: Loan) -> Balances:
    """The loan's balances on its business date."""
    held = Balances(allowance=sum(loan.allowance), overpayment=loan.overpayment)
    if loan.claim is not None:
        return replace(
            held,
            written_off_principal=loan.claim.principal,
            written_off_interest=loan.claim.interest,
        )
    arrears = loan.arrears
    overdue = sum(row.principal_unpaid for row in arrears if row.overdue)
    normal = sum(row.principal_unpaid for row in arrears) - overdue + loan.undue_principal
    due = sum(row.interest_unpaid for row in arrears)
    accrued = current_accrual(terms, loan)
    penalty = sum(row.charges.penalty.unpaid for row in arrears)
    compound = sum(row.charges.compound.unpaid for row in arrears)
    if loan.memo is None:
        return replace(
            held,
            principal_normal=normal,
            principal_overdue=overdue,
            interest_accrued=accrued,
            interest_due=due,
            penalty=penalty,
            compound=compound,
        )
    return replace(
        held,
        principal_impaired=normal + overdue,
        offbalance_interest=due + accrued,
        offbalance_penalty=penalty + loan.memo.penalty.unpaid,
        offbalance_compound=compound + loan.memo.compound.unpaid,
    )


def current_accrual(terms: Terms, loan: Loan) -> int:
    """Interest of the running period accrued by the business date, 0 once all is due."""
    if loan.current is None or loan.closure is not None:
        return 0
    return accrued_by(loan.current.instalment, loan.business_date, terms)
