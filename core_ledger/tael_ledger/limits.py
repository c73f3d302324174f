"""What an account's balance may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tael_ledger.chart import DEBIT


class Bounds(NamedTuple):
    """Of debits less credits, minor units; None = no bound. Pending amounts count against both."""

    lowest: int | None = None
    highest: int | None = None

    @property
    def contradict(self) -> bool:
        """Whether nothing lies within."""
        return self.lowest is not None and self.highest is not None and self.lowest > self.highest

    def admit(self, least: int, most: int) -> bool:
        """Whether debits less credits may be anything from `least` to `most`."""
        return (self.lowest is None or least >= self.lowest) and (
            self.highest is None or most <= self.highest
        )


@dataclass(frozen=True)
class Limits:
    """Limits as people set them; they combine."""

    no_debit_balance: bool = False
    no_credit_balance: bool = False
    floor: int | None = None
    """The least balance on the normal side, minor units."""

    def bounds(self, normal_side: str) -> Bounds:
        """What they come to on an account of a normal side, DEBIT or CREDIT."""
        lowest = [0] if self.no_credit_balance else []
        highest = [0] if self.no_debit_balance else []
        if self.floor is not None and normal_side == DEBIT:
            lowest.append(self.floor)
        elif self.floor is not None:
            highest.append(-self.floor)
        return Bounds(max(lowest, default=None), min(highest, default=None))


def limits_of(bounds: Bounds, normal_side: str) -> Limits:
    """The simplest limits that come to these bounds: a floor only where neither side is barred."""
    least, factor = (bounds.lowest, 1) if normal_side == DEBIT else (bounds.highest, -1)
    return Limits(
        no_debit_balance=bounds.highest == 0,
        no_credit_balance=bounds.lowest == 0,
        floor=least * factor if least else None,
    )
