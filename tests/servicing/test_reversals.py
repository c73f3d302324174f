"""Money that came earlier than it was told of, or did not come after all: everything after it anew.

Loans of 10,000.00 in six instalments every ten days, the first on 25 January.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from servicing.bank import START, Bank, every_ten_days

from support import refusal, rid, violations
from tael.servicing.v1 import (
    credit_line_pb2,
    loan_change_pb2,
    loan_pb2,
    product_pb2,
    repayment_pb2,
)
from tael_client.values import from_date, money

INSTALMENT = 168_617
FIRST, SECOND = date(2026, 1, 25), date(2026, 2, 4)


@pytest.fixture
def bank(new_bank: Callable[..., Bank]) -> Bank:
    """A bank whose loans fall due every ten days, and go off balance after twelve."""
    return new_bank(**every_ten_days())


def refused(call: Callable[[], object]) -> str:
    """Why it is refused."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    status, reason = refusal(error.value)
    assert status == "FAILED_PRECONDITION", error.value
    return reason


def late(bank: Bank, until: date) -> str:
    """A loan that pays nothing by itself, on a later day."""
    bank.fails("card-late", times=40)
    loan_id = bank.lend(card="card-late", periods=6).loan_id
    bank.end_days(until)
    return loan_id


def test_money_worth_an_earlier_day_undoes_the_overdue_transfer_and_its_penalty(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 2, 6))
    principal = bank.schedule(loan_id)[0].principal
    owner = f"LOAN:{loan_id}"
    assert bank.loan(loan_id).dpd == 12
    assert bank.balance("1303.02", owner, date(2026, 1, 26)) == principal
    assert bank.balance("1132.03", owner) > 0

    answer = bank.repay(loan_id, INSTALMENT, value_date=from_date(date(2026, 1, 24)))

    assert answer.repayment.value_date == from_date(date(2026, 1, 24))
    assert answer.repayment.allocation.overpayment == INSTALMENT, "the day before it was due"
    assert answer.loan.dpd == 2, "of the second instalment"
    assert bank.balance("1303.02", owner, date(2026, 1, 26)) == 0
    assert bank.balance("1132.03", owner, date(2026, 2, 3)) == 0
    assert bank.balance("1132.01", owner, FIRST) == 278, "one night of what is left"
    assert bank.balance("1303.01", owner, FIRST) == 1_000_000 - principal
    first, second, *_ = bank.schedule(loan_id)
    assert (first.state, first.penalty, first.compound) == (loan_pb2.INSTALMENT_STATE_PAID, 0, 0)
    assert (second.days_past_due, second.penalty > 0) == (2, True)
    bank.assert_books_agree()
    bank.end_day()
    bank.assert_books_agree()


def test_a_bounced_debit_reopens_what_it_paid_and_moves_what_came_later(bank: Bank) -> None:
    loan_id = late(bank, FIRST)
    bounced = bank.repay(
        loan_id, INSTALMENT, funding=repayment_pb2.FUNDING_CHANNEL, reference="app-1"
    ).repayment
    bank.end_days(SECOND)
    kept = bank.repay(loan_id, INSTALMENT, funding=repayment_pb2.FUNDING_TRANSFER).repayment
    bank.end_days(date(2026, 2, 6))
    assert (bank.loan(loan_id).dpd, bank.balance("1221.01")) == (0, INSTALMENT)

    request_id = rid()
    loan = bank.reverse(loan_id, bounced.repayment_id, request_id=request_id)

    assert bank.reverse(loan_id, bounced.repayment_id, request_id=request_id) == loan
    assert bank.balance("1221.01") == 0, "nothing came through the channel"
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_OVERDUE, 12)
    first, second, *_ = bank.schedule(loan_id)
    assert (first.days_past_due, second.days_past_due) == (12, 2), "from their own due dates"
    assert first.penalty > second.penalty > 0
    assert first.principal - first.principal_paid == first.penalty_paid + first.compound_paid, (
        "the money of the second paid the first, and its charges before its principal"
    )
    assert second.principal_paid == 0
    gone, moved = bank.repaid(loan_id)
    assert gone.reversed
    assert gone.allocation == repayment_pb2.Allocation()
    assert moved.repayment_id == kept.repayment_id
    assert moved.allocation.penalty == first.penalty_paid
    assert sum(getattr(moved.allocation, f.name) for f in moved.allocation.DESCRIPTOR.fields) == (
        INSTALMENT
    )
    bank.assert_books_agree()
    again = lambda: bank.reverse(loan_id, bounced.repayment_id)  # noqa: E731  what is refused
    assert refused(again) == "ALREADY_REVERSED"
    bank.repay(loan_id, bank.loan(loan_id).amount_past_due)
    bank.end_day()
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_NORMAL
    bank.assert_books_agree()


def test_a_line_drawn_again_in_the_meantime_is_over_used_and_not_drawn_further(bank: Bank) -> None:
    line_id = bank.grant(limit=1_000_000).line_id
    loan_id = bank.lend(line_id, periods=6).loan_id
    paid = bank.repay(loan_id, 400_000, "FIXED_AMOUNT").repayment
    bank.lend(line_id, principal=money(390_000), periods=6)
    assert bank.line(line_id) == (993_960, 0, 6_040), "1 % of what is prepaid is the fee"

    bank.reverse(loan_id, paid.repayment_id)

    line = bank.lines.GetCreditLine(credit_line_pb2.GetCreditLineRequest(line_id=line_id)).line
    assert (line.used.minor_units, line.available.minor_units) == (1_390_000, 0)
    assert (line.limit.minor_units, line.granted.minor_units) == (1_390_000, 1_000_000)
    draw = lambda: bank.lend(line_id, principal=money(1_000), periods=6)  # noqa: E731  what is refused
    assert refused(draw) == "LINE_EXCEEDED"
    bank.assert_books_agree()
    bank.repay(loan_id, 400_000, "FIXED_AMOUNT")
    assert bank.line(line_id) == (993_960, 0, 6_040), "1 % of what is prepaid is the fee"
    bank.end_day()
    bank.assert_books_agree()


def test_a_repayment_reversed_after_the_write_off_makes_it_larger(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 1, 26))
    paid = bank.repay(loan_id, 50_000, funding=repayment_pb2.FUNDING_TRANSFER).repayment
    bank.end_days(date(2026, 2, 7))
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    written_off = bank.loans.WriteOffLoan(request).loan.balances
    bank.assert_books_agree()
    bank.end_day()

    loan = bank.reverse(loan_id, paid.repayment_id)

    owed = loan.balances
    assert loan.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert owed.written_off_principal == 1_000_000
    grown = owed.written_off_principal + owed.written_off_interest
    assert grown > written_off.written_off_principal + written_off.written_off_interest + 50_000
    assert bank.balance("6702") == 1_000_000 + bank.provided_for_lines()
    bank.assert_books_agree()
    bank.end_day()
    bank.assert_books_agree()


def test_a_write_off_taken_back_leaves_the_loan_as_if_it_had_never_been(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 2, 7))
    before, loss = bank.loan(loan_id), bank.balance("6702")
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    bank.loans.WriteOffLoan(request)
    event_id = bank.history(loan_id)[-1].event_id

    after = bank.change("ReverseLoanChange", loan_id, event_id=event_id)

    assert after == before
    assert (bank.balance("6702"), bank.balance("7101")) == (loss, 0)
    bank.assert_books_agree()
    taken, taking = bank.history(loan_id)[-2:]
    assert (taken.kind, taken.reference, taken.reversed_by) == (
        "WrittenOff",
        "wo-1",
        taking.event_id,
    )
    assert (taking.kind, taking.details["target"]) == ("Reversed", event_id)
    for wanted, reason in (
        (event_id, "ALREADY_REVERSED"),
        (taking.event_id, "NOT_REVERSIBLE"),
        (bank.history(loan_id)[0].event_id, "NOT_REVERSIBLE"),
    ):
        call = lambda event=wanted: bank.change("ReverseLoanChange", loan_id, event_id=event)  # noqa: E731  what is refused
        assert refused(call) == reason
    bank.end_day()
    assert bank.loan(loan_id).dpd == before.dpd + 1
    bank.assert_books_agree()


def test_a_value_date_outside_the_loans_life_is_refused_naming_the_field(bank: Bank) -> None:
    loan_id = bank.lend(periods=6).loan_id
    for day in (date(2026, 1, 14), date(2026, 1, 16)):
        with pytest.raises(grpc.RpcError) as error:
            bank.repay(loan_id, 5_000, value_date=from_date(day))
        assert list(violations(error.value)) == ["value_date"]
    with pytest.raises(grpc.RpcError) as unknown:
        bank.reverse(loan_id, "rp_none")
    assert refusal(unknown.value)[0] == "NOT_FOUND"
    assert bank.posted(loan_id, "REPAYMENT_RECEIVED") == []


def test_money_recovered_pays_the_loan_when_its_write_off_is_taken_back(bank: Bank) -> None:
    """It came by transfer, and never out of the customer's account."""
    loan_id = late(bank, FIRST)
    bank.change("TransferLoanStatus", loan_id, cause=loan_change_pb2.IMPAIRMENT_CAUSE_FRAUD)
    bank.loans.WriteOffLoan(
        loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    )
    bank.loans.RecordRecovery(
        loan_pb2.RecordRecoveryRequest(request_id=rid(), loan_id=loan_id, amount=money(50_000))
    )
    settled = bank.balance("1003")
    deposit = f"CUSTOMER:{bank.loan(loan_id).customer_id}"
    written_off, recovered = bank.history(loan_id)[-2:]

    loan = bank.change("ReverseLoanChange", loan_id, event_id=written_off.event_id)

    assert loan.state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    assert loan.balances.principal_impaired == 950_000
    assert (bank.balance("1003"), bank.balance("2011.01", deposit)) == (settled, 0)
    bank.assert_books_agree()
    loan = bank.change("ReverseLoanChange", loan_id, event_id=recovered.event_id)
    assert loan.balances.principal_impaired == 1_000_000
    assert (bank.balance("1003"), bank.balance("2011.01", deposit)) == (settled - 50_000, 0)
    bank.assert_books_agree()


def test_a_claim_recovered_whole_ends_the_loan_until_the_recovery_is_taken_back(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(non_accrual=product_pb2.NonAccrualTerms(write_off_performing=True))
    loan_id = bank.lend().loan_id
    written_off = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    bank.loans.WriteOffLoan(written_off)
    bank.end_day()
    claim = bank.change("AdvanceLegalCosts", loan_id, amount=money(30_000), reference="court fee")
    assert bank.owes(loan_id) == {"legal_costs": 30_000, "written_off_principal": 1_000_000}

    paid = bank.repay(loan_id, 1_030_000)

    assert paid.loan.state == loan_pb2.LOAN_STATE_CLOSED_OVERDUE
    assert bank.owes(loan_id) == {}
    certificate = bank.loans.GetSettlementCertificate(
        loan_pb2.GetSettlementCertificateRequest(loan_id=loan_id)
    ).certificate
    assert (certificate.principal_paid, certificate.fees_paid) == (1_000_000, 30_000)
    assert refused(lambda: bank.repay(loan_id, 1)) == "LOAN_CLOSED"
    again = bank.lend(bank.grant(customer=claim.customer_id).line_id)
    assert again.state == loan_pb2.LOAN_STATE_NORMAL, "who owes nothing may draw"
    bank.assert_books_agree()
    back = bank.reverse(loan_id, paid.repayment.repayment_id)
    assert back.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert bank.owes(loan_id) == {"legal_costs": 30_000, "written_off_principal": 1_000_000}
    bank.assert_books_agree()


def test_a_claim_and_its_costs_are_given_up_and_stand_again_when_that_is_taken_back(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(non_accrual=product_pb2.NonAccrualTerms(write_off_performing=True))
    loan_id = bank.lend().loan_id
    costs = lambda: bank.change("WaiveLoan", loan_id, legal_costs=1)  # noqa: E731  what is refused
    assert refused(costs) == "NOT_WRITTEN_OFF"
    bank.change("AdvanceLegalCosts", loan_id, amount=money(10_000), reference="lawyer")
    written_off = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    bank.loans.WriteOffLoan(written_off)
    bank.change("AdvanceLegalCosts", loan_id, amount=money(20_000), reference="court fee")
    claim = {"legal_costs": 30_000, "written_off_principal": 1_000_000}
    assert bank.owes(loan_id) == claim
    more = lambda: bank.change("WaiveLoan", loan_id, legal_costs=30_001)  # noqa: E731  what is refused
    assert refused(more) == "WAIVER_EXCEEDS_DUE"

    loan = bank.change("WaiveLoan", loan_id, principal=400_000, legal_costs=30_000)

    assert loan.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert bank.owes(loan_id) == {"written_off_principal": 600_000}
    assert ("6702", "Dr", 30_000) in bank.vouchers(loan_id, "LOAN_WRITTEN_OFF")
    assert bank.repay(loan_id, 600_000).loan.state == loan_pb2.LOAN_STATE_CLOSED_OVERDUE
    bank.assert_books_agree()
    waived = next(each for each in bank.history(loan_id) if each.kind == "ClaimWaived")
    back = bank.change("ReverseLoanChange", loan_id, event_id=waived.event_id)
    assert back.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert sum(bank.owes(loan_id).values()) == 430_000
    bank.assert_books_agree()


def test_money_worth_a_day_after_the_write_off_is_a_recovery(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(non_accrual=product_pb2.NonAccrualTerms(write_off_performing=True))
    loan_id = bank.lend().loan_id
    written_off = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    bank.loans.WriteOffLoan(written_off)
    bank.end_days(START + timedelta(days=2))
    yesterday = from_date(START + timedelta(days=1))

    def pay(**choices: Any) -> repayment_pb2.RepayResponse:
        return bank.repay(loan_id, 10_000, value_date=yesterday, **choices)

    channel = {"funding": repayment_pb2.FUNDING_CHANNEL, "reference": "app-1"}
    assert refused(lambda: pay(**channel)) == "LOAN_WRITTEN_OFF"
    more = lambda: bank.repay(loan_id, 1_000_001, value_date=yesterday)  # noqa: E731  what is refused
    assert refused(more) == "RECOVERY_EXCEEDS_CLAIM"
    goods = {"amount": money(10_000), "value_date": yesterday}
    returned = lambda: bank.change("RefundGoods", loan_id, **goods)  # noqa: E731  what is refused
    assert refused(returned) == "LOAN_WRITTEN_OFF"

    answer = pay()

    assert answer.repayment.funding == repayment_pb2.FUNDING_TRANSFER
    assert answer.loan.balances.written_off_principal == 990_000
    assert ("1003", "Dr", 10_000) in bank.vouchers(loan_id, "RECOVERY_RECEIVED")
    bank.reverse(loan_id, answer.repayment.repayment_id)
    assert bank.loan(loan_id).balances.written_off_principal == 1_000_000
    bank.end_day()
    bank.assert_books_agree()
