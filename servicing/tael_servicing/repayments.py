"""Repayments: money that has arrived, in every form, and back on a revolving line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from tael.servicing.v1 import repayment_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime import later
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from tael_runtime.fields import read_amount
from tael_runtime.ids import new_id
from tael_servicing import (
    enacting,
    events,
    funds,
    joint,
    loans,
    outgoing,
    parties,
    partners,
    products,
    transit,
)
from tael_servicing.arithmetic.events import (
    CurrentPaid,
    LoanEvent,
    Parked,
    Prepaid,
    Recovered,
    Repaid,
    Reversed,
    Settled,
)
from tael_servicing.arithmetic.terms import Excess, Keep
from tael_servicing.enacting import Enacted, enact
from tael_servicing.loans import OWN_ACCOUNT, Contract, Held, Money
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan_posting, outgoing_posting
from tael_servicing.tables import repayment as repayments

FUNDS = {
    "OWN_ACCOUNT": "",
    "CHANNEL": "funds_channel",
    "TRANSFER": "funds_transfer",
    "PARKED": "funds_parked",
}
ON_BALANCE = ("principal_normal", "principal_overdue", "principal_impaired")
PARTS = {
    "principal": (*ON_BALANCE, "claimed_principal", "principal"),
    "interest": ("interest_due", "interest_accrued", "offbalance_interest", "interest"),
    "penalty": ("penalty", "offbalance_penalty"),
    "compound": ("compound", "offbalance_compound"),
    "fee": ("prepayment_fee", "fee", "legal_costs"),
    "overpayment": ("overpayment",),
    "partner_share": ("partner_share",),
}
PAYS = ("REPAYMENT_RECEIVED", "RECOVERY_RECEIVED")
"""Events that say how money was spread."""
KEEPS = {
    "PREPAY_KEEP_TERM": Keep.TERM,
    "PREPAY_KEEP_INSTALMENT": Keep.INSTALMENT,
    "PREPAY_NEXT_DUE": Keep.SCHEDULE,
}
EXCESSES = {
    "DUE": None,
    "OVERDUE_ONLY": Excess.PARK,
    "FIXED_AMOUNT": Excess.PRINCIPAL,
    "ADVANCE_NEXT": Excess.NEXT,
    "ADVANCE_LAST": Excess.LAST,
    "ADVANCE_SPREAD": Excess.SPREAD,
}
"""Where money beyond what is due goes, by what it is for; as the product says where None."""


@dataclass(frozen=True)
class Receipt:
    """Money that came: of a joint loan for both lenders."""

    amount: int
    kind: str
    """A RepaymentKind without its prefix: DUE, SETTLE, …."""
    funding: str
    reference: str
    receipt_id: str = ""
    """Where it was parked."""
    payment_id: str = ""
    """The channel's id of it, where a channel collected it."""
    subsidy: int = 0
    """Of the amount, what a subsidiser owes instead."""
    subsidiser_id: str = ""

    @property
    def kept(self) -> dict[str, Any]:
        """What is kept of it; the rest the postings know."""
        return {name: getattr(self, name) for name in ("amount", "kind", "funding", "reference")}

    def event(self, value_date: date, event_id: str, amount: int) -> LoanEvent:
        """What our part of it means to the loan."""
        if self.kind in KEEPS:
            return Prepaid(value_date, event_id, amount, KEEPS[self.kind])
        if self.kind == "SETTLE":
            return Settled(value_date, event_id, amount)
        if self.kind == "CURRENT_INSTALMENT":
            return CurrentPaid(value_date, event_id, amount)
        return Repaid(value_date, event_id, amount, EXCESSES[self.kind])

    def money(self, contract: Contract) -> Money:
        """What it brings beside what it pays of the loan."""
        amounts = {"funds_subsidy": self.subsidy}
        if name := FUNDS[self.funding]:
            amounts[name] = self.amount - self.subsidy
        owners = {"RECEIPT": self.receipt_id, "SUBSIDISER": self.subsidiser_id}
        owners[parties.CHANNEL_PAYMENT] = self.payment_id
        if contract.partner_id:
            amounts["partner_share"] = self.amount - joint.own_part(contract, self.amount)
            owners["PARTNER"] = contract.partner_id
        named = {kind: owner for kind, owner in owners.items() if owner}
        return Money({name: amount for name, amount in amounts.items() if amount}, named)


def receipt_of(
    transaction: Connection, request: pb.RepayRequest, amount: int, contract: Contract
) -> Receipt:
    """The money a request tells of.

    Raises NotFound, InvalidArgument, FailedPrecondition PARTNER_ROLE for what is no subsidy.
    """
    kind = pb.RepaymentKind.Name(request.kind or pb.REPAYMENT_KIND_DUE)
    lender_type = products.lender_of(transaction, contract.product_code, contract.product_version)
    return Receipt(
        amount,
        kind.removeprefix("REPAYMENT_KIND_"),
        funds.of_repayment(request.funding, lender_type),
        request.reference,
        payment_id=payment_of(request),
        subsidy=_subsidy(transaction, request, amount, contract),
        subsidiser_id=request.subsidy.partner_id,
    )


def payment_of(request: pb.RepayRequest | pb.RepayCustomerRequest) -> str:
    """The channel's id of money that a channel collected; "" of other money.

    Raises InvalidArgument where it is not told.
    """
    if request.funding != pb.FUNDING_CHANNEL:
        return ""
    if not request.reference:
        raise InvalidArgument(
            "reference", "is empty; the channel's id of the payment is right, as its files name it"
        )
    return request.reference


def _subsidy(
    transaction: Connection, request: pb.RepayRequest, amount: int, contract: Contract
) -> int:
    if not request.HasField("subsidy"):
        return 0
    partner = partners.get(transaction, request.subsidy.partner_id)
    partner.check_role("SUBSIDISER")
    if partner.book_id != contract.book_id:
        raise InvalidArgument("subsidy.partner_id", f"is a partner of book {partner.book_id}")
    found = read_amount("subsidy.amount", request.subsidy.amount, contract.currency_code)
    if found > amount:
        raise InvalidArgument("subsidy.amount.minor_units", f"is at most the amount, {amount}")
    return found


def book(
    transaction: Connection, held: Held, receipt: Receipt, day: date
) -> tuple[Held, pb.Repayment]:
    """Allocates the money and stores the posting: the loan after it, and the repayment.

    The loan is locked and stands on `day`. Raises FailedPrecondition where it takes no such money.
    """
    if held.loan.claim is not None:
        return _recover(transaction, held, receipt, day, day)
    own = joint.own_part(held.contract, receipt.amount)
    if receipt.kind == "OVERDUE_ONLY" and own > held.loan.amount_due:
        raise FailedPrecondition(
            Reason.MORE_THAN_OVERDUE, f"{held.loan.amount_due} is due and unpaid"
        )
    return _take(transaction, held, receipt, day, day, checked=True)


def _recover(
    transaction: Connection, held: Held, receipt: Receipt, value_date: date, day: date
) -> tuple[Held, pb.Repayment]:
    """Books money on a written-off loan, which comes by transfer, and for what the loan owed alone.

    Raises FailedPrecondition LOAN_WRITTEN_OFF, RECOVERY_EXCEEDS_CLAIM.
    """
    contract = held.contract
    plain = receipt.kind in EXCESSES and not receipt.subsidy and not contract.partner_id
    if not plain or receipt.funding not in ("OWN_ACCOUNT", "TRANSFER"):
        raise FailedPrecondition(
            Reason.LOAN_WRITTEN_OFF,
            "the loan is written off; what comes on it is a recovery, by transfer",
            contract.loan_id,
        )
    event = Recovered(value_date, held.next_event_id, receipt.amount)
    came = replace(receipt, funding="TRANSFER")
    return _keep(transaction, held, came, value_date, day, event, checked=True)


def park(
    transaction: Connection, held: Held, receipt: Receipt, day: date
) -> tuple[Held, pb.Repayment]:
    """Books money that was under way while the loan was repaid or written off."""
    own = joint.own_part(held.contract, receipt.amount)
    event = Parked(day, held.next_event_id, own)
    return _keep(transaction, held, receipt, day, day, event, checked=False)


def book_back(
    transaction: Connection, held: Held, receipt: Receipt, value_date: date, day: date
) -> tuple[Held, pb.Repayment]:
    """Books money as if it had come on an earlier day, with all that follows from it.

    Raises FailedPrecondition as `book` does of a loan that was written off by then; InvalidArgument
    for a value date after the business date or before the loan.
    """
    enacting.check_value_date(held, value_date, day)
    if enacting.standing_on(transaction, held, value_date).claim is not None:
        return _recover(transaction, held, receipt, value_date, day)
    return _take(transaction, held, receipt, value_date, day, checked=False)


def reverse(
    transaction: Connection, held: Held, repayment_id: str, day: date, reference: str
) -> Enacted:
    """The repayment did not happen: what came after it is folded again.

    Raises NotFound; FailedPrecondition ALREADY_REVERSED.
    """
    contract = held.contract
    row = transaction.execute(
        select(repayments.c.event_id).where(
            repayments.c.loan_id == contract.loan_id, repayments.c.repayment_id == repayment_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound("repayment", repayment_id)
    if row.event_id in loans.reversed_events(transaction, contract.loan_id):
        raise FailedPrecondition(
            Reason.ALREADY_REVERSED, "a repayment is reversed once", repayment_id
        )
    event = Reversed(day, held.next_event_id, row.event_id)
    enacted = enact(transaction, held, event, day, reference=reference)
    brought = dict(owner for posting in enacted.postings for owner in posting.owners)
    transit.take_back(transaction, contract.book_id, brought)
    return enacted


KEEP = insert(repayments)


def _take(
    transaction: Connection,
    held: Held,
    receipt: Receipt,
    value_date: date,
    day: date,
    *,
    checked: bool,
) -> tuple[Held, pb.Repayment]:
    own = joint.own_part(held.contract, receipt.amount)
    event = receipt.event(value_date, held.next_event_id, own)
    return _keep(transaction, held, receipt, value_date, day, event, checked=checked)


def _keep(
    transaction: Connection,
    held: Held,
    receipt: Receipt,
    value_date: date,
    day: date,
    event: LoanEvent,
    *,
    checked: bool,
) -> tuple[Held, pb.Repayment]:
    """Enacts a repayment, keeps it and tells of it."""
    contract = held.contract
    enacted = enact(
        transaction,
        held,
        event,
        day,
        reference=receipt.reference,
        money=OWN_ACCOUNT if isinstance(event, Recovered) else receipt.money(contract),
        checked=checked,
        tells=False,
    )
    made = new_id("rp")
    row = {
        "repayment_id": made,
        "loan_id": contract.loan_id,
        "event_id": event.event_id,
        "value_date": value_date,
        "request_id": enacted.request_id,
        **receipt.kept,
    }
    later.write(transaction, KEEP, row)
    caused = [
        each.amounts
        for each in enacted.postings
        if each.cause == event.event_id and each.event in PAYS
    ]
    repayment = _message(made, contract, receipt.kept, value_date, _parts(caused))
    events.repayment_received(transaction, day, enacted.after, repayment)
    events.state_changed(transaction, day, held.state, enacted.after)
    return enacted.after, repayment


def _parts(amounts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """How an event's money was spread, by part."""
    moved = list(amounts)
    return {
        part: sum(each.get(name, 0) for each in moved for name in names)
        for part, names in PARTS.items()
    }


def page(transaction: Connection, contract: Contract, after: str, size: int) -> list[pb.Repayment]:
    """A page of the loan's repayments, oldest first, as they are spread now, with their vouchers."""
    loan_id = contract.loan_id
    rows = transaction.execute(
        select(repayments)
        .where(repayments.c.loan_id == loan_id, repayments.c.repayment_id > after)
        .order_by(repayments.c.repayment_id)
        .limit(size)
    ).all()
    posted = outgoing.vouchers(transaction, [row.request_id for row in rows])
    spread = _spread(transaction, loan_id, [row.event_id for row in rows])
    gone = loans.reversed_events(transaction, loan_id)
    made = []
    for row in rows:
        parts = _parts(spread[row.event_id])
        message = _message(row.repayment_id, contract, row._asdict(), row.value_date, parts)
        message.entry_sequences.extend(_sequences(posted.get(row.request_id, {})))
        message.reversed = row.event_id in gone
        made.append(message)
    return made


def _spread(
    transaction: Connection, loan_id: str, event_ids: Sequence[str]
) -> defaultdict[str, list[Mapping[str, int]]]:
    """What each of these events posted, and what later pasts changed of it."""
    rows = transaction.execute(
        select(loan_posting.c.cause, loan_posting.c.amounts).where(
            loan_posting.c.loan_id == loan_id,
            loan_posting.c.cause == func.any(list(event_ids)),
            loan_posting.c.event.in_(PAYS),
        )
    )
    found: defaultdict[str, list[Mapping[str, int]]] = defaultdict(list)
    for row in rows:
        found[row.cause].append(row.amounts)
    return found


def sequences_of(transaction: Connection, repayment: pb.Repayment) -> list[int]:
    """The entries the ledger made of a repayment."""
    key = {"loan": repayment.loan_id, "repayment": repayment.repayment_id}
    return _sequences(transaction.execute(VOUCHERS, key).scalar() or {})


VOUCHERS = (
    select(outgoing_posting.c.vouchers)
    .join(repayments, repayments.c.request_id == outgoing_posting.c.request_id)
    .where(
        repayments.c.loan_id == bindparam("loan"),
        repayments.c.repayment_id == bindparam("repayment"),
    )
)


def _sequences(posted: Mapping[str, Sequence[int]]) -> list[int]:
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
