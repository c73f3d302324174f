"""What servicing tells the others, through its outbox."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import Connection

from tael.servicing.v1 import event_pb2 as pb
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_client.values import from_date
from tael_runtime import outbox
from tael_servicing import messages
from tael_servicing.books import BookDay
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Held
from tael_servicing.paging import pages

LOANS_AN_EVENT = 500
"""Whoever hears of them works them in one transaction."""


def line_changed(transaction: Connection, day: date, *lines: CreditLine) -> None:
    """Lines opened, moved, were changed, frozen or closed."""
    for line in lines:
        changed = pb.LineChanged(line=line.message())
        event = pb.Event(business_date=from_date(day), line_changed=changed)
        outbox.append(transaction, "credit_line", line.line_id, event)


def loan_opened(transaction: Connection, day: date, held: Held) -> None:
    """A loan was paid out, or not."""
    changed = pb.LoanChanged(loan=messages.loan(held))
    _of_loan(transaction, changed.loan, pb.Event(business_date=from_date(day), loan_opened=changed))


def state_changed(transaction: Connection, day: date, before: str, held: Held) -> None:
    """The loan's state changed; nothing where it did not."""
    if held.state != before:
        changed = pb.LoanChanged(loan=messages.loan(held))
        event = pb.Event(business_date=from_date(day), loan_state_changed=changed)
        _of_loan(transaction, changed.loan, event)


def repayment_received(
    transaction: Connection, day: date, held: Held, repayment: repayment_pb2.Repayment
) -> None:
    """A repayment was booked."""
    received = pb.RepaymentReceived(repayment=repayment, loan=messages.loan(held))
    event = pb.Event(business_date=from_date(day), repayment_received=received)
    _of_loan(transaction, received.loan, event)


def instalments_due(
    transaction: Connection, book: BookDay, due: Iterable[pb.InstalmentsDue.Due]
) -> None:
    """Instalments are due on the day that opens."""
    for some in pages(list(due), LOANS_AN_EVENT):
        told = pb.InstalmentsDue(
            book_id=book.book_id, currency_code=book.currency_code, instalments=some
        )
        _of_book(transaction, book, pb.Event(instalments_due=told))


def loans_overdue(transaction: Connection, book: BookDay, loans: Iterable[pb.LoanStanding]) -> None:
    """Loans are past due on the day that opens; every day while they are."""
    for some in pages(list(loans), LOANS_AN_EVENT):
        told = pb.LoansOverdue(book_id=book.book_id, currency_code=book.currency_code, loans=some)
        _of_book(transaction, book, pb.Event(loans_overdue=told))


def reminders_due(
    transaction: Connection, book: BookDay, reminders: Iterable[pb.RemindersDue.Reminder]
) -> None:
    """Reminders are due on the day that opens."""
    for some in pages(list(reminders), LOANS_AN_EVENT):
        told = pb.RemindersDue(
            book_id=book.book_id, currency_code=book.currency_code, reminders=some
        )
        _of_book(transaction, book, pb.Event(reminders_due=told))


def day_closed(transaction: Connection, book_id: str, closed: date, opened: date) -> None:
    """The day is closed; the next is open."""
    told = pb.DayClosed(
        book_id=book_id, business_date=from_date(closed), next_business_date=from_date(opened)
    )
    event = pb.Event(business_date=from_date(opened), day_closed=told)
    outbox.append(transaction, "book", book_id, event)


def _of_book(transaction: Connection, book: BookDay, event: pb.Event) -> None:
    event.business_date.CopyFrom(from_date(book.business_date))
    outbox.append(transaction, "book", book.book_id, event)


def _of_loan(transaction: Connection, loan: loan_pb2.Loan, event: pb.Event) -> None:
    outbox.append(transaction, "loan", loan.loan_id, event)
