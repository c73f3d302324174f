"""What a step asks of the ledger: a business event and its amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from tael_servicing.arithmetic.loan import Loan


@dataclass(frozen=True, slots=True)
class Posting:
    """One business event; amounts in minor units by amount type, zeros left out."""

    event: str
    value_date: date
    accruing: bool
    """The accrual status the posting rules look at."""
    amounts: Mapping[str, int]


class Step(NamedTuple):
    """The loan after a step, and what the step posts, in order."""

    loan: Loan
    postings: tuple[Posting, ...] = ()


def posting(event: str, loan: Loan, **amounts: int) -> Posting:
    """The event on this loan, on its business date."""
    moved = {name: amount for name, amount in amounts.items() if amount}
    return Posting(event, loan.business_date, loan.accruing, moved)


def nonzero(*postings: Posting) -> tuple[Posting, ...]:
    """Those that move something."""
    return tuple(each for each in postings if each.amounts)
