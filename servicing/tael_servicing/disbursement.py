"""Disbursement, a saga: reserve and book, pay out, then occupy, or release and reverse.

Each step commits before the next begins and each can be taken again, so that `proceed` leads a loan's
payout, its first or a tranche, on from wherever a crash left it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import grpc
import structlog
from sqlalchemy import Connection

from tael.provider.v1 import payment_pb2 as provider
from tael.servicing.v1 import loan_pb2 as pb
from tael.servicing.v1 import product_pb2
from tael_client.values import from_date
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_amount
from tael_runtime.ids import new_id
from tael_servicing import (
    bookings,
    books,
    caps,
    events,
    holidays,
    joint,
    lines,
    loan_store,
    loans,
    outgoing,
    payout_orders,
    payouts,
    products,
    rates,
    repricing,
    tranches,
)
from tael_servicing.arithmetic.dates import later
from tael_servicing.arithmetic.events import Disbursed
from tael_servicing.arithmetic.fold import begin, replay
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.bookings import Batch
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Contract, Held, contract_terms
from tael_servicing.outgoing import PostingRefused
from tael_servicing.payouts import Outcome, Payout, Payouts
from tael_servicing.product_checks import check_loan
from tael_servicing.products import Product
from tael_servicing.quotes import choices_of, plan
from tael_servicing.reasons import Reason

log = structlog.get_logger()


def reserve(transaction: Connection, request: pb.DisburseLoanRequest) -> Held:
    """Holds the line, signs the contract, books the loan and makes its payout ready.

    Raises FailedPrecondition LINE_EXCEEDED, LINE_FROZEN, LINE_EXPIRED, LINE_PENDING, LINE_OVERALL,
    CUSTOMER_OVERDUE, PRODUCT_RETIRED, PRODUCT_NOT_IN_FORCE, COST_OVER_CAP; InvalidArgument.
    """
    book = books.hold_open(transaction, lines.get(transaction, request.line_id).book_id)
    line = lines.lock(transaction, request.line_id)
    day = book.business_date
    line.check_open(day)
    product = products.to_lend(transaction, line.product_code, day)
    contract = _contract(transaction, request, line, product, book)
    line.check_room(contract.principal)
    if loans.has_arrears(transaction, line.customer_id):
        raise FailedPrecondition(
            Reason.CUSTOMER_OVERDUE, "the customer has a loan past due", line.customer_id
        )
    held = _opened(transaction, contract, product)
    line = lines.reserve(transaction, line, contract.principal, contract.loan_id, day)
    loans.sign(transaction, contract)
    (held,) = loan_store.save(transaction, held)
    payout = payout_orders.order(request, contract, product.lender_type, 1, contract.principal, day)
    payouts.prepare(transaction, payout)
    booked = payout_orders.lent(contract, payout)
    held = bookings.post(transaction, batch("disburse", payout, contract, day), held, *booked)
    events.line_changed(transaction, day, *line.branch)
    return held


def _contract(
    transaction: Connection,
    request: pb.DisburseLoanRequest,
    line: CreditLine,
    product: Product,
    book: BookDay,
) -> Contract:
    """Raises InvalidFields with everything the loan wants that its product does not lend."""
    whole = read_amount("principal", request.principal, book.currency_code)
    partner_principal = joint.partner_part(transaction, request, whole, book)
    day = book.business_date
    choices = choices_of(request.choices, request.repay_day)
    check_loan(product.terms, whole, request.periods, choices, day)
    off = holidays.of_loan(transaction, product.terms, day, request.periods)
    annual_rate, spread = _priced(transaction, line, product, request.periods, day)
    return Contract(
        loan_id=new_id("ln"),
        customer_id=line.customer_id,
        line_id=line.line_id,
        book_id=line.book_id,
        product_code=product.code,
        product_version=product.version,
        currency_code=book.currency_code,
        principal=whole - partner_principal,
        annual_rate=annual_rate,
        periods=request.periods,
        repay_day=request.repay_day,
        start_date=book.business_date,
        card_token=request.card_token,
        source=request.source,
        choices=choices.SerializeToString(deterministic=True),
        holidays=tuple(sorted(off)),
        partner_id=request.joint.partner_id,
        partner_principal=partner_principal,
        spread=spread,
    )


def _priced(
    transaction: Connection, line: CreditLine, product: Product, periods: int, day: date
) -> tuple[Decimal, Decimal | None]:
    """The rate of a drawdown and its spread: a floating one bears the prime rate of its day, whatever
    that was when the line was priced.
    """
    terms = product.terms
    if not terms.HasField("floating_rate"):
        return line.annual_rate, None
    lprs, spread = rates.known(transaction), line.spread
    if spread is None:  # priced while the product's rate was fixed
        spread = line.annual_rate - rates.prime(lprs, terms, day, periods)
    return rates.floating(lprs, terms, spread, day, periods), spread


def _opened(transaction: Connection, contract: Contract, product: Product) -> Held:
    """The loan as it is signed. Raises InvalidArgument for terms no loan can have;
    FailedPrecondition COST_OVER_CAP.
    """
    try:
        terms = contract_terms(contract, product.terms)
    except ValueError as error:
        raise InvalidArgument("choices", str(error)) from error
    principal, day = contract.principal, contract.start_date
    plan(terms, principal, day)
    caps.check(transaction, product.lender_type, product.terms, terms, principal, day)
    loan = begin(terms, Disbursed(day, "", principal))
    return Held(contract, terms, "PAYING", loan)


def batch(step: str, payout: Payout, contract: Contract, day: date) -> Batch:
    """What a step of a payout posts under."""
    return Batch(f"{step}:{payout.key}", contract.book_id, contract.loan_id, day)


def begin_loan(transaction: Connection, held: Held, payout: Payout, day: date) -> None:
    """The hold becomes use, and interest runs from the day on which the payout is known.

    Before that nobody can tell the borrower that the money is there (the value date is that of the
    channel's word), so that a late word costs no interest and no due date has passed.
    """
    ordered, booked = held.contract, payout_orders.lent(held.contract, payout)
    if day != ordered.start_date:
        held = _begun_anew(transaction, held, day)
    contract = held.contract
    event = Disbursed(day, held.next_event_id, contract.principal)
    loan, due = replay(held.terms, [event], day)
    held = held.now(loan)
    line = lines.lock(transaction, contract.line_id)
    line = lines.occupy(transaction, line, contract.principal, contract.loan_id, day)
    loans.record(transaction, contract.loan_id, event, day, contract.source)
    (held,) = loan_store.save(transaction, held)
    made = payout_orders.redated(booked, day) if day != ordered.start_date else ()
    made += payout_orders.paid(payout, day)
    made += payout_orders.fee_charged(held.terms, loan.vat, payout, day, event.event_id)
    held = bookings.post(transaction, batch("paid", payout, contract, day), held, *made, *due)
    events.line_changed(transaction, day, *line.branch)
    events.loan_opened(transaction, day, held)


def _begun_anew(transaction: Connection, held: Held, day: date) -> Held:
    """The contract as of a later first day: a first due date that has passed moves on by periods, and
    a floating rate is that day's.
    """
    terms, contract = held.terms, held.contract
    product = products.get(transaction, contract.product_code, contract.product_version)
    choices = product_pb2.LoanChoices.FromString(contract.choices)
    if terms.first_due is not None:
        choices.first_due_date.CopyFrom(from_date(_after(terms, terms.first_due, day)))
    off = holidays.of_loan(transaction, product.terms, day, contract.periods)
    rate = contract.annual_rate
    if product.terms.HasField("floating_rate"):
        rate = repricing.rate_on(rates.known(transaction), contract, product.terms, day)
    contract = replace(
        contract,
        annual_rate=rate,
        start_date=day,
        choices=choices.SerializeToString(deterministic=True),
        holidays=tuple(sorted(off)),
    )
    loans.sign_anew(transaction, contract)
    return replace(held, contract=contract, terms=contract_terms(contract, product.terms))


def _after(terms: Terms, due: date, day: date) -> date:
    moved, periods = due, 0
    while moved <= day:
        periods += 1
        moved = later(terms.frequency, due, periods, due.day, terms.month_end)
    return moved


def cancel_loan(transaction: Connection, held: Held, payout: Payout, day: date) -> None:
    """The hold is given back and what was booked reversed in red ink, the last first."""
    contract = held.contract
    held = replace(held, state="CANCELLED")
    line = lines.lock(transaction, contract.line_id)
    released = lines.release(transaction, line, contract.principal, contract.loan_id, day)
    (held,) = loan_store.save(transaction, held)
    origin = f"disburse:{payout.key}"
    posted = outgoing.vouchers(transaction, [origin])[origin]
    entries = sorted(sequence for each in posted.values() for sequence in each)
    booked = list(zip(payout_orders.lent(contract, payout), entries, strict=True))
    for posting, entry in reversed(booked):
        step = "reverse" if posting.event.endswith("LOAN_DISBURSED") else "reverse:second"
        reversal = batch(step, payout, contract, day)
        held = bookings.post_reversal(transaction, reversal, held, posting, entry)
    # The reversal gives all of it back to 7201: too much where the limit fell meanwhile.
    excess = released.commitment - line.commitment - contract.principal
    bookings.post_line_adjusted(
        transaction, batch("adjust", payout, contract, day), released, excess
    )
    events.line_changed(transaction, day, *released.branch)
    events.loan_opened(transaction, day, held)


class Disbursements:
    """Leads payouts from READY to PAID or FAILED, and their loans with them."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database
        self._sender = desk.sender
        self._payouts = Payouts(desk.database, desk.payments)

    def proceed(self, loan_id: str) -> None:
        """Takes every step that can be taken now; the payout stays SENT while nobody knows.

        Raises PostingRefused, or the RpcError of a ledger that does not answer.
        """
        with self._db.read() as connection:
            contract = loan_store.get(connection, loan_id).contract
            payout = payouts.under_way(connection, loan_id)
        self._sender.deliver(contract.book_id, loan_id)
        if payout is None:
            return
        outcome = self._payouts.settle(payout, contract)
        if outcome.status in KNOWN:
            books.on_an_open_day(lambda: self._conclude(contract, payout, outcome))
            self._sender.deliver(contract.book_id, loan_id)

    def run(self, stop: threading.Event) -> None:
        """The loop that leads on what was left: payouts unknown, callers or processes gone."""
        while not stop.wait(0.25):
            for payout in payouts.left_open(self._db):
                self._payouts.care(payout)
                try:
                    self.proceed(payout.loan_id)
                except PostingRefused as refused:
                    log.warning("payout refused", payout=payout.key, why=refused.message)
                except grpc.RpcError:
                    log.info("payout waits for the ledger", payout=payout.key)

    def _conclude(self, contract: Contract, payout: Payout, outcome: Outcome) -> None:
        with self._db.begin() as transaction:
            day = books.hold_open(transaction, contract.book_id).business_date
            held = loan_store.lock(transaction, payout.loan_id)
            current = payouts.under_way(transaction, payout.loan_id)
            if current is None or current.number != payout.number:
                return
            state = KNOWN[outcome.status]
            STEPS[state, payout.number == 1](transaction, held, payout, day)
            payouts.conclude(transaction, payout, state, outcome, day)
            if state == "FAILED":
                log.info("payout failed", payout=payout.key, why=outcome.failure_code)


KNOWN: Mapping[Any, str] = {
    provider.PAYMENT_STATUS_SUCCESS: "PAID",
    provider.PAYMENT_STATUS_FAILED: "FAILED",
}
STEPS = {
    ("PAID", True): begin_loan,
    ("FAILED", True): cancel_loan,
    ("PAID", False): tranches.lend,
    ("FAILED", False): tranches.give_up,
}
"""What a known payout does to its loan, the loan's own payout or a tranche."""
