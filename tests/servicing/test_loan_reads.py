"""What people read of a loan: as it was on a day, what moved, that it is repaid, what happened to it.

Loans of 10,000.00 in six instalments of 1,686.17 every ten days, the first on 25 January.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import grpc
import pytest
from servicing.bank import DUE_TOMORROW, Bank, decimal, every_ten_days

from support import refusal, violations
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_client.values import from_date, money, to_date

INSTALMENT = 168_617
START, FIRST, SECOND = date(2026, 1, 15), date(2026, 1, 25), date(2026, 2, 4)


@pytest.fixture
def bank(new_bank: Callable[..., Bank]) -> Bank:
    """A bank whose loans fall due every ten days."""
    return new_bank(**every_ten_days())


def late(bank: Bank, until: date) -> str:
    """A loan that pays nothing by itself, on a later day."""
    bank.fails("card-late", times=60)
    loan_id = bank.lend(card="card-late", periods=6).loan_id
    bank.end_days(until)
    return loan_id


def as_of(
    bank: Bank, loan_id: str, day: date, known_on: date | None = None
) -> loan_pb2.GetLoanAsOfResponse:
    request = loan_pb2.GetLoanAsOfRequest(
        loan_id=loan_id,
        date=from_date(day),
        known_on=from_date(known_on) if known_on else None,
    )
    return bank.loans.GetLoanAsOf(request)


def statement(
    bank: Bank, loan_id: str, first: date, last: date, **choices: Any
) -> loan_pb2.GetStatementResponse:
    request = loan_pb2.GetStatementRequest(
        loan_id=loan_id, from_date=from_date(first), to_date=from_date(last), **choices
    )
    return bank.loans.GetStatement(request)


def certificate(bank: Bank, loan_id: str) -> loan_pb2.SettlementCertificate:
    request = loan_pb2.GetSettlementCertificateRequest(loan_id=loan_id)
    return bank.loans.GetSettlementCertificate(request).certificate


def listed(bank: Bank, **choices: Any) -> list[str]:
    """Ids of the bank's loans that pass the filters, read two at a time."""
    found, page_token = [], ""
    while True:
        answer = bank.loans.ListLoans(
            loan_pb2.ListLoansRequest(
                **{"book_id": bank.book, "page_size": 2, "page_token": page_token, **choices}
            )
        )
        found += [loan.loan_id for loan in answer.loans]
        page_token = answer.next_page_token
        if not page_token:
            return found


def test_a_loan_as_of_a_day_is_the_loan_that_was_read_on_that_day(bank: Bank) -> None:
    loan_id = late(bank, FIRST)
    read, rows = bank.loan(loan_id), bank.schedule(loan_id)
    bank.end_days(date(2026, 1, 28))
    late_loan = bank.loan(loan_id)
    assert late_loan.dpd == 3
    bank.end_day()
    bank.repay(loan_id, INSTALMENT, value_date=from_date(FIRST))

    then = as_of(bank, loan_id, FIRST, known_on=date(2026, 1, 28))
    assert (then.loan, list(then.instalments)) == (read, rows)
    assert as_of(bank, loan_id, date(2026, 1, 28), known_on=date(2026, 1, 28)).loan == late_loan
    now_known = as_of(bank, loan_id, date(2026, 1, 28))
    assert (now_known.loan.dpd, now_known.loan.balances.penalty) == (0, 0)
    assert now_known.instalments[0].state == loan_pb2.INSTALMENT_STATE_PAID
    assert as_of(bank, loan_id, bank.day).loan == bank.loan(loan_id)
    for day, known_on, field in (
        (date(2026, 1, 14), None, "date"),
        (date(2026, 1, 30), None, "date"),
        (FIRST, date(2026, 1, 14), "known_on"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            as_of(bank, loan_id, day, known_on)
        assert list(violations(error.value)) == [field]


def test_a_loan_as_of_a_day_is_without_what_was_taken_back_later(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(**DUE_TOMORROW)
    bank.fails("card-bounces")
    loan_id = bank.lend(card="card-bounces", repay_day=16).loan_id
    bank.end_day()
    paid = bank.repay(loan_id, 87_998, funding=repayment_pb2.FUNDING_TRANSFER).repayment
    bank.end_days(date(2026, 1, 19))
    bank.reverse(loan_id, paid.repayment_id)
    day, owner = date(2026, 1, 18), f"LOAN:{loan_id}"

    then = as_of(bank, loan_id, day).loan

    assert then.dpd == 2
    worth = [
        bank.balance(code, owner, day - timedelta(days=1))
        for code in ("1303.02", "1132.02", "1132.03")
    ]
    assert all(worth)
    owed = then.balances
    assert [owed.principal_overdue, owed.interest_due, owed.penalty + owed.compound] == worth
    bank.end_day()
    known_then = as_of(bank, loan_id, day, known_on=day).loan
    assert (known_then.dpd, known_then.balances.principal_overdue) == (0, 0)


def test_statements_join_up_and_their_movements_lead_from_opening_to_closing(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 1, 28))
    bank.repay(loan_id, INSTALMENT)
    bank.end_day()
    bank.repay(loan_id, 300_000, "FIXED_AMOUNT")
    bank.end_days(SECOND + timedelta(days=1))
    days = [START, FIRST, date(2026, 1, 28), date(2026, 1, 31), bank.day]
    ends = [*(day - timedelta(days=1) for day in days[1:-1]), bank.day]
    told = [
        statement(bank, loan_id, first, last) for first, last in zip(days[:-1], ends, strict=True)
    ]

    assert told[0].opening == loan_pb2.LoanBalances()
    assert told[-1].closing == bank.loan(loan_id).balances
    for earlier, later in pairwise(told):
        assert earlier.closing == later.opening
    for each in told:
        owed = each.closing
        principal = owed.principal_normal + owed.principal_overdue + owed.principal_impaired
        assert each.movements[-1].principal_after == principal
    whole = statement(bank, loan_id, START, bank.day)
    assert [each.number for each in whole.movements] == [
        each.number for part in told for each in part.movements
    ]
    assert whole.totals.disbursed == 1_000_000
    assert whole.totals.principal_paid == 1_000_000 - whole.movements[-1].principal_after
    assert whole.totals.interest_paid == 3_728
    charges = whole.closing.penalty + whole.closing.compound
    assert whole.totals.charges_accrued == whole.totals.charges_paid + charges > charges
    owed = whole.closing.interest_due + whole.closing.interest_accrued
    assert whole.totals.interest_accrued == whole.totals.interest_paid + owed
    pages = list(paged(bank, loan_id))
    assert [each for page in pages for each in page.movements] == list(whole.movements)
    assert {page.totals.SerializeToString(deterministic=True) for page in pages} == {
        whole.totals.SerializeToString(deterministic=True)
    }


def paged(bank: Bank, loan_id: str) -> Iterator[loan_pb2.GetStatementResponse]:
    """The whole life, seven movements a page."""
    page_token = ""
    while True:
        page = statement(bank, loan_id, START, bank.day, page_size=7, page_token=page_token)
        yield page
        page_token = page.next_page_token
        if not page_token:
            return


def test_a_statement_of_no_period_is_refused_naming_the_field(bank: Bank) -> None:
    loan_id = bank.lend(periods=6).loan_id
    for first, last in (
        (START, date(2026, 1, 16)),
        (START, date(2026, 1, 14)),
        (date(2025, 1, 1), START),
    ):
        with pytest.raises(grpc.RpcError) as error:
            statement(bank, loan_id, first, last)
        assert list(violations(error.value)) == ["to_date"]
    assert not statement(bank, loan_id, date.min, date.min).movements, "nothing had happened"
    with pytest.raises(grpc.RpcError) as unknown:
        statement(bank, "ln_none", START, START)
    assert refusal(unknown.value)[0] == "NOT_FOUND"


def test_only_a_loan_that_is_repaid_has_a_certificate_and_it_tells_how(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 1, 28))
    with pytest.raises(grpc.RpcError) as owed:
        certificate(bank, loan_id)
    assert refusal(owed.value) == ("FAILED_PRECONDITION", "LOAN_NOT_SETTLED")
    first = bank.repay(loan_id, bank.loan(loan_id).amount_past_due).repayment.allocation
    bank.end_day()
    settled = bank.repay(loan_id, bank.day_payoff(loan_id), "SETTLE").repayment
    bank.end_day()

    told = certificate(bank, loan_id)

    last = settled.allocation
    assert told.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    assert (told.ended_on, told.start_date) == (settled.value_date, from_date(START))
    assert (told.disbursed, told.principal_paid) == (money(1_000_000), 1_000_000)
    assert told.interest_paid == first.interest + last.interest
    assert told.charges_paid == first.penalty + first.compound
    assert told.fees_paid == last.fee
    assert told.date == from_date(bank.day)
    bank.end_day()
    assert certificate(bank, loan_id).certificate_number == told.certificate_number
    bank.reverse(loan_id, settled.repayment_id)
    with pytest.raises(grpc.RpcError) as again:
        certificate(bank, loan_id)
    assert refusal(again.value)[1] == "LOAN_NOT_SETTLED"
    bank.repay(loan_id, bank.day_payoff(loan_id), "SETTLE")
    later = certificate(bank, loan_id)
    assert later.certificate_number != told.certificate_number, "it ended on another day"
    assert later.principal_paid == 1_000_000


def test_a_loan_that_was_sold_is_owed_to_its_buyer_and_has_no_certificate(bank: Bank) -> None:
    loan_id = bank.lend(periods=6).loan_id
    bank.change("SellLoan", loan_id, price=money(900_000))
    with pytest.raises(grpc.RpcError) as owed:
        certificate(bank, loan_id)
    assert refusal(owed.value)[1] == "LOAN_NOT_SETTLED"


def test_the_history_tells_what_happened_when_it_was_known_and_on_whose_word(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 1, 19))
    bank.change("RepriceLoan", loan_id, annual_rate=decimal("0.06"), approval="LPR")
    bank.change("RescheduleLoan", loan_id, skip_periods=1, value_date=from_date(date(2026, 1, 18)))
    paid = bank.repay(loan_id, 5_000, reference="slip 9").repayment
    bank.reverse(loan_id, paid.repayment_id, reason="mistaken payer")

    lent, repriced, replanned, repaid, taken = bank.history(loan_id)

    assert [each.event_id for each in (lent, repriced)] == ["00000001", "00000002"]
    assert (lent.kind, lent.amounts) == ("Disbursed", {"principal": 1_000_000})
    assert (repriced.kind, repriced.reference) == ("Repriced", "LPR")
    assert repriced.details["annual_rate"] == "0.06"
    assert (replanned.kind, replanned.details["skip_periods"]) == ("Rescheduled", "1")
    assert to_date(replanned.value_date) == date(2026, 1, 18)
    assert to_date(replanned.booked_on) == date(2026, 1, 19)
    assert (repaid.amounts["amount"], repaid.reference) == (5_000, "slip 9")
    assert repaid.reversed_by == taken.event_id
    assert (taken.kind, taken.details["target"]) == ("Reversed", repaid.event_id)
    request = loan_pb2.ListLoanHistoryRequest(loan_id=loan_id, page_size=2)
    pages = []
    while True:
        page = bank.loans.ListLoanHistory(request)
        pages.append([entry.event_id for entry in page.entries])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [len(page) for page in pages] == [2, 2, 1]


def test_loans_are_found_by_line_lateness_and_next_due_date(bank: Bank) -> None:
    bank.fails("card-late", times=60)
    line_id = bank.grant().line_id
    overdue = bank.lend(line_id, card="card-late", periods=6).loan_id
    bank.end_days(date(2026, 1, 20))
    good = [bank.lend(periods=6).loan_id for _ in range(3)]
    bank.end_days(date(2026, 1, 28))
    assert listed(bank) == [overdue, *good]
    assert listed(bank, line_id=line_id) == [overdue]
    assert listed(bank, product_code=bank.product) == [overdue, *good]
    assert listed(bank, product_code="none") == []
    assert listed(bank, min_dpd=1) == listed(bank, min_dpd=3, max_dpd=3) == [overdue]
    assert listed(bank, min_dpd=4) == []
    assert listed(bank, max_dpd=0) == good
    assert listed(bank, next_due_from=from_date(SECOND)) == [overdue]
    assert listed(bank, next_due_to=from_date(date(2026, 1, 30))) == good
    for choices, field in (
        ({"min_dpd": 3, "max_dpd": 2}, "max_dpd"),
        ({"next_due_from": from_date(SECOND), "next_due_to": from_date(FIRST)}, "next_due_to"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            listed(bank, **choices)
        assert list(violations(error.value)) == [field]


def test_a_loan_tells_its_rates_its_plan_and_its_late_instalments(bank: Bank) -> None:
    loan_id = late(bank, date(2026, 1, 28))
    bank.change("AdvanceLegalCosts", loan_id, amount=money(700))
    loan = bank.change("RescheduleLoan", loan_id, annual_rate=decimal("0.06"), more_periods=1)
    assert [(to_date(step.since), step.annual_rate.value) for step in loan.rates] == [
        (START, "0.12"),
        (date(2026, 1, 28), "0.06"),
    ]
    assert to_date(loan.restructured_on) == date(2026, 1, 28)
    assert (loan.disbursed, loan.instalments_paid) == (1_000_000, 0)
    assert loan.balances.legal_costs == 700
    assert [row.days_past_due for row in bank.schedule(loan_id)] == [3, 0, 0, 0, 0, 0, 0]
    bank.end_day()
    ledger = bank.loan_ledger(date(2026, 1, 28))[loan_id]
    assert ledger.balances.legal_costs == 700
    bank.assert_books_agree()
