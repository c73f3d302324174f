"""Direct debits: one loan's money, asked of its bound card in a round, once under one id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, insert, select, update

from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime import later
from tael_servicing import joint
from tael_servicing.failure_codes import retryable
from tael_servicing.loans import Held
from tael_servicing.tables import direct_debit as debits

ASKED = ("SENDING", "UNKNOWN")
"""Sent, perhaps, and without an answer that says what became of it."""
MOVED = ("SUCCESS", "ALLOCATED")
"""The card gave the money."""
OPEN = ("PREPARED", *ASKED, "SUCCESS")
"""Covers what is owed, or may."""


@dataclass(frozen=True)
class Debit:
    """One loan's debit of one round, minor units."""

    payment_id: str
    batch_id: str
    loan_id: str
    book_id: str
    business_date: date
    """Asked on, and worth when it succeeds."""
    round: int
    card_token: str
    currency_code: str
    amount: int
    minimum: int
    """Of a part; 0 = all or nothing."""
    debited: int
    state: str
    sent_at: datetime | None
    failure_code: str
    reference: str
    settlement_id: str

    @property
    def asked(self) -> bool:
        """Was sent, perhaps, and waits for an answer; also where it is to be sent once more."""
        return self.state in ASKED or (self.state == "PREPARED" and self.sent_at is not None)

    @property
    def moved(self) -> bool:
        """The card gave the money."""
        return self.state in MOVED

    def may_bring(self, amount: int) -> bool:
        """Whether a success of so much is what was asked: all of it, or a part that is allowed."""
        return amount == self.amount or 0 < self.minimum <= amount < self.amount

    def message(self) -> pb.Debit:
        """In the contract's words."""
        return pb.Debit(
            payment_id=self.payment_id,
            batch_id=self.batch_id,
            loan_id=self.loan_id,
            business_date=from_date(self.business_date),
            amount=money(self.amount, self.currency_code),
            debited=money(self.debited, self.currency_code),
            state=pb.DebitState.Value(f"DEBIT_STATE_{self.state}"),
            failure_code=self.failure_code if self.state == "FAILED" else "",
            retryable=self.state == "FAILED" and retryable(self.failure_code),
            reference=self.reference,
            settlement_id=self.settlement_id,
        )


COLUMNS = [debits.c[name] for name in Debit.__dataclass_fields__]


def owed(held: Held) -> int:
    """What a debit may ask of a loan: due and unpaid, of one that still runs and whose product has it
    debited; for both lenders of a joint one.
    """
    if not held.loan.running or not held.terms.direct_debit:
        return 0
    return joint.whole(held.contract, held.loan.amount_due)


def prepare(
    transaction: Connection, batch_id: str, round_: int, minimum: int, due: Sequence[Held]
) -> int:
    """What each loan owes, and no debit under way covers, is to be asked: the number of debits."""
    covered = under_way(transaction, [held.contract.loan_id for held in due])
    rows = []
    for held in due:
        contract, day = held.contract, held.loan.business_date
        amount = owed(held) - covered.get(contract.loan_id, 0)
        if amount > 0:
            rows.append(
                {
                    "payment_id": f"debit:{contract.loan_id}:{day}:{round_}",
                    "batch_id": batch_id,
                    "loan_id": contract.loan_id,
                    "book_id": contract.book_id,
                    "business_date": day,
                    "round": round_,
                    "card_token": contract.card_token,
                    "currency_code": contract.currency_code,
                    "amount": amount,
                    "minimum": min(minimum, amount),
                }
            )
    later.write(transaction, ASK, *rows)
    return len(rows)


ASK = insert(debits)


def under_way(transaction: Connection, loan_ids: Sequence[str]) -> dict[str, int]:
    """By loan, what its open debits cover, minor units."""
    brings = case((debits.c.state == "SUCCESS", debits.c.debited), else_=debits.c.amount)
    rows = transaction.execute(
        select(debits.c.loan_id, func.sum(brings))
        .where(debits.c.loan_id == func.any(list(loan_ids)), debits.c.state.in_(OPEN))
        .group_by(debits.c.loan_id)
    )
    return {loan_id: int(total) for loan_id, total in rows}


def failed_for_good(transaction: Connection, loan_ids: Sequence[str]) -> set[str]:
    """Loans whose last debit failed with a code that no later round would better."""
    newest = func.row_number().over(
        partition_by=debits.c.loan_id,
        order_by=(debits.c.business_date.desc(), debits.c.round.desc()),
    )
    last = (
        select(debits.c.loan_id, debits.c.state, debits.c.failure_code, newest.label("place"))
        .where(debits.c.loan_id == func.any(list(loan_ids)), debits.c.state != "CANCELLED")
        .subquery()
    )
    rows = transaction.execute(select(last).where(last.c.place == 1, last.c.state == "FAILED"))
    return {row.loan_id for row in rows if not retryable(row.failure_code)}


def unresolved(transaction: Connection, book_id: str, *, before: date) -> list[str]:
    """Loans with a debit dated before a day that is open, by loan."""
    rows = transaction.execute(
        select(debits.c.loan_id)
        .where(
            debits.c.book_id == book_id, debits.c.business_date < before, debits.c.state.in_(OPEN)
        )
        .distinct()
        .order_by(debits.c.loan_id)
    )
    return list(rows.scalars())


def of_loans(
    transaction: Connection, loan_ids: Sequence[str], states: Sequence[str]
) -> list[Debit]:
    """The debits of loans in given states, oldest first."""
    rows = transaction.execute(
        select(*COLUMNS)
        .where(debits.c.loan_id == func.any(list(loan_ids)), debits.c.state.in_(states))
        .order_by(debits.c.business_date, debits.c.round, debits.c.loan_id)
    )
    return [Debit(*row) for row in rows]


def lock(transaction: Connection, payment_ids: Sequence[str]) -> dict[str, Debit]:
    """Debits by id, which nobody else changes before this transaction ends."""
    rows = transaction.execute(
        select(*COLUMNS)
        .where(debits.c.payment_id == func.any(list(payment_ids)))
        .order_by(debits.c.payment_id)
        .with_for_update()
    )
    return {row.payment_id: Debit(*row) for row in rows}


KEPT = ("state", "amount", "minimum", "debited", "failure_code", "reference", "settlement_id")
"""What changes in a debit's life."""


def save(transaction: Connection, changed: Sequence[Debit]) -> None:
    """Writes locked debits as they stand now."""
    if changed:
        values: Mapping[str, Any] = {name: bindparam(f"_{name}") for name in KEPT}
        transaction.execute(
            update(debits)
            .where(debits.c.payment_id == bindparam("_id"))
            .values(**values, touched_at=func.now()),
            [
                {"_id": each.payment_id, **{f"_{name}": getattr(each, name) for name in KEPT}}
                for each in changed
            ],
        )


def allocate(transaction: Connection, debit: Debit) -> bool:
    """Its money is about to be booked; False where somebody has done so already."""
    of_it = (debits.c.payment_id == debit.payment_id, debits.c.state == "SUCCESS")
    return bool(
        transaction.execute(update(debits).where(*of_it).values(state="ALLOCATED")).rowcount
    )


def page(
    transaction: Connection, request: pb.ListDebitsRequest, after: str, size: int
) -> list[Debit]:
    """A page of a batch's or a loan's debits, by id."""
    query = select(*COLUMNS).where(debits.c.payment_id > after)
    if request.batch_id:
        query = query.where(debits.c.batch_id == request.batch_id)
    if request.loan_id:
        query = query.where(debits.c.loan_id == request.loan_id)
    if request.state:
        state = pb.DebitState.Name(request.state).removeprefix("DEBIT_STATE_")
        query = query.where(debits.c.state == state)
    rows = transaction.execute(query.order_by(debits.c.payment_id).limit(size))
    return [Debit(*row) for row in rows]
