"""Receipts: money of unknown payers, until it is allocated or given back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select

from tael.servicing.v1 import receipt_pb2 as pb
from tael.servicing.v1 import repayment_pb2 as pb2
from tael_client.values import from_date, money
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from tael_runtime.ids import new_id
from tael_servicing import bookings, customer_money, loan_store, parties, repayments
from tael_servicing.bookings import Batch
from tael_servicing.reasons import Reason
from tael_servicing.repayments import Receipt
from tael_servicing.tables import party_balance
from tael_servicing.tables import receipt as receipts

AGES = (0, 3, 7, 30, 90)
"""The last day of each bucket of age but the open one."""


@dataclass(frozen=True)
class Parked:
    """A receipt, minor units."""

    receipt_id: str
    book_id: str
    currency_code: str
    amount: int
    funding: str
    """CHANNEL or TRANSFER."""
    reference: str
    parked_on: date
    left: int
    """Neither allocated nor given back."""

    def message(self, day: date) -> pb.Receipt:
        """In the contract's words, as old as it is on a day."""
        return pb.Receipt(
            receipt_id=self.receipt_id,
            book_id=self.book_id,
            amount=money(self.amount, self.currency_code),
            left=money(self.left, self.currency_code),
            funding=pb2.Funding.Value(f"FUNDING_{self.funding}"),
            reference=self.reference,
            parked_on=from_date(self.parked_on),
            age_days=(day - self.parked_on).days,
        )


LEFT = func.coalesce(party_balance.c.balance, 0)
OF_THE_RECEIPT = and_(
    party_balance.c.book_id == receipts.c.book_id,
    party_balance.c.owner_id == receipts.c.receipt_id,
    party_balance.c.code == parties.RECEIPTS,
)
FOUND = select(receipts, LEFT.label("left")).outerjoin(party_balance, OF_THE_RECEIPT)


def park(transaction: Connection, parked: Parked) -> Parked:
    """Keeps it and stores its posting."""
    row = {name: value for name, value in vars(parked).items() if name != "left"}
    transaction.execute(insert(receipts).values(row))
    funds = f"funds_{parked.funding.lower()}"
    bookings.post_apart(
        transaction,
        batch(parked, parked.parked_on),
        "RECEIPT_PARKED",
        {funds: parked.amount},
        {"RECEIPT": parked.receipt_id, parties.CHANNEL_PAYMENT: parked.reference},
        parked.reference,
    )
    return parked


def batch(parked: Parked, day: date) -> Batch:
    """Of a posting of its own; so is its lane."""
    return Batch(new_id("receipt"), parked.book_id, parked.receipt_id, day)


def get(connection: Connection, receipt_id: str) -> Parked:
    """One receipt. Raises NotFound."""
    return _one(
        connection.execute(FOUND.where(receipts.c.receipt_id == receipt_id)).all(), receipt_id
    )


def lock(transaction: Connection, receipt_id: str) -> Parked:
    """A receipt that nobody else spends before this transaction ends. Raises NotFound."""
    transaction.execute(
        select(receipts.c.receipt_id).where(receipts.c.receipt_id == receipt_id).with_for_update()
    )
    return get(transaction, receipt_id)


def _one(rows: Sequence[Any], receipt_id: str) -> Parked:
    if not rows:
        raise NotFound("receipt", receipt_id)
    return Parked(**rows[0]._asdict())


def page(
    connection: Connection, book_id: str, after: str, size: int, *, open_only: bool
) -> list[Parked]:
    """A page of a book's receipts, oldest first."""
    query = FOUND.where(receipts.c.book_id == book_id, receipts.c.receipt_id > after)
    if open_only:
        query = query.where(LEFT > 0)
    rows = connection.execute(query.order_by(receipts.c.receipt_id).limit(size))
    return [Parked(**row._asdict()) for row in rows]


def ages(
    connection: Connection, book_id: str, day: date, limits: Sequence[int]
) -> list[pb.ReceiptAge]:
    """Receipts with something left by age on a day, youngest first."""
    starts = [0, *(limit + 1 for limit in limits)]
    made = [
        pb.ReceiptAge(from_days=start, to_days=limit)
        for start, limit in zip(starts, (*limits, 0), strict=True)
    ]
    rows = connection.execute(
        select(receipts.c.parked_on, func.count().label("number"), func.sum(LEFT).label("left"))
        .join(party_balance, OF_THE_RECEIPT)
        .where(receipts.c.book_id == book_id, LEFT > 0)
        .group_by(receipts.c.parked_on)
    )
    for row in rows:
        bucket = made[bisect_left(limits, (day - row.parked_on).days)]
        bucket.count += row.number
        bucket.left += int(row.left)
    return made


def to_spend(parked: Parked, wanted: int | None) -> int:
    """How much of it: all that is left where nothing is said.

    Raises FailedPrecondition RECEIPT_EXCEEDED.
    """
    amount = parked.left if wanted is None else wanted
    if not 0 < amount <= parked.left:
        raise FailedPrecondition(
            Reason.RECEIPT_EXCEEDED, f"{parked.left} of it is left", parked.receipt_id
        )
    return amount


def allocate_to_loan(
    transaction: Connection, parked: Parked, loan_id: str, amount: int, kind: str, day: date
) -> pb2.Repayment:
    """Repays one loan out of a locked receipt.

    Raises NotFound; InvalidArgument for a loan of another book; what the loan says to a repayment.
    """
    held = loan_store.lock(transaction, loan_id)
    if held.contract.book_id != parked.book_id:
        raise InvalidArgument(
            "loan_id",
            f"is a loan of book {held.contract.book_id}, the receipt is of {parked.book_id}",
        )
    _, repayment = repayments.book(transaction, held, _money(parked, amount, kind), day)
    return repayment


def allocate_to_customer(
    transaction: Connection, parked: Parked, customer_id: str, amount: int, day: date
) -> list[pb2.Repayment]:
    """Repays what a customer's loans owe, what fell due first, as far as the amount goes.

    Raises FailedPrecondition NOTHING_TO_ALLOCATE.
    """
    money_ = _money(parked, amount, "DUE")
    return customer_money.repay_dues(transaction, parked.book_id, customer_id, money_, day)


def _money(parked: Parked, amount: int, kind: str) -> Receipt:
    return Receipt(amount, kind, "PARKED", parked.reference, receipt_id=parked.receipt_id)


def refund(transaction: Connection, parked: Parked, amount: int, reference: str, day: date) -> None:
    """Gives some of a locked receipt back."""
    owners = {"RECEIPT": parked.receipt_id}
    bookings.post_apart(
        transaction, batch(parked, day), "RECEIPT_REFUNDED", {"parked": amount}, owners, reference
    )


def uses(connection: Connection, parked: Parked) -> list[pb.ReceiptUse]:
    """What became of it, oldest first."""
    return [
        pb.ReceiptUse(
            minor_units=row.amount,
            event=row.event,
            loan_id=row.loan_id,
            date=from_date(row.date),
            reference=row.reference,
        )
        for row in parties.movements(connection, parked.book_id, parked.receipt_id)
    ]
