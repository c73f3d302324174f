"""What is refused: each with its field or reason, and nothing is changed by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.type import decimal_pb2
from sqlalchemy.exc import DBAPIError

from support import House, day, refusal, rid, violations
from tael.ledger.v1 import accounting_pb2, accounting_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    end_of_day_pb2,
    end_of_day_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
    repayment_pb2,
    repayment_pb2_grpc,
)
from tael_cli.setup import PRODUCT, product_terms
from tael_client.values import money


@dataclass
class Bank:
    """A book with a product and one line of 20,000.00."""

    house: House
    line_id: str

    @property
    def ledger(self) -> ledger_pb2_grpc.LedgerServiceStub:
        return self.house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)

    @property
    def lines(self) -> credit_line_pb2_grpc.CreditLineServiceStub:
        return self.house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)

    @property
    def loans(self) -> loan_pb2_grpc.LoanServiceStub:
        return self.house.client("servicing", loan_pb2_grpc.LoanServiceStub)

    def everything(self) -> tuple[bytes, ...]:
        """What refused calls must leave as it is."""
        accounting = self.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub)
        return (
            accounting.TrialBalance(
                accounting_pb2.TrialBalanceRequest(book_id="main")
            ).SerializeToString(deterministic=True),
            self.line().SerializeToString(deterministic=True),
            self.loans.ListLoans(loan_pb2.ListLoansRequest()).SerializeToString(deterministic=True),
        )

    def line(self) -> credit_line_pb2.CreditLine:
        request = credit_line_pb2.GetCreditLineRequest(line_id=self.line_id)
        return self.lines.GetCreditLine(request).line

    def drawdown(self, **changes: Any) -> loan_pb2.DisburseLoanRequest:
        fields = {
            "request_id": rid(),
            "line_id": self.line_id,
            "principal": money(1_000_000),
            "periods": 12,
            "card_token": "card-1",
        }
        return loan_pb2.DisburseLoanRequest(**{**fields, **changes})


@pytest.fixture(scope="module")
def bank(open_house: Callable[..., House]) -> Bank:
    house = open_house("simulators", "ledger", "servicing")
    house.client("ledger", ledger_pb2_grpc.LedgerServiceStub).CreateBook(
        ledger_pb2.CreateBookRequest(
            request_id="book",
            book_id="main",
            legal_entity="Bank",
            currency_code="CNY",
            business_date=day("2026-01-15"),
        )
    )
    house.client("servicing", product_pb2_grpc.ProductServiceStub).PublishProduct(
        product_pb2.PublishProductRequest(
            request_id="p", code=PRODUCT, name="Cash", terms=product_terms(), book_id="main"
        )
    )
    lines = house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
    line = lines.GrantCreditLine(
        credit_line_pb2.GrantCreditLineRequest(
            request_id="line",
            customer_id="c1",
            product_code=PRODUCT,
            limit=money(2_000_000),
            annual_rate=decimal_pb2.Decimal(value="0.12"),
            valid_to=day("2027-01-14"),
        )
    ).line
    return Bank(house, line.line_id)


def refused(bank: Bank, call: Callable[[], object]) -> grpc.RpcError:
    before = bank.everything()
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert bank.everything() == before
    return caught.value


def test_an_unknown_id_is_not_found(bank: Bank) -> None:
    error = refused(bank, lambda: bank.loans.DisburseLoan(bank.drawdown(line_id="cl_nobody")))
    assert refusal(error) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("amount", "field"),
    [
        (money(1_000_000, "USD"), "principal"),
        (money(-1_000_000), "principal"),
        (money(0), "principal"),
    ],
)
def test_a_wrong_currency_or_a_negative_amount_names_its_field(
    bank: Bank, amount: Any, field: str
) -> None:
    error = refused(bank, lambda: bank.loans.DisburseLoan(bank.drawdown(principal=amount)))
    assert refusal(error)[0] == "INVALID_ARGUMENT"
    assert all(name.startswith(field) for name in violations(error))


def test_a_drawdown_over_the_line_is_refused(bank: Bank) -> None:
    error = refused(
        bank, lambda: bank.loans.DisburseLoan(bank.drawdown(principal=money(2_000_001)))
    )
    assert refusal(error) == ("FAILED_PRECONDITION", "LINE_EXCEEDED")


def test_an_unbalanced_entry_is_refused_by_the_store_itself(bank: Bank) -> None:
    loan = bank.loans.DisburseLoan(bank.drawdown()).loan
    assert loan.state == loan_pb2.LOAN_STATE_NORMAL
    before = bank.everything()
    columns = (
        "booking_date, book_id, sequence, line_number, account_id, value_date, debit, credit, memo"
    )
    rows = bank.house.sql(f"SELECT {columns} FROM line ORDER BY sequence LIMIT 1", "ledger")
    values = rows[0]._asdict() | {"sequence": 999_999, "line_number": 1}
    names = ", ".join(f":{name}" for name in values)
    with pytest.raises(DBAPIError, match="balance"):
        bank.house.sql(
            f"INSERT INTO line ({', '.join(values)}) VALUES ({names})",
            "ledger",
            write=True,
            **values,
        )
    assert bank.everything() == before


def test_a_closed_date_takes_no_booking(bank: Bank) -> None:
    event = ledger_pb2.BusinessEvent(
        event="LINE_GRANTED",
        value_date=day("2026-01-15"),
        owners=[ledger_pb2.Owner(owner_type="LINE", owner_id="x")],
        amounts=[ledger_pb2.EventAmount(amount_type="commitment", minor_units=1)],
    )
    request = ledger_pb2.RecordEventsRequest(
        request_id=rid(), book_id="main", events=[event], booking_date=day("2026-01-14")
    )
    error = refused(bank, lambda: bank.ledger.RecordEvents(request))
    assert refusal(error) == ("FAILED_PRECONDITION", "DAY_CLOSED")


def test_a_day_out_of_order_is_refused_with_the_day_that_is_due(bank: Bank) -> None:
    stub = bank.house.client("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)
    request = end_of_day_pb2.RunEndOfDayRequest(book_id="main", business_date=day("2026-01-17"))
    error = refused(bank, lambda: list(stub.RunEndOfDay(request)))
    assert refusal(error) == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")
    assert isinstance(error, grpc.Call)
    assert "2026-01-15" in (error.details() or "")


def test_a_repayment_of_an_unknown_loan_is_not_found(bank: Bank) -> None:
    stub = bank.house.client("servicing", repayment_pb2_grpc.RepaymentServiceStub)
    request = repayment_pb2.RepayRequest(request_id=rid(), loan_id="ln_x", amount=money(1))
    assert refusal(refused(bank, lambda: stub.Repay(request)))[0] == "NOT_FOUND"


def test_the_same_person_may_not_approve_the_rules_they_proposed(bank: Bank) -> None:
    accounting = bank.house.client(
        "ledger", accounting_pb2_grpc.AccountingServiceStub, caller="maker"
    )
    rules = accounting.GetPostingRules(accounting_pb2.GetPostingRulesRequest(book_id="main")).rules
    proposed = accounting.PublishPostingRules(
        accounting_pb2.PublishPostingRulesRequest(
            request_id=rid(),
            book_id="main",
            effective_from=day("2026-01-15"),
            rules=rules,
            description="the same again",
        )
    ).version
    approve = accounting_pb2.ApprovePostingRulesRequest(
        request_id=rid(), book_id="main", version=proposed.version
    )
    for caller, reason in (
        ("maker", "MAKER_IS_CHECKER"),
        ("Maker", "MAKER_IS_CHECKER"),
        ("", "CALLER_UNNAMED"),
    ):
        again = bank.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub, caller)
        error = refused(bank, lambda: again.ApprovePostingRules(approve))  # noqa: B023  called at once
        assert refusal(error) == ("PERMISSION_DENIED", reason)


def test_a_stale_etag_is_told_to_read_again(bank: Bank) -> None:
    read = bank.line()
    freeze = credit_line_pb2.FreezeCreditLineRequest(
        request_id=rid(), line_id=bank.line_id, reason="checks", etag=read.etag
    )
    frozen = bank.lines.FreezeCreditLine(freeze).line
    assert frozen.etag != read.etag
    late = credit_line_pb2.UnfreezeCreditLineRequest(
        request_id=rid(), line_id=bank.line_id, reason="done", etag=read.etag
    )
    error = refused(bank, lambda: bank.lines.UnfreezeCreditLine(late))
    assert refusal(error) == ("ABORTED", "STALE_ETAG")
    late.etag = frozen.etag
    late.request_id = rid()
    assert bank.lines.UnfreezeCreditLine(late).line.state == credit_line_pb2.LINE_STATE_ACTIVE
