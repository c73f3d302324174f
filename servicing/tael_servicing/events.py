"""What servicing tells the others, through its outbox."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection

from tael.servicing.v1 import event_pb2 as pb
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_client.values import from_date
from tael_runtime import outbox
from tael_servicing import messages
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Held


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


def loan_overdue(transaction: Connection, day: date, loan: loan_pb2.Loan) -> None:
    """A loan is past due; every day while it is."""
    changed = pb.LoanChanged(loan=loan)
    _of_loan(transaction, loan, pb.Event(business_date=from_date(day), loan_overdue=changed))


def state_changed(transaction: Connection, day: date, before: str, held: Held) -> None:
    """The loan's state changed; nothing where it did not."""
    if held.state != before:
        changed = pb.LoanChanged(loan=messages.loan(held))
        event = pb.Event(business_date=from_date(day), loan_state_changed=changed)
        _of_loan(transaction, changed.loan, event)


def instalment_due(
    transaction: Connection, day: date, loan: loan_pb2.Loan, instalment: loan_pb2.Instalment
) -> None:
    """An instalment is due today."""
    due = pb.InstalmentDue(loan=loan, instalment=instalment)
    _of_loan(transaction, loan, pb.Event(business_date=from_date(day), instalment_due=due))


def reminder_due(transaction: Connection, day: date, loan: loan_pb2.Loan, days_before: int) -> None:
    """A reminder is due; negative days = days past due."""
    due = pb.ReminderDue(loan=loan, days_before=days_before)
    _of_loan(transaction, loan, pb.Event(business_date=from_date(day), reminder_due=due))


def repayment_received(
    transaction: Connection, day: date, held: Held, repayment: repayment_pb2.Repayment
) -> None:
    """A repayment was booked."""
    received = pb.RepaymentReceived(repayment=repayment, loan=messages.loan(held))
    event = pb.Event(business_date=from_date(day), repayment_received=received)
    _of_loan(transaction, received.loan, event)


def day_closed(transaction: Connection, book_id: str, closed: date, opened: date) -> None:
    """The day is closed; the next is open."""
    told = pb.DayClosed(
        book_id=book_id, business_date=from_date(closed), next_business_date=from_date(opened)
    )
    event = pb.Event(business_date=from_date(opened), day_closed=told)
    outbox.append(transaction, "book", book_id, event)


def _of_loan(transaction: Connection, loan: loan_pb2.Loan, event: pb.Event) -> None:
    outbox.append(transaction, "loan", loan.loan_id, event)
