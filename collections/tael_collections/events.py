"""Servicing's events applied to the store; each in one transaction with the reader's cursor."""

from __future__ import annotations

from sqlalchemy import Connection

from tael.servicing.v1 import event_pb2
from tael_client.values import to_date
from tael_collections import cases, days, holds, placements, promise_book, reminders
from tael_collections.arrears import past_due, standing_of
from tael_collections.parameters import Parameters, house_parameters
from tael_collections.refresh import absorb


def apply(transaction: Connection, event: event_pb2.Event) -> None:
    """One event's whole effect."""
    parameters = house_parameters()
    kind = event.WhichOneof("payload")
    today = to_date(event.business_date)
    if kind == "day_closed":
        _day_closed(transaction, event.day_closed, parameters)
    elif kind == "reminders_due":
        days.advance(transaction, event.reminders_due.book_id, today)
        reminders.queue(transaction, event.event_id, event.reminders_due, today)
    elif kind == "loans_overdue":
        cases.lock_pool(transaction)
        days.advance(transaction, event.loans_overdue.book_id, today)
        for each in event.loans_overdue.loans:
            absorb(transaction, past_due(event.loans_overdue, each), today, parameters)
    elif kind == "repayment_received":
        days.advance(transaction, event.repayment_received.loan.book_id, today)
        _repaid(transaction, event, parameters)
    elif kind == "loan_state_changed":
        loan = event.loan_state_changed.loan
        days.advance(transaction, loan.book_id, today)
        absorb(transaction, standing_of(loan), today, parameters)


def _repaid(transaction: Connection, event: event_pb2.Event, parameters: Parameters) -> None:
    loan, repayment = event.repayment_received.loan, event.repayment_received.repayment
    cases.lock_debtor(transaction, loan.customer_id)
    case = cases.find_open(transaction, loan.customer_id, loan.book_id)
    if case is not None:
        promise_book.credit(
            transaction,
            case.case_id,
            repayment.amount.minor_units,
            to_date(repayment.value_date),
            parameters,
        )
    absorb(transaction, standing_of(loan), to_date(event.business_date), parameters)


def _day_closed(
    transaction: Connection, closed: event_pb2.DayClosed, parameters: Parameters
) -> None:
    day, opened = to_date(closed.business_date), to_date(closed.next_business_date)
    cases.lock_pool(transaction)
    days.advance(transaction, closed.book_id, opened)
    promise_book.judge(transaction, closed.book_id, day, parameters)
    placements.recall_expired(transaction, closed.book_id, opened)
    holds.release_ended(transaction, closed.book_id, opened)
