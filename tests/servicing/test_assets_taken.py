"""Assets taken for debt, and fees charged at the start: through the books, to the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import grpc
import pytest
from servicing.bank import Bank, decimal, every_ten_days

from support import refusal, rid
from tael.servicing.v1 import loan_pb2, product_pb2
from tael_client.values import from_date, money
from tael_servicing.arithmetic.events import (
    AllowanceAdjusted,
    AssetTaken,
    Disbursed,
    Impaired,
    Repaid,
)
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import Allowance, Closure
from tael_servicing.arithmetic.terms import Method, Terms

START, DAY = date(2026, 1, 15), date(2026, 2, 20)
PLAIN = Terms(Method.EQUAL_INSTALMENT, 12, Decimal("0.12"))
PAST = (
    Disbursed(START, "01", 871_151),
    Impaired(DAY, "02"),
    AllowanceAdjusted(DAY, "03", Allowance(stage3=552_691)),
)


def test_an_asset_of_3_000_for_8_711_51_with_an_allowance_of_5_526_91() -> None:
    """E22: what is neither the asset's value nor provided for, 184.60, is impairment loss."""
    loan, postings = replay(PLAIN, [*PAST, AssetTaken(DAY, "04", 300_000, settles=True)], DAY)
    (taken,) = [each for each in postings if each.event == "ASSET_TAKEN_FOR_DEBT"]
    assert dict(taken.amounts) == {
        "fair_value": 300_000,
        "allowance_stage3": 552_691,
        "principal_impaired": 871_151,
    }
    assert 871_151 - 552_691 - 300_000 == 18_460
    assert (loan.closure, sum(loan.allowance)) == (Closure.ASSET, 0)


def test_an_asset_for_a_part_pays_principal_and_the_loan_goes_on() -> None:
    before = replay(PLAIN, PAST, DAY).loan
    loan = replay(PLAIN, [*PAST, AssetTaken(DAY, "04", 300_000, settles=False)], DAY).loan
    owed = [each.overdue_principal + each.undue_principal for each in (before, loan)]
    assert owed == [871_151, 571_151]
    assert loan.arrears[0].principal_unpaid == 0
    assert (loan.closure, sum(loan.allowance)) == (None, 552_691)


def test_an_asset_taken_for_a_loan_that_was_repaid_before_is_all_gain() -> None:
    repaid = Repaid(date(2026, 2, 15), "05", 2_000_000)
    plain = PAST[0], repaid, AssetTaken(DAY, "04", 300_000, settles=True)
    parked = replay(PLAIN, plain, DAY).loan.overpayment
    past = Terms(Method.BULLET, 1, Decimal("0.12"))
    loan, postings = replay(past, plain, DAY)
    assert loan.closure is not None
    assert dict(postings[-1].amounts) == {"fair_value": 300_000}
    assert parked >= 0


@pytest.fixture
def late(new_bank: Callable[..., Bank]) -> tuple[Bank, str]:
    """A bank, and a loan of its that is off balance."""
    bank = new_bank(**every_ten_days())
    bank.fails(f"asset-{bank.book}", times=60)
    loan_id = bank.lend(card=f"asset-{bank.book}", periods=6).loan_id
    bank.end_days(date(2026, 2, 8))
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    return bank, loan_id


def test_an_asset_pays_a_part_then_another_settles_and_is_taken_back(
    late: tuple[Bank, str],
) -> None:
    bank, loan_id = late
    car, flat = f"car-{bank.book}", f"flat-{bank.book}"
    words = {"approval": "judgement 12"}
    with pytest.raises(grpc.RpcError) as refused:
        bank.change("TakeAssetForDebt", loan_id, asset_id=car, fair_value=money(1_000_001), **words)
    assert refusal(refused.value)[1] == "ASSET_EXCEEDS_DEBT"
    bank.change("TakeAssetForDebt", loan_id, asset_id=car, fair_value=money(400_000), **words)
    assert bank.owes(loan_id)["principal_impaired"] == 600_000
    assert bank.balance("1441", f"ASSET:{car}") == 400_000
    bank.assert_books_agree()
    bank.end_day()
    taken = {"asset_id": flat, "fair_value": money(500_000), "settles": True, **words}
    request_id = rid()
    for _ in range(2):
        loan = bank.change("TakeAssetForDebt", loan_id, request_id=request_id, **taken)
        assert loan.state == loan_pb2.LOAN_STATE_CLOSED_ASSET
    assert bank.balance("1441", f"ASSET:{flat}") == 500_000
    assert bank.balance("1303.03", f"LOAN:{loan_id}") == 0
    bank.assert_books_agree()
    last = bank.history(loan_id)[-1].event_id
    bank.change("ReverseLoanChange", loan_id, event_id=last, **words)
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    assert bank.balance("1441", f"ASSET:{flat}") == 0
    bank.assert_books_agree()
    bank.end_day()


def test_an_asset_for_all_of_the_debt_pays_the_costs_advanced_and_the_certificate_tells_so(
    bank: Bank,
) -> None:
    loan_id = bank.lend().loan_id
    bank.end_day()
    bank.change("AdvanceLegalCosts", loan_id, amount=money(50_000))
    car, flat = f"car-{bank.book}", f"flat-{bank.book}"
    bank.change("TakeAssetForDebt", loan_id, asset_id=car, fair_value=money(1_000_000))
    loan = bank.loan(loan_id)
    assert (loan.state, loan.balances.legal_costs) == (loan_pb2.LOAN_STATE_NON_ACCRUAL, 50_000)
    settles = {"fair_value": money(50_000), "settles": True}
    loan = bank.change("TakeAssetForDebt", loan_id, asset_id=flat, **settles)
    assert loan.state == loan_pb2.LOAN_STATE_CLOSED_ASSET
    assert bank.posted(loan_id, "LOAN_WRITTEN_OFF") == []
    assert sorted(bank.vouchers(loan_id, "ASSET_TAKEN_FOR_DEBT")) == [
        ("1221.04", "Cr", 50_000),
        ("1441", "Dr", 50_000),
    ]
    assert bank.balance("1221.04", f"LOAN:{loan_id}") == 0
    request = loan_pb2.GetSettlementCertificateRequest(loan_id=loan_id)
    told = bank.loans.GetSettlementCertificate(request).certificate
    assert (told.principal_paid, told.fees_paid) == (1_000_000, 50_000)
    assert told.ended_on == from_date(bank.day)
    bank.assert_books_agree()
    last = bank.history(loan_id)[-1].event_id
    back = bank.change("ReverseLoanChange", loan_id, event_id=last)
    assert back.balances.legal_costs == 50_000
    bank.end_day()
    bank.assert_books_agree()


def test_a_fee_charged_at_the_start_is_income_by_month_and_at_the_end_all_of_it(
    new_bank: Callable[..., Bank],
) -> None:
    fee = product_pb2.FeeTerms(
        name="Handling fee",
        at=product_pb2.FEE_AT_DISBURSEMENT,
        rate=decimal("0.03"),
        disclosed=True,
    )
    bank = new_bank(fees=[fee], min_periods=12)
    loan_id = bank.lend().loan_id
    account = "1303.04", f"LOAN:{loan_id}"
    assert bank.balance(*account) == -30_000
    bank.end_days(date(2026, 2, 1))
    (first,) = bank.posted(loan_id, "ORIGINATION_FEE_AMORTISED")
    assert 0 < first["amortisation"] < 4_500, "seventeen of the first period's nights"
    assert bank.balance(*account) == first["amortisation"] - 30_000
    bank.assert_books_agree()
    bank.repay(loan_id, bank.day_payoff(loan_id), "SETTLE")
    bank.end_days(date(2026, 3, 1))
    parts = [each["amortisation"] for each in bank.posted(loan_id, "ORIGINATION_FEE_AMORTISED")]
    assert (len(parts), sum(parts)) == (2, 30_000)
    assert bank.balance(*account) == 0
    bank.assert_books_agree()
