"""Loan L1: paid once, then silent, off balance, written off, recovered, to the cent."""

from __future__ import annotations

from datetime import date

from servicing.bank import Bank

from support import rid
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_client.values import money


def test_a_silent_loan_goes_the_whole_hard_way(bank: Bank) -> None:
    card = "card-silent"
    loan_id = bank.lend(card=card).loan_id
    bank.fails(card)
    bank.end_days(date(2026, 2, 15))
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
    bank.end_days(date(2026, 3, 16))
    loan = bank.loan(loan_id)
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_OVERDUE, 1)
    bank.end_days(date(2026, 6, 13))
    assert bank.loan(loan_id).dpd == 90
    bank.assert_books_agree()
    bank.end_days(date(2026, 6, 14))
    loan = bank.loan(loan_id)
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_NON_ACCRUAL, 91)
    assert bank.owes(loan_id) == {
        "principal_impaired": 921_151,
        "offbalance_interest": 31_817,
        "offbalance_penalty": 7_255,
        "offbalance_compound": 785,
    }
    bank.assert_books_agree()
    bank.repay(loan_id, 50_000, funding=repayment_pb2.FUNDING_TRANSFER)
    written = bank.loans.WriteOffLoan(
        loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    ).loan
    assert written.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert bank.owes(loan_id) == {
        "written_off_principal": 871_151,
        "written_off_interest": 39_857,
    }
    bank.assert_books_agree()
    bank.end_day()
    recovered = bank.loans.RecordRecovery(
        loan_pb2.RecordRecoveryRequest(request_id=rid(), loan_id=loan_id, amount=money(100_000))
    )
    assert (recovered.principal, recovered.interest) == (100_000, 0)
    bank.end_day()
    bank.assert_books_agree()
