"""Repayments of every kind: quoted, allocated, booked, and back on the line."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import grpc
import pytest
from servicing.bank import DEBIT, START, Bank

from support import refusal, rid, violations
from tael.ledger.v1 import ledger_pb2
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_client.values import from_date, money


def payoff(bank: Bank, loan_id: str, day: date | None = None) -> repayment_pb2.QuotePayoffResponse:
    request = repayment_pb2.QuotePayoffRequest(
        loan_id=loan_id, date=from_date(day) if day else None
    )
    return bank.repayments.QuotePayoff(request)


def test_after_two_instalments_one_loan_settles_and_two_are_prepaid(bank: Bank) -> None:
    for card in ("card-term", "card-instalment"):
        bank.script(DEBIT, card, Behaviour(), Behaviour(failure_code="CARD_CLOSED"))
    line = bank.grant()
    settled = bank.lend(line.line_id, card="card-good").loan_id
    term = bank.lend(card="card-term").loan_id
    instalment = bank.lend(card="card-instalment").loan_id
    bank.end_days(date(2026, 3, 15))
    assert_prepays(bank, term, instalment)
    bank.end_day()
    assert bank.owes(settled)["principal_normal"] == 841_514
    bank.assert_books_agree()
    debits = [payment for payment in bank.payments("card-good") if payment.debit]
    assert [(d.minor_units, d.moved) for d in debits] == [(88_849, True)] * 2
    assert bank.vouchers(settled, "REPAYMENT_RECEIVED")[0] == ("1221.01", "Dr", 88_849)
    assert_settles(bank, settled)
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    bank.assert_books_agree()
    bank.end_day()
    with pytest.raises(grpc.RpcError) as closed:
        bank.repay(settled, 100)
    assert refusal(closed.value) == ("FAILED_PRECONDITION", "LOAN_CLOSED")
    bank.assert_books_agree()


def assert_prepays(bank: Bank, term: str, instalment: str) -> None:
    """3,000.00 of 8,415.14 on the due date: 571.74 a month, or 888.49 and seven months."""
    for loan_id in (term, instalment):
        bank.repay(loan_id, 88_849)
    quote = bank.repayments.QuotePrepayment(
        repayment_pb2.QuotePrepaymentRequest(loan_id=term, principal_minor_units=300_000)
    )
    assert quote.total.minor_units == 303_000
    shorter = [row.principal + row.interest for row in quote.keep_instalment]
    assert [row.principal + row.interest for row in quote.keep_term] == [57_174] * 9 + [57_178]
    assert shorter == [88_849] * 6 + [28_509]
    bank.repay(term, 303_000, "PREPAY_KEEP_TERM")
    bank.repay(instalment, 303_000, "PREPAY_KEEP_INSTALMENT")
    planned = [row.principal for row in quote.keep_term]
    assert [row.principal for row in bank.schedule(term)[2:]] == planned
    assert len(bank.schedule(instalment)) == 9
    bank.assert_books_agree()


def assert_settles(bank: Bank, loan_id: str) -> None:
    """17 days after the second due date: 8,415.14 + 47.69 + 84.15."""
    ahead = payoff(bank, loan_id, date(2026, 4, 1))
    assert ahead.total.minor_units == 854_698
    bank.end_days(date(2026, 4, 1))
    assert payoff(bank, loan_id) == ahead
    with pytest.raises(grpc.RpcError) as refused:
        bank.repay(loan_id, 854_697, "SETTLE")
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "PAYOFF_AMOUNT_MISMATCH")
    answer = bank.repay(loan_id, 854_698, "SETTLE")
    assert answer.loan.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    assert answer.repayment.allocation == repayment_pb2.Allocation(
        principal=841_514, interest=4_769, fee=8_415
    )
    assert bank.posted(loan_id, "INTEREST_TRUED_UP") == [{"interest": 154}]
    assert bank.owes(loan_id) == {}


def test_what_is_paid_too_much_is_parked_and_pays_the_next_instalment(bank: Bank) -> None:
    bank.fails("card-parked", times=1)
    loan_id = bank.lend(card="card-parked").loan_id
    bank.end_days(date(2026, 2, 15))
    bank.await_debit(loan_id, "FAILED")
    answer = bank.repay(loan_id, 90_000, funding=repayment_pb2.FUNDING_TRANSFER)
    assert answer.repayment.allocation.overpayment == 1_151
    assert bank.vouchers(loan_id, "REPAYMENT_RECEIVED")[:2] == [
        ("1003", "Dr", 90_000),
        ("7201", "Dr", 78_849),
    ]
    bank.end_days(date(2026, 3, 15))
    assert bank.posted(loan_id, "OVERPAYMENT_APPLIED") == [{"interest_due": 1_151}]
    assert bank.loan(loan_id).amount_past_due == 88_849 - 1_151
    bank.assert_books_agree()
    bank.end_day()
    debits = [payment.minor_units for payment in bank.payments("card-parked") if payment.debit]
    assert debits == [88_849, 88_849 - 1_151]
    listed = bank.repayments.ListRepayments(
        repayment_pb2.ListRepaymentsRequest(loan_id=loan_id)
    ).repayments
    assert [each.amount.minor_units for each in listed] == [90_000, 87_698]
    assert all(each.entry_sequences for each in listed)
    bank.assert_books_agree()


def test_a_prepayment_pays_what_is_due_today_first_and_waits_for_what_is_past_due(
    bank: Bank,
) -> None:
    bank.fails("card-due", times=30)
    loan_id, late = (bank.lend(card="card-due").loan_id for _ in range(2))
    bank.end_days(date(2026, 2, 15))
    quoted = bank.repayments.QuotePrepayment(
        repayment_pb2.QuotePrepaymentRequest(loan_id=loan_id, principal_minor_units=300_000)
    )
    assert quoted.total.minor_units == 88_849 + 300_000 + quoted.parts.fee
    bank.repay(loan_id, quoted.total.minor_units, "PREPAY_KEEP_TERM")
    (paid,) = bank.posted(loan_id, "REPAYMENT_RECEIVED")
    assert (paid["interest_due"], paid["principal_normal"]) == (10_000, 78_849 + 300_000)
    assert list(bank.schedule(loan_id))[1:] == list(quoted.keep_term)
    bank.end_day()
    with pytest.raises(grpc.RpcError) as refused:
        bank.repay(late, 300_000, "PREPAY_KEEP_TERM")
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "PREPAYMENT_WHILE_OVERDUE")
    assert bank.posted(late, "REPAYMENT_RECEIVED") == []


def test_the_same_request_is_taken_once_and_answered_alike(bank: Bank) -> None:
    loan_id = bank.lend(card="card-same").loan_id
    request = repayment_pb2.RepayRequest(request_id=rid(), loan_id=loan_id, amount=money(5_000))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: bank.repayments.Repay(request), range(8)))
    assert {answer.SerializeToString(deterministic=True) for answer in answers} == {
        answers[0].SerializeToString(deterministic=True)
    }
    assert bank.owes(loan_id)["overpayment"] == 5_000
    request.amount.minor_units = 5_001
    with pytest.raises(grpc.RpcError) as reused:
        bank.repayments.Repay(request)
    assert refusal(reused.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


def test_a_bad_repayment_names_its_field(bank: Bank) -> None:
    loan_id = bank.lend(card="card-bad").loan_id
    for amount, field in (
        (money(0), "amount.minor_units"),
        (money(-5), "amount.minor_units"),
        (money(5, "USD"), "amount.currency_code"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            bank.repay(loan_id, amount.minor_units, amount=amount)
        assert list(violations(refused.value)) == [field]
    with pytest.raises(grpc.RpcError) as unknown:
        bank.repay("ln_none", 5)
    assert refusal(unknown.value)[0] == "NOT_FOUND"
    with pytest.raises(grpc.RpcError) as early:
        payoff(bank, loan_id, date(2026, 1, 14))
    assert list(violations(early.value)) == ["date"]


def test_a_hundred_concurrent_repayments_of_one_loan_all_count(bank: Bank) -> None:
    loan_id = bank.lend(card="card-busy").loan_id
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: bank.repay(loan_id, 100), range(100)))
    assert bank.owes(loan_id)["overpayment"] == 10_000
    customer = bank.loan(loan_id).customer_id
    assert bank.balance("2241.03", f"CUSTOMER:{customer}") == 10_000
    assert bank.day == START
    bank.assert_books_agree()


def test_a_lender_without_accounts_is_paid_and_pays_back_by_transfer(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(book={"lender_type": ledger_pb2.LENDER_TYPE_CONSUMER_FINANCE})
    loan = bank.lend()
    own = repayment_pb2.FUNDING_OWN_ACCOUNT
    customer = {"book_id": bank.book, "customer_id": loan.customer_id, "amount": money(200)}
    more_than_due = {"loan_id": loan.loan_id, "amount": money(700)}

    def repay_all(**choices: Any) -> Any:
        request = repayment_pb2.RepayCustomerRequest(request_id=rid(), **customer, **choices)
        return bank.repayments.RepayCustomer(request)

    def refund(**choices: Any) -> Any:
        request = repayment_pb2.RefundOverpaymentRequest(
            request_id=rid(), **more_than_due, **choices
        )
        return bank.repayments.RefundOverpayment(request)

    assert bank.repay(loan.loan_id, 1_000).repayment.funding == repayment_pb2.FUNDING_TRANSFER
    (repaid,) = repay_all().repayments
    assert repaid.funding == repayment_pb2.FUNDING_TRANSFER
    refund()
    assert bank.balance("1002") == -1_000_000 + 1_000 + 200 - 700
    for refused, field in (
        (lambda: bank.repay(loan.loan_id, 1_000, funding=own), "funding"),
        (lambda: repay_all(funding=own), "funding"),
        (
            lambda: refund(destination=repayment_pb2.REFUND_DESTINATION_OWN_ACCOUNT),
            "destination",
        ),
    ):
        with pytest.raises(grpc.RpcError) as error:
            refused()
        assert list(violations(error.value)) == [field]
    bank.end_day()
    bank.assert_books_agree()


def test_an_amount_that_no_ledger_takes_is_refused_before_it_is_booked(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    too_much = 900_000_000_000_001
    for call, field in (
        (lambda: bank.repay(loan_id, too_much), "amount.minor_units"),
        (
            lambda: bank.change("AdvanceLegalCosts", loan_id, amount=money(too_much)),
            "amount.minor_units",
        ),
        (lambda: bank.change("SellLoan", loan_id, price=money(too_much)), "price.minor_units"),
        (lambda: bank.buy(1_000, 1_000, penalty=too_much), "penalty"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert list(violations(refused.value)) == [field]
    bank.end_day()
