"""Output VAT inside what a loan earns (prices include it): split off as it is earned, due as the
law says.

Interest is taxed on the day it falls due, penalty, compound and fees when they are paid; interest
that accrues once a loan is off balance, when it is received (财税〔2016〕36号 annex 3 §4,
财税〔2016〕140号 §3). What was declared before is not taken back with it: it is carried as VAT paid
in advance until the interest is paid or lost.

Every figure is a difference of rounded sums over the loan's life, R(Σ gross x rate), so that no
rounding is lost and the order of small amounts does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tael_servicing.arithmetic.rounding import Ratio, Rounding, rounded
from tael_servicing.arithmetic.terms import Part

EARNED = {"interest": Part.INTEREST, "penalty": Part.PENALTY, "compound": Part.COMPOUND}
PAID_LATER = {"penalty": Part.PENALTY, "compound": Part.COMPOUND, "fee": Part.FEE}
"""Taxed when they are paid."""
BESIDE = {"LOAN_WRITTEN_OFF": "INTEREST_WAIVED"}
"""The event that posts what an event moves of VAT beside its own amounts, where not VAT_DUE."""
PAYMENTS = frozenset(
    ("REPAYMENT_RECEIVED", "OVERPAYMENT_APPLIED", "GUARANTOR_PAID", "GOODS_REFUNDED")
)
Amounts = dict[str, int]


def _five() -> list[int]:
    return [0, 0, 0, 0, 0]


@dataclass(slots=True)
class Vat:
    """A loan's income over its life by `Part`, gross, minor units, and what of its VAT is due."""

    rate: Ratio
    """VAT in a gross amount: 6/106."""
    earned: list[int] = field(default_factory=_five)
    """Income on the balance sheet."""
    due: list[int] = field(default_factory=_five)
    """Of it, whose VAT has become due."""
    received: list[int] = field(default_factory=_five)
    """Income taxed when it was received: off balance, prepayment fees (as `Part.FEE`)."""
    late: int = 0
    """Interest due on the balance sheet whose VAT is due only when it is paid."""
    advanced_on: int = 0
    """Interest that left the balance sheet after its VAT was declared, and is not paid; a write-off
    leaves it in the claim, where it is taxed no second time."""
    advanced: int = 0
    """That VAT (1221.03); lost with the write-off."""

    def copy(self) -> Vat:
        """Another that may change by itself."""
        return Vat(
            self.rate,
            self.earned.copy(),
            self.due.copy(),
            self.received.copy(),
            self.late,
            self.advanced_on,
            self.advanced,
        )

    def of(self, gross: int) -> int:
        """The VAT in a gross sum."""
        return rounded(gross * self.rate[0], self.rate[1], Rounding.HALF_UP)

    def not_due(self, part: Part) -> int:
        """Split off and not yet due (2221.06)."""
        return self.of(self.earned[part]) - self.of(self.due[part])

    def split(self, event: str, amounts: Mapping[str, int]) -> tuple[Amounts, Amounts]:
        """What an event moves of VAT: more amounts of its own, and those of another beside it."""
        own: Amounts = {}
        beside: Amounts = {}
        move = MOVES.get(event)
        if move is not None:
            move(self, amounts, own, beside)
        return own, beside

    def grow(self, column: list[int], part: Part, gross: int) -> int:
        """Adds to a sum: the VAT that it adds."""
        before = self.of(column[part])
        column[part] += gross
        return self.of(column[part]) - before

    def lose(self, part: Part, gross: int) -> int:
        """Takes income whose VAT is not due out of a sum: the VAT that vanishes."""
        before = self.not_due(part)
        self.earned[part] -= gross
        return before - self.not_due(part)

    def take_advanced(self, interest: int, own: Amounts, name: str) -> int:
        """VAT paid in advance on interest that is paid, or given up, at last; how much interest."""
        taxed = min(max(interest, 0), self.advanced_on)
        if not taxed:
            return 0
        left = self.advanced_on - taxed
        kept = rounded(self.advanced * left, self.advanced_on, Rounding.HALF_UP)
        own[name] = self.advanced - kept
        self.advanced_on, self.advanced = left, kept
        return taxed


def _earn(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    for name, part in EARNED.items():
        own[f"{name}_vat"] = vat.grow(vat.earned, part, amounts.get(name, 0))


def _fee_due(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    own["fee_vat"] = vat.grow(vat.earned, Part.FEE, amounts.get("fee", 0))


def _interest_due(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    """Interest falls due; below zero it is not owed after all, and what was not declared goes
    first.
    """
    interest = amounts.get("interest", 0)
    late = min(vat.late, max(-interest, 0))
    vat.late -= late
    own["interest_vat"] = vat.grow(vat.due, Part.INTEREST, interest + late)


def _written_off(vat: Vat, amounts: Mapping[str, int], own: Amounts, beside: Amounts) -> None:
    """VAT paid in advance is lost; VAT not yet due of what leaves the balance sheet never becomes due,
    and interest whose VAT was declared is taxed no second time when it is recovered.
    """
    own["vat_declared"], vat.advanced = vat.advanced, 0
    for name, part in (("penalty", Part.PENALTY), ("compound", Part.COMPOUND)):
        beside[f"{name}_vat_not_due"] = vat.lose(part, amounts.get(f"{name}_due", 0))
    beside["fee_vat_not_due"] = vat.lose(Part.FEE, amounts.get("fee", 0))
    due = amounts.get("interest_due", 0)
    late, not_due = min(vat.late, due), vat.not_due(Part.INTEREST)
    vat.late -= late
    vat.earned[Part.INTEREST] -= due + amounts.get("interest_accrued", 0)
    vat.due[Part.INTEREST] -= due - late
    beside["interest_vat_not_due"] = not_due - vat.not_due(Part.INTEREST)
    vat.advanced_on += due - late


def _recovered(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    """Interest of a claim, the oldest first: that is the one whose VAT was declared."""
    interest = amounts.get("interest", 0)
    taxed = min(max(interest, 0), vat.advanced_on)
    vat.advanced_on -= taxed
    own["interest_vat"] = vat.grow(vat.received, Part.INTEREST, interest - taxed)


def _sold(vat: Vat, _amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    own["vat_not_due"] = sum(vat.not_due(part) for part in Part)
    own["vat_declared"], vat.advanced, vat.advanced_on = vat.advanced, 0, 0
    vat.due, vat.late = vat.earned.copy(), 0


def _paid(vat: Vat, amounts: Mapping[str, int], own: Amounts, beside: Amounts) -> None:
    """Penalty, compound and fees are taxed now, and interest that is paid before it is due."""
    for name, part in PAID_LATER.items():
        beside[f"{name}_vat"] = vat.grow(vat.due, part, amounts.get(name, 0))
    late = min(vat.late, max(amounts.get("interest_due", 0), 0))
    vat.late -= late
    interest = late + amounts.get("interest_accrued", 0)
    beside["interest_vat"] = vat.grow(vat.due, Part.INTEREST, interest)
    fee = amounts.get("prepayment_fee", 0)
    own["prepayment_fee_vat"] = vat.grow(vat.received, Part.FEE, fee)
    interest = amounts.get("offbalance_interest", 0)
    taxed = vat.take_advanced(interest, own, "vat_declared")
    for name, part in EARNED.items():
        gross = amounts.get(f"offbalance_{name}", 0) - (taxed if part is Part.INTEREST else 0)
        own[f"offbalance_{name}_vat"] = vat.grow(vat.received, part, gross)


def _leave(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    """Income leaves the balance sheet; VAT declared on it is carried, the other vanishes."""
    due = amounts.get("interest_due", 0)
    late = min(vat.late, due)
    vat.late -= late
    declared_on = due - late
    declared, not_due = vat.of(vat.due[Part.INTEREST]), vat.not_due(Part.INTEREST)
    vat.earned[Part.INTEREST] -= due + amounts.get("interest_accrued", 0)
    vat.due[Part.INTEREST] -= declared_on
    own["vat_declared"] = declared - vat.of(vat.due[Part.INTEREST])
    own["interest_vat_not_due"] = not_due - vat.not_due(Part.INTEREST)
    vat.advanced += own["vat_declared"]
    vat.advanced_on += declared_on
    for name in ("penalty", "compound"):
        own[f"{name}_vat_not_due"] = vat.lose(EARNED[name], amounts.get(name, 0))


def _return(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    """The interest still owed is income again; what was declared on it is so still."""
    interest = amounts.get("interest", 0)
    not_due = vat.not_due(Part.INTEREST)
    declared_on = vat.take_advanced(interest, own, "vat_declared")
    vat.earned[Part.INTEREST] += interest + amounts.get("interest_accrued", 0)
    vat.due[Part.INTEREST] += declared_on
    vat.late += interest - declared_on
    own["interest_vat_not_due"] = vat.not_due(Part.INTEREST) - not_due
    for name in ("penalty", "compound"):
        own[f"{name}_vat_not_due"] = -vat.lose(EARNED[name], -amounts.get(name, 0))


def _waived(vat: Vat, amounts: Mapping[str, int], own: Amounts, _beside: Amounts) -> None:
    """VAT not yet due vanishes; VAT declared is taken back by a red-letter invoice."""
    for name, part in PAID_LATER.items():
        own[f"{name}_vat_not_due"] = vat.lose(part, amounts.get(name, 0))
    due = amounts.get("interest_due", 0)
    late = min(vat.late, due)
    vat.late -= late
    declared, not_due = vat.of(vat.due[Part.INTEREST]), vat.not_due(Part.INTEREST)
    vat.earned[Part.INTEREST] -= due + amounts.get("interest_accrued", 0)
    vat.due[Part.INTEREST] -= due - late
    own["vat_red_lettered"] = declared - vat.of(vat.due[Part.INTEREST])
    own["interest_vat_not_due"] = not_due - vat.not_due(Part.INTEREST)
    off = amounts.get("offbalance_interest", 0) + amounts.get("written_off_interest", 0)
    vat.take_advanced(off, own, "offbalance_vat_red_lettered")


MOVES: Mapping[str, Callable[[Vat, Mapping[str, int], Amounts, Amounts], None]] = {
    "INTEREST_ACCRUED": _earn,
    "INTEREST_TRUED_UP": _earn,
    "FEE_DUE": _fee_due,
    "INTEREST_DUE": _interest_due,
    **dict.fromkeys(PAYMENTS, _paid),
    "NON_ACCRUAL_ENTERED": _leave,
    "NON_ACCRUAL_LEFT": _return,
    "INTEREST_WAIVED": _waived,
    "LOAN_WRITTEN_OFF": _written_off,
    "RECOVERY_RECEIVED": _recovered,
    "LOAN_SOLD": _sold,
}
"""What each event moves; others move none."""
