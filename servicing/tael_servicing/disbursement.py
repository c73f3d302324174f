"""Disbursement, a saga: reserve and book, pay out, then occupy, or release and reverse.

Each step commits before the next begins and each can be taken again, so that `proceed` leads a loan
on from wherever a crash left it.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date

import grpc
import structlog
from sqlalchemy import Connection

from tael.provider.v1 import payment_pb2 as provider
from tael.servicing.v1 import loan_pb2 as pb
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
    payouts,
    products,
)
from tael_servicing.arithmetic.events import Disbursed
from tael_servicing.arithmetic.fold import begin, replay
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.bookings import Batch
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Contract, Held, contract_terms
from tael_servicing.outgoing import PostingRefused
from tael_servicing.payouts import Outcome, Payouts
from tael_servicing.product_checks import check_loan
from tael_servicing.products import Product
from tael_servicing.quotes import choices_of
from tael_servicing.reasons import Reason

log = structlog.get_logger()


def reserve(transaction: Connection, request: pb.DisburseLoanRequest) -> Held:
    """Holds the line, signs the contract, books the loan and makes its payout ready.

    Raises FailedPrecondition LINE_EXCEEDED, LINE_FROZEN, LINE_EXPIRED, LINE_PENDING, LINE_OVERALL,
    CUSTOMER_OVERDUE.
    """
    book = books.hold_open(transaction, lines.get(transaction, request.line_id).book_id)
    line = lines.lock(transaction, request.line_id)
    day = book.business_date
    line.check_open(day)
    product = products.get(transaction, line.product_code, on=day)
    contract = _contract(transaction, request, line, product, book)
    line.check_room(contract.principal)
    if loans.has_arrears(transaction, line.customer_id):
        raise FailedPrecondition(
            Reason.CUSTOMER_OVERDUE, "the customer has a loan past due", line.customer_id
        )
    held = _opened(transaction, contract, product)
    line = lines.reserve(transaction, line, contract.principal, contract.loan_id, day)
    loans.sign(transaction, contract)
    loan_store.save(transaction, held)
    payouts.prepare(transaction, contract.loan_id)
    bookings.post(transaction, _batch("disburse", contract, day), contract, *_disbursed(contract))
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
    return Contract(
        loan_id=new_id("ln"),
        customer_id=line.customer_id,
        line_id=line.line_id,
        book_id=line.book_id,
        product_code=product.code,
        product_version=product.version,
        currency_code=book.currency_code,
        principal=whole - partner_principal,
        annual_rate=line.annual_rate,
        periods=request.periods,
        repay_day=request.repay_day,
        start_date=book.business_date,
        card_token=request.card_token,
        source=request.source,
        choices=choices.SerializeToString(deterministic=True),
        holidays=tuple(sorted(off)),
        partner_id=request.joint.partner_id,
        partner_principal=partner_principal,
    )


def _opened(transaction: Connection, contract: Contract, product: Product) -> Held:
    """The loan as it is signed. Raises InvalidArgument for terms no loan can have;
    FailedPrecondition COST_OVER_CAP.
    """
    try:
        terms = contract_terms(contract, product.terms)
    except ValueError as error:
        raise InvalidArgument("choices", str(error)) from error
    principal, day = contract.principal, contract.start_date
    caps.check(transaction, product.lender_type, product.terms, terms, principal, day)
    loan = begin(terms, Disbursed(day, "", principal))
    return Held(contract, terms, "PAYING", loan)


def _disbursed(contract: Contract) -> tuple[Posting, ...]:
    """Of a joint loan our part is our loan, and the partner's passes through."""
    day, own, theirs = contract.start_date, contract.principal, contract.partner_principal
    if not contract.partner_id:
        return (Posting("LOAN_DISBURSED", day, True, {"principal": own, "commitment": own}),)
    ours = Posting("JOINT_LOAN_DISBURSED", day, True, {"own_share": own, "commitment": own})
    passed = Posting("JOINT_FUNDS_PAID", day, True, {"partner_share": theirs})
    return ours, passed._replace(owners=(("PARTNER", contract.partner_id),))


def _paid_out(contract: Contract, day: date) -> tuple[Posting, ...]:
    """A joint loan's money leaves the lender when it is booked: nothing waits to be cleared."""
    if contract.partner_id:
        return ()
    return (Posting("DISBURSEMENT_PAID", day, True, {"principal": contract.principal}),)


def _batch(step: str, contract: Contract, day: date) -> Batch:
    return Batch(f"{step}:{contract.loan_id}", contract.book_id, contract.loan_id, day)


class Disbursements:
    """Leads loans from PAYING to NORMAL or CANCELLED."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database
        self._sender = desk.sender
        self._payouts = Payouts(desk.database, desk.payments)

    def proceed(self, loan_id: str) -> None:
        """Takes every step that can be taken now; the loan stays PAYING while nobody knows.

        Raises PostingRefused, or the RpcError of a ledger that does not answer.
        """
        held = self._read(loan_id)
        self._sender.deliver(held.contract.book_id, loan_id)
        if held.state != "PAYING":
            return
        outcome = self._payouts.settle(held.contract)
        if outcome.status == provider.PAYMENT_STATUS_SUCCESS:
            books.on_an_open_day(lambda: self._paid(held.contract, outcome))
        elif outcome.status == provider.PAYMENT_STATUS_FAILED:
            books.on_an_open_day(lambda: self._failed(held.contract, outcome))
        self._sender.deliver(held.contract.book_id, loan_id)

    def run(self, stop: threading.Event) -> None:
        """The loop that leads on what was left: payouts unknown, callers or processes gone."""
        while not stop.wait(0.25):
            for loan_id in payouts.left_open(self._db):
                self._payouts.care(loan_id)
                try:
                    self.proceed(loan_id)
                except PostingRefused as refused:
                    log.warning("disbursement refused", loan=loan_id, why=refused.message)
                except grpc.RpcError:
                    log.info("disbursement waits for the ledger", loan=loan_id)

    def _read(self, loan_id: str) -> Held:
        with self._db.read() as connection:
            return loan_store.get(connection, loan_id)

    def _paid(self, contract: Contract, outcome: Outcome) -> None:
        """The hold becomes use; interest runs from the day of disbursement, caught up if late."""
        loan_id = contract.loan_id
        with self._db.begin() as transaction:
            day = books.hold_open(transaction, contract.book_id).business_date
            held = loan_store.lock(transaction, loan_id)
            if held.state != "PAYING":
                return
            event_id = loans.next_event_id(transaction, loan_id)
            event = Disbursed(contract.start_date, event_id, contract.principal)
            loan, caught_up = replay(held.terms, [event], day, nightly_from=contract.start_date)
            held = held.now(loan)
            line = lines.occupy(
                transaction,
                lines.lock(transaction, contract.line_id),
                contract.principal,
                loan_id,
                day,
            )
            loans.record(transaction, loan_id, event, contract.source)
            loan_store.save(transaction, held)
            payouts.conclude(transaction, loan_id, "PAID", outcome)
            paid = _paid_out(contract, day)
            bookings.post(transaction, _batch("paid", contract, day), contract, *paid, *caught_up)
            events.line_changed(transaction, day, *line.branch)
            events.loan_opened(transaction, day, held)

    def _failed(self, contract: Contract, outcome: Outcome) -> None:
        """The hold is given back and the disbursement reversed in red ink."""
        loan_id = contract.loan_id
        with self._db.begin() as transaction:
            day = books.hold_open(transaction, contract.book_id).business_date
            held = loan_store.lock(transaction, loan_id)
            if held.state != "PAYING":
                return
            held = replace(held, state="CANCELLED")
            line = lines.lock(transaction, contract.line_id)
            released = lines.release(transaction, line, contract.principal, loan_id, day)
            loan_store.save(transaction, held)
            payouts.conclude(transaction, loan_id, "FAILED", outcome)
            origin = f"disburse:{loan_id}"
            posted = outgoing.vouchers(transaction, [origin])[origin]
            entries = sorted(sequence for each in posted.values() for sequence in each)
            for posting, entry in zip(_disbursed(contract), entries, strict=True):
                step = "reverse" if posting.event.endswith("LOAN_DISBURSED") else "reverse:partner"
                batch = _batch(step, contract, day)
                bookings.post_reversal(transaction, batch, contract, posting, entry)
            # The reversal gives all of it back to 7201: too much where the limit fell meanwhile.
            excess = released.commitment - line.commitment - contract.principal
            batch = _batch("adjust", contract, day)
            bookings.post_line_adjusted(transaction, batch, released, excess)
            events.line_changed(transaction, day, *released.branch)
            events.loan_opened(transaction, day, held)
