"""Claims that were bought: on the books at their price, the rest of the claim in the memo.

A principal of 8,711.51 with 398.57 of interest and charges, bought for 3,500.00 (E20-2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import grpc
import pytest
from servicing.bank import Bank, decimal
from servicing.test_portfolio import report

from support import refusal, rid, violations
from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import loan_pb2, portfolio_pb2, repayment_pb2
from tael_client.values import from_date, money
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.events import Purchased, Repaid, Rescheduled
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.impairment import ImpairmentPolicy, RiskClass, loss_rates
from tael_servicing.arithmetic.loan import Closure
from tael_servicing.arithmetic.terms import Method, Terms

DAY, DUE = date(2026, 6, 15), date(2026, 3, 15)
TERMS = Terms(Method.BULLET, 1, Decimal("0.12"), cure_periods=0)
BOUGHT = Purchased(DAY, "01", 871_151, 350_000, DUE, 31_817, 7_255, 785)
WHOLE = 871_151 + 31_817 + 7_255 + 785
POLICY = ImpairmentPolicy()


def test_penalty_goes_on_and_days_past_due_count_from_the_sellers_due_date() -> None:
    loan = replay(TERMS, [BOUGHT], DAY + timedelta(days=10)).loan
    assert loan.days_past_due == 102
    assert loan.arrears[0].unpaid(2) == 7_255 + 4_356, "8,711.51 at 18 % for ten days"


def test_money_pays_for_the_price_first_and_is_income_beyond_it() -> None:
    paid = [Repaid(DAY, "02", 300_000), Repaid(DAY, "03", 100_000), Repaid(DAY, "04", WHOLE)]
    loan, postings = replay(TERMS, [BOUGHT, *paid], DAY)
    first, second, third = [dict(each.amounts) for each in postings]
    assert first == {"principal_impaired": 300_000}
    assert second == {"principal_impaired": 50_000, "claimed_principal": 50_000}
    assert third == {
        "claimed_principal": 471_151,
        "offbalance_interest": 31_817,
        "offbalance_penalty": 7_255,
        "offbalance_compound": 785,
        "overpayment": 400_000,
    }
    assert loan.closure is Closure.PAID_OVERDUE


def test_it_stays_impaired_whatever_is_agreed_and_paid() -> None:
    plan = Rescheduled(DAY, "02", Plan(more_periods=3, re_age=True))
    loan = replay(TERMS, [BOUGHT, plan], DAY + timedelta(days=20)).loan
    assert (loan.days_past_due, loan.nonaccrual_since) == (0, DAY)


def test_it_is_provided_for_what_is_lost_beyond_what_the_price_allowed_for() -> None:
    def needed(policy: ImpairmentPolicy) -> int:
        rates = loss_rates(policy, Decimal(0), RiskClass.SUBSTANDARD, 3)
        return rates.needed([871_151], priced=521_151)

    assert needed(POLICY) == 1_540, "60 % of 8,711.51 less 5,211.51"
    assert needed(replace(POLICY, loss_given_default=Decimal("0.5"))) == 0


def test_a_claim_that_was_bought_is_collected_written_off_and_recovered(bank: Bank) -> None:
    loan = bank.buy(871_151, 350_000, interest=31_817, penalty=7_255, compound=785)
    loan_id = loan.loan_id
    claim = {"offbalance_interest": 31_817, "offbalance_penalty": 7_255, "offbalance_compound": 785}
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_NON_ACCRUAL, 14)
    assert bank.owes(loan_id) == {
        "principal_impaired": 350_000,
        "claimed_principal": 521_151,
        **claim,
    }
    memo = f"LOAN:{loan_id}"
    assert (bank.balance("1003"), bank.balance("7103", memo)) == (-350_000, 521_151)
    bank.assert_books_agree()
    bank.lend()
    (cohort,) = bank.portfolio.Vintage(portfolio_pb2.VintageRequest(book_id=bank.book)).cohorts
    assert (cohort.loans, cohort.disbursed) == (1, 1_000_000), "what was bought was not lent here"
    paid = bank.repay(loan_id, 400_000, funding=repayment_pb2.FUNDING_TRANSFER).repayment
    assert (paid.allocation.principal, bank.balance("6011.04")) == (400_000, 50_000)
    bank.end_day()
    record = report(bank, bank.day - timedelta(days=1))[loan_id]
    assert (record.base.account_type, record.basic.agreement_id) == ("C1", "")
    written = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    assert bank.loans.WriteOffLoan(written).loan.balances.written_off_principal == 471_151
    assert (bank.balance("6702"), bank.balance("7103", memo)) == (0, 0), (
        "nothing of the price was left"
    )
    bank.assert_books_agree()
    event = next(each for each in bank.history(loan_id) if each.kind == "Purchased")
    with pytest.raises(grpc.RpcError) as refused:
        bank.change("ReverseLoanChange", loan_id, event_id=event.event_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_REVERSIBLE")


def test_a_claim_is_sold_on_and_bought_once(new_bank: Callable[..., Bank]) -> None:
    """By a consumer-finance company whose impaired loans earn on amortised cost."""
    book = {
        "lender_type": ledger_pb2.LENDER_TYPE_CONSUMER_FINANCE,
        "non_accrual_policy": ledger_pb2.NON_ACCRUAL_POLICY_STAGE3_NET,
    }
    bank = new_bank(book=book)
    request_id = rid()
    loan = bank.buy(871_151, 350_000, request_id=request_id, customer_id="cu-1")
    assert bank.buy(871_151, 350_000, request_id=request_id, customer_id="cu-1") == loan
    assert bank.vouchers(loan.loan_id, "LOAN_PURCHASED") == [
        ("1303.03", "Dr", 350_000),
        ("7103", "Dr", 521_151),
        ("1002", "Cr", 350_000),
        ("7999", "Cr", 521_151),
    ]
    bank.end_day()
    sold = bank.change("SellLoan", loan.loan_id, price=money(400_000))
    assert sold.state == loan_pb2.LOAN_STATE_CLOSED_TRANSFERRED
    assert bank.balance("6111") == 50_000
    bank.end_day()
    bank.assert_books_agree()


def test_a_claim_nobody_would_buy_so_is_refused_by_field(bank: Bank) -> None:
    for field, wrong in (
        ("price.minor_units", {"price": 100_001}),
        ("due_date", {"due_date": from_date(bank.day)}),
        ("annual_rate", {"annual_rate": decimal("0.5")}),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            bank.buy(**{"principal": 100_000, "price": 50_000, **wrong})
        assert list(violations(refused.value)) == [field]
