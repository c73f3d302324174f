"""Impaired loans whose income is not taken back: the effective rate on amortised cost (CAS 22 §39).

Loan L1 of 10,000.00 at 12 %, paid once, then silent until day 91.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import grpc
import pytest
from servicing.bank import DUE_TOMORROW, Bank

from support import rid, violations
from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import loan_change_pb2, loan_pb2, portfolio_pb2, product_pb2
from tael_servicing import provisions
from tael_servicing.arithmetic.balances import Balances, balances
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.effective_interest import month_rate
from tael_servicing.arithmetic.events import (
    AllowanceAdjusted,
    Disbursed,
    ImpairedInterest,
    LoanEvent,
    Repaid,
    Rescheduled,
    Waived,
    WrittenOff,
)
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.impairment import ImpairmentPolicy
from tael_servicing.arithmetic.loan import Allowance, Claim, Loan
from tael_servicing.arithmetic.postings import Step
from tael_servicing.arithmetic.terms import Method, NonAccrual, Terms
from tael_servicing.bookings import Batch

START, MONTH_END = date(2026, 1, 15), date(2026, 6, 30)
DAY_91, NEXT = date(2026, 6, 14), date(2026, 6, 15)
REVERSAL = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.12"), compound_enabled=True)
NET = replace(REVERSAL, nonaccrual=NonAccrual.STAGE3_NET)
PAST = (Disbursed(START, "01", 1_000_000), Repaid(date(2026, 2, 15), "02", 88_849))
PROVIDED = AllowanceAdjusted(DAY_91, "03", Allowance(stage3=552_691))
IN_BOOK = {
    "vat_mode": ledger_pb2.VAT_MODE_SPLIT,
    "non_accrual_policy": ledger_pb2.NON_ACCRUAL_POLICY_STAGE3_NET,
}
STAYS = {"interest_due": 25_238, "interest_accrued": 6_579, "penalty": 7_255, "compound": 785}


def lived(day: date, *events: LoanEvent, terms: Terms = NET) -> tuple[Loan, Balances, Step]:
    step = replay(terms, [*PAST, *events], day, nightly_from=DAY_91)
    return step.loan, balances(terms, step.loan), step


def posted(step: Step, event: str) -> dict[str, int]:
    return [dict(each.amounts) for each in step.postings if each.event == event][-1]


def test_on_day_91_principal_is_impaired_and_income_stays_where_it_stands() -> None:
    _, held, step = lived(DAY_91)
    assert posted(step, "NON_ACCRUAL_ENTERED") == {
        "principal_normal": 679_842,
        "principal_overdue": 241_309,
    }
    assert {name: getattr(held, name) for name in STAYS} == STAYS
    assert (held.principal_impaired, held.offbalance_interest) == (921_151, 0)


def test_contract_interest_goes_on_in_the_memo_as_under_the_other_policy() -> None:
    _, held, step = lived(NEXT)
    night = {"interest": 219, "penalty": 121, "compound": 13}
    assert posted(step, "INTEREST_ACCRUED") == night
    assert posted(lived(NEXT, terms=REVERSAL)[2], "INTEREST_ACCRUED") == night
    assert (held.offbalance_interest, held.offbalance_penalty, held.offbalance_compound) == (
        *night.values(),
    )
    assert (held.interest_due, held.interest_accrued) == (25_238 + 6_579, 0), "it fell due"


def test_a_month_earns_one_percent_of_9_211_51_less_5_526_91() -> None:
    """E13-7: 36.85, which the allowance bears."""
    rate = month_rate(NET, lived(DAY_91)[0], 0)
    loan, _, step = lived(MONTH_END, PROVIDED, ImpairedInterest(MONTH_END, "04", rate))
    assert posted(step, "IMPAIRED_INTEREST_ACCRUED") == {"interest": 3_685}
    assert loan.allowance == Allowance(stage3=552_691 - 3_685)


def test_a_fee_charged_at_the_start_makes_the_rate_dearer_and_the_loan_cheaper() -> None:
    """E27: 1.45737 % a month with a fee of 283.02, of which 100.00 is deferred still."""
    rate = month_rate(NET, lived(DAY_91)[0], 28_302)
    assert round(rate, 7) == Decimal("0.0145737")
    step = lived(MONTH_END, PROVIDED, ImpairedInterest(MONTH_END, "04", rate, 10_000))[2]
    earned = (921_151 - 10_000 - 552_691) * rate
    assert posted(step, "IMPAIRED_INTEREST_ACCRUED") == {"interest": round(earned)}


def test_without_an_allowance_or_under_the_other_policy_there_is_no_such_income() -> None:
    month = ImpairedInterest(MONTH_END, "04", Decimal("0.01"))
    for terms, past in ((NET, [month]), (REVERSAL, [PROVIDED, month])):
        step = lived(MONTH_END, *past, terms=terms)[2]
        assert "IMPAIRED_INTEREST_ACCRUED" not in {each.event for each in step.postings}


def test_what_is_paid_takes_what_stands_on_the_balance_sheet_first() -> None:
    principal = 323_360
    _, held, step = lived(NEXT, Repaid(NEXT, "05", principal + 31_917))
    assert posted(step, "REPAYMENT_RECEIVED") == {
        "principal_impaired": principal,
        "interest_due": 31_817,
        "offbalance_interest": 100,
    }
    assert (held.penalty, held.offbalance_penalty, held.offbalance_interest) == (7_255, 121, 119)


def test_what_is_given_up_or_written_off_leaves_from_where_it_stands() -> None:
    waived = lived(NEXT, Waived(NEXT, "05", interest=32_000, penalty=7_000))[2]
    assert posted(waived, "INTEREST_WAIVED") == {
        "interest_due": 31_817,
        "offbalance_interest": 183,
        "penalty": 7_000,
    }
    loan, _, written_off = lived(NEXT, WrittenOff(NEXT, "05"))
    lost = {"interest_due": 31_817, "penalty_due": 7_255, "compound_due": 785}
    memo = {"interest": 219, "penalty": 121, "compound": 13}
    principal = {"allowance_top_up": 921_151, "principal": 921_151}
    assert posted(written_off, "LOAN_WRITTEN_OFF") == principal | lost | memo
    assert loan.claim == Claim(921_151, sum((*lost.values(), *memo.values())))


def test_a_cure_makes_income_of_the_memo_alone() -> None:
    """The arrears join a new plan, so that nothing is past due the next morning."""
    terms = replace(NET, cure_periods=0)
    plan = Rescheduled(NEXT, "05", Plan(re_age=True))
    loan, held, step = lived(NEXT + timedelta(days=1), plan, terms=terms)
    assert (loan.nonaccrual_since, loan.recognised) == (None, None)
    memo = {"interest": 219, "interest_accrued": 307, "penalty": 121, "compound": 13}
    assert posted(step, "NON_ACCRUAL_LEFT") == {"principal_normal": 921_151} | memo
    assert (held.interest_due, held.penalty) == (31_817 + 219, 7_255 + 121)


def test_a_book_chooses_the_policy_and_its_loans_keep_it(new_bank: Callable[..., Bank]) -> None:
    """Through the books with VAT, over a month's end, to the write-off."""
    bank = new_bank(start=date(2026, 2, 25), book=IN_BOOK, **DUE_TOMORROW)
    product = bank.products.GetProduct(product_pb2.GetProductRequest(code=bank.product)).product
    assert product.terms.non_accrual.policy == ledger_pb2.NON_ACCRUAL_POLICY_STAGE3_NET
    bank.fails("card-late", times=9)
    loan_id = bank.lend(card="card-late", repay_day=27).loan_id
    bank.end_day()
    bank.change("TransferLoanStatus", loan_id, cause=loan_change_pb2.IMPAIRMENT_CAUSE_FRAUD)
    bank.end_day()
    assert bank.owes(loan_id)["interest_due"] == 334, "of what fell due, the night it accrued"
    assert bank.owes(loan_id)["offbalance_interest"] == 333
    bank.assert_books_agree()
    provided(bank, loan_id)
    paid = bank.repay(loan_id, bank.loan(loan_id).amount_past_due).repayment.allocation
    assert (paid.interest, bank.owes(loan_id)) == (
        *(667, {"principal_impaired": 1_000_000 - paid.principal}),
    )
    bank.end_days(date(2026, 3, 1))
    allowance = 600_000
    (month,) = bank.posted(loan_id, "IMPAIRED_INTEREST_ACCRUED")
    assert month == {"interest": round((1_000_000 - paid.principal - allowance) / 100)}
    assert bank.balance("6011.04") == month["interest"]
    moved = bank.portfolio.Provisions(portfolio_pb2.ProvisionsRequest(book_id=bank.book)).movements
    assert moved[2].interest == month["interest"]
    assert moved[2].closing == moved[2].added - moved[2].released - moved[2].interest
    bank.loans.WriteOffLoan(
        loan_pb2.WriteOffLoanRequest(request_id=rid(), loan_id=loan_id, approval="wo-1")
    )
    bank.assert_books_agree()
    bank.end_day()


def provided(bank: Bank, loan_id: str) -> None:
    """The allowance is set as at a month's end, for yesterday: 60 % of what is owed."""
    yesterday = bank.day - timedelta(days=1)
    batch = Batch(f"provide:{bank.book}", bank.book, bank.book, bank.day)
    with bank.house.running["servicing"].runtime.database.begin() as transaction:
        provisions.provide(transaction, ImpairmentPolicy(), yesterday, [loan_id], batch)


def test_a_product_has_the_policy_of_its_book(bank: Bank) -> None:
    policy = ledger_pb2.NON_ACCRUAL_POLICY_STAGE3_NET
    terms = product_pb2.NonAccrualTerms(policy=policy)
    with pytest.raises(grpc.RpcError) as refused:
        bank.products.PublishProduct(bank.publication(non_accrual=terms))
    assert list(violations(refused.value)) == ["terms.non_accrual.policy"]
