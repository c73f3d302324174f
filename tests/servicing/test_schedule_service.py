"""A loan's schedule over gRPC: what was paid early and late, what is to come, claims and debits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from servicing.bank import Bank, decimal

from support import refusal, rid
from tael.servicing.v1 import direct_debit_pb2, loan_pb2, repayment_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import from_date, money

START = date(2025, 3, 10)
FREE: dict[str, Any] = {
    "method": pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL,
    "annual_rate": decimal("0"),
    "schedule": pb.ScheduleTerms(
        frequency=pb.Frequency(unit=pb.FREQUENCY_UNIT_DAY, every=5), down_payment=decimal("0.2")
    ),
    "overdue": pb.OverdueTerms(mode=pb.OVERDUE_MODE_NOTHING),
    "penalty_multiplier": None,
    "compound_enabled": False,
    "prepayment_fee_rate": None,
    "repayment": pb.RepaymentTerms(excess=pb.EXCESS_RULE_NEXT, no_direct_debit=True),
    "non_accrual": pb.NonAccrualTerms(never=True, write_off_performing=True),
}
"""Without interest, a fifth at once, the rest every five days; the customer pays unasked."""


@pytest.fixture(scope="module")
def bank(new_bank: Callable[..., Bank]) -> Bank:
    """A bank that lends so."""
    return new_bank(start=START, **FREE)


def lend(bank: Bank) -> str:
    """900.00: 180.00 today, then three times 240.00."""
    loan = bank.lend(
        bank.grant(annual_rate=decimal("0")).line_id, principal=money(90_000), periods=3
    )
    return loan.loan_id


def refund(bank: Bank, **asked: Any) -> None:
    request = repayment_pb2.RefundOverpaymentRequest(request_id=rid(), **asked)
    bank.repayments.RefundOverpayment(request)


def rows(bank: Bank, loan_id: str) -> list[loan_pb2.Instalment]:
    request = loan_pb2.GetScheduleRequest(loan_id=loan_id)
    return list(bank.loans.GetSchedule(request).instalments)


def test_a_schedule_tells_what_came_when_and_no_card_is_asked(bank: Bank) -> None:
    start = bank.day
    loan_id, silent = lend(bank), lend(bank)
    bank.end_day()
    bank.repay(loan_id, 28_000)
    bank.end_days(start + timedelta(days=7))
    bank.repay(loan_id, 20_000)
    told = [
        (row.number, row.principal, row.principal_paid, row.paid_in_advance, row.paid_late)
        for row in rows(bank, loan_id)
    ]
    assert told == [
        (1, 18_000, 18_000, 0, 18_000),
        (2, 24_000, 24_000, 10_000, 14_000),
        (3, 24_000, 6_000, 6_000, 0),
        (4, 24_000, 0, 0, 0),
    ]
    assert [row.balance_after for row in rows(bank, loan_id)] == [72_000, 48_000, 24_000, 0]
    paid_on = [row.paid_on for row in rows(bank, loan_id) if row.HasField("paid_on")]
    assert paid_on == [from_date(start + timedelta(days=days)) for days in (1, 7)]
    assert bank.loan(silent).amount_past_due == 42_000
    asked = direct_debit_pb2.ListDebitsRequest(loan_id=silent)
    assert not bank.direct_debits.ListDebits(asked).debits
    bank.assert_books_agree()


def test_a_disputed_payment_goes_back_and_is_owed_again_with_the_next_instalment(
    bank: Bank,
) -> None:
    loan_id = lend(bank)
    bank.repay(loan_id, 20_000)
    bank.end_day()
    given_back = {"loan_id": loan_id, "amount": money(12_000)}
    with pytest.raises(grpc.RpcError) as held:
        refund(bank, **given_back)
    assert refusal(held.value)[1] == "OVERPAYMENT_EXCEEDED"
    line = bank.line(bank.loan(loan_id).line_id)
    refund(bank, **given_back, owed_again=True)
    assert [row.principal for row in rows(bank, loan_id)] == [18_000, 36_000, 24_000, 24_000]
    assert bank.owes(loan_id) == {"principal_normal": 82_000}
    assert bank.line(bank.loan(loan_id).line_id)[0] == line[0] + 12_000
    with pytest.raises(grpc.RpcError) as more:
        refund(bank, loan_id=loan_id, amount=money(8_001), owed_again=True)
    assert refusal(more.value)[1] == "OVERPAYMENT_EXCEEDED"
    bank.assert_books_agree()


def test_money_on_a_written_off_loan_is_a_recovery_that_its_rows_show(bank: Bank) -> None:
    loan_id = lend(bank)
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo")
    bank.loans.WriteOffLoan(request)
    bank.end_day()
    repaid = bank.repay(loan_id, 30_000)
    assert repaid.repayment.allocation.principal == 30_000
    assert repaid.loan.balances.written_off_principal == 60_000
    recovered = {"principal": 30_000, "commitment": 30_000}
    assert bank.posted(loan_id, "RECOVERY_RECEIVED") == [recovered]
    assert [row.principal_paid for row in rows(bank, loan_id)] == [18_000, 12_000, 0, 0]
    bank.assert_books_agree()


def test_what_is_to_come_is_told_as_if_the_overdue_were_paid_today(
    new_bank: Callable[..., Bank],
) -> None:
    """3,000.00 at 12 % by ACT/360, 1,000.00 every ten days: 10.00, 6.67 and 3.33 if paid when due.

    Six days late with the first, 1,000.00 bears 2.00 more; where nothing is paid, all does to the end.
    """
    every = pb.Frequency(unit=pb.FREQUENCY_UNIT_DAY, every=10)
    terms = {
        **FREE,
        "annual_rate": decimal("0.12"),
        "schedule": pb.ScheduleTerms(frequency=every),
        "overdue": pb.OverdueTerms(mode=pb.OVERDUE_MODE_CONTRACT, after_maturity=True),
        "non_accrual": pb.NonAccrualTerms(never=True),
    }
    bank = new_bank(start=START, **terms)
    loan_id = bank.lend(principal=money(300_000), periods=3).loan_id
    bank.end_days(START + timedelta(days=16))
    told = [(row.principal, row.interest) for row in rows(bank, loan_id)]
    assert told == [(100_000, 1_000), (100_000, 867), (100_000, 333)]
    as_of = loan_pb2.GetLoanAsOfRequest(loan_id=loan_id, date=from_date(bank.day))
    assert list(bank.loans.GetLoanAsOf(as_of).instalments) == rows(bank, loan_id)
    bank.assert_books_agree()
    bank.end_days(START + timedelta(days=50))
    owed = bank.loan(loan_id).amount_past_due
    assert owed == 300_000 + 5_000, "1.00 a night, the 20 after maturity too"
    past_due = [
        standing.amount_past_due
        for event in bank.events()
        for standing in event.loans_overdue.loans
        if standing.loan_id == loan_id
    ]
    assert past_due[-1] == owed
    bank.assert_books_agree()
    bank.repay(loan_id, owed)
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_CLOSED_OVERDUE
    bank.assert_books_agree()
