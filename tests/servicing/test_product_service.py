"""Products are refused with every bad term; lines and quotes follow them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from servicing.bank import Bank, decimal

from support import refusal, rid, violations
from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import credit_line_pb2, loan_pb2, product_pb2, rate_pb2, rate_pb2_grpc
from tael_client.values import from_date, money, to_date, to_decimal


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


def product(bank: Bank, version: int = 0, on: date | None = None) -> product_pb2.Product:
    request = product_pb2.GetProductRequest(
        code=bank.product, version=version, date=from_date(on) if on else None
    )
    return bank.products.GetProduct(request).product


def publish(bank: Bank, on: date | None = None, **terms: Any) -> product_pb2.Product:
    request = bank.publication(**terms)
    if on is not None:
        request.effective_from.CopyFrom(from_date(on))
    return bank.products.PublishProduct(request).product


def quote(bank: Bank, **choices: Any) -> loan_pb2.QuoteScheduleResponse:
    """10,000.00 over twelve months."""
    request = {"product_code": bank.product, "principal": money(1_000_000), "periods": 12}
    return bank.loans.QuoteSchedule(loan_pb2.QuoteScheduleRequest(**{**request, **choices}))


def test_a_version_holds_from_its_day_on_and_the_ones_before_it_until_then(bank: Bank) -> None:
    later = bank.day + timedelta(days=10)
    second = publish(bank, on=later, grace_days=3)
    assert (second.version, second.effective_from) == (2, from_date(later))
    assert product(bank).version == 1
    assert product(bank, on=later - timedelta(days=1)).version == 1
    assert product(bank, on=later).version == 2
    assert publish(bank, grace_days=1).effective_from == from_date(later)
    assert quote(bank).product_version == 1
    assert quote(bank, start_date=from_date(later)).product_version == 3
    assert quote(bank, product_version=2).product_version == 2
    for day in (bank.day - timedelta(days=1), later - timedelta(days=1)):
        with pytest.raises(grpc.RpcError) as refused:
            publish(bank, on=day)
        assert list(violations(refused.value)) == ["effective_from"]


def test_versions_are_listed_newest_first_page_by_page(bank: Bank) -> None:
    publish(bank, grace_days=1)
    publish(bank, grace_days=2)
    request = product_pb2.ListProductVersionsRequest(code=bank.product, page_size=2)
    first = bank.products.ListProductVersions(request)
    request.page_token = first.next_page_token
    last = bank.products.ListProductVersions(request)
    assert [each.version for each in first.products] == [3, 2]
    assert [each.version for each in last.products] == [1]
    assert not last.next_page_token
    request = product_pb2.ListProductVersionsRequest(code="nobody")
    with pytest.raises(grpc.RpcError) as unknown:
        bank.products.ListProductVersions(request)
    assert refusal(unknown.value)[0] == "NOT_FOUND"


def test_a_retired_product_is_lent_until_its_last_day_and_never_published_again(bank: Bank) -> None:
    last = bank.day + timedelta(days=1)
    request = product_pb2.RetireProductRequest(
        request_id=rid(), code=bank.product, retired_from=from_date(last)
    )
    retired = bank.products.RetireProduct(request).product
    assert bank.products.RetireProduct(request).product == retired
    assert retired.retired_from == product(bank).retired_from == from_date(last)
    assert quote(bank).instalments
    for refused_call in (
        lambda: quote(bank, start_date=from_date(last)),
        lambda: publish(bank, grace_days=1),
        lambda: bank.products.RetireProduct(
            product_pb2.RetireProductRequest(request_id=rid(), code=bank.product)
        ),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            refused_call()
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "PRODUCT_RETIRED")


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
        "terms.penalty_multiplier": "is 2.5; 1.3 to 1.5 is right",
        "terms.annual_rate": "is above the cost cap of 0.24 (金规〔2025〕9号)",
        "terms.max_periods": "is less than min_periods",
        "terms.max_principal": "is less than min_principal",
        "terms.currency_code": "is not the book's, CNY",
        "terms.prepayment_fee_rate": "has more than 6 decimal places",
    }


def cap(bank: Bank, day: date, rate: str) -> None:
    request = rate_pb2.SetCostCapRequest(
        request_id=rid(),
        cap=rate_pb2.CostCap(
            lender_type=ledger_pb2.LENDER_TYPE_BANK,
            effective_from=from_date(day),
            rate=decimal(rate),
            source="a new rule",
        ),
    )
    assert rates(bank).SetCostCap(request) == rates(bank).SetCostCap(request)


def rates(bank: Bank) -> rate_pb2_grpc.RateServiceStub:
    return bank.house.client("servicing", rate_pb2_grpc.RateServiceStub)


def test_a_publication_answers_as_before_when_the_rules_have_changed_since(bank: Bank) -> None:
    request = bank.publication(annual_rate=decimal("0.2"))
    first = bank.products.PublishProduct(request).product
    cap(bank, bank.day, "0.15")
    try:
        assert bank.products.PublishProduct(request).product == first
        with pytest.raises(grpc.RpcError) as refused:
            publish(bank, annual_rate=decimal("0.2"))
        assert violations(refused.value) == {
            "terms.annual_rate": "is above the cost cap of 0.15 (a new rule)"
        }
        with pytest.raises(grpc.RpcError) as dear:
            quote(bank)
        assert refusal(dear.value) == ("FAILED_PRECONDITION", "COST_OVER_CAP")
        assert quote(bank, annual_rate=decimal("0.15")).disclosure.cost_cap_source == "a new rule"
        assert quote(bank, start_date=from_date(bank.day - timedelta(days=1))).instalments
    finally:
        cap(bank, bank.day, "0.24")


def test_a_signed_loan_is_held_to_the_cap_of_its_day_and_what_is_agreed_later_to_a_later_one(
    new_bank: Callable[..., Bank],
) -> None:
    statement = {"name": "Statement fee", "at": product_pb2.FEE_AT_LATE, "amount": 100}
    bank = new_bank(fees=[product_pb2.FeeTerms(**statement, disclosed=True)])
    loan_id = bank.lend().loan_id
    bank.end_day()
    cap(bank, bank.day, "0.1")
    try:
        bank.change("ChargeFee", loan_id, fee="Statement fee", amount=money(100))
        for less in ("0.11", "0.12"):
            rate = decimal(less)
            assert bank.change("RepriceLoan", loan_id, annual_rate=rate).annual_rate == rate
        with pytest.raises(grpc.RpcError) as refused:
            bank.change("RepriceLoan", loan_id, annual_rate=decimal("0.121"))
        assert violations(refused.value) == {"annual_rate": "is 0.121; 0 to 0.12 is right"}
    finally:
        cap(bank, bank.day, "0.24")


def test_a_floating_product_takes_the_prime_rate_of_its_day(bank: Bank) -> None:
    floating = product_pb2.FloatingRate(
        spread_bp=300, reprice=product_pb2.REPRICE_MODE_NEXT_JANUARY
    )
    publish(bank, annual_rate=None, floating_rate=floating)
    assert to_decimal(quote(bank).annual_rate) == Decimal("0.06")
    later = bank.day + timedelta(days=36)
    request = rate_pb2.PublishLprRequest(
        request_id=rid(),
        lpr=rate_pb2.Lpr(
            published=from_date(later), one_year=decimal("0.028"), five_years=decimal("0.033")
        ),
    )
    assert rates(bank).PublishLpr(request).lpr == request.lpr
    assert rates(bank).ListLprs(rate_pb2.ListLprsRequest(page_size=1)).lprs[0] == request.lpr
    assert to_decimal(quote(bank, start_date=from_date(later)).annual_rate) == Decimal("0.058")
    assert to_decimal(quote(bank).annual_rate) == Decimal("0.06")


def test_rates_and_caps_are_listed_page_by_page_and_bad_ones_refused(bank: Bank) -> None:
    request = rate_pb2.ListCostCapsRequest(page_size=3)
    first = rates(bank).ListCostCaps(request)
    request.page_token = first.next_page_token
    last = rates(bank).ListCostCaps(request)
    kinds = [each.lender_type for each in (*first.caps, *last.caps)]
    assert kinds == sorted(kinds)
    assert kinds[-1] == ledger_pb2.LENDER_TYPE_MICROLOAN
    bad_cap = rate_pb2.CostCap(
        lender_type=ledger_pb2.LENDER_TYPE_BANK, effective_from=from_date(bank.day), source="x"
    )
    with pytest.raises(grpc.RpcError) as refused:
        rates(bank).SetCostCap(rate_pb2.SetCostCapRequest(request_id=rid(), cap=bad_cap))
    assert violations(refused.value) == {"cap.rate": "or lpr_multiple is required"}
    bad_lpr = rate_pb2.Lpr(
        published=from_date(bank.day), one_year=decimal("3"), five_years=decimal("0.035")
    )
    with pytest.raises(grpc.RpcError) as refused:
        rates(bank).PublishLpr(rate_pb2.PublishLprRequest(request_id=rid(), lpr=bad_lpr))
    assert violations(refused.value) == {"lpr.one_year": "is 3; 0 to 0.5 is right"}


def test_a_quote_shows_the_schedule_and_what_it_costs(bank: Bank) -> None:
    shown = quote(bank)
    assert [row.principal + row.interest for row in shown.instalments] == [88_849] * 11 + [88_847]
    cost = shown.disclosure
    assert (cost.total_payments, cost.total_interest) == (1_066_186, 66_186)
    assert round(to_decimal(cost.apr), 4) == Decimal("0.1200")
    assert round(to_decimal(cost.ear), 4) == Decimal("0.1268")
    assert cost.method == product_pb2.COST_METHOD_MONTHLY_IRR
    assert [(item.name, item.basis, item.contingent) for item in cost.items] == [
        ("Interest", "12 % a year", False),
        ("Penalty interest", "18 % a year on overdue principal", True),
        ("Compound interest", "18 % a year on unpaid due interest", True),
        (
            "Prepayment fee",
            "1 % of prepaid principal; instalments paid early in their turn are free",
            True,
        ),
    ]


def test_a_quote_takes_the_choices_its_product_leaves_open_and_no_others(bank: Bank) -> None:
    first = date(bank.day.year, bank.day.month, 28) + timedelta(days=35)
    chosen = product_pb2.LoanChoices(first_due_date=from_date(first))
    shown = quote(bank, choices=chosen)
    assert shown.instalments[0].due_date == from_date(first)
    assert shown.disclosure.method == product_pb2.COST_METHOD_UNIT_PERIOD
    assert quote(bank, repay_day=5).instalments[0].due_date.day == 5
    with pytest.raises(grpc.RpcError) as refused:
        quote(bank, periods=25, choices=product_pb2.LoanChoices(instalment=90_000))
    assert set(violations(refused.value)) == {"periods", "choices.instalment"}


def test_due_dates_move_off_the_holidays_of_the_calendar(bank: Bank) -> None:
    shift = product_pb2.HOLIDAY_SHIFT_FOLLOWING
    publish(bank, schedule=product_pb2.ScheduleTerms(holiday_shift=shift))
    start = date(2026, 1, 17)
    dates = [to_date(row.due_date) for row in quote(bank, start_date=from_date(start)).instalments]
    # 17 February 2026 is the first day of the spring festival, whose holidays last until the 23rd.
    assert dates[0] == date(2026, 2, 24)
    assert all(day.weekday() < 5 for day in dates[1:])


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
