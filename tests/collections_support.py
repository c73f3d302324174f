"""Servicing's events, as messages, for tests that apply them to collections' store."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from support import House
from tael.servicing.v1 import event_pb2, loan_pb2, repayment_pb2
from tael_client.values import from_date, money
from tael_collections import events

BOOK = "book-1"
OVERDUE = loan_pb2.LOAN_STATE_OVERDUE
NON_ACCRUAL = loan_pb2.LOAN_STATE_NON_ACCRUAL
WRITTEN_OFF = loan_pb2.LOAN_STATE_WRITTEN_OFF
NORMAL = loan_pb2.LOAN_STATE_NORMAL


def loan(
    loan_id: str, customer_id: str, dpd: int, past_due: int, state: Any = OVERDUE, **balances: int
) -> loan_pb2.Loan:
    """A loan as servicing's events carry it."""
    return loan_pb2.Loan(
        loan_id=loan_id,
        customer_id=customer_id,
        book_id=BOOK,
        principal=money(1_000_000),
        state=state,
        dpd=dpd,
        amount_past_due=past_due,
        balances=loan_pb2.LoanBalances(**(balances or {"principal_overdue": 871_151})),
    )


class Feed:
    """Applies events to a house's collections through its own handler, one transaction each."""

    def __init__(self, house: House, start: str) -> None:
        self._db = house.running["collections"].runtime.database
        self.today = date.fromisoformat(start)

    def apply(self, **payload: Any) -> None:
        event = event_pb2.Event(
            event_id=uuid4().hex, business_date=from_date(self.today), **payload
        )
        with self._db.begin() as transaction:
            events.apply(transaction, event)

    def overdue(self, one: loan_pb2.Loan) -> None:
        self.apply(loan_overdue=event_pb2.LoanChanged(loan=one))

    def changed(self, one: loan_pb2.Loan) -> None:
        self.apply(loan_state_changed=event_pb2.LoanChanged(loan=one))

    def repaid(self, one: loan_pb2.Loan, amount: int) -> None:
        repayment = repayment_pb2.Repayment(
            loan_id=one.loan_id, amount=money(amount), value_date=from_date(self.today)
        )
        self.apply(repayment_received=event_pb2.RepaymentReceived(repayment=repayment, loan=one))

    def reminder(self, one: loan_pb2.Loan, days_before: int) -> None:
        self.apply(reminder_due=event_pb2.ReminderDue(loan=one, days_before=days_before))

    def close_days(self, count: int = 1) -> None:
        for _ in range(count):
            closed, opened = self.today, self.today + timedelta(days=1)
            self.apply(
                day_closed=event_pb2.DayClosed(
                    book_id=BOOK,
                    business_date=from_date(closed),
                    next_business_date=from_date(opened),
                )
            )
            self.today = opened
