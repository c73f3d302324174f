"""What stays on the balance sheet of an impaired loan under STAGE3_NET (CAS 22 §39).

Income recognised before is not taken back: it stays where it stands, and what the contract bears from
then on is memo. What is paid, given up or lost takes what is on the balance sheet first: it is older.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

OFF_BALANCE = {
    "offbalance_interest": ("interest_due", "interest_accrued"),
    "offbalance_penalty": ("penalty",),
    "offbalance_compound": ("compound",),
}
"""By amount type of an impaired loan, what of it may stand on the balance sheet, oldest first."""


@dataclass(slots=True)
class Recognised:
    """Income that was recognised and is owed still, minor units."""

    interest_due: int = 0
    """1132.02."""
    interest_accrued: int = 0
    """1132.01."""
    penalty: int = 0
    """1132.03."""
    compound: int = 0
    """1132.04."""

    def copy(self) -> Recognised:
        """Another that may change by itself."""
        return replace(self)

    @property
    def interest(self) -> int:
        """Due and not."""
        return self.interest_due + self.interest_accrued

    def take(self, amounts: dict[str, int]) -> None:
        """Names what leaves by where it stands: what is on the balance sheet, then memo."""
        for memo, kinds in OFF_BALANCE.items():
            left = amounts.pop(memo, 0)
            for kind in kinds:
                held = getattr(self, kind)
                here = max(min(left, held), 0)
                setattr(self, kind, held - here)
                if here:
                    amounts[kind] = amounts.get(kind, 0) + here
                left -= here
            if left:
                amounts[memo] = left

    def fall_due(self, interest: int) -> int:
        """Of interest that falls due, what was recognised while it accrued."""
        here = max(min(interest, self.interest_accrued), 0)
        self.interest_accrued -= here
        self.interest_due += here
        return here


NOTHING = Recognised()
