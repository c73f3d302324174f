"""Origination fees that are deferred (1303.04), and what of them is income by a month's end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from tael_servicing import bookings, loan_store
from tael_servicing.arithmetic.effective_interest import unamortised
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.loans import Contract, Held
from tael_servicing.parties import DEFERRED_FEES
from tael_servicing.tables import party_balance


def deferred(transaction: Connection, book_id: str) -> list[str]:
    """Loans of a book with something deferred, by id."""
    rows = transaction.execute(
        select(party_balance.c.owner_id)
        .where(
            party_balance.c.book_id == book_id,
            party_balance.c.code == DEFERRED_FEES,
            party_balance.c.balance != 0,
        )
        .order_by(party_balance.c.owner_id)
    )
    return list(rows.scalars())


class Fee(NamedTuple):
    """What a loan was charged at the start, without VAT, minor units."""

    left: int = 0
    """Deferred still."""
    charged: int = 0


def fees_of(transaction: Connection, book_id: str, loan_ids: Sequence[str]) -> dict[str, Fee]:
    """The fees of those loans that were charged some, by loan."""
    rows = transaction.execute(
        select(party_balance.c.owner_id, party_balance.c.balance, party_balance.c.grown).where(
            party_balance.c.book_id == book_id,
            party_balance.c.code == DEFERRED_FEES,
            party_balance.c.owner_id == func.any(list(loan_ids)),
        )
    )
    # The account is an asset's: what is deferred stands on it below zero.
    return {row.owner_id: Fee(-row.balance, row.grown - row.balance) for row in rows}


def amortise(
    transaction: Connection, loan_ids: Sequence[str], day: date, batch: Batch
) -> list[Posting]:
    """Books what became income of the loans' fees up to the end of a day."""
    fees = fees_of(transaction, batch.book_id, loan_ids)
    made: list[tuple[Contract, Posting]] = []
    for held in loan_store.load(transaction, loan_ids):
        part = _income(held, fees[held.contract.loan_id])
        if part:
            posting = Posting("ORIGINATION_FEE_AMORTISED", day, True, {"amortisation": part})
            made.append((held.contract, posting))
    bookings.post_many(transaction, batch, made)
    return [posting for _, posting in made]


def _income(held: Held, fee: Fee) -> int:
    """What of the fee that is left is no longer to be deferred. Off balance nothing becomes income."""
    loan = held.loan
    if loan.running and loan.nonaccrual_since is not None:
        return 0
    return fee.left - min(unamortised(held.terms, loan, fee.charged), fee.left)
