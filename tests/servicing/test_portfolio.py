"""A book over two month ends: what its reports say is what its loans and its ledger say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

import grpc
import pytest
from servicing.bank import Bank, decimal

from support import refusal, rid, violations
from tael.ledger.v1 import accounting_pb2
from tael.servicing.v1 import loan_pb2
from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date
from tael_runtime.paging import token
from tael_servicing.end_of_day.checks import CODES

FIRST_DUE = date(2026, 2, 15)
JANUARY, FEBRUARY = date(2026, 1, 31), date(2026, 2, 28)


def test_a_book_is_told_as_it_was_on_every_day(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(nonaccrual_dpd=10)
    set_policy(bank, class_limits=[0, 5, 9, 20], stage2_dpd=3)
    good = bank.lend().loan_id
    cards = {name: f"card-{name}-{bank.book}" for name in ("silent", "payer", "late")}
    for card in cards.values():
        bank.fails(card, times=60)
    silent, payer, late = (bank.lend(card=card).loan_id for card in cards.values())
    loans = Loans(good, silent, payer, late)
    bank.end_day()
    assert points(bank, date(2026, 1, 15)) == dict.fromkeys(loans, "10")
    bank.end_days(date(2026, 2, 1))
    assert_january(bank, loans)
    early = bank.lend().loan_id
    bank.end_days(date(2026, 2, 3))
    bank.repay(early, bank.day_payoff(early), "SETTLE")
    bank.end_day()
    assert_settled_early(bank, early)
    bank.end_days(date(2026, 2, 12))
    assert {each.days_before for each in remind(bank)} == {3}
    bank.end_days(FIRST_DUE)
    assert_reminded_on_the_due_date(bank, loans)
    bank.end_days(date(2026, 2, 18))
    assert_technical(bank, loans)
    bank.end_days(date(2026, 2, 22))
    assert_held_after_the_first_payment(bank, loans)
    bank.end_days(date(2026, 3, 1))
    assert_february(bank, loans)
    assert_written_off(bank, loans)


def test_a_quiet_day_writes_no_row_and_its_ledger_is_what_stood_on_it(bank: Bank) -> None:
    loan_id, begun = bank.lend().loan_id, bank.day
    stood = {}
    for _ in range(4):
        closed = bank.day
        bank.end_day()
        stood[closed] = bank.loan_ledger()[loan_id]
    rows = bank.house.sql(
        "SELECT date FROM loan_day WHERE loan_id = :loan_id", "servicing", loan_id=loan_id
    )
    assert [row.date for row in rows] == [begun]
    told = {day: bank.loan_ledger(day)[loan_id] for day in stood}
    assert told == stood
    accrued = [row.balances.interest_accrued for row in told.values()]
    assert accrued == sorted(set(accrued)), "each night has its own"


class Loans(NamedTuple):
    """Four loans of one day: one is repaid by its card, three are not."""

    good: str
    silent: str
    payer: str
    late: str


def set_policy(bank: Bank, **choices: Any) -> pb.SetImpairmentPolicyResponse:
    """From the first day on; the bank's own limits make a short story of it."""
    choices = {"from_day": bank.day, **choices}
    request = pb.SetImpairmentPolicyRequest(
        request_id=rid(),
        book_id=bank.book,
        effective_from=from_date(choices.pop("from_day")),
        policy=pb.ImpairmentPolicy(**choices),
        reason="a short story",
        approval="ap-0",
    )
    answer = bank.portfolio.SetImpairmentPolicy(request)
    assert bank.portfolio.SetImpairmentPolicy(request) == answer
    return answer


def between(make: Any, bank: Bank, first: date, last: date | None = None, **more: Any) -> Any:
    """A request with `from` and `to`."""
    return make(
        book_id=bank.book,
        **{"from": from_date(first)},
        **({"to": from_date(last)} if last else {}),
        **more,
    )


def summary(bank: Bank, day: date | None = None) -> pb.SummaryResponse:
    at = {"date": from_date(day)} if day else {}
    return bank.portfolio.Summary(pb.SummaryRequest(book_id=bank.book, **at))


def report(bank: Bank, day: date) -> dict[str, pb.CreditAccountRecord]:
    """The credit register's records of a day by loan."""
    request = pb.CreditReportRequest(book_id=bank.book, date=from_date(day))
    answers = bank.portfolio.CreditReport(request)
    return {record.base.account_id: record for answer in answers for record in answer.records}


def points(bank: Bank, day: date) -> dict[str, str]:
    return {loan_id: record.base.report_point for loan_id, record in report(bank, day).items()}


def remind(bank: Bank) -> list[pb.Reminder]:
    request = pb.ListRemindersRequest(book_id=bank.book, page_size=2)
    found: list[pb.Reminder] = []
    while True:
        answer = bank.portfolio.ListReminders(request)
        found += answer.reminders
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


def test_what_no_portfolio_has_is_refused_by_field(bank: Bank) -> None:
    turned = {"from": from_date(FIRST_DUE), "to": from_date(JANUARY)}
    for rpc, request, field in (
        (bank.portfolio.Vintage, pb.VintageRequest(book_id=bank.book, **turned), "from"),
        (
            bank.portfolio.ListReminders,
            pb.ListRemindersRequest(book_id=bank.book, page_token=token("a loan")),
            "page_token",
        ),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            rpc(request)
        assert list(violations(refused.value)) == [field]
    ever = pb.VintageRequest(book_id=bank.book, to=from_date(date.max))
    assert not bank.portfolio.Vintage(ever).cohorts
    unknown = pb.GetImpairmentPolicyRequest(book_id="nowhere", date=from_date(JANUARY))
    with pytest.raises(grpc.RpcError, match="nowhere"):
        bank.portfolio.GetImpairmentPolicy(unknown)


def override(bank: Bank, loan_id: str, **judgement: Any) -> pb.ClassifiedLoan:
    request = pb.OverrideClassRequest(
        **{
            "request_id": rid(),
            "loan_id": loan_id,
            "reason": "as judged",
            "approval": "ap-1",
            **judgement,
        }
    )
    return bank.portfolio.OverrideClass(request).loan


def refused(bank: Bank, loan_id: str, **judgement: Any) -> str:
    with pytest.raises(grpc.RpcError) as error:
        override(bank, loan_id, **judgement)
    return refusal(error.value)[1]


def assert_equals_the_ledger(bank: Bank, day: date) -> None:
    """The loan ledger of a closed day adds up to the general ledger at its end, code by code."""
    told = summary(bank, day)
    request = accounting_pb2.TrialBalanceRequest(book_id=bank.book, booking_date=from_date(day))
    rows = bank.accounting.TrialBalance(request).rows
    theirs = {row.account.code: row.balance for row in rows}
    rows_told = bank.loan_ledger(day).values()
    for name, code in CODES.items():
        if name.startswith("allowance_"):
            ours = sum(getattr(row, name) for row in rows_told)
        else:
            ours = getattr(told.balances, name)
        assert ours == theirs.get(code, 0), code


def assert_january(bank: Bank, loans: Loans) -> None:
    """Nothing is due yet: stage 1; what each line may still lend is provided for beside."""
    rows = bank.loan_ledger(JANUARY)
    assert set(rows) == set(loans)
    for row in rows.values():
        assert (row.dpd, row.risk_class, row.stage, row.bucket) == (0, 1, 1, "M0")
        assert row.allowance_stage1 == 1_000_000 * 12 // 1000
        assert (row.next_due_date, row.next_due_amount) == (from_date(FIRST_DUE), 88_849)
        assert row.balances.interest_accrued == 5_484
        assert row.credit_limit == 2_000_000
    assert bank.posted(loans[0], "ALLOWANCE_ADJUSTED") == [{"stage1": 12_000}]
    assert bank.vouchers(loans[0], "ALLOWANCE_ADJUSTED")[-1][0] == "1304.01"
    told = summary(bank, JANUARY)
    assert (told.loans, told.customers, told.principal) == (4, 4, 4_000_000)
    assert (told.allowance_ratio.value, told.coverage_ratio.value) == ("0.012", "")
    assert told.disbursed_in_month == 4_000_000
    assert points(bank, JANUARY) == dict.fromkeys(loans, "30")
    assert report(bank, JANUARY)[loans[0]].performance.repay_status == "*"
    assert_equals_the_ledger(bank, JANUARY)
    bank.assert_books_agree()


def assert_settled_early(bank: Bank, loan_id: str) -> None:
    day = date(2026, 2, 3)
    row = bank.loan_ledger(day)[loan_id]
    assert row.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    assert loan_id not in bank.loan_ledger(date(2026, 2, 4)), "closed, and nothing stands on it"
    record = report(bank, day)[loan_id]
    assert record.base.report_point == "20"
    assert (record.performance.account_status, record.performance.repay_status) == ("3", "C")
    assert [each.code for each in record.special_transactions] == ["5"]
    assert record.performance.paid_in_month > 1_000_000


def assert_reminded_on_the_due_date(bank: Bank, loans: Loans) -> None:
    told = remind(bank)
    assert {(each.loan_id, each.days_before) for each in told} <= {(each, 0) for each in loans}
    assert {each.loan_id for each in told} >= {loans.silent, loans.payer, loans.late}
    assert {each.amount for each in told} == {88_849}
    bank.end_day()
    assert {each.days_before for each in remind(bank)} == {-1}


def assert_technical(bank: Bank, loans: Loans) -> None:
    """Three days past due: a payment on its way."""
    assert bank.loan_ledger()[loans.late].risk_class == pb.RISK_CLASS_SPECIAL_MENTION
    assert refused(bank, loans.good, technical_overdue=True) == "NOT_TECHNICAL"
    told = override(bank, loans.late, technical_overdue=True)
    assert (told.risk_class, told.cause, told.dpd) == (pb.RISK_CLASS_NORMAL, "TECHNICAL", 3)
    assert told.class_by_dpd == pb.RISK_CLASS_SPECIAL_MENTION
    bank.end_day()
    assert bank.loan_ledger(date(2026, 2, 18))[loans.late].risk_class == pb.RISK_CLASS_NORMAL
    bank.repay(loans.late, 200_000)


def assert_held_after_the_first_payment(bank: Bank, loans: Loans) -> None:
    """Bad from the sixth day by the bank's limits; a payment does not make it good."""
    classes = {
        day: bank.loan_ledger(date(2026, 2, day))[loans.payer].risk_class
        for day in (15, 16, 20, 21)
    }
    assert classes == {15: 1, 16: 2, 20: 2, 21: 3}
    bank.repay(loans.payer, 200_000)
    bank.end_day()
    row = bank.loan_ledger(date(2026, 2, 22))[loans.payer]
    assert (row.dpd, row.risk_class, row.stage) == (0, pb.RISK_CLASS_SUBSTANDARD, 3)
    assert points(bank, date(2026, 2, 22)) == {loans.payer: "40"}
    worse = override(bank, loans.good, risk_class=pb.RISK_CLASS_SPECIAL_MENTION)
    assert (worse.risk_class, worse.cause, worse.stage) == (2, "WORSENED", 2)


def assert_february(bank: Bank, loans: Loans) -> None:
    """Thirteen days past due is doubtful by the bank's limits; the allowance has moved."""
    rows = bank.loan_ledger(FEBRUARY)
    found = {loan_id: (row.risk_class, row.stage, row.dpd) for loan_id, row in rows.items()}
    assert found[loans.silent] == (4, 3, 13)
    assert found[loans.payer] == (3, 3, 0)
    assert found[loans.good] == (2, 2, 0)
    assert rows[loans.silent].allowance_stage3 == 600_000
    assert rows[loans.silent].overdue_amount == 78_849
    assert_equals_the_ledger(bank, FEBRUARY)
    bank.assert_books_agree()
    assert_ages(bank)
    assert_rolled(bank)
    assert_movement(bank, JANUARY, FEBRUARY)
    request = pb.ClassificationRequest(book_id=bank.book, page_size=3)
    first = bank.portfolio.Classification(request)
    request.page_token = first.next_page_token
    second = bank.portfolio.Classification(request)
    assert [each.loan_id for each in (*first.loans, *second.loans)] == sorted(loans)
    assert [each.loans for each in first.totals] == [1, 1, 1, 1, 0]
    statuses = {key: each.performance.repay_status for key, each in report(bank, FEBRUARY).items()}
    assert statuses == {
        loans.good: "N",
        loans.silent: "1",
        loans.payer: "M",
        loans.late: "M",
    }


def assert_ages(bank: Bank) -> None:
    request = pb.AgeingRequest(
        book_id=bank.book, date=from_date(FEBRUARY), bucket_limits=[0, 3, 12, 13]
    )
    rows = bank.portfolio.Ageing(request).rows
    assert [(row.bucket.name, row.loans, row.instalments) for row in rows] == [
        ("0", 3, 0),
        ("1-3", 0, 0),
        ("4-12", 0, 0),
        ("13", 1, 1),
        (">13", 0, 0),
    ]
    assert (rows[3].instalment_principal, rows[3].instalment_interest) == (78_849, 10_000)
    request.bucket_limits[:] = [3, 3]
    with pytest.raises(grpc.RpcError) as error:
        bank.portfolio.Ageing(request)
    assert "bucket_limits" in violations(error.value)


def assert_rolled(bank: Bank) -> None:
    answer = bank.portfolio.RollRates(between(pb.RollRatesRequest, bank, JANUARY, FEBRUARY))
    cells = {(cell.from_bucket, cell.to_bucket): cell for cell in answer.cells}
    assert {key: cell.loans for key, cell in cells.items()} == {("M0", "M0"): 3, ("M0", "M1"): 1}
    assert cells["M0", "M1"].principal_after == 1_000_000
    assert answer.rates[0].rate == decimal("0.25")
    assert answer.rates[1].rate == decimal("")


def assert_movement(bank: Bank, first: date, last: date | None) -> list[pb.ProvisionMovement]:
    """Each stage's table adds up, and its ends are what the loan ledger holds."""
    answer = bank.portfolio.Provisions(between(pb.ProvisionsRequest, bank, first, last))
    for each in answer.movements:
        assert each.closing == (
            each.opening
            + each.added
            + each.charged
            - each.released
            + each.transfers_in
            - each.transfers_out
            - each.written_off
            - each.derecognised
        )
        name = f"allowance_stage{each.stage}"
        held = [
            sum(getattr(row, name) for row in bank.loan_ledger(day).values())
            for day in (first, last)
        ]
        assert [each.opening, each.closing] == held
    moved = sum(each.transfers_in for each in answer.movements)
    assert moved == sum(each.transfers_out for each in answer.movements)
    return list(answer.movements)


def assert_written_off(bank: Bank, loans: Loans) -> None:
    """What is written off leaves the allowance, the balance sheet and not its cohort."""
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loans.silent, approval="wo-1")
    bank.loans.WriteOffLoan(request)
    stage3 = assert_movement(bank, JANUARY, None)[2]
    assert (stage3.written_off, stage3.derecognised) == (1_000_000, 0)
    bank.end_day()
    row = bank.loan_ledger(date(2026, 3, 1))[loans.silent]
    assert (row.risk_class, row.stage, row.balances.written_off_principal) == (5, 3, 1_000_000)
    answer = bank.portfolio.RollRates(between(pb.RollRatesRequest, bank, FEBRUARY))
    assert ("M1", "WRITTEN_OFF") in {(cell.from_bucket, cell.to_bucket) for cell in answer.cells}
    record = report(bank, date(2026, 3, 1)).get(loans.silent)
    assert record is None, "a write-off is reported at the month's end"
    january, february = bank.portfolio.Vintage(pb.VintageRequest(book_id=bank.book)).cohorts
    assert (january.disbursed, january.loans, february.loans) == (4_000_000, 4, 1)
    assert [point.months_on_book for point in january.points] == [0, 1]
    assert january.points[1].share_over_30 == decimal("0")
    assert_equals_the_ledger(bank, date(2026, 3, 1))


def test_a_loan_judged_bad_accrues_off_balance_from_then_on(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    bank.end_day()
    request = {"request_id": rid(), "risk_class": pb.RISK_CLASS_DOUBTFUL, "reason": "fraud"}
    told = override(bank, loan_id, **request)
    assert (told.risk_class, told.stage, told.cause) == (4, 3, "WORSENED")
    assert override(bank, loan_id, **request) == told
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    assert bank.posted(loan_id, "NON_ACCRUAL_ENTERED") == [
        {"principal_normal": 1_000_000, "interest_accrued": 323}
    ]
    bank.assert_books_agree()
    bank.end_day()
    row = bank.loan_ledger(date(2026, 1, 16))[loan_id]
    assert (row.risk_class, row.balances.principal_impaired) == (4, 1_000_000)
    better = override(bank, loan_id, risk_class=pb.RISK_CLASS_SPECIAL_MENTION)
    assert better.cause == "IMPROVED"
    assert [each.kind for each in bank.history(loan_id)][-2:] == ["Impaired", "Restored"]


def test_a_policy_no_lender_may_have_is_refused_field_by_field(bank: Bank) -> None:
    with pytest.raises(grpc.RpcError) as error:
        set_policy(
            bank,
            class_limits=[0, 120, 270, 360],
            floors=[decimal(text) for text in ("0.01", "0.02", "0.25", "0.2", "1")],
            default_probability_by_year=[decimal("0.6"), decimal("0.6")],
            loss_given_default=decimal("1.2"),
            observation_days=100,
        )
    assert set(violations(error.value)) == {
        "policy.class_limits",
        "policy.floors",
        "policy.default_probability_by_year",
        "policy.loss_given_default",
        "policy.observation_days",
    }
    with pytest.raises(grpc.RpcError) as past:
        set_policy(bank, from_day=date(2026, 1, 14))
    assert "effective_from" in violations(past.value)


def test_a_policy_is_in_force_from_its_day_on(bank: Bank) -> None:
    set_policy(bank, from_day=date(2026, 2, 1), loss_given_default=decimal("0.7"))
    found = {}
    for day in (date(2026, 1, 31), date(2026, 2, 1)):
        request = pb.GetImpairmentPolicyRequest(book_id=bank.book, date=from_date(day))
        found[day.day] = bank.portfolio.GetImpairmentPolicy(request)
    assert found[31].policy.loss_given_default == decimal("0.6")
    assert not found[31].HasField("effective_from")
    assert found[1].policy.loss_given_default == decimal("0.7")
    assert found[1].effective_from == from_date(date(2026, 2, 1))


def test_days_to_come_and_days_never_closed_are_refused(bank: Bank) -> None:
    bank.lend()
    for day, status in ((date(2026, 1, 16), "INVALID_ARGUMENT"), (date(2026, 1, 14), "NOT_FOUND")):
        with pytest.raises(grpc.RpcError) as error:
            summary(bank, day)
        assert refusal(error.value)[0] == status
    with pytest.raises(grpc.RpcError) as open_day:
        report(bank, bank.day)
    assert "date" in violations(open_day.value)
