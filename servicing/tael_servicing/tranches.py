"""Tranches: more is paid out on a running loan, each tranche under an id of its own.

While a tranche is under way the line holds it and the loan runs on without it: it is booked, and
becomes an event of the loan, once it is known to have been paid.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from tael.servicing.v1 import loan_pb2 as pb
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_amount
from tael_servicing import (
    bookings,
    events,
    lines,
    loan_costs,
    loans,
    payout_orders,
    payouts,
    products,
)
from tael_servicing.arithmetic.checks import check
from tael_servicing.arithmetic.disclosure import upfront
from tael_servicing.arithmetic.events import Disbursed, standing
from tael_servicing.arithmetic.fold import happen
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.enacting import enact
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Held
from tael_servicing.payouts import Payout
from tael_servicing.products import Product
from tael_servicing.reasons import Reason


def reserve(
    transaction: Connection, request: pb.DisburseTrancheRequest, held: Held, day: date
) -> Payout:
    """Holds the line and makes the payout ready.

    Raises FailedPrecondition NO_TRANCHES, PAYOUT_UNDER_WAY, LOAN_NOT_OPEN, what the arithmetic says
    of the loan, COST_OVER_CAP, CUSTOMER_OVERDUE and the line's reasons; InvalidArgument.
    """
    contract = held.contract
    loans.check_paid_out(held)
    product = products.get(transaction, contract.product_code, contract.product_version)
    _check_may_grow(held, product)
    payouts.check_none_under_way(transaction, contract.loan_id)
    principal = _read_principal(request, held, product)
    line = lines.lock(transaction, contract.line_id)
    line.check_open(day)
    line.check_room(principal)
    event = Disbursed(day, held.next_event_id, principal)
    check(held.terms, held.loan, event)
    if loans.has_arrears(transaction, contract.customer_id):
        raise FailedPrecondition(
            Reason.CUSTOMER_OVERDUE, "the customer has a loan past due", contract.customer_id
        )
    _check_cost(transaction, held, product, event)
    number = payouts.next_number(transaction, contract.loan_id)
    payout = payout_orders.order(request, contract, product.lender_type, number, principal, day)
    payouts.prepare(transaction, payout)
    held_line = lines.reserve(transaction, line, principal, contract.loan_id, day)
    _promise(transaction, held, payout, day, "disburse", line, held_line)
    return payout


def _check_may_grow(held: Held, product: Product) -> None:
    if not product.terms.schedule.tranches:
        raise FailedPrecondition(
            Reason.NO_TRANCHES, "its product has no tranches", held.contract.loan_id
        )
    if held.contract.partner_id:
        raise FailedPrecondition(
            Reason.NO_TRANCHES, "a partner lends a part of it", held.contract.loan_id
        )


def _read_principal(request: pb.DisburseTrancheRequest, held: Held, product: Product) -> int:
    principal = read_amount("principal", request.principal, held.contract.currency_code)
    most = product.terms.max_principal - held.loan.principal
    step = product.terms.choices.principal_step or 1
    if not 0 < principal <= most or principal % step:
        raise InvalidArgument(
            "principal.minor_units",
            f"is {principal}; the product lends {most} more on this loan, in multiples of {step}",
        )
    return principal


def _check_cost(transaction: Connection, held: Held, product: Product, event: Disbursed) -> None:
    """Raises FailedPrecondition COST_OVER_CAP for the whole loan, the tranche in it."""
    past = standing([*loans.events_of(transaction, held.contract.loan_id), event])
    fees = sum(upfront(held.terms, event.principal).values())
    grown = held.now(happen(held.terms, held.loan, event).loan)
    loan_costs.check(transaction, grown, product, past, fees, event.value_date)


def _promise(
    transaction: Connection,
    held: Held,
    payout: Payout,
    day: date,
    step: str,
    before: CreditLine,
    after: CreditLine,
) -> None:
    """Books by how much less, or in red ink more, the line is promised (7201)."""
    less = before.commitment - after.commitment
    if less:
        posting = Posting("LOAN_DISBURSED", day, True, {"commitment": less})
        batch = _batch(step, held, payout, day)
        bookings.post(transaction, batch, held, posting)
    events.line_changed(transaction, day, *after.branch)


def _batch(step: str, held: Held, payout: Payout, day: date) -> Batch:
    contract = held.contract
    return Batch(f"{step}:{payout.key}", contract.book_id, contract.loan_id, day)


def lend(transaction: Connection, held: Held, payout: Payout, day: date) -> None:
    """The tranche is paid: it is booked, and the loan goes on with it from today."""
    contract = held.contract
    event = Disbursed(day, held.next_event_id, payout.principal)
    line = lines.lock(transaction, contract.line_id)
    line = lines.occupy(transaction, line, payout.principal, contract.loan_id, day)
    booked = [
        posting._replace(
            value_date=day,
            cause=event.event_id,
            amounts={name: each for name, each in posting.amounts.items() if name != "commitment"},
        )
        for posting in payout_orders.lent(contract, payout)
    ]
    made = [*booked, *payout_orders.paid(payout, day)]
    made += payout_orders.fee_charged(held.terms, held.loan.vat, payout, day, event.event_id)
    # Before what the event posts: that may move the tranche on from where this puts it.
    held = bookings.post(transaction, _batch("paid", held, payout, day), held, *made)
    enact(transaction, held, event, day, reference=payout.source, checked=False)
    events.line_changed(transaction, day, *line.branch)


def give_up(transaction: Connection, held: Held, payout: Payout, day: date) -> None:
    """The tranche is not paid: the line has it again."""
    line = lines.lock(transaction, held.contract.line_id)
    released = lines.release(transaction, line, payout.principal, held.contract.loan_id, day)
    _promise(transaction, held, payout, day, "reverse", line, released)
