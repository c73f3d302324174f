"""Loans to repay: servicing over the ledger and the simulated outside world, each a process."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

from google.type import decimal_pb2

from bench.house import BOOK, FIRST_DAY, Ledger, Server, Store
from bench.postings import request_id
from tael.servicing.v1.credit_line_pb2 import GrantCreditLineRequest
from tael.servicing.v1.credit_line_pb2_grpc import CreditLineServiceStub
from tael.servicing.v1.end_of_day_pb2 import RUN_STATE_DONE, EndOfDayRun, RunEndOfDayRequest
from tael.servicing.v1.end_of_day_pb2_grpc import EndOfDayServiceStub
from tael.servicing.v1.loan_pb2 import DisburseLoanRequest
from tael.servicing.v1.loan_pb2_grpc import LoanServiceStub
from tael.servicing.v1.product_pb2 import (
    REPAYMENT_METHOD_EQUAL_INSTALMENT,
    ProductTerms,
    PublishProductRequest,
)
from tael.servicing.v1.product_pb2_grpc import ProductServiceStub
from tael_client.values import from_date, money

PRODUCT = "bench"
PRINCIPAL = 10_000_000
RATE = decimal_pb2.Decimal(value="0.12")


class Bank:
    """One product in the ledger's book; every loan's first instalment falls due the next day."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        shared = {
            "TAEL_DATABASE_NAME": ledger.database,
            "TAEL_LEDGER__LISTEN": ledger.target,
        }
        outside = store.started(Server(store, "simulators", "simulators", shared))
        shared["TAEL_SIMULATORS__LISTEN"] = outside.target
        self.server = store.started(Server(store, "servicing", "servicing", shared))
        self.day = FIRST_DAY
        self.loans = self.server.connection.stub(LoanServiceStub)
        self._publish()

    def _publish(self) -> None:
        terms = ProductTerms(
            method=REPAYMENT_METHOD_EQUAL_INSTALMENT,
            min_periods=1,
            max_periods=360,
            min_principal=1,
            max_principal=PRINCIPAL,
            min_first_days=1,
            annual_rate=RATE,
            penalty_multiplier=decimal_pb2.Decimal(value="1.5"),
        )
        self.server.connection.stub(ProductServiceStub).PublishProduct(
            PublishProductRequest(
                request_id="product", code=PRODUCT, name="Bench", terms=terms, book_id=BOOK
            )
        )

    def lend(self, loans: int, periods: int = 12) -> Sequence[str]:
        """Loans on revolving lines of their own, paid out; their ids."""
        with ThreadPoolExecutor(16) as callers:
            return list(callers.map(self._lend, [periods] * loans))

    def _lend(self, periods: int) -> str:
        customer = request_id()
        line = self.server.connection.stub(CreditLineServiceStub).GrantCreditLine(
            GrantCreditLineRequest(
                request_id=customer,
                customer_id=customer,
                product_code=PRODUCT,
                limit=money(PRINCIPAL),
                revolving=True,
                annual_rate=RATE,
                valid_to=from_date(FIRST_DAY + timedelta(days=3650)),
            )
        )
        lent = self.loans.DisburseLoan(
            DisburseLoanRequest(
                request_id=customer,
                line_id=line.line.line_id,
                principal=money(PRINCIPAL),
                periods=periods,
                repay_day=(FIRST_DAY + timedelta(days=1)).day,
                card_token=customer,
            )
        )
        return str(lent.loan.loan_id)

    def end_day(self) -> None:
        """Ends the business date; raises RuntimeError where it does not close."""
        end_day(self.server, self.day)
        self.day += timedelta(days=1)


def end_day(servicing: Server, day: date) -> None:
    """Ends a day of the ledger's book. Raises RuntimeError where it does not close."""
    request = RunEndOfDayRequest(book_id=BOOK, business_date=from_date(day))
    *_, last = servicing.connection.stub(EndOfDayServiceStub).RunEndOfDay(request)
    check(last.run)


def check(run: EndOfDayRun) -> None:
    """Raises RuntimeError where the day does not close."""
    if run.state != RUN_STATE_DONE:
        raise RuntimeError(f"the day does not close: {run.error}")
