"""What operations are drawn from: dice, and what stands in the book."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from google.type import date_pb2
from ledger.simulation.operations import Operation
from ledger.simulation.state import State

from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date

OWNERS = {"LOAN": 24, "CUSTOMER": 10, "LINE": 5, "PARTNER": 3}
"""How many of each type there are."""
CASH = "1003"
HOT_INCOME = "6011.01"
WALLETS = tuple(f"2241.03:CUSTOMER:W{number}" for number in range(1, 5))
"""Accounts with limits, on which everyone at once reserves and pays."""


@dataclass
class World:
    """One operation's dice and surroundings."""

    state: State
    dice: random.Random
    step: int
    place: int = 0
    sent: list[Operation] = field(default_factory=list)
    """What was sent before."""

    def at(self, place: int) -> World:
        """The same with dice of its own, for the operation at a place of the step."""
        dice = random.Random(f"{self.dice.random()}/{place}")
        return World(self.state, dice, self.step, place, self.sent)

    @property
    def request_id(self) -> str:
        """Of the operation at this place of this step of this book."""
        return f"{self.book_id}/{self.step}/{self.place}"

    @property
    def book_id(self) -> str:
        """The book."""
        return self.state.book.book_id

    def chance(self, share: float) -> bool:
        """True in this share of draws."""
        return self.dice.random() < share

    def day(self, most_back: int, future: float = 0.0) -> date_pb2.Date:
        """The business date or some days before it; with a chance, a day to come."""
        days = -self.dice.randint(1, 3) if self.chance(future) else self._back(most_back)
        return from_date(self.state.business_date - timedelta(days=days))

    def _back(self, most: int) -> int:
        return self.dice.choice((0, 0, 0, self.dice.randint(0, most)))

    def booking_date(self) -> date_pb2.Date | None:
        """Mostly none; else the open day, or a wrong one."""
        if self.chance(0.8):
            return None
        wrong = self.dice.choice((0,) * 8 + (1, -1))
        return from_date(self.state.business_date + timedelta(days=wrong))

    def past_day(self) -> date:
        """A day from just before the book's first to the open one."""
        days = (self.state.business_date - self.state.first_day).days
        return self.state.first_day + timedelta(days=self.dice.randint(-1, days))

    def owner_id(self, owner_type: str) -> str:
        """One of a type; low numbers come up more often."""
        most = OWNERS.get(owner_type, 3)
        return f"{owner_type[0]}{1 + int(most * self.dice.random() ** 2)}"

    def owners(self) -> list[pb.Owner]:
        """One of each type; rarely one type is left out."""
        types = [t for t in OWNERS if not self.chance(0.01)]
        return [pb.Owner(owner_type=t, owner_id=self.owner_id(t)) for t in types]

    def amount(self) -> int:
        """Minor units: small or large, rarely red."""
        amount = self.dice.choice((self.dice.randint(1, 999), self.dice.randint(1, 10_000_000)))
        return -amount if self.chance(0.05) else amount

    def account_number(self) -> str:
        """One that was used, mostly; else a wallet, or one never opened."""
        used = list(self.state.accounts)
        if used and self.chance(0.9):
            return self.dice.choice(used)
        return self.dice.choice((*WALLETS, "1303.01:LOAN:NOBODY"))

    def gl_code(self) -> str:
        """A code of the chart, equity's profit and appropriation left out."""
        return self.dice.choice([code for code in self.state.chart if not code.startswith("41")])
