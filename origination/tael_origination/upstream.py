"""What origination asks of servicing and risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import grpc
from google.type import decimal_pb2

from tael.risk.v1 import decision_pb2, decision_pb2_grpc, feature_pb2, feature_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
)
from tael_client.values import from_date, from_decimal, money, to_date
from tael_runtime.errors import InvalidArgument
from tael_runtime.ids import new_id
from tael_runtime.refusals import reason_of
from tael_runtime.server import Runtime


@dataclass(frozen=True)
class Product:
    """A product as it stands on its book's open day."""

    code: str
    terms: product_pb2.ProductTerms
    business_date: date

    @property
    def currency(self) -> str:
        """ISO 4217."""
        return self.terms.currency_code or "CNY"

    @property
    def bounds(self) -> dict[str, Any]:
        """What a decision reads of the product: kept, so that asking again asks the same."""
        return {
            "min": self.terms.min_principal,
            "max": self.terms.max_principal,
            "cost_cap": self.terms.cost_cap.value,
        }

    def require_term(self, periods: int) -> None:
        """Guard: InvalidArgument where it is not lent over so many months."""
        least, most = self.terms.min_periods, self.terms.max_periods
        if not least <= periods <= most:
            raise InvalidArgument("periods", f"{self.code} is lent over {least} to {most} months")


class Servicing:
    """Products, lines, loans."""

    def __init__(self, runtime: Runtime) -> None:
        self._products = runtime.client("servicing", product_pb2_grpc.ProductServiceStub)
        self._lines = runtime.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
        self._loans = runtime.client("servicing", loan_pb2_grpc.LoanServiceStub)

    def product(self, code: str) -> Product:
        """The newest version of a product, with the business date."""
        answer = self._products.GetProduct(product_pb2.GetProductRequest(code=code))
        return Product(code, answer.product.terms, to_date(answer.business_date))

    def line(self, line_id: str) -> credit_line_pb2.CreditLine:
        """A credit line."""
        return self._lines.GetCreditLine(credit_line_pb2.GetCreditLineRequest(line_id=line_id)).line

    def grant(
        self,
        application_id: str,
        customer_id: str,
        product_code: str,
        limit: int,
        currency: str,
        rate: Decimal,
        valid_to: date,
    ) -> str:
        """Grants the line of an application, once; its id."""
        request = credit_line_pb2.GrantCreditLineRequest(
            request_id=f"grant:{application_id}",
            customer_id=customer_id,
            product_code=product_code,
            limit=money(limit, currency),
            revolving=True,
            annual_rate=from_decimal(rate),
            valid_to=from_date(valid_to),
            source=application_id,
        )
        return self._lines.GrantCreditLine(request).line.line_id

    def quote(
        self,
        product_code: str,
        amount: int,
        currency: str,
        periods: int,
        rate: Decimal,
        repay_day: int = 0,
    ) -> loan_pb2.QuoteScheduleResponse:
        """The schedule and cost table of a loan that might be, from today."""
        request = loan_pb2.QuoteScheduleRequest(
            product_code=product_code,
            principal=money(amount, currency),
            periods=periods,
            annual_rate=from_decimal(rate),
            repay_day=repay_day,
        )
        return self._loans.QuoteSchedule(request)

    def disburse(self, request: loan_pb2.DisburseLoanRequest) -> loan_pb2.Loan:
        """Opens a loan and pays it out, once."""
        return self._loans.DisburseLoan(request).loan

    def loan(self, loan_id: str) -> loan_pb2.Loan:
        """A loan today."""
        return self._loans.GetLoan(loan_pb2.GetLoanRequest(loan_id=loan_id)).loan


class Risk:
    """Facts told to risk, and its decisions."""

    def __init__(self, runtime: Runtime) -> None:
        self._features = runtime.client("risk", feature_pb2_grpc.FeatureServiceStub)
        self._decisions = runtime.client("risk", decision_pb2_grpc.DecisionServiceStub)

    def observe(
        self, subject_id: str, customer_id: str, day: date, facts: dict[str, dict[str, str]]
    ) -> None:
        """Records the facts about a customer known with an application or drawdown, by kind.

        Each is stored once, whatever is told again after a crash: the observation_id says which.
        """
        observations = [
            feature_pb2.Observation(
                observation_id=f"{subject_id}:{kind}",
                customer_id=customer_id,
                kind=kind,
                date=from_date(day),
                facts=known,
            )
            for kind, known in facts.items()
        ]
        self._features.RecordObservations(
            feature_pb2.RecordObservationsRequest(
                request_id=new_id("ob"), observations=observations
            )
        )

    def decide(self, request: decision_pb2.DecideRequest) -> decision_pb2.Decision:
        """The decision on an application or drawdown; asked again, the same."""
        return self._decisions.Decide(request).decision


NEVER = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
"""Answers that asking again does not change."""
NOT_LENT = (
    "LINE_EXCEEDED",
    "LINE_FROZEN",
    "LINE_EXPIRED",
    "CUSTOMER_OVERDUE",
    "COST_OVER_CAP",
    "PRODUCT_RETIRED",
)
"""Refusals of DisburseLoan that its contract names: there is no loan, nor will there be."""


def refusal_to_lend(error: grpc.RpcError) -> str:
    """The reason of a final refusal of DisburseLoan; "" where asking again may yet lead to a loan."""
    if not isinstance(error, grpc.Call):
        return ""
    reason = reason_of(error)
    return reason if error.code() in NEVER or reason in NOT_LENT else ""


NOT_GRANTED = ("PRODUCT_RETIRED", "PRODUCT_NOT_IN_FORCE", "COST_OVER_CAP")
"""Refusals of GrantCreditLine that its contract names: there is no line, nor will there be."""


def refusal_to_grant(error: grpc.RpcError) -> str:
    """The reason of a final refusal of GrantCreditLine; "" where asking again may lead to a line."""
    if not isinstance(error, grpc.Call):
        return ""
    reason = reason_of(error)
    if error.code() in NEVER:
        return reason or str(error.code().name)
    return reason if reason in NOT_GRANTED else ""


def loan_request(
    product_code: str, bounds: Mapping[str, Any], currency: str, amount: int, periods: int
) -> decision_pb2.LoanRequest:
    """What is asked for, with the product's bounds as they were then, in risk's form."""
    cap = bounds["cost_cap"]
    return decision_pb2.LoanRequest(
        product_code=product_code,
        amount=money(amount, currency),
        periods=periods,
        product_min=bounds["min"],
        product_max=bounds["max"],
        cost_cap=decimal_pb2.Decimal(value=cap) if cap else None,
    )
