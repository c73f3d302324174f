"""Output VAT inside what a loan earns (prices include it): split off as it is earned, due as the
law says.

Interest is taxed on the day it falls due, penalty, compound and fees when they are paid; interest
that accrues once a loan is off balance, when it is received (财税〔2016〕36号 annex 3 §4, 财税〔2016〕140号
§3). What was declared before is not taken back with it: it is carried as VAT paid in advance until
the interest is paid or lost.

Every figure is a difference of rounded sums over the loan's life, R(Σ gross x rate), so that no
rounding is lost and the order of small amounts does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tael_servicing.arithmetic.rounding import Ratio, Rounding, rounded
from tael_servicing.arithmetic.terms import Part

EARNED = {"interest": Part.INTEREST, "penalty": Part.PENALTY, "compound": Part.COMPOUND}
PAID_LATER = {"penalty": Part.PENALTY, "compound": Part.COMPOUND, "fee": Part.FEE}
"""Taxed when they are paid."""
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
    """Interest that left the balance sheet after its VAT was declared, and is not paid."""
    advanced: int = 0
    """That VAT (1221.03)."""

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
        """What an event moves of VAT: more amounts of its own, and those of a VAT_DUE beside it."""
        own: Amounts = {}
        beside: Amounts = {}
        if event in ("INTEREST_ACCRUED", "INTEREST_TRUED_UP"):
            for name, part in EARNED.items():
                own[f"{name}_vat"] = self._grow(self.earned, part, amounts.get(name, 0))
        elif event == "FEE_DUE":
            own["fee_vat"] = self._grow(self.earned, Part.FEE, amounts.get("fee", 0))
        elif event == "INTEREST_DUE":
            own["interest_vat"] = self._grow(self.due, Part.INTEREST, amounts.get("interest", 0))
        elif event in PAYMENTS:
            self._paid(amounts, own, beside)
        elif event == "NON_ACCRUAL_ENTERED":
            self._leave(amounts, own)
        elif event == "NON_ACCRUAL_LEFT":
            self._return(amounts, own)
        elif event == "INTEREST_WAIVED":
            self._waived(amounts, own)
        elif event == "LOAN_WRITTEN_OFF":
            own["vat_declared"], self.advanced, self.advanced_on = self.advanced, 0, 0
        elif event == "RECOVERY_RECEIVED":
            interest = amounts.get("interest", 0)
            own["interest_vat"] = self._grow(self.received, Part.INTEREST, interest)
        elif event == "LOAN_SOLD":
            own["vat_not_due"] = sum(self.not_due(part) for part in Part)
            own["vat_declared"], self.advanced, self.advanced_on = self.advanced, 0, 0
            self.due = self.earned.copy()
        return own, beside

    def _grow(self, column: list[int], part: Part, gross: int) -> int:
        """Adds to a sum: the VAT that it adds."""
        before = self.of(column[part])
        column[part] += gross
        return self.of(column[part]) - before

    def _paid(self, amounts: Mapping[str, int], own: Amounts, beside: Amounts) -> None:
        """Penalty, compound and fees are taxed now, and interest that is paid before it is due."""
        for name, part in PAID_LATER.items():
            beside[f"{name}_vat"] = self._grow(self.due, part, amounts.get(name, 0))
        late = min(self.late, max(amounts.get("interest_due", 0), 0))
        self.late -= late
        interest = late + amounts.get("interest_accrued", 0)
        beside["interest_vat"] = self._grow(self.due, Part.INTEREST, interest)
        fee = amounts.get("prepayment_fee", 0)
        own["prepayment_fee_vat"] = self._grow(self.received, Part.FEE, fee)
        interest = amounts.get("offbalance_interest", 0)
        taxed = self._advanced_back(interest, own, "vat_declared")
        for name, part in EARNED.items():
            gross = amounts.get(f"offbalance_{name}", 0) - (taxed if part is Part.INTEREST else 0)
            own[f"offbalance_{name}_vat"] = self._grow(self.received, part, gross)

    def _advanced_back(self, interest: int, own: Amounts, name: str) -> int:
        """VAT paid in advance on interest that is paid, or given up, at last; how much interest."""
        taxed = min(max(interest, 0), self.advanced_on)
        if not taxed:
            return 0
        left = self.advanced_on - taxed
        kept = rounded(self.advanced * left, self.advanced_on, Rounding.HALF_UP)
        own[name] = self.advanced - kept
        self.advanced_on, self.advanced = left, kept
        return taxed

    def _leave(self, amounts: Mapping[str, int], own: Amounts) -> None:
        """Income leaves the balance sheet; VAT declared on it is carried, the other vanishes."""
        due = amounts.get("interest_due", 0)
        declared_on = due - min(self.late, due)
        self.late = 0
        declared, not_due = self.of(self.due[Part.INTEREST]), self.not_due(Part.INTEREST)
        self.earned[Part.INTEREST] -= due + amounts.get("interest_accrued", 0)
        self.due[Part.INTEREST] -= declared_on
        own["vat_declared"] = declared - self.of(self.due[Part.INTEREST])
        own["interest_vat_not_due"] = not_due - self.not_due(Part.INTEREST)
        self.advanced += own["vat_declared"]
        self.advanced_on += declared_on
        for name in ("penalty", "compound"):
            part = EARNED[name]
            before = self.not_due(part)
            self.earned[part] -= amounts.get(name, 0)
            own[f"{name}_vat_not_due"] = before - self.not_due(part)

    def _return(self, amounts: Mapping[str, int], own: Amounts) -> None:
        """The interest still owed is income again; what was declared on it is so still."""
        interest = amounts.get("interest", 0)
        declared_on = min(interest, self.advanced_on)
        declared, not_due = self.of(self.due[Part.INTEREST]), self.not_due(Part.INTEREST)
        self.earned[Part.INTEREST] += interest + amounts.get("interest_accrued", 0)
        self.due[Part.INTEREST] += declared_on
        self.late += interest - declared_on
        own["vat_declared"] = self.of(self.due[Part.INTEREST]) - declared
        own["interest_vat_not_due"] = self.not_due(Part.INTEREST) - not_due
        self.advanced -= own["vat_declared"]
        self.advanced_on -= declared_on
        for name in ("penalty", "compound"):
            part = EARNED[name]
            before = self.not_due(part)
            self.earned[part] += amounts.get(name, 0)
            own[f"{name}_vat_not_due"] = self.not_due(part) - before

    def _waived(self, amounts: Mapping[str, int], own: Amounts) -> None:
        """VAT not yet due vanishes; VAT declared is taken back by a red-letter invoice."""
        for name, part in PAID_LATER.items():
            before = self.not_due(part)
            self.earned[part] -= amounts.get(name, 0)
            own[f"{name}_vat_not_due"] = before - self.not_due(part)
        due = amounts.get("interest_due", 0)
        late = min(self.late, due)
        self.late -= late
        declared, not_due = self.of(self.due[Part.INTEREST]), self.not_due(Part.INTEREST)
        self.earned[Part.INTEREST] -= due
        self.due[Part.INTEREST] -= due - late
        own["vat_red_lettered"] = declared - self.of(self.due[Part.INTEREST])
        own["interest_vat_not_due"] = not_due - self.not_due(Part.INTEREST)
        self._advanced_back(
            amounts.get("offbalance_interest", 0), own, "offbalance_vat_red_lettered"
        )
