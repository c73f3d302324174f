"""Loan L1: paid once, then silent, off balance, written off, recovered; a second is settled instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import grpc
import pytest
from servicing.bank import START, Bank

from support import refusal, rid
from tael.servicing.v1 import (
    credit_line_pb2,
    loan_change_pb2,
    loan_pb2,
    product_pb2,
    repayment_pb2,
)
from tael_client.values import from_date, money, to_date


def test_a_silent_loan_goes_the_whole_hard_way(bank: Bank) -> None:
    bank.fails("card-silent", times=30)
    loan_id = bank.lend(card="card-silent").loan_id
    other = bank.lend(card="card-silent").loan_id
    bank.end_days(date(2026, 2, 15))
    assert_first_instalment(bank, loan_id)
    bank.repay(other, 88_849)
    bank.end_days(date(2026, 3, 16))
    loan = bank.loan(loan_id)
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_OVERDUE, 1)
    bank.end_days(date(2026, 6, 13))
    assert bank.loan(loan_id).dpd == 90
    bank.assert_books_agree()
    assert refused_write_off(bank, loan_id) == "NOT_NON_ACCRUAL"
    bank.end_day()
    assert_off_balance(bank, loan_id)
    bank.repay(loan_id, 50_000, funding=repayment_pb2.FUNDING_TRANSFER)
    assert bank.vouchers(loan_id, "REPAYMENT_RECEIVED")[:2] == [
        ("1003", "Dr", 50_000),
        ("7201", "Dr", 50_000),
    ]
    bank.end_day()
    assert bank.posted(other, "INTEREST_ACCRUED")[-1] == {
        "interest": 219,
        "penalty": 121,
        "compound": 13,
    }
    bank.end_days(date(2026, 6, 20))
    assert_settled(bank, other)
    assert_written_off_and_recovered(bank, loan_id, other)


def assert_first_instalment(bank: Bank, loan_id: str) -> None:
    """31 nights of 100.00, due whole, paid."""
    assert bank.owes(loan_id) == {"principal_normal": 1_000_000, "interest_due": 10_000}
    nights = bank.posted(loan_id, "INTEREST_ACCRUED")
    assert nights[:2] == [{"interest": 323}, {"interest": 322}]
    assert sum(night["interest"] for night in nights) == 10_000
    bank.repay(loan_id, 88_849)
    assert bank.vouchers(loan_id, "REPAYMENT_RECEIVED") == [
        ("2011.01", "Dr", 88_849),
        ("7201", "Dr", 78_849),
        ("1303.01", "Cr", 78_849),
        ("1132.02", "Cr", 10_000),
        ("7999", "Cr", 78_849),
    ]


def assert_off_balance(bank: Bank, loan_id: str) -> None:
    """Day 91 (E09)."""
    loan = bank.loan(loan_id)
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_NON_ACCRUAL, 91)
    assert bank.posted(loan_id, "NON_ACCRUAL_ENTERED") == [
        {
            "principal_normal": 679_842,
            "principal_overdue": 241_309,
            "interest_due": 25_238,
            "interest_accrued": 6_579,
            "penalty": 7_255,
            "compound": 785,
        }
    ]
    assert bank.owes(loan_id) == {
        "principal_impaired": 921_151,
        "offbalance_interest": 31_817,
        "offbalance_penalty": 7_255,
        "offbalance_compound": 785,
    }
    bank.assert_books_agree()


def assert_settled(bank: Bank, loan_id: str) -> None:
    """A non-accrual loan is settled inside a period: its memo is trued up, not income."""
    total = bank.day_payoff(loan_id)
    answer = bank.repay(loan_id, total, "SETTLE", funding=repayment_pb2.FUNDING_TRANSFER)
    assert answer.loan.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    assert bank.owes(loan_id) == {}
    bank.assert_books_agree()


def assert_written_off_and_recovered(bank: Bank, loan_id: str, other: str) -> None:
    """E14 and E15: what the month ends had set aside is topped up to all that is lost."""
    set_aside = bank.loan(other).balances.allowance
    claim = bank.owes(loan_id)
    interest = sum(value for name, value in claim.items() if name.startswith("offbalance"))
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    written = bank.loans.WriteOffLoan(request).loan
    assert written.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert bank.loans.WriteOffLoan(request).loan == written
    line = credit_line_pb2.GetCreditLineRequest(line_id=written.line_id)
    assert bank.lines.GetCreditLine(line).line.state == credit_line_pb2.LINE_STATE_FROZEN
    assert bank.owes(loan_id) == {
        "written_off_principal": 871_151,
        "written_off_interest": interest,
    }
    assert bank.balance("6702") == 871_151 + set_aside + bank.provided_for_lines()
    bank.assert_books_agree()
    bank.end_day()
    assert recover(bank, loan_id, 100_000) == (100_000, 0)
    assert recover(bank, loan_id, 771_151 + 600) == (771_151, 600)
    assert bank.balance("6702") == set_aside + bank.provided_for_lines()
    with pytest.raises(grpc.RpcError) as refused:
        recover(bank, loan_id, interest)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "RECOVERY_EXCEEDS_CLAIM")
    repaid = bank.repay(loan_id, 100).repayment
    assert (repaid.allocation.interest, repaid.funding) == (100, repayment_pb2.FUNDING_TRANSFER)
    with pytest.raises(grpc.RpcError) as closed:
        bank.repay(loan_id, 100, "SETTLE")
    assert refusal(closed.value) == ("FAILED_PRECONDITION", "LOAN_WRITTEN_OFF")
    bank.end_day()
    bank.assert_books_agree()


def recover(bank: Bank, loan_id: str, amount: int) -> tuple[int, int]:
    answer = bank.loans.RecordRecovery(
        loan_pb2.RecordRecoveryRequest(request_id=rid(), loan_id=loan_id, amount=money(amount))
    )
    return answer.principal, answer.interest


def refused_write_off(bank: Bank, loan_id: str) -> str:
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-0")
    with pytest.raises(grpc.RpcError) as refused:
        bank.loans.WriteOffLoan(request)
    return refusal(refused.value)[1]


def test_what_is_late_of_its_penalty_alone_is_late_by_nights_as_by_the_fold(
    new_bank: Callable[..., Bank],
) -> None:
    every = product_pb2.Frequency(unit=product_pb2.FREQUENCY_UNIT_DAY, every=2)
    late = product_pb2.FEE_AT_LATE
    charge = product_pb2.FeeTerms(name="Late", at=late, amount=300, penalty=True, disclosed=True)
    bank = new_bank(
        schedule=product_pb2.ScheduleTerms(frequency=every),
        repayment=product_pb2.RepaymentTerms(no_direct_debit=True),
        fees=[charge],
    )
    loan_id = bank.lend(periods=3).loan_id
    bank.end_days(START + timedelta(days=3))
    bank.change("TransferLoanStatus", loan_id, cause=loan_change_pb2.IMPAIRMENT_CAUSE_BANKRUPTCY)
    bank.change("RescheduleLoan", loan_id, re_age=True)
    bank.end_day()
    row = next(each for each in bank.schedule(loan_id) if each.principal)
    assert to_date(row.due_date) == bank.day
    bank.repay(loan_id, row.principal + row.interest)
    (left,) = bank.loan(loan_id).balances.ListFields()[1:]
    assert left[0].name == "offbalance_penalty"
    bank.end_day()
    assert bank.loan(loan_id).balances.offbalance_penalty == left[1] + 300
    asked = loan_pb2.GetLoanAsOfRequest(loan_id=loan_id, date=from_date(bank.day))
    assert bank.loans.GetLoanAsOf(asked).loan == bank.loan(loan_id)
    bank.assert_books_agree()
