"""What the credit register is told of lines and loans, and that tranches count as lent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from servicing.bank import DUE_TOMORROW, Bank
from servicing.test_disbursement_kinds import TRANCHES, tranche
from servicing.test_portfolio import report, summary

from support import rid
from tael.servicing.v1 import credit_line_pb2, product_pb2
from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date, money
from tael_servicing.credit_report import repay_status
from tael_servicing.tables import LOAN_STATES


def agreements(bank: Bank, day: date) -> dict[str, tuple[str, int, int, str]]:
    """(report point, limit, used, status) of the lines told of on a day."""
    request = pb.CreditReportRequest(book_id=bank.book, date=from_date(day))
    return {
        each.base.agreement_id: (
            each.base.report_point,
            each.limit.credit_limit,
            each.limit.used,
            each.limit.status,
        )
        for answer in bank.portfolio.CreditReport(request)
        for each in answer.agreements
    }


def adjust(bank: Bank, line_id: str, limit: int) -> None:
    request = credit_line_pb2.AdjustCreditLineRequest(
        request_id=rid(), line_id=line_id, limit=money(limit), reason="reviewed", approval="ap-1"
    )
    bank.lines.AdjustCreditLine(request)


def close(bank: Bank, line_id: str) -> None:
    request = credit_line_pb2.CloseCreditLineRequest(
        request_id=rid(), line_id=line_id, reason="asked for", approval="ap-2"
    )
    bank.lines.CloseCreditLine(request)


def test_a_line_is_told_of_when_it_opens_when_it_changes_and_when_it_ends(bank: Bank) -> None:
    first, second, third = (bank.day + timedelta(days=days) for days in range(3))
    line, ahead = bank.grant().line_id, bank.grant(valid_from=from_date(second)).line_id
    bank.lend(line)
    bank.end_day()
    opened = {line: ("10", 2_000_000, 1_000_000, "1")}
    assert agreements(bank, first) == opened, "the other waits for its first day"
    adjust(bank, line, 3_000_000)
    bank.end_day()
    changed = {line: ("30", 3_000_000, 1_000_000, "1"), ahead: ("10", 2_000_000, 0, "1")}
    assert agreements(bank, second) == changed
    close(bank, ahead)
    bank.end_day()
    assert agreements(bank, third) == {ahead: ("20", 2_000_000, 0, "2")}
    assert agreements(bank, first) == opened, "a closed day is told the same for ever"


def test_what_becomes_known_later_changes_no_record_of_a_closed_day(
    new_bank: Callable[..., Bank],
) -> None:
    asked_of_no_card = product_pb2.RepaymentTerms(no_direct_debit=True)
    bank = new_bank(start=date(2026, 1, 30), repayment=asked_of_no_card, **DUE_TOMORROW)
    bounces, settles = (bank.lend(repay_day=31).loan_id for _ in range(2))
    bank.end_day()
    due = bank.loan(bounces).balances.interest_due + bank.schedule(bounces)[0].principal
    paid = bank.repay(bounces, due).repayment
    bank.repay(settles, due + 100_000, "FIXED_AMOUNT")
    bank.end_day()
    day = bank.day - timedelta(days=1)
    told = report(bank, day)
    performance = told[bounces].performance
    assert (performance.paid_in_month, performance.repay_status) == (due, "N")
    assert told[settles].performance.remaining_terms == 11
    bank.reverse(bounces, paid.repayment_id)
    bank.repay(settles, bank.day_payoff(settles), "SETTLE")
    bank.change("RescheduleLoan", bounces, repay_day=20)
    bank.end_day()
    assert report(bank, day) == told
    assert report(bank, bank.day - timedelta(days=1))[settles].base.report_point == "20"


def test_principal_paid_before_it_is_due_is_told_as_prepaid_whatever_it_was_sent_as(
    new_bank: Callable[..., Bank],
) -> None:
    asked_of_no_card = product_pb2.RepaymentTerms(no_direct_debit=True)
    bank = new_bank(start=date(2026, 1, 30), repayment=asked_of_no_card, **DUE_TOMORROW)
    paid = {"FIXED_AMOUNT": 100_000, "ADVANCE_NEXT": 100_000, "DUE": 0, "PREPAY_KEEP_TERM": 100_000}
    loans = {kind: bank.lend(repay_day=31).loan_id for kind in paid}
    only_due = bank.lend(repay_day=31).loan_id
    bank.end_day()
    due = bank.schedule(only_due)[0].principal + bank.schedule(only_due)[0].interest
    for kind, more in paid.items():
        bank.repay(loans[kind], due + more, kind)
    bank.repay(only_due, due, "FIXED_AMOUNT")
    bank.end_day()
    told = report(bank, bank.day - timedelta(days=1))
    codes = {kind: [each.code for each in told[loans[kind]].special_transactions] for kind in paid}
    assert codes == {
        "FIXED_AMOUNT": ["4"],
        "ADVANCE_NEXT": ["4"],
        "DUE": [],
        "PREPAY_KEEP_TERM": ["4"],
    }
    assert not told[only_due].special_transactions


def test_a_tranche_is_part_of_what_was_lent_in_every_view(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(**TRANCHES)
    day, loan_id = bank.day, bank.lend().loan_id
    bank.loans.DisburseTranche(tranche(loan_id))
    bank.end_day()
    assert bank.loan_ledger(day)[loan_id].principal == 1_600_000
    assert summary(bank, day).disbursed_in_month == 1_600_000
    (cohort,) = bank.portfolio.Vintage(pb.VintageRequest(book_id=bank.book)).cohorts
    assert (cohort.disbursed, cohort.loans) == (1_600_000, 1)
    record = report(bank, day)[loan_id]
    assert (record.basic.amount, record.performance.balance) == (1_600_000, 1_600_000)
    assert (record.basic.repay_mode, record.basic.repay_frequency) == ("11", "03")
    assert record.basic.terms == 12


@pytest.mark.parametrize("state", [each for each in LOAN_STATES if each.startswith("CLOSED_")])
def test_each_way_a_loan_closes_has_its_word_in_the_register(state: str) -> None:
    own = {"CLOSED_GUARANTOR": "D", "CLOSED_ASSET": "Z", "CLOSED_TRANSFERRED": "G"}
    returned = {"CLOSED_RETURNED": "G"}
    assert repay_status(state, 0, 0, 0) == {**own, **returned}.get(state, "C")
