"""What channels collected and have not handed over (1221.01), by the channel's id of the payment.

Every posting on the account names the payment it is for, so that the account is the sum of its open
payments: what is not handed over yet, and the differences of settlement files until they are resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, and_, select, update

from tael_servicing import books, differences, parties
from tael_servicing.books import BookDay
from tael_servicing.differences import Found
from tael_servicing.parties import CHANNEL_PAYMENT, IN_TRANSIT, Told
from tael_servicing.tables import difference, direct_debit, party_balance, party_movement

SETTLED = "CHANNEL_SETTLED"


def in_transit(transaction: Connection, book_id: str, payment_ids: Iterable[str]) -> dict[str, int]:
    """What of payments is not handed over, minor units; payments never heard of are left out."""
    found = parties.balances(transaction, book_id, payment_ids)
    return {payment_id: each for (code, payment_id), each in found.items() if code == IN_TRANSIT}


def hand_over(
    transaction: Connection, book: BookDay, settlement_id: str, amounts: Sequence[tuple[str, int]]
) -> None:
    """A channel handed over so much of payments, minor units; negative where it took it back."""
    told = Told(book.book_id, book.business_date, SETTLED, "", settlement_id)
    for payment_id, amount in amounts:
        parties.move(transaction, told, {"handed_over": amount}, {CHANNEL_PAYMENT: payment_id})


def explain(transaction: Connection, book_id: str, payment_id: str, amount: int) -> None:
    """A payment is told of: where a channel has handed it over already, that is no difference any more;
    "" is none.
    """
    if not payment_id:
        return
    differences.cure(
        transaction,
        books.get(transaction, book_id),
        ["MISSING_HERE"],
        [payment_id],
        "recorded after the channel handed it over",
        theirs=amount,
    )


def take_back(transaction: Connection, book_id: str, owners: Mapping[str, str]) -> None:
    """A repayment was reversed: its debit is no success any more, and what the channel has handed over
    of it already is a difference.
    """
    payment_id = owners.get(CHANNEL_PAYMENT)
    if payment_id is None:
        return
    book = books.get(transaction, book_id)
    transaction.execute(
        update(direct_debit)
        .where(direct_debit.c.payment_id == payment_id, direct_debit.c.state == "ALLOCATED")
        .values(state="REVERSED")
    )
    differences.cure(transaction, book, ["MISSING_AT_CHANNEL"], [payment_id], "taken back here")
    left = in_transit(transaction, book.book_id, [payment_id])[payment_id]
    settlement_id = _handed_over_in(transaction, book.book_id, payment_id)
    if left < 0 and settlement_id:
        detail = "taken back here after it was handed over"
        found = Found(
            "MISSING_HERE",
            payment_id,
            ours=0,
            theirs=-left,
            detail=detail,
            source=f"reversed:{settlement_id}",
            settlement_id=settlement_id,
        )
        differences.queue(transaction, book, [found])


def _handed_over_in(transaction: Connection, book_id: str, payment_id: str) -> str:
    """The last settlement that had a payment; "" where none has."""
    last = (
        select(party_movement.c.reference)
        .where(
            party_movement.c.book_id == book_id,
            party_movement.c.owner_id == payment_id,
            party_movement.c.event == SETTLED,
        )
        .order_by(party_movement.c.movement_id.desc())
        .limit(1)
    )
    return transaction.execute(last).scalar() or ""


def missed(transaction: Connection, book_id: str, to: date) -> list[tuple[str, int]]:
    """Payments collected up to a date that are not handed over, our own debits apart, with what is left
    of each; those in the queue of differences are left out.
    """
    payment = party_balance.c.owner_id
    of_payment = and_(
        party_movement.c.book_id == book_id,
        party_movement.c.owner_id == payment,
        party_movement.c.date <= to,
    )
    in_queue = and_(
        difference.c.book_id == book_id,
        difference.c.subject == payment,
        difference.c.settlement_id != "",
        difference.c.state != "RESOLVED",
    )
    rows = transaction.execute(
        select(payment, party_balance.c.balance)
        .where(
            party_balance.c.book_id == book_id,
            party_balance.c.code == IN_TRANSIT,
            party_balance.c.balance > 0,
            select(party_movement.c.movement_id).where(of_payment).exists(),
            ~select(direct_debit.c.payment_id).where(direct_debit.c.payment_id == payment).exists(),
            ~select(difference.c.difference_id).where(in_queue).exists(),
        )
        .order_by(payment)
    )
    return [(payment_id, int(left)) for payment_id, left in rows]
