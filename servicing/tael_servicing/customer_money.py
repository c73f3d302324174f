"""A customer's money over that customer's loans: what fell due first is paid first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, select

from tael.servicing.v1 import repayment_pb2 as pb
from tael_runtime.errors import FailedPrecondition
from tael_servicing import joint, lines, loan_store, repayments
from tael_servicing.loans import Held
from tael_servicing.reasons import Reason
from tael_servicing.repayments import Receipt
from tael_servicing.tables import RUNNING, loan, loan_state


class Due(NamedTuple):
    """What fell due of a loan on a date and is unpaid, minor units: of a joint one for both lenders."""

    due_date: date
    loan_id: str
    amount: int


def spread(dues: Iterable[Due], amount: int) -> tuple[dict[str, int], int]:
    """What each loan gets, in the order in which they are paid, and what is left of the amount."""
    parts: dict[str, int] = {}
    for due in sorted(dues):
        part = min(amount, due.amount)
        if part:
            parts[due.loan_id] = parts.get(due.loan_id, 0) + part
            amount -= part
    return parts, amount


def dues_of(held: Held) -> Iterator[Due]:
    """What fell due of a loan, oldest first; costs advanced for the debtor are due today."""
    due_by_date = [(row.due_date, row.owed) for row in held.loan.arrears]
    due_by_date.append((held.loan.business_date, held.loan.legal_costs))
    own = told = 0
    for due_date, part in due_by_date:
        own += part
        whole = joint.whole(held.contract, own)
        if whole > told:
            yield Due(due_date, held.contract.loan_id, whole - told)
        told = whole


def lock(transaction: Connection, book_id: str, customer_id: str) -> list[Held]:
    """The customer's running loans and then their lines, which nobody else changes before this
    transaction ends.
    """
    rows = transaction.execute(
        select(loan.c.loan_id)
        .join(loan_state, loan_state.c.loan_id == loan.c.loan_id)
        .where(
            loan.c.customer_id == customer_id,
            loan.c.book_id == book_id,
            loan_state.c.state.in_(RUNNING),
        )
    )
    locked = loan_store.lock_all(transaction, list(rows.scalars())).values()
    running = [held for held in locked if held.loan.running]
    lines.hold(transaction, [held.contract.line_id for held in running])
    return running


def repay_dues(
    transaction: Connection, book_id: str, customer_id: str, receipt: Receipt, day: date
) -> list[pb.Repayment]:
    """Repays what is due as far as the money goes; what is left of it is not touched.

    Raises FailedPrecondition NOTHING_TO_ALLOCATE.
    """
    running = lock(transaction, book_id, customer_id)
    parts, _ = spread((due for held in running for due in dues_of(held)), receipt.amount)
    if not parts:
        raise FailedPrecondition(
            Reason.NOTHING_TO_ALLOCATE, "nothing of the customer is due and unpaid", customer_id
        )
    return _book(transaction, running, parts, receipt, day)


def repay_all(
    transaction: Connection, book_id: str, customer_id: str, receipt: Receipt, day: date
) -> list[pb.Repayment]:
    """Repays what is due; what is left of the money goes on the loan that falls due next.

    Raises FailedPrecondition NOTHING_TO_ALLOCATE where no loan of the customer runs.
    """
    running = lock(transaction, book_id, customer_id)
    if not running:
        raise FailedPrecondition(
            Reason.NOTHING_TO_ALLOCATE, "no loan of the customer is running", customer_id
        )
    parts, rest = spread((due for held in running for due in dues_of(held)), receipt.amount)
    if rest:
        following = min(running, key=_next_due).contract.loan_id
        parts[following] = parts.get(following, 0) + rest
    return _book(transaction, running, parts, receipt, day)


def _next_due(held: Held) -> tuple[date, str]:
    current = held.loan.current
    return current.due_date if current else date.max, held.contract.loan_id


def _book(
    transaction: Connection,
    running: Sequence[Held],
    parts: dict[str, int],
    receipt: Receipt,
    day: date,
) -> list[pb.Repayment]:
    held = {each.contract.loan_id: each for each in running}
    return [
        repayments.book(transaction, held[loan_id], replace(receipt, amount=part), day)[1]
        for loan_id, part in parts.items()
    ]
