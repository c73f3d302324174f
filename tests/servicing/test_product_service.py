"""Products are refused with every bad term; lines and quotes follow them."""

from __future__ import annotations

from decimal import Decimal

import grpc
import pytest
from servicing.bank import Bank, decimal

from support import refusal, violations
from tael.servicing.v1 import credit_line_pb2, loan_pb2, product_pb2
from tael_client.values import from_date, money, to_decimal


def test_a_product_is_versioned_and_a_loan_keeps_its_own(bank: Bank) -> None:
    line = bank.grant()
    loan = bank.lend(line.line_id)
    published = bank.products.PublishProduct(bank.publication(grace_days=3)).product
    assert (loan.product_version, published.version) == (1, 2)
    first = bank.products.GetProduct(product_pb2.GetProductRequest(code=bank.product, version=1))
    newest = bank.products.GetProduct(product_pb2.GetProductRequest(code=bank.product))
    assert (first.product.terms.grace_days, newest.product.terms.grace_days) == (0, 3)
    assert newest.business_date == from_date(bank.day)
    assert bank.lend(line.line_id).product_version == 2
    listed = bank.products.ListProducts(product_pb2.ListProductsRequest(page_size=500)).products
    assert [each.version for each in listed if each.code == bank.product] == [2]
    with pytest.raises(grpc.RpcError) as unknown:
        bank.products.GetProduct(product_pb2.GetProductRequest(code=bank.product, version=3))
    assert refusal(unknown.value)[0] == "NOT_FOUND"


def test_bad_terms_are_refused_with_each_field_and_why(bank: Bank) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        bank.products.PublishProduct(
            bank.publication(
                penalty_multiplier=decimal("2.5"),
                annual_rate=decimal("0.36"),
                min_periods=13,
                max_periods=12,
                max_principal=1,
                currency_code="USD",
                prepayment_fee_rate=decimal("0.0000001"),
            )
        )
    assert violations(refused.value) == {
        "terms.penalty_multiplier": "is 2.5; 1 to 2 is right",
        "terms.annual_rate": "is above the cost cap of 0.24",
        "terms.max_periods": "is less than min_periods",
        "terms.max_principal": "is less than min_principal",
        "terms.currency_code": "is not the book's, CNY",
        "terms.prepayment_fee_rate": "has more than 6 decimal places",
    }


def test_a_quote_shows_the_schedule_and_what_it_costs(bank: Bank) -> None:
    quote = bank.loans.QuoteSchedule(
        loan_pb2.QuoteScheduleRequest(
            product_code=bank.product, principal=money(1_000_000), periods=12
        )
    )
    assert [row.principal + row.interest for row in quote.instalments] == [88_849] * 11 + [88_847]
    cost = quote.disclosure
    assert (cost.total_payments, cost.total_interest) == (1_066_186, 66_186)
    assert round(to_decimal(cost.apr), 4) == Decimal("0.1200")
    assert round(to_decimal(cost.ear), 4) == Decimal("0.1268")
    assert [(item.name, item.basis, item.contingent) for item in cost.items] == [
        ("Interest", "12 % a year", False),
        ("Penalty interest", "18 % a year on overdue principal", True),
        ("Compound interest", "18 % a year on unpaid due interest", True),
        ("Prepayment fee", "1 % of prepaid principal", True),
    ]


def test_a_line_is_refused_with_the_field_and_why(bank: Bank) -> None:
    for choices, field in (
        ({"limit": 0}, "limit.minor_units"),
        ({"annual_rate": decimal("0.2401")}, "annual_rate"),
        ({"annual_rate": decimal("x")}, "annual_rate"),
        ({"valid_to": from_date(bank.day)}, "valid_to"),
        ({"customer": "a b"}, "customer_id"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            bank.grant(**choices)
        assert list(violations(refused.value)) == [field]


def test_a_line_commits_the_lender_off_balance(bank: Bank) -> None:
    line = bank.grant(customer="committed")
    assert bank.balance("7201", f"LINE:{line.line_id}") == 2_000_000
    second = bank.grant(customer="committed", revolving=False)
    listed = bank.lines.ListCreditLines(
        credit_line_pb2.ListCreditLinesRequest(customer_id="committed")
    ).lines
    assert [each.line_id for each in listed] == [line.line_id, second.line_id]
    bank.assert_books_agree()


def test_only_a_revolving_line_is_freed_by_repayment(bank: Bank) -> None:
    line = bank.grant(revolving=False)
    loan = bank.lend(line.line_id)
    total = bank.day_payoff(loan.loan_id)
    bank.repay(loan.loan_id, total, "SETTLE")
    assert bank.line(line.line_id) == (1_000_000, 0, 1_000_000)
    bank.assert_books_agree()
    bank.end_day()
