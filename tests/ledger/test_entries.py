"""The worked entries of DOMAIN.md §2.2, posted as business events."""

from __future__ import annotations

from ledger.ledger_case import LedgerUnderTest


def test_a_disbursement_is_booked_and_the_trial_balance_comes_to_nothing(
    book: LedgerUnderTest,
) -> None:
    answer = book.post("LOAN_DISBURSED", principal=1_000_000)
    assert [(e.sequence, e.event) for e in answer.entries] == [(1, "LOAN_DISBURSED")]
    assert book.balance("1303.01:LOAN:L1", "2011.01:CUSTOMER:C1") == [1_000_000, 1_000_000]
    totals = book.trial_balance()
    assert totals.total_debits == totals.total_credits == 1_000_000
    assert book.findings() == []
