"""A case's loan in the services: published, granted, paid out, and everything after over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from servicing.bank import Bank
from servicing.outside.published import Case

from support import rid
from tael.servicing.v1 import loan_change_pb2, loan_pb2, product_pb2, repayment_pb2
from tael_client.values import from_date, from_decimal, money, to_date


def publish(bank: Bank, case: Case) -> str:
    """The code of the case's product, in the bank's book."""
    code = f"case-{case.id.lower().replace('_', '-')[:40]}"
    request = product_pb2.PublishProductRequest(
        request_id=rid(), code=code, name=case.id, terms=case.terms, book_id=bank.book
    )
    bank.products.PublishProduct(request)
    return code


def quote(bank: Bank, case: Case) -> loan_pb2.QuoteScheduleResponse:
    """What the case's loan would be."""
    answer: loan_pb2.QuoteScheduleResponse = bank.loans.QuoteSchedule(
        loan_pb2.QuoteScheduleRequest(
            product_code=publish(bank, case),
            principal=money(case.principal),
            periods=case.periods,
            start_date=from_date(case.start),
            choices=case.choices,
        )
    )
    return answer


class ServicesLoan:
    """Lent on the bank's day, which is the case's first."""

    def __init__(self, bank: Bank, case: Case) -> None:
        self.bank = bank
        line = bank.grant(
            limit=2 * case.principal,
            product_code=publish(bank, case),
            annual_rate=from_decimal(case.annual_rate),
        )
        lent = bank.lend(
            line.line_id,
            principal=money(case.principal),
            periods=case.periods,
            choices=case.choices,
        )
        self.loan_id = lent.loan_id

    def move(self, day: date) -> None:
        self.bank.end_days(day)

    def repay(self, amount: int) -> None:
        self.bank.repay(self.loan_id, amount)

    def settle(self, amount: int) -> None:
        self.bank.repay(self.loan_id, amount, "SETTLE")

    def reverse_repayment(self, number: int) -> None:
        made = self.bank.repaid(self.loan_id)[number - 1]
        self.bank.reverse(self.loan_id, made.repayment_id)

    def reverse_change(self, kind: str) -> None:
        made = [entry for entry in self.bank.history(self.loan_id) if entry.kind == kind]
        self.bank.change("ReverseLoanChange", self.loan_id, event_id=made[-1].event_id)

    def refund_goods(self, amount: int) -> None:
        spread = loan_change_pb2.REFUND_RULE_SPREAD
        self.bank.change("RefundGoods", self.loan_id, amount=money(amount), rule=spread)

    def refund_overpayment(self, amount: int) -> None:
        self.bank.repayments.RefundOverpayment(
            repayment_pb2.RefundOverpaymentRequest(
                request_id=rid(), loan_id=self.loan_id, amount=money(amount)
            )
        )

    def reprice(self, annual_rate: Decimal, value_date: date) -> None:
        self.bank.change(
            "RepriceLoan",
            self.loan_id,
            annual_rate=from_decimal(annual_rate),
            value_date=from_date(value_date),
        )

    def extend(self, more_periods: int, from_due_date: date) -> None:
        self.bank.change(
            "ExtendLoan",
            self.loan_id,
            more_periods=more_periods,
            from_due_date=from_date(from_due_date),
        )

    def tranche(self, amount: int) -> None:
        self.bank.loans.DisburseTranche(
            loan_pb2.DisburseTrancheRequest(
                request_id=rid(), loan_id=self.loan_id, principal=money(amount)
            )
        )

    def write_off(self) -> None:
        self.bank.loans.WriteOffLoan(
            loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=self.loan_id, approval="case-7")
        )

    def rows(self) -> Sequence[loan_pb2.Instalment]:
        rows: Sequence[loan_pb2.Instalment] = self.bank.schedule(self.loan_id)
        return rows

    def payoff(self) -> tuple[int, int]:
        request = repayment_pb2.QuotePayoffRequest(loan_id=self.loan_id)
        quoted = self.bank.repayments.QuotePayoff(request)
        return quoted.total.minor_units, quoted.parts.interest

    def repayments(self) -> list[tuple[int, int]]:
        made = self.bank.repaid(self.loan_id)
        return [(each.allocation.principal, each.allocation.interest) for each in made]

    def claim(self) -> tuple[int, int]:
        owed = self.bank.loan(self.loan_id).balances
        return owed.written_off_principal, owed.written_off_interest

    def accrued(self, since: date, until: date) -> int:
        nights = [each for each in self.bank.told(self.loan_id) if each.event == "INTEREST_ACCRUED"]
        return sum(
            each.amounts["interest"] for each in nights if since <= to_date(each.value_date) < until
        )
