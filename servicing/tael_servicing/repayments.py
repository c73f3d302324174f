"""Repayments: money that has arrived, allocated, booked, and back on a revolving line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from tael.servicing.v1 import repayment_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.ids import new_id
from tael_servicing import bookings, events, lines, loan_store, loans, outgoing
from tael_servicing.arithmetic.events import LoanEvent, Parked, Prepaid, Repaid, Settled, happen
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.prepayment import Keep
from tael_servicing.backdating import backdated
from tael_servicing.bookings import Batch, with_amounts
from tael_servicing.loans import Contract, Held
from tael_servicing.tables import repayment as repayments

FUNDS = {"OWN_ACCOUNT": "", "CHANNEL": "funds_channel", "TRANSFER": "funds_transfer"}
PARTS = {
    "principal": ("principal_normal", "principal_overdue", "principal_impaired"),
    "interest": ("interest_due", "interest_accrued", "offbalance_interest"),
    "penalty": ("penalty", "offbalance_penalty"),
    "compound": ("compound", "offbalance_compound"),
    "fee": ("prepayment_fee",),
    "overpayment": ("overpayment",),
}


@dataclass(frozen=True)
class Receipt:
    """Money that came."""

    amount: int
    kind: str
    """A RepaymentKind without its prefix: DUE, SETTLE, …."""
    funding: str
    reference: str

    def event(self, value_date: date, event_id: str) -> LoanEvent:
        """What it means to the loan."""
        match self.kind:
            case "PREPAY_KEEP_TERM":
                return Prepaid(value_date, event_id, self.amount, Keep.TERM)
            case "PREPAY_KEEP_INSTALMENT":
                return Prepaid(value_date, event_id, self.amount, Keep.INSTALMENT)
            case "SETTLE":
                return Settled(value_date, event_id, self.amount)
            case _:
                return Repaid(value_date, event_id, self.amount)


def receipt_of(request: pb.RepayRequest, amount: int) -> Receipt:
    """The money a request tells of."""
    kind = pb.RepaymentKind.Name(request.kind or pb.REPAYMENT_KIND_DUE)
    funding = pb.Funding.Name(request.funding or pb.FUNDING_OWN_ACCOUNT)
    return Receipt(
        amount,
        kind.removeprefix("REPAYMENT_KIND_"),
        funding.removeprefix("FUNDING_"),
        request.reference,
    )


def book(
    transaction: Connection, held: Held, receipt: Receipt, day: date
) -> tuple[Held, pb.Repayment]:
    """Allocates the money and stores the posting: the loan after it, and the repayment.

    The loan is locked and stands on `day`. Raises FailedPrecondition where it takes no such money.
    """
    contract = held.contract
    loans.check_paid_out(held)
    event = receipt.event(day, loans.next_event_id(transaction, contract.loan_id))
    return _booked(transaction, held, receipt, day, event, happen(held.terms, held.loan, event))


def park(
    transaction: Connection, held: Held, receipt: Receipt, day: date
) -> tuple[Held, pb.Repayment]:
    """Books money that was under way while the loan was repaid or written off."""
    event = Parked(day, loans.next_event_id(transaction, held.contract.loan_id), receipt.amount)
    return _booked(transaction, held, receipt, day, event, happen(held.terms, held.loan, event))


def book_back(
    transaction: Connection, held: Held, receipt: Receipt, value_date: date, day: date
) -> tuple[Held, pb.Repayment]:
    """Books money for what was due on an earlier day as if it had come then.

    Raises FailedPrecondition where something since was only possible without it.
    """
    contract = held.contract
    known = loans.events_of(transaction, contract.loan_id)
    event_id = loans.next_event_id(transaction, contract.loan_id)
    event = Repaid(value_date, event_id, receipt.amount)
    step = backdated(held.terms, known, event, day)
    return _booked(transaction, held, receipt, day, event, step)


def _booked(
    transaction: Connection,
    held: Held,
    receipt: Receipt,
    day: date,
    event: LoanEvent,
    step: Step,
) -> tuple[Held, pb.Repayment]:
    after = held.now(step.loan)
    loans.record(transaction, held.contract.loan_id, event, receipt.reference)
    loan_store.save(transaction, after)
    return after, _keep(transaction, held, after, receipt, day, step.postings)


def _keep(
    transaction: Connection,
    before: Held,
    after: Held,
    receipt: Receipt,
    day: date,
    postings: Sequence[Posting],
) -> pb.Repayment:
    """Stores a repayment with its postings and tells of it.

    day: the business date it is booked on; its value date is that of the first REPAYMENT_RECEIVED,
    which more follow where an earlier day was folded again.
    """
    contract = after.contract
    received = next(each for each in postings if each.event == "REPAYMENT_RECEIVED")
    commitment = give_back(transaction, contract, principal_of(postings), day)
    funded = _funded(received, receipt, commitment)
    made = new_id("rp")
    batch = Batch(f"repay:{made}", contract.book_id, contract.loan_id, day)
    final = [funded if each is received else each for each in postings]
    bookings.post(transaction, batch, contract, *final)
    parts = _parts(received)
    transaction.execute(
        insert(repayments).values(
            repayment_id=made,
            loan_id=contract.loan_id,
            value_date=received.value_date,
            request_id=batch.request_id,
            **vars(receipt),
            **parts,
        )
    )
    repayment = _message(made, contract, vars(receipt), received.value_date, parts)
    events.repayment_received(transaction, day, after, repayment)
    events.state_changed(transaction, day, before.state, after)
    return repayment


def give_back(transaction: Connection, contract: Contract, principal: int, day: date) -> int:
    """Frees the revolving lines by repaid principal; what it adds to the commitment (7201)."""
    if not principal:
        return 0
    line = lines.lock(transaction, contract.line_id)
    if not any(each.revolving for each in line.branch):
        return 0
    restored = lines.restore(transaction, line, principal, contract.loan_id, day)
    events.line_changed(transaction, day, *restored.branch)
    return restored.commitment - line.commitment


def principal_of(postings: Sequence[Posting]) -> int:
    """Principal that came back, of whatever status, from new money or from over-payment."""
    return sum(
        posting.amounts.get(name, 0)
        for posting in postings
        if posting.event in ("REPAYMENT_RECEIVED", "OVERPAYMENT_APPLIED")
        for name in PARTS["principal"]
    )


def _funded(received: Posting, receipt: Receipt, commitment: int) -> Posting:
    funds = FUNDS[receipt.funding]
    amounts = {funds: receipt.amount} if funds else {}
    return with_amounts(received, **amounts, commitment=commitment)


def _parts(received: Posting) -> dict[str, int]:
    return {
        part: sum(received.amounts.get(name, 0) for name in names) for part, names in PARTS.items()
    }


def list_of(transaction: Connection, contract: Contract) -> list[pb.Repayment]:
    """The loan's repayments, oldest first, with their vouchers."""
    rows = transaction.execute(
        select(repayments)
        .where(repayments.c.loan_id == contract.loan_id)
        .order_by(repayments.c.repayment_id)
    ).all()
    posted = outgoing.vouchers(transaction, [row.request_id for row in rows])
    return [_of_row(contract, row, posted[row.request_id]) for row in rows]


def sequences_of(transaction: Connection, repayment: pb.Repayment) -> list[int]:
    """The entries the ledger made of a repayment."""
    request_id = f"repay:{repayment.repayment_id}"
    return _sequences(outgoing.vouchers(transaction, [request_id])[request_id])


def _of_row(
    contract: Contract, row: Row[tuple[Any, ...]], posted: Mapping[str, list[int]]
) -> pb.Repayment:
    parts = {part: row._asdict()[part] for part in PARTS}
    message = _message(row.repayment_id, contract, row._asdict(), row.value_date, parts)
    message.entry_sequences.extend(_sequences(posted))
    return message


def _sequences(posted: Mapping[str, list[int]]) -> list[int]:
    return sorted(sequence for each in posted.values() for sequence in each)


def _message(
    repayment_id: str,
    contract: Contract,
    receipt: Mapping[Any, Any],
    value_date: date,
    parts: Mapping[str, int],
) -> pb.Repayment:
    return pb.Repayment(
        repayment_id=repayment_id,
        loan_id=contract.loan_id,
        amount=money(receipt["amount"], contract.currency_code),
        kind=pb.RepaymentKind.Value(f"REPAYMENT_KIND_{receipt['kind']}"),
        funding=pb.Funding.Value(f"FUNDING_{receipt['funding']}"),
        value_date=from_date(value_date),
        allocation=pb.Allocation(**parts),
        reference=receipt["reference"],
    )
