"""For collections' tests: servicing's events applied by hand, and a lender with real debtors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from google.type import decimal_pb2

from support import House, rid, wait_until
from tael.collections.v1 import collections_pb2, collections_pb2_grpc
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael.origination.v1 import customer_pb2, customer_pb2_grpc
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    end_of_day_pb2,
    end_of_day_pb2_grpc,
    event_pb2,
    loan_pb2,
    loan_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
    repayment_pb2,
)
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


def standing(one: loan_pb2.Loan) -> event_pb2.LoanStanding:
    """The same loan as an event that tells of many has it."""
    held = one.balances
    return event_pb2.LoanStanding(
        loan_id=one.loan_id,
        customer_id=one.customer_id,
        state=one.state,
        dpd=one.dpd,
        amount_past_due=one.amount_past_due,
        principal=held.principal_normal + held.principal_overdue + held.principal_impaired,
        next_due_amount=one.next_due_amount,
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
        told = event_pb2.LoansOverdue(
            book_id=one.book_id, currency_code="CNY", loans=[standing(one)]
        )
        self.apply(loans_overdue=told)

    def changed(self, one: loan_pb2.Loan) -> None:
        self.apply(loan_state_changed=event_pb2.LoanChanged(loan=one))

    def repaid(self, one: loan_pb2.Loan, amount: int) -> None:
        repayment = repayment_pb2.Repayment(
            loan_id=one.loan_id, amount=money(amount), value_date=from_date(self.today)
        )
        self.apply(repayment_received=event_pb2.RepaymentReceived(repayment=repayment, loan=one))

    def reminder(self, one: loan_pb2.Loan, days_before: int) -> None:
        each = event_pb2.RemindersDue.Reminder(loan=standing(one), days_before=days_before)
        told = event_pb2.RemindersDue(book_id=one.book_id, currency_code="CNY", reminders=[each])
        self.apply(reminders_due=told)

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


PRODUCT = "cash"
MAIN = "main"
DAYS_TO_DUE = 4


def identity_number(serial: int) -> str:
    """A valid GB 11643 number of a person born on 1990-03-07."""
    body = f"11010519900307{serial:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))
    return body + "10X98765432"[total % 11]


def register(house: House, serial: int, mobile: str) -> str:
    """Registers a person in origination; the customer_id."""
    customers = house.client("origination", customer_pb2_grpc.CustomerServiceStub)
    request = customer_pb2.RegisterPersonRequest(
        request_id=rid(), name="张三", id_number=identity_number(serial), mobile=mobile
    )
    return customers.RegisterPerson(request).customer.customer_id


def script(house: House, method: str, key: str, times: int = 1, **behaviour: Any) -> None:
    """The next calls of a provider's method for a key behave so."""
    house.client("simulators", simulator_pb2_grpc.SimulatorServiceStub).ScriptBehaviour(
        simulator_pb2.ScriptBehaviourRequest(
            method=f"tael.provider.v1.{method}",
            key=key,
            behaviours=[simulator_pb2.Behaviour(**behaviour)] * times,
        )
    )


def texts(house: House, mobile: str) -> list[str]:
    """What a phone received."""
    phone = house.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)
    return list(phone.ReadTexts(simulator_pb2.ReadTextsRequest(mobile=mobile)).texts)


def case_of(house: House, customer_id: str) -> collections_pb2.Case:
    """A debtor's newest case."""
    stub = house.client("collections", collections_pb2_grpc.CaseServiceStub)
    request = collections_pb2.ListCasesRequest(customer_id=customer_id)
    found: list[collections_pb2.Case] = wait_until(
        lambda: list(stub.ListCases(request).cases), what="a case"
    )
    return found[-1]


@dataclass(frozen=True)
class Debtor:
    """A borrower who does not pay."""

    customer_id: str
    mobile: str
    loan_id: str


class Lender:
    """A book from 2026-03-10 on, its days, its debtors."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.today = date(2026, 3, 10)
        self._serial = 0
        self.at("10:00")
        house.client("ledger", ledger_pb2_grpc.LedgerServiceStub).CreateBook(
            ledger_pb2.CreateBookRequest(
                request_id="book",
                book_id=MAIN,
                legal_entity="示范银行",
                currency_code="CNY",
                business_date=from_date(self.today),
            )
        )
        house.client("servicing", product_pb2_grpc.ProductServiceStub).PublishProduct(
            product_pb2.PublishProductRequest(
                request_id="product", code=PRODUCT, name="Cash", terms=TERMS, book_id=MAIN
            )
        )

    def at(self, hour: str) -> None:
        """Sets every clock to an hour of the business date."""
        self.house.set_clock(f"{self.today}T{hour}")

    def debtor(self, days_past_due: int) -> Debtor:
        """A new borrower who has not paid and is so many days past due."""
        made = self.borrower()
        self.end_days(DAYS_TO_DUE + days_past_due)
        return made

    def borrower(self) -> Debtor:
        """A new customer with a loan of 10,000.00 first due in four days, and an empty card."""
        first_due = self.today + timedelta(days=DAYS_TO_DUE)
        self._serial += 1
        number = f"1380000{self._serial:04d}"
        customer_id = register(self.house, self._serial, number)
        card = f"card-{self._serial}"
        script(
            self.house, "PaymentProviderService/Debit", card, 30, failure_code="INSUFFICIENT_FUNDS"
        )
        lines = self.house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
        line = lines.GrantCreditLine(
            credit_line_pb2.GrantCreditLineRequest(
                request_id=rid(),
                customer_id=customer_id,
                product_code=PRODUCT,
                limit=money(1_000_000),
                revolving=True,
                annual_rate=decimal_pb2.Decimal(value="0.12"),
                valid_to=from_date(self.today + timedelta(days=365)),
            )
        ).line
        made = self.loans.DisburseLoan(
            loan_pb2.DisburseLoanRequest(
                request_id=rid(),
                line_id=line.line_id,
                principal=money(1_000_000),
                periods=12,
                repay_day=first_due.day,
                card_token=card,
            )
        ).loan
        return Debtor(customer_id, number, made.loan_id)

    @property
    def loans(self) -> loan_pb2_grpc.LoanServiceStub:
        """Servicing's loans."""
        return self.house.client("servicing", loan_pb2_grpc.LoanServiceStub)

    def end_days(self, count: int) -> None:
        """Ends days, each seen by collections and the clock before the next."""
        stub = self.house.client("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)
        for _ in range(count):
            request = end_of_day_pb2.RunEndOfDayRequest(
                book_id=MAIN, business_date=from_date(self.today)
            )
            runs = [progress.run for progress in stub.RunEndOfDay(request)]
            assert runs[-1].state == end_of_day_pb2.RUN_STATE_DONE, runs[-1].error
            self.today += timedelta(days=1)
            self.at("10:00")
            wait_until(self._collections_followed, what="collections to see the day")

    def _collections_followed(self) -> bool:
        rows = self.house.sql("SELECT business_date FROM business_day", "collections")
        return [row.business_date for row in rows] == [self.today]


TERMS = product_pb2.ProductTerms(
    method=product_pb2.REPAYMENT_METHOD_EQUAL_INSTALMENT,
    min_periods=3,
    max_periods=24,
    min_principal=100_000,
    max_principal=20_000_000,
    annual_rate=decimal_pb2.Decimal(value="0.12"),
    day_count=product_pb2.DAY_COUNT_ACT_360,
    first_period=product_pb2.FIRST_PERIOD_ODD_DAYS,
    min_first_days=1,
    penalty_multiplier=decimal_pb2.Decimal(value="1.5"),
    nonaccrual_dpd=2,
    currency_code="CNY",
)
"""A product whose loans are non-accrual on the third day past due, to have short tests."""
