"""What a loan asks of the ledger: business events and their amounts, in order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from tael_servicing.arithmetic.vat import BESIDE

if TYPE_CHECKING:
    from tael_servicing.arithmetic.loan import Loan


class Posting(NamedTuple):
    """One business event; amounts in minor units by amount type, zeros left out."""

    event: str
    value_date: date
    accruing: bool
    """The accrual status the posting rules look at."""
    amounts: Mapping[str, int]
    cause: str = ""
    """The id of the loan's event that it belongs to; empty for what the days bring by themselves."""
    owners: tuple[tuple[str, str], ...] = ()
    """Others than the loan, its line and its customer whose accounts it moves: (type, id)."""


class Step(NamedTuple):
    """The loan after a step, and what the step posts, in order."""

    loan: Loan
    postings: tuple[Posting, ...] = ()


class Journal:
    """Collects postings while a loan moves on."""

    def __init__(self) -> None:
        self.postings: list[Posting] = []
        self.cause = ""
        """Of what is posted from now on."""

    def post(
        self, event: str, loan: Loan, value_date: date | None = None, /, **amounts: int
    ) -> None:
        """The event on this loan, on its business date where no other is given; nothing where no
        amount moves.
        """
        moved = {name: amount for name, amount in amounts.items() if amount}
        if loan.recognised is not None:
            loan.recognised.take(moved)
        loan.recover_cost(moved)
        if not moved:
            return
        day, accruing = value_date or loan.business_date, loan.accruing
        posting = Posting(event, day, accruing, moved, self.cause)
        self.postings.append(posting)
        if loan.vat is None or (event == "INTEREST_ACCRUED" and not accruing):
            return
        own, beside = loan.vat.split(event, moved)
        moved.update({name: amount for name, amount in own.items() if amount})
        due = {name: amount for name, amount in beside.items() if amount}
        if due:
            also = BESIDE.get(event, "VAT_DUE")
            self.postings.append(posting._replace(event=also, amounts=due))
