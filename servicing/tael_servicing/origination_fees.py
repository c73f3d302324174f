"""Origination fees that are deferred (1303.04), and what of them is income by a month's end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

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


def amortise(
    transaction: Connection, loan_ids: Sequence[str], day: date, batch: Batch
) -> list[Posting]:
    """Books what became income of the loans' fees up to the end of a day."""
    rows = transaction.execute(
        select(party_balance.c.owner_id, party_balance.c.balance, party_balance.c.grown).where(
            party_balance.c.book_id == batch.book_id,
            party_balance.c.code == DEFERRED_FEES,
            party_balance.c.owner_id == func.any(list(loan_ids)),
        )
    )
    # The account is an asset's: what is deferred stands on it below zero.
    fees = {row.owner_id: (-row.balance, row.grown - row.balance) for row in rows}
    made: list[tuple[Contract, Posting]] = []
    for held in loan_store.load(transaction, loan_ids):
        part = _income(held, *fees[held.contract.loan_id])
        if part:
            posting = Posting("ORIGINATION_FEE_AMORTISED", day, True, {"amortisation": part})
            made.append((held.contract, posting))
    bookings.post_many(transaction, batch, made)
    return [posting for _, posting in made]


def _income(held: Held, left: int, fee: int) -> int:
    """What of the fee that is left is no longer to be deferred. Off balance nothing becomes income."""
    loan = held.loan
    if loan.running and loan.nonaccrual_since is not None:
        return 0
    return left - min(unamortised(held.terms, loan, fee), left)
