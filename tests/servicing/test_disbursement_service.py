"""A loan is paid out once, or not at all, whatever the outside world answers."""

from __future__ import annotations

from servicing.bank import Bank

from tael.servicing.v1 import loan_pb2


def test_a_loan_is_booked_paid_out_and_occupies_its_line(bank: Bank) -> None:
    line = bank.grant()
    loan = bank.lend(line.line_id)
    assert loan.state == loan_pb2.LOAN_STATE_NORMAL
    assert bank.line(line.line_id) == (1_000_000, 0, 1_000_000)
    assert bank.vouchers(loan.loan_id, "LOAN_DISBURSED") == [
        ("1303.01", "Dr", 1_000_000),
        ("7999", "Dr", 1_000_000),
        ("2011.01", "Cr", 1_000_000),
        ("7201", "Cr", 1_000_000),
    ]
    assert bank.vouchers(loan.loan_id, "DISBURSEMENT_PAID") == [
        ("2011.01", "Dr", 1_000_000),
        ("1003", "Cr", 1_000_000),
    ]
    bank.assert_books_agree()
    bank.end_day()
    bank.assert_books_agree()
    bank.assert_books_agree()
