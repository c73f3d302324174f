"""What changes a running loan: each over the wire, with the books agreeing after it.

Loans of 10,000.00 in six instalments of 1,686.17 every ten days, the first on 25 January.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from servicing.bank import DUE_TOMORROW, START, Bank, decimal, every_ten_days

from support import refusal, rid, violations
from tael.servicing.v1 import (
    loan_change_pb2,
    loan_pb2,
    portfolio_pb2,
    product_pb2,
    repayment_pb2,
)
from tael_client.values import from_date, money, to_date

INSTALMENT = 168_617
FIRST, SECOND = date(2026, 1, 25), date(2026, 2, 4)
SERVICE_FEE = product_pb2.FeeTerms(
    name="Statement fee", at=product_pb2.FEE_AT_LATE, amount=100, disclosed=True
)


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


def lend(bank: Bank, until: date, **choices: Any) -> str:
    """A loan that pays nothing by itself, on a later day."""
    bank.fails("card-late", times=60)
    loan_id = bank.lend(card="card-late", **{"periods": 6, **choices}).loan_id
    bank.end_days(until)
    return loan_id


def asked(bank: Bank, loan_id: str) -> list[int]:
    """What each instalment asks."""
    return [row.principal + row.interest for row in bank.schedule(loan_id)]


def test_a_rate_that_changes_within_a_period_splits_it_by_its_nights(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 19))
    request = {"annual_rate": decimal("0.06"), "approval": "LPR 2026-01-19"}

    loan = bank.change("RepriceLoan", loan_id, **request)

    assert [(step.since.day, step.annual_rate.value) for step in loan.rates] == [
        (15, "0.12"),
        (19, "0.06"),
    ]
    first = bank.schedule(loan_id)[0]
    assert first.interest == 1_333 + 1_000, "four nights at 12 %, six at 6 %"
    bank.assert_books_agree()
    back = bank.change("RepriceLoan", loan_id, **{**request, "value_date": from_date(bank.day)})
    assert back.annual_rate == decimal("0.06")
    bank.end_days(FIRST)
    assert bank.owes(loan_id)["interest_due"] == 2_333
    bank.assert_books_agree()


def test_a_loan_off_balance_is_repriced_in_its_memo(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 2, 8))
    income = bank.balance("6011.01")
    before = bank.owes(loan_id)
    loan = bank.change("RepriceLoan", loan_id, annual_rate=decimal("0.06"))
    assert loan.state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    assert bank.owes(loan_id)["principal_impaired"] == before["principal_impaired"]
    bank.end_day()
    assert bank.balance("6011.01") == income, "nothing is income that is not paid"
    bank.assert_books_agree()


def test_an_extension_adds_instalments_as_far_as_the_law_allows(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 19))
    extend = lambda more: bank.change("ExtendLoan", loan_id, more_periods=more)  # noqa: E731  shorter
    assert refused(lambda: extend(7)) == "EXTENSION_TOO_LONG"

    loan = extend(6)

    assert loan.maturity_date == from_date(date(2026, 5, 15))
    assert loan.restructured_on == from_date(bank.day)
    assert len(bank.schedule(loan_id)) == 12
    assert sum(row.principal for row in bank.schedule(loan_id)) == 1_000_000
    assert refused(lambda: extend(1)) == "EXTENSION_TOO_LONG"
    days = [to_date(row.due_date) for row in bank.schedule(loan_id)]

    def redate(last: date) -> loan_pb2.Loan:
        agreed = [from_date(day) for day in (*days[:-1], last)]
        return bank.change("RescheduleLoan", loan_id, due_dates=agreed)

    assert refused(lambda: redate(days[-1] + timedelta(days=1))) == "EXTENSION_TOO_LONG"
    sooner = days[-1] - timedelta(days=1)
    assert redate(sooner).maturity_date == from_date(sooner)
    bank.end_day()
    bank.assert_books_agree()


def test_a_holiday_is_no_extension_and_another_plan_extends_no_further(bank: Bank) -> None:
    loan_id = lend(bank, START)
    bank.change("RescheduleLoan", loan_id, skip_periods=6)
    bank.change("ExtendLoan", loan_id, more_periods=4)
    replan = lambda more: bank.change("RescheduleLoan", loan_id, more_periods=more)  # noqa: E731  shorter
    assert refused(lambda: replan(3)) == "EXTENSION_TOO_LONG"
    replan(2)
    assert len(bank.schedule(loan_id)) == 12
    assert refused(lambda: replan(1)) == "EXTENSION_TOO_LONG"


def test_a_late_loan_that_is_re_aged_is_current_again_and_owes_no_less(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 2, 5))
    before = bank.owes(loan_id)
    assert before["principal_overdue"] > 0

    loan = bank.change("RescheduleLoan", loan_id, re_age=True, more_periods=2)

    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_NORMAL, 0)
    after = bank.owes(loan_id)
    assert (after["principal_normal"], after.get("principal_overdue", 0)) == (1_000_000, 0)
    for name in ("interest_due", "penalty", "compound"):
        assert after.get(name, 0) == before.get(name, 0)
    assert bank.vouchers(loan_id, "LOAN_RESCHEDULED") == [
        ("1303.01", "Dr", before["principal_overdue"]),
        ("1303.02", "Cr", before["principal_overdue"]),
    ]
    ahead = [
        row for row in bank.schedule(loan_id) if row.state == loan_pb2.INSTALMENT_STATE_NOT_DUE
    ]
    assert len(ahead) == 6
    bank.assert_books_agree()
    bank.end_days(date(2026, 2, 14))
    owed = bank.loan(loan_id).amount_past_due
    bank.repay(loan_id, owed)
    assert (bank.loan(loan_id).dpd, bank.loan(loan_id).amount_past_due) == (0, 0)
    bank.end_day()
    bank.assert_books_agree()


def test_a_holiday_leaves_due_dates_out_and_interest_goes_on(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 19))
    bank.change("RescheduleLoan", loan_id, skip_periods=2)
    rows = bank.schedule(loan_id)
    assert len(rows) == 6
    assert rows[0].due_date == from_date(date(2026, 2, 14))
    assert rows[0].interest == 10_000, "thirty nights"
    assert rows[-1].due_date == from_date(date(2026, 4, 5))
    bank.end_days(date(2026, 1, 26))
    assert bank.loan(loan_id).dpd == 0
    bank.assert_books_agree()


def test_interest_is_put_off_and_a_loan_ends_sooner_as_agreed(bank: Bank) -> None:
    loan_id = lend(bank, START)
    replan = lambda **plan: bank.change("RescheduleLoan", loan_id, **plan)  # noqa: E731  shorter
    for plan, field in (
        ({"instalments": 6}, "instalments"),
        ({"instalments": 4, "grace_interest": 4}, "grace_interest"),
        ({"grace_principal": 6}, "grace_principal"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            replan(**plan)
        assert list(violations(error.value)) == [field]
    replan(instalments=4, grace_interest=2)
    rows = bank.schedule(loan_id)
    assert [row.interest > 0 for row in rows] == [False, False, True, True]
    assert rows[2].interest > 2 * rows[3].interest
    assert sum(row.principal for row in rows) == 1_000_000
    bank.end_days(date(2026, 2, 15))
    bank.assert_books_agree()


@pytest.mark.parametrize(
    "plan",
    [
        {"instalments": 5, "from_due_date": from_date(FIRST)},
        {"grace_principal": 5, "from_due_date": from_date(FIRST)},
        {"due_dates": [from_date(FIRST - timedelta(days=1)), from_date(SECOND)]},
        {"skip_periods": 1},
    ],
)
def test_a_plan_from_the_next_due_date_on_known_only_after_it_is_the_plan_made_in_time(
    bank: Bank, plan: dict[str, Any]
) -> None:
    agreed, known = date(2026, 1, 19), FIRST + timedelta(days=2)
    late, in_time = (lend(bank, START) for _ in range(2))
    bank.end_days(agreed)
    bank.change("RescheduleLoan", in_time, **plan)
    bank.end_days(known)
    bank.change("RescheduleLoan", late, value_date=from_date(agreed), **plan)
    assert bank.schedule(late) == bank.schedule(in_time)
    assert bank.owes(late) == bank.owes(in_time)
    bank.end_day()
    assert bank.owes(late) == bank.owes(in_time)
    bank.assert_books_agree()


def test_another_due_day_moves_every_instalment_to_come(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank()
    loan_id = bank.lend().loan_id
    bank.end_day()
    bank.change("RescheduleLoan", loan_id, repay_day=20)
    rows = bank.schedule(loan_id)
    assert [row.due_date.day for row in rows] == [20] * len(rows)
    assert rows[0].due_date.month == 2
    assert sum(row.principal for row in rows) == 1_000_000
    bank.assert_books_agree()
    nothing = lambda: bank.change("RescheduleLoan", loan_id)  # noqa: E731  what is refused
    with pytest.raises(grpc.RpcError) as error:
        nothing()
    assert error.value.code().name == "INVALID_ARGUMENT"
    elsewhere = from_date(date(2026, 2, 21))
    assert refused(
        lambda: bank.change("ExtendLoan", loan_id, more_periods=1, from_due_date=elsewhere)
    ) == ("NO_SUCH_INSTALMENT")


def test_what_is_given_up_as_of_an_earlier_day_was_due_on_it(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(**DUE_TOMORROW)
    loan_id = lend(bank, START + timedelta(days=3), periods=12, repay_day=16)
    yesterday, penalty = from_date(bank.day), bank.loan(loan_id).balances.penalty
    bank.end_day()
    assert bank.loan(loan_id).balances.penalty > penalty > 0
    waive = lambda more: bank.change(  # noqa: E731  shorter
        "WaiveLoan", loan_id, penalty=penalty + more, value_date=yesterday
    )

    assert refused(lambda: waive(1)) == "WAIVER_EXCEEDS_DUE"

    assert 0 < waive(0).balances.penalty <= penalty
    bank.assert_books_agree()


def test_an_accelerated_loan_is_due_whole_and_overdue_the_day_after(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 30))
    late = bank.loan(loan_id).balances.penalty

    loan = bank.change("AccelerateLoan", loan_id, approval="clause 7")

    assert loan.maturity_date == from_date(bank.day)
    owed = bank.owes(loan_id)
    assert owed["principal_normal"] + owed["principal_overdue"] == 1_000_000
    assert "interest_accrued" not in owed
    bank.assert_books_agree()
    assert refused(lambda: bank.change("AccelerateLoan", loan_id)) == "LOAN_MATURED"
    bank.end_day()
    owed = bank.owes(loan_id)
    assert (owed["principal_overdue"], owed.get("principal_normal", 0)) == (1_000_000, 0)
    bank.end_day()
    assert bank.owes(loan_id)["penalty"] > late + 500, "of the whole"
    bank.assert_books_agree()
    bank.repay(loan_id, bank.loan(loan_id).amount_past_due)
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_CLOSED_OVERDUE
    bank.assert_books_agree()


@pytest.mark.parametrize(
    ("until", "names"),
    [
        (date(2026, 2, 1), ("interest_due", "penalty", "compound")),
        (date(2026, 2, 8), ("offbalance_interest", "offbalance_penalty", "offbalance_compound")),
    ],
)
def test_what_is_given_up_leaves_the_account_it_stands_on(
    bank: Bank, until: date, names: tuple[str, ...]
) -> None:
    loan_id = lend(bank, until)
    before = bank.owes(loan_id)
    given = {"interest": 33, "penalty": 12, "compound": before[names[2]]}
    too_much = {**given, "penalty": before[names[1]] + 1}
    assert refused(lambda: bank.change("WaiveLoan", loan_id, **too_much)) == "WAIVER_EXCEEDS_DUE"

    bank.change("WaiveLoan", loan_id, **given)

    after = bank.owes(loan_id)
    left = [before[name] - after.get(name, 0) for name in names]
    assert left == [33, 12, before[names[2]]]
    bank.assert_books_agree()
    waived = bank.history(loan_id)[-1]
    assert (waived.kind, waived.amounts["interest"], waived.reference) == ("Waived", 33, "case-7")
    bank.change("ReverseLoanChange", loan_id, event_id=waived.event_id)
    assert bank.owes(loan_id) == before
    bank.end_day()
    bank.assert_books_agree()


def test_a_loan_judged_bad_goes_off_balance_before_its_days(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 19))
    cause = loan_change_pb2.IMPAIRMENT_CAUSE_FRAUD
    loan = bank.change("TransferLoanStatus", loan_id, cause=cause)
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_NON_ACCRUAL, 0)
    assert loan.nonaccrual_since == from_date(bank.day)
    assert bank.owes(loan_id) == {"principal_impaired": 1_000_000, "offbalance_interest": 1_333}
    bank.end_day()
    bank.assert_books_agree()


def test_arrears_stand_still_while_they_are_paused(new_bank: Callable[..., Bank]) -> None:
    """Three days past due before and after: on the loan, in lists, in the loan ledger, in ageing."""
    bank = new_bank(**DUE_TOMORROW)
    bank.fails("card-ill", times=60)
    loan_id = bank.lend(card="card-ill", repay_day=16).loan_id
    bank.end_days(date(2026, 1, 19))
    penalty = bank.owes(loan_id)["penalty"]
    with pytest.raises(grpc.RpcError) as too_long:
        bank.change("PauseArrears", loan_id, until=from_date(date(2027, 2, 1)))
    assert set(violations(too_long.value)) == {"until"}
    loan = bank.change("PauseArrears", loan_id, until=from_date(date(2026, 1, 24)))
    assert loan.dpd == 3
    bank.end_days(date(2026, 1, 24))
    assert bank.loan(loan_id).dpd == bank.schedule(loan_id)[0].days_past_due == 3
    assert bank.owes(loan_id)["penalty"] == penalty
    listed = loan_pb2.ListLoansRequest(book_id=bank.book, min_dpd=3, max_dpd=3)
    assert [each.loan_id for each in bank.loans.ListLoans(listed).loans] == [loan_id]
    bank.end_day()
    assert bank.loan(loan_id).dpd == 4
    assert bank.owes(loan_id)["penalty"] > penalty
    for day, dpd in ((date(2026, 1, 21), 3), (date(2026, 1, 23), 3), (date(2026, 1, 24), 3)):
        of_day = portfolio_pb2.LoanLedgerRequest(book_id=bank.book, date=from_date(day))
        rows = [row for answer in bank.portfolio.LoanLedger(of_day) for row in answer.rows]
        assert [(row.dpd, row.overdue_amount > 0) for row in rows] == [(dpd, True)]
        ageing = portfolio_pb2.AgeingRequest(book_id=bank.book, date=from_date(day))
        late = [row for row in bank.portfolio.Ageing(ageing).rows if row.loans]
        assert [(row.loans, row.instalments) for row in late] == [(1, 1)]
    bank.assert_books_agree()


def test_a_refund_of_goods_pays_what_is_due_and_then_principal(bank: Bank) -> None:
    line_id = bank.grant().line_id
    loan_id = lend(bank, date(2026, 1, 26), line_id=line_id)
    spread = loan_change_pb2.REFUND_RULE_SPREAD

    loan = bank.change("RefundGoods", loan_id, amount=money(300_000), rule=spread)

    assert loan.dpd == 0
    owed = bank.owes(loan_id)
    assert owed["principal_normal"] < 1_000_000 - 290_000
    bank.assert_books_agree()
    bank.change("RefundGoods", loan_id, amount=money(900_000))
    closed = bank.loan(loan_id)
    assert closed.state == loan_pb2.LOAN_STATE_CLOSED_OVERDUE
    assert closed.balances.overpayment > 0, "what was paid before is the customer's"
    assert bank.line(line_id) == (0, 0, 2_000_000)
    bank.end_day()
    bank.assert_books_agree()


def test_what_an_acceleration_makes_due_is_given_up_from_the_next_day_on(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 27))
    late, waived = bank.owes(loan_id)["interest_due"], {"interest": 0}
    loan = bank.change("AccelerateLoan", loan_id)
    waived["interest"] = loan.balances.interest_due
    assert waived["interest"] > late
    early = lambda: bank.change("WaiveLoan", loan_id, **waived)  # noqa: E731  what is refused
    assert refused(early) == "WAIVER_EXCEEDS_DUE"
    bank.end_day()
    back_dated = lambda: bank.change(  # noqa: E731  what is refused
        "WaiveLoan", loan_id, value_date=from_date(date(2026, 1, 27)), **waived
    )
    assert refused(back_dated) == "WAIVER_EXCEEDS_DUE"
    assert bank.change("WaiveLoan", loan_id, **waived).balances.interest_due == 0
    bank.assert_books_agree()


def test_misused_funds_are_called_in_and_bear_their_own_penalty_from_that_day_on(
    new_bank: Callable[..., Bank],
) -> None:
    told = product_pb2.OverdueTerms(misuse_multiplier=decimal("2"))
    bank = new_bank(**every_ten_days(overdue=told))
    loan_id = lend(bank, date(2026, 1, 21))
    since = {"value_date": from_date(date(2026, 1, 18)), "misused": True}

    loan = bank.change("AccelerateLoan", loan_id, **since)

    # Three nights of 10,000.00 at 2 x 12 %, and of the 10.00 of interest that fell due.
    assert (loan.balances.principal_overdue, loan.balances.interest_due) == (1_000_000, 1_000)
    assert (loan.balances.penalty, loan.balances.compound) == (2_000, 2)
    bank.assert_books_agree()
    bank.end_day()
    assert bank.loan(loan_id).balances.penalty == 2_667
    bank.assert_books_agree()
    (called_in,) = [each for each in bank.history(loan_id) if each.kind == "Accelerated"]
    back = bank.change("ReverseLoanChange", loan_id, event_id=called_in.event_id)
    assert (back.balances.penalty, back.balances.principal_normal) == (0, 1_000_000)
    silent = new_bank(**every_ten_days())
    untold = lambda: silent.change("AccelerateLoan", silent.lend().loan_id, misused=True)  # noqa: E731  what is refused
    assert refused(untold) == "FEE_NOT_DISCLOSED"


def test_what_a_sold_or_recovered_loan_used_of_its_line_is_free_again(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(non_accrual=product_pb2.NonAccrualTerms(write_off_performing=True))
    line = bank.grant().line_id
    sound, bad = (bank.lend(line, principal=money(500_000)).loan_id for _ in range(2))
    assert bank.line(line)[0] == 1_000_000
    bank.change("SellLoan", sound, price=money(500_000))
    assert bank.line(line) == (500_000, 0, 1_500_000)
    request = loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=bad, approval="wo-1")
    bank.loans.WriteOffLoan(request)
    bank.repay(bad, 200_000)
    assert bank.line(line)[0] == 300_000
    bank.change("SellLoan", bad, price=money(1_000))
    assert bank.line(line)[0] == 0
    assert bank.balance("7201", f"LINE:{line}") == 2_000_000
    bank.assert_books_agree()


def test_the_line_of_a_loan_that_is_sold_off_balance_is_frozen(bank: Bank) -> None:
    loan = bank.lend()
    fraud = loan_change_pb2.IMPAIRMENT_CAUSE_FRAUD
    bank.change("TransferLoanStatus", loan.loan_id, cause=fraud)
    bank.change("SellLoan", loan.loan_id, price=money(1_000))
    drawn = lambda: bank.lend(loan.line_id)  # noqa: E731  what is refused
    assert refused(drawn) == "LINE_FROZEN"
    assert bank.line(loan.line_id)[0] == 0
    bank.assert_books_agree()


def test_principal_given_up_taken_in_kind_or_paid_by_a_guarantor_is_free_again_on_its_line(
    bank: Bank,
) -> None:
    line = bank.grant().line_id
    loans = [bank.lend(line, principal=money(500_000), periods=6).loan_id for _ in range(3)]
    guaranteed, taken, waived = loans
    free = lambda used: (used, 0, 2_000_000 - used)  # noqa: E731  the line, and 7201
    seen = lambda: (bank.line(line), bank.balance("7201", f"LINE:{line}"))  # noqa: E731  both
    bank.change("RecordGuarantorPayment", guaranteed, amount=money(500_000), reference="G-1")
    assert seen() == (free(1_000_000), 1_000_000)
    asset = {"asset_id": f"car-{bank.book}", "fair_value": money(200_000)}
    bank.change("TakeAssetForDebt", taken, **asset)
    assert seen() == (free(800_000), 1_200_000)
    assert refused(lambda: bank.lend(line)) == "LINE_FROZEN"
    settles = {"asset_id": f"flat-{bank.book}", "fair_value": money(100_000), "settles": True}
    bank.change("TakeAssetForDebt", taken, **settles)
    assert seen() == (free(500_000), 1_500_000), "all of it, whatever the asset is worth"
    bank.change("TransferLoanStatus", waived, cause=loan_change_pb2.IMPAIRMENT_CAUSE_BANKRUPTCY)
    bank.change("AccelerateLoan", waived)
    bank.end_day()
    bank.change("WaiveLoan", waived, principal=200_000)
    assert seen() == (free(300_000), 1_700_000)
    given_up = bank.history(waived)[-1].event_id
    bank.change("ReverseLoanChange", waived, event_id=given_up)
    assert seen() == (free(500_000), 1_500_000)
    bank.loans.WriteOffLoan(
        loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=waived, approval="wo-1")
    )
    bank.change("WaiveLoan", waived, principal=500_000)
    assert seen() == (free(0), 2_000_000)
    bank.assert_books_agree()


def test_a_guarantor_pays_the_loan_off(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 30))
    quote = bank.repayments.QuotePayoff(repayment_pb2.QuotePayoffRequest(loan_id=loan_id))
    payoff = quote.total.minor_units - quote.parts.fee
    assert quote.parts.fee > 0, "of paying early, which a guarantor does not owe"
    loan = bank.change("RecordGuarantorPayment", loan_id, amount=money(payoff), reference="G-1")
    assert loan.state == loan_pb2.LOAN_STATE_CLOSED_GUARANTOR
    assert bank.owes(loan_id) == {}
    assert ("1003", "Dr", payoff) in bank.vouchers(loan_id, "GUARANTOR_PAID")
    bank.end_day()
    bank.assert_books_agree()


def test_principal_given_up_in_a_settlement_is_lost_against_the_allowance(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    early = lambda: bank.change("WaiveLoan", loan_id, principal=1)  # noqa: E731  what is refused
    assert refused(early) == "NOT_NON_ACCRUAL"
    bank.change("TransferLoanStatus", loan_id, cause=loan_change_pb2.IMPAIRMENT_CAUSE_BANKRUPTCY)
    assert refused(early) == "WAIVER_EXCEEDS_DUE"
    bank.change("AccelerateLoan", loan_id)
    bank.end_day()
    bank.repay(loan_id, 400_000)
    penalty = bank.loan(loan_id).balances.offbalance_penalty
    loan = bank.change("WaiveLoan", loan_id, principal=600_000, penalty=penalty)
    assert loan.state == loan_pb2.LOAN_STATE_CLOSED_OVERDUE
    assert bank.owes(loan_id) == {}
    lines = bank.vouchers(loan_id, "PRINCIPAL_WAIVED")
    assert ("1304.03", "Dr", 600_000) in lines
    assert ("1303.03", "Cr", 600_000) in lines
    bank.assert_books_agree()
    waived = bank.history(loan_id)[-1]
    again = bank.change("ReverseLoanChange", loan_id, event_id=waived.event_id)
    assert again.balances.principal_impaired == 600_000
    bank.assert_books_agree()


def test_a_loan_is_sold_with_all_it_owes(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 30))
    bank.change("AdvanceLegalCosts", loan_id, amount=money(50_000))
    loan = bank.change("SellLoan", loan_id, price=money(800_000))
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_CLOSED_TRANSFERRED, 0)
    assert bank.owes(loan_id) == {}
    bank.assert_books_agree()
    for name, fields in (
        ("RepriceLoan", {"annual_rate": decimal("0.1")}),
        ("ExtendLoan", {"more_periods": 1}),
        ("RescheduleLoan", {"skip_periods": 1}),
        ("AccelerateLoan", {}),
        ("WaiveLoan", {"penalty": 1}),
        ("TransferLoanStatus", {"cause": loan_change_pb2.IMPAIRMENT_CAUSE_FRAUD}),
        ("AdvanceLegalCosts", {"amount": money(1)}),
        ("RefundGoods", {"amount": money(1)}),
        ("RecordGuarantorPayment", {"amount": money(1)}),
        ("SellLoan", {"price": money(1)}),
    ):
        call = lambda name=name, fields=fields: bank.change(name, loan_id, **fields)  # noqa: E731  what is refused
        assert refused(call) == "LOAN_CLOSED", name
    bank.end_day()
    bank.assert_books_agree()


def test_legal_costs_are_paid_before_all_else_and_a_fee_in_its_turn(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(**every_ten_days(fees=[SERVICE_FEE]))
    loan_id = lend(bank, date(2026, 1, 26))
    owed = bank.loan(loan_id).amount_past_due
    bank.change("AdvanceLegalCosts", loan_id, amount=money(5_000), reference="court fee")
    unknown = lambda: bank.change("ChargeFee", loan_id, fee="Coffee", amount=money(5))  # noqa: E731  what is refused
    assert refused(unknown) == "FEE_NOT_DISCLOSED"
    dear = lambda: bank.change("ChargeFee", loan_id, fee="Statement fee", amount=money(90_000))  # noqa: E731  what is refused
    assert refused(dear) == "COST_OVER_CAP"
    loan = bank.change("ChargeFee", loan_id, fee="Statement fee", amount=money(200))
    assert loan.amount_past_due == owed + 5_200
    assert (loan.balances.legal_costs, loan.balances.fee) == (5_000, 300)
    bank.assert_books_agree()
    spread = bank.repay(loan_id, 5_400).repayment.allocation
    # Costs and the late fee; the fee charged later waits for its turn.
    assert (spread.fee, spread.compound, spread.penalty) == (5_100, 2, 83)
    assert bank.balance("1221.04", f"LOAN:{loan_id}") == 0
    bank.end_day()
    bank.assert_books_agree()


@pytest.mark.parametrize(
    ("where", "account"),
    [
        (repayment_pb2.REFUND_DESTINATION_OWN_ACCOUNT, "2011.01"),
        (repayment_pb2.REFUND_DESTINATION_TRANSFER, "1003"),
    ],
)
def test_what_was_paid_too_much_goes_back_to_where_it_is_wanted(
    bank: Bank, where: repayment_pb2.RefundDestination.ValueType, account: str
) -> None:
    loan_id = bank.lend(periods=6).loan_id
    bank.repay(loan_id, 5_000, funding=repayment_pb2.FUNDING_TRANSFER)

    def refund(amount: int) -> loan_pb2.Loan:
        request = repayment_pb2.RefundOverpaymentRequest(
            request_id=rid(), loan_id=loan_id, amount=money(amount), destination=where
        )
        return bank.repayments.RefundOverpayment(request).loan

    assert refund(3_000).balances.overpayment == 2_000
    assert bank.vouchers(loan_id, "OVERPAYMENT_REFUNDED") == [
        ("2241.03", "Dr", 3_000),
        (account, "Cr", 3_000),
    ]
    assert refused(lambda: refund(2_001)) == "OVERPAYMENT_EXCEEDED"
    bank.assert_books_agree()


@pytest.mark.parametrize(
    ("until", "interest"),
    [(product_pb2.INTEREST_UNTIL_PAYMENT, 1_333), (product_pb2.INTEREST_UNTIL_DUE_DATE, 3_333)],
)
def test_the_running_instalment_is_paid_early_with_the_interest_the_product_says(
    new_bank: Callable[..., Bank],
    until: product_pb2.InterestUntil.ValueType,
    interest: int,
) -> None:
    prepayment = product_pb2.PrepaymentTerms(interest_until=until)
    bank = new_bank(**every_ten_days(prepayment=prepayment))
    loan_id = lend(bank, date(2026, 1, 19))
    short = lambda: bank.repay(loan_id, 165_284 + interest - 1, "CURRENT_INSTALMENT")  # noqa: E731  what is refused
    assert refused(short) == "CURRENT_INSTALMENT_AMOUNT"
    answer = bank.repay(loan_id, 165_284 + interest, "CURRENT_INSTALMENT")
    assert answer.repayment.allocation == repayment_pb2.Allocation(
        principal=165_284, interest=interest
    )
    assert answer.loan.next_due_date == from_date(SECOND)
    bank.assert_books_agree()
    bank.end_days(date(2026, 1, 27))
    assert bank.loan(loan_id).dpd == 0
    bank.assert_books_agree()


@pytest.mark.parametrize(
    ("kind", "instalments"),
    [
        ("FIXED_AMOUNT", 6),
        ("ADVANCE_NEXT", 6),
        ("ADVANCE_LAST", 6),
        ("ADVANCE_SPREAD", 6),
        ("PREPAY_KEEP_TERM", 6),
        ("PREPAY_KEEP_INSTALMENT", 4),
        ("PREPAY_NEXT_DUE", 6),
    ],
)
def test_money_ahead_of_its_due_date_frees_a_revolving_line(
    bank: Bank, kind: str, instalments: int
) -> None:
    line_id = bank.grant(limit=1_000_000).line_id
    loan_id = lend(bank, date(2026, 1, 17), line_id=line_id)
    answer = bank.repay(loan_id, 400_000, kind)
    spread = answer.repayment.allocation
    assert spread.principal + spread.interest + spread.fee + spread.overpayment == 400_000
    assert bank.line(line_id) == (1_000_000 - spread.principal, 0, spread.principal)
    assert len(bank.schedule(loan_id)) == instalments
    bank.assert_books_agree()
    bank.end_days(date(2026, 1, 26))
    bank.assert_books_agree()


def test_only_what_is_overdue_takes_no_more_than_that(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 26))
    owed = bank.loan(loan_id).amount_past_due
    more = lambda: bank.repay(loan_id, owed + 1, "OVERDUE_ONLY")  # noqa: E731  what is refused
    assert refused(more) == "MORE_THAN_OVERDUE"
    assert bank.repay(loan_id, owed, "OVERDUE_ONLY").loan.dpd == 0
    bank.assert_books_agree()


def test_a_change_is_made_once_and_refused_by_field(bank: Bank) -> None:
    loan_id = lend(bank, date(2026, 1, 19))
    request = {"request_id": rid(), "annual_rate": decimal("0.06")}
    first = bank.change("RepriceLoan", loan_id, **request)
    assert bank.change("RepriceLoan", loan_id, **request) == first
    assert [entry.kind for entry in bank.history(loan_id)] == ["Disbursed", "Repriced"]
    for name, fields, field in (
        ("RepriceLoan", {"annual_rate": decimal("0.25")}, "annual_rate"),
        ("RepriceLoan", {"annual_rate": decimal("x")}, "annual_rate"),
        ("AdvanceLegalCosts", {"amount": money(0)}, "amount.minor_units"),
        ("SellLoan", {"price": money(5, "USD")}, "price.currency_code"),
        ("AccelerateLoan", {"value_date": from_date(date(2026, 1, 20))}, "value_date"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            bank.change(name, loan_id, **fields)
        assert list(violations(error.value)) == [field], name
    assert len(bank.history(loan_id)) == 2
