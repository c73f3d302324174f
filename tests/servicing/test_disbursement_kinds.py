"""Money goes to merchants, in tranches, with fees beside it, and comes back: each booked as it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import grpc
import pytest
from servicing.bank import DUE_TOMORROW, PAY, START, Bank, decimal
from servicing.test_partners import lend_jointly, record, register
from servicing.test_repricing import floating, publish

from support import refusal, rid, violations, wait_until
from tael.ledger.v1 import ledger_pb2
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import loan_pb2, product_pb2
from tael_client.values import from_date, money, to_date

NORMAL = loan_pb2.LOAN_STATE_NORMAL
RETURNED = loan_pb2.LOAN_STATE_CLOSED_RETURNED
TRANCHES = {"schedule": product_pb2.ScheduleTerms(tranches=True)}
CONSUMER = {"lender_type": ledger_pb2.LENDER_TYPE_CONSUMER_FINANCE}
DEAR = {"min_principal": 1_000_000, "min_periods": 12}
"""Of a product whose fees are too dear for less."""
SPLIT = {"vat_mode": ledger_pb2.VAT_MODE_SPLIT}


def entrusted(account: str, **choices: Any) -> dict[str, Any]:
    """The choices of a payout to a merchant."""
    payee = loan_pb2.MerchantPayee(
        merchant_id="shop-1", account_token=account, purpose_proof="order-88", **choices
    )
    return {"payment_mode": loan_pb2.PAYMENT_MODE_ENTRUSTED, "payee": payee}


def fee(name: str = "Service fee", amount: int = 30_000, **choices: Any) -> product_pb2.FeeTerms:
    at = product_pb2.FEE_AT_DISBURSEMENT
    return product_pb2.FeeTerms(name=name, at=at, amount=amount, disclosed=True, **choices)


def on_balance(bank: Bank, loan_id: str, event: str) -> list[tuple[str, str, int]]:
    return [line for line in bank.vouchers(loan_id, event) if not line[0].startswith("7")]


def payouts(bank: Bank, loan_id: str) -> list[loan_pb2.Payout]:
    request = loan_pb2.ListPayoutsRequest(loan_id=loan_id)
    return list(bank.loans.ListPayouts(request).payouts)


def tranche(loan_id: str, minor_units: int = 600_000, **choices: Any) -> Any:
    named = {"request_id": rid(), "loan_id": loan_id, "principal": money(minor_units), **choices}
    return loan_pb2.DisburseTrancheRequest(**named)


def cancel(bank: Bank, loan_id: str) -> loan_pb2.Loan:
    request = loan_pb2.CancelLoanRequest(request_id=rid(), loan_id=loan_id, reason="advice-5")
    return bank.loans.CancelLoan(request).loan


def reason(call: Callable[[], Any]) -> str:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refusal(refused.value)[1]


def known(bank: Bank, account: str) -> None:
    """The provider finds out what became of its payments to an account."""
    bank.house.sql(
        "UPDATE payment SET unknown_left = 0 WHERE card_token = :account",
        "simulators",
        write=True,
        account=account,
    )


def await_payout(bank: Bank, loan_id: str, state: str) -> loan_pb2.Payout:
    """A loan's newest payout, once it is so, with all posted."""
    wanted = loan_pb2.PayoutState.Value(f"PAYOUT_STATE_{state}")
    wait_until(lambda: payouts(bank, loan_id)[-1].state == wanted, 20, "the payout to be known")
    told = bank.told
    wait_until(lambda: all(each.entry_sequences for each in told(loan_id)), what="its postings")
    return payouts(bank, loan_id)[-1]


def test_an_entrusted_payment_is_locked_and_goes_to_the_merchant(bank: Bank) -> None:
    line = bank.grant()
    loan = bank.lend(line.line_id, "card-e", principal=money(600_000), **entrusted("acct-e"))
    assert loan.state == NORMAL
    assert on_balance(bank, loan.loan_id, "LOAN_DISBURSED") == [
        ("1303.01", "Dr", 600_000),
        ("2011.01", "Cr", 600_000),
    ]
    assert bank.vouchers(loan.loan_id, "ENTRUSTED_PAYMENT_LOCKED") == [
        ("2011.01", "Dr", 600_000),
        ("2241.02", "Cr", 600_000),
    ]
    assert bank.vouchers(loan.loan_id, "ENTRUSTED_PAYMENT_PAID") == [
        ("2241.02", "Dr", 600_000),
        ("1003", "Cr", 600_000),
    ]
    (payment,) = bank.payments("acct-e")
    assert (payment.minor_units, payment.times_sent) == (600_000, 1)
    assert not bank.payments("card-e"), "the borrower's card gets nothing"
    (payout,) = payouts(bank, loan.loan_id)
    assert (payout.payee.merchant_id, payout.payee.purpose_proof) == ("shop-1", "order-88")
    assert bank.line(line.line_id) == (600_000, 0, 1_400_000)
    bank.assert_books_agree()


def test_a_merchant_that_banks_with_us_is_credited_without_the_provider(bank: Bank) -> None:
    loan = bank.lend(**entrusted("acct-ours", banks_with_us=True))
    assert loan.state == NORMAL
    assert bank.vouchers(loan.loan_id, "ENTRUSTED_PAYMENT_PAID") == [
        ("2241.02", "Dr", 1_000_000),
        ("2011.02", "Cr", 1_000_000),
    ]
    assert not bank.payments("acct-ours")
    assert cancel(bank, loan.loan_id).state == RETURNED
    assert (bank.balance("2011.02"), bank.balance("1003")) == (0, 0)
    bank.assert_books_agree()


def test_a_failed_entrusted_payment_is_reversed_in_red_lock_and_loan(bank: Bank) -> None:
    line = bank.grant()
    bank.script(PAY, "acct-closed", Behaviour(failure_code="ACCOUNT_CLOSED"))
    loan = bank.lend(line.line_id, **entrusted("acct-closed"))
    assert loan.state == loan_pb2.LOAN_STATE_CANCELLED
    for event in ("LOAN_DISBURSED", "ENTRUSTED_PAYMENT_LOCKED"):
        assert [each["principal"] for each in bank.posted(loan.loan_id, event)] == [
            1_000_000,
            -1_000_000,
        ]
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    assert [bank.balance(code) for code in ("1303.01", "2241.02", "2011.01")] == [0, 0, 0]
    assert payouts(bank, loan.loan_id)[0].failure_code == "ACCOUNT_CLOSED"
    bank.assert_books_agree()


@pytest.mark.parametrize(("status", "name"), [(3, "INVALID_ARGUMENT"), (5, "NOT_FOUND")])
def test_a_payout_that_the_provider_will_not_take_fails(bank: Bank, status: int, name: str) -> None:
    card = f"card-refused-{status}"
    bank.script(PAY, card, Behaviour(status_code=status))
    loan = bank.lend(card=card)
    assert loan.state == loan_pb2.LOAN_STATE_CANCELLED
    assert payouts(bank, loan.loan_id)[0].failure_code == f"REFUSED_{name}"
    assert not bank.payments(card)
    bank.assert_books_agree()


def test_a_payee_is_named_by_an_entrusted_payment_alone(bank: Bank) -> None:
    line_id = bank.grant().line_id
    for choices in (
        {"payment_mode": loan_pb2.PAYMENT_MODE_ENTRUSTED},
        {"payee": entrusted("acct-x")["payee"]},
    ):
        with pytest.raises(grpc.RpcError) as refused:
            bank.lend(line_id, **choices)
        assert refusal(refused.value)[0] == "INVALID_ARGUMENT"


def test_a_fee_is_charged_beside_the_payout_and_deferred(new_bank: Callable[..., Bank]) -> None:
    broker = fee("Guarantee fee", 10_000, charged_by="示范担保")
    bank = new_bank(book=SPLIT, fees=[fee(), broker], **DEAR)
    loan = bank.lend(card="card-fee")
    assert bank.payments("card-fee")[0].minor_units == 1_000_000, "paid out whole"
    assert bank.vouchers(loan.loan_id, "ORIGINATION_FEE_CHARGED") == [
        ("2011.01", "Dr", 30_000),
        ("1303.04", "Cr", 28_302),
        ("2221.01.07", "Cr", 1_698),
    ]
    assert bank.balance("1303.04", f"LOAN:{loan.loan_id}") == -28_302
    bank.end_days(bank.day + timedelta(days=2))
    bank.assert_books_agree()
    assert cancel(bank, loan.loan_id).state == RETURNED
    assert [bank.balance(code) for code in ("1303.04", "2221.01.07", "2221.06")] == [0, 0, 0]
    bank.assert_books_agree()
    bank.end_day()


def test_a_payout_that_fails_charges_no_fee(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(fees=[fee()], **DEAR)
    bank.script(PAY, "card-no-fee", Behaviour(failure_code="CARD_CLOSED"))
    loan = bank.lend(card="card-no-fee")
    assert not bank.posted(loan.loan_id, "ORIGINATION_FEE_CHARGED")
    bank.assert_books_agree()


def test_a_lender_without_deposits_begins_a_loan_when_its_channel_confirms(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(book=CONSUMER, fees=[fee()], **DUE_TOMORROW, **DEAR)
    bank.script(PAY, "card-cf", Behaviour(unknown_answers=1000))
    collected = {"fee_funding": loan_pb2.FEE_FUNDING_CHANNEL}
    loan_id = bank.lend(card="card-cf", repay_day=START.day + 1, **collected).loan_id
    bank.end_days(START + timedelta(days=3))
    known(bank, "card-cf")
    await_payout(bank, loan_id, "PAID")
    loan = bank.loan(loan_id)
    assert (loan.state, to_date(loan.start_date)) == (NORMAL, bank.day)
    assert to_date(loan.next_due_date) > bank.day, "no due date passed before the money came"
    assert bank.owes(loan_id) == {"principal_normal": 1_000_000}
    worth = [
        bank.balance("1303.01", f"LOAN:{loan_id}", START + timedelta(days=days))
        for days in (0, 2, 3)
    ]
    assert worth == [0, 0, 1_000_000], "the ledger counts it from that day on, too"
    assert bank.vouchers(loan_id, "DISBURSEMENT_PAID") == [
        ("2241.01", "Dr", 1_000_000),
        ("1002", "Cr", 1_000_000),
    ]
    assert bank.balance("2241.01") == 0
    assert ("1221.01", "Dr", 30_000) in bank.vouchers(loan_id, "ORIGINATION_FEE_CHARGED")
    bank.end_day()
    bank.assert_books_agree()


def test_only_a_bank_has_accounts(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(book=CONSUMER)
    line_id = bank.grant().line_id
    for choices, field in (
        (entrusted("acct-cf", banks_with_us=True), "payee.banks_with_us"),
        ({"fee_funding": loan_pb2.FEE_FUNDING_OWN_ACCOUNT}, "fee_funding"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            bank.lend(line_id, **choices)
        assert list(violations(refused.value)) == [field]


def test_a_first_due_date_that_passed_before_the_money_came_moves_on(bank: Bank) -> None:
    first = START + timedelta(days=20)
    bank.script(PAY, "card-first", Behaviour(unknown_answers=1000))
    choices = product_pb2.LoanChoices(first_due_date=from_date(first))
    loan_id = bank.lend(card="card-first", choices=choices).loan_id
    bank.end_days(first)
    known(bank, "card-first")
    await_payout(bank, loan_id, "PAID")
    assert to_date(bank.schedule(loan_id)[0].due_date).isoformat() == "2026-03-04"
    bank.assert_books_agree()


def test_a_tranche_is_spread_over_what_is_left(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(fees=[fee(amount=0, rate=decimal("0.01"))], min_periods=12, **TRANCHES)
    line = bank.grant()
    loan_id = bank.lend(line.line_id, "card-t", principal=money(400_000)).loan_id
    bank.end_days(START + timedelta(days=10))
    answer = bank.loans.DisburseTranche(tranche(loan_id))
    assert (answer.payout.number, answer.payout.state) == (2, loan_pb2.PAYOUT_STATE_PAID)
    loan = answer.loan
    assert (loan.disbursed, loan.principal.minor_units) == (1_000_000, 400_000)
    assert loan.balances.principal_normal == 1_000_000
    # 4,000.00 for 10 nights and 10,000.00 for 21 at 12 %/360, in the first of twelve instalments.
    first, *rest = bank.schedule(loan_id)
    assert (len(rest), first.interest) == (11, 8_333)
    assert first.principal + sum(row.principal for row in rest) == 1_000_000
    assert bank.line(line.line_id) == (1_000_000, 0, 1_000_000)
    assert [each["fee"] for each in bank.posted(loan_id, "ORIGINATION_FEE_CHARGED")] == [
        4_000,
        6_000,
    ]
    seen = [(each.payment_id, each.minor_units) for each in bank.payments("card-t")]
    assert seen == [(f"pay:{loan_id}", 400_000), (f"pay:{loan_id}:2", 600_000)]
    bank.assert_books_agree()
    bank.end_days(START + timedelta(days=32))
    bank.assert_books_agree()


def test_a_tranche_is_paid_once_whoever_asks_how_often(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(**TRANCHES)
    loan_id = bank.lend(card="card-storm", principal=money(400_000)).loan_id
    request = tranche(loan_id, **entrusted("acct-storm"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bank.loans.DisburseTranche(request), range(8)))
    assert {each.payout.number for each in answers} == {2}
    (payment,) = bank.payments("acct-storm")
    assert (payment.minor_units, payment.times_sent) == (600_000, 1)
    assert bank.loan(loan_id).disbursed == 1_000_000
    assert [each["principal"] for each in bank.posted(loan_id, "ENTRUSTED_PAYMENT_LOCKED")] == [
        600_000
    ]
    bank.assert_books_agree()


def test_a_loan_runs_on_without_a_tranche_until_it_is_known(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(**TRANCHES)
    line = bank.grant()
    loan_id = bank.lend(line.line_id, "card-wait", principal=money(400_000)).loan_id
    bank.script(PAY, "acct-wait", Behaviour(unknown_answers=1000))
    answer = bank.loans.DisburseTranche(tranche(loan_id, **entrusted("acct-wait")))
    assert answer.payout.state == loan_pb2.PAYOUT_STATE_SENT
    assert bank.line(line.line_id) == (400_000, 600_000, 1_000_000)
    assert reason(lambda: bank.loans.DisburseTranche(tranche(loan_id, 1_000))) == "PAYOUT_UNDER_WAY"
    assert reason(lambda: cancel(bank, loan_id)) == "PAYOUT_UNDER_WAY"
    bank.assert_books_agree()
    bank.end_days(START + timedelta(days=2))
    assert bank.owes(loan_id) == {"principal_normal": 400_000, "interest_accrued": 258}
    known(bank, "acct-wait")
    assert to_date(await_payout(bank, loan_id, "PAID").known_on) == bank.day
    assert bank.owes(loan_id)["principal_normal"] == 1_000_000
    bank.end_day()
    assert bank.owes(loan_id)["interest_accrued"] == 600, "2 and 1 nights by days"
    bank.assert_books_agree()


def test_a_failed_tranche_leaves_loan_and_line_as_they_were(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(**TRANCHES)
    line = bank.grant()
    loan_id = bank.lend(line.line_id, "card-f", principal=money(400_000)).loan_id
    bank.script(PAY, "card-f", Behaviour(failure_code="CARD_CLOSED"))
    answer = bank.loans.DisburseTranche(tranche(loan_id))
    assert answer.payout.state == loan_pb2.PAYOUT_STATE_FAILED
    assert (answer.loan.state, answer.loan.disbursed) == (NORMAL, 400_000)
    assert bank.line(line.line_id) == (400_000, 0, 1_600_000)
    assert bank.loans.DisburseTranche(tranche(loan_id)).payout.number == 3
    bank.assert_books_agree()


def test_a_tranche_s_down_payment_is_due_at_once(new_bank: Callable[..., Bank]) -> None:
    terms = product_pb2.ScheduleTerms(tranches=True, down_payment=decimal("0.25"))
    bank = new_bank(schedule=terms)
    loan_id = bank.lend(card="card-down", principal=money(400_000)).loan_id
    assert bank.loan(loan_id).amount_past_due == 100_000
    bank.end_day()
    assert bank.await_debit(loan_id, "SUCCESS").amount.minor_units == 100_050, "asked at once"
    bank.end_day()
    loan = bank.loans.DisburseTranche(tranche(loan_id)).loan
    assert (loan.amount_past_due, loan.dpd) == (150_000, 0)
    bank.assert_books_agree()
    bank.repay(loan_id, 150_000)
    assert bank.loan(loan_id).balances.principal_normal == 750_000
    bank.end_day()
    bank.assert_books_agree()


def test_a_tranche_is_refused_with_the_reason(new_bank: Callable[..., Bank]) -> None:
    bank = new_bank(max_principal=1_000_000, **TRANCHES, **DUE_TOMORROW)
    line = bank.grant(limit=900_000)
    bank.fails("card-r")
    loan_id = bank.lend(
        line.line_id, "card-r", principal=money(400_000), repay_day=START.day + 1
    ).loan_id
    ask = bank.loans.DisburseTranche
    assert reason(lambda: ask(tranche(loan_id, 500_001))) == "LINE_EXCEEDED"
    for minor_units in (-1, 0, 600_001):
        with pytest.raises(grpc.RpcError) as refused:
            ask(tranche(loan_id, minor_units))
        assert list(violations(refused.value)) == ["principal.minor_units"]
    bank.end_days(START + timedelta(days=2))
    assert reason(lambda: ask(tranche(loan_id))) == "LINE_EXCEEDED"
    assert reason(lambda: ask(tranche(loan_id, 100_000))) == "CUSTOMER_OVERDUE"
    bank.repay(loan_id, bank.day_payoff(loan_id), "SETTLE")
    assert reason(lambda: ask(tranche(loan_id, 100_000))) == "LOAN_CLOSED"
    at_once = new_bank()
    loan_id = at_once.lend().loan_id
    assert reason(lambda: at_once.loans.DisburseTranche(tranche(loan_id))) == "NO_TRANCHES"


def test_a_tranche_that_makes_the_whole_too_dear_is_refused(new_bank: Callable[..., Bank]) -> None:
    dear = {"min_principal": 500_000, "min_periods": 12, "cost_cap": decimal("0.15")}
    bank = new_bank(fees=[fee(amount=5_000)], **dear, **TRANCHES)
    loan_id = bank.lend(principal=money(500_000)).loan_id
    bank.end_days(START + timedelta(days=25))
    assert reason(lambda: bank.loans.DisburseTranche(tranche(loan_id, 5_000))) == "COST_OVER_CAP"
    assert bank.loans.DisburseTranche(tranche(loan_id, 900_000)).payout.number == 2


def test_a_tranche_inside_a_month_of_31_nights_keeps_a_cap_at_which_the_loan_was_signed(
    new_bank: Callable[..., Bank],
) -> None:
    at_the_cap = {"min_principal": 400_000, "min_periods": 12, **TRANCHES}
    bank = new_bank(annual_rate=decimal("0.24"), **at_the_cap)
    line = bank.grant(annual_rate=decimal("0.24")).line_id
    loan_id = bank.lend(line, principal=money(400_000)).loan_id
    bank.end_days(START + timedelta(days=10))
    assert bank.loans.DisburseTranche(tranche(loan_id)).payout.number == 2
    assert bank.schedule(loan_id)[0].interest == 16_667, "10 nights of 4,000.00, 21 of 10,000.00"
    bank.end_days(START + timedelta(days=13))
    assert bank.loans.DisburseTranche(tranche(loan_id, 100_000)).payout.number == 3
    bank.assert_books_agree()
    dear = new_bank(annual_rate=decimal("0.238"), fees=[fee(amount=400)], **at_the_cap)
    line = dear.grant(annual_rate=decimal("0.238")).line_id
    loan_id = dear.lend(line, principal=money(400_000)).loan_id
    dear.end_days(START + timedelta(days=10))
    assert reason(lambda: dear.loans.DisburseTranche(tranche(loan_id, 5_000))) == "COST_OVER_CAP"


def test_a_payout_that_comes_back_ends_the_loan_as_if_never_lent(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(book=SPLIT, **DUE_TOMORROW)
    bank.fails("card-back")
    line = bank.grant(revolving=False)
    loan_id = bank.lend(line.line_id, "card-back", repay_day=START.day + 1).loan_id
    bank.end_days(START + timedelta(days=4))
    assert bank.loan(loan_id).dpd == 3, "even past due, with penalty"
    loan = cancel(bank, loan_id)
    assert (loan.state, bank.owes(loan_id)) == (RETURNED, {})
    assert bank.line(line.line_id) == (0, 0, 2_000_000), "even where it does not revolve"
    assert on_balance(bank, loan_id, "DISBURSEMENT_RETURNED") == [
        ("1003", "Dr", 1_000_000),
        ("2011.01", "Cr", 1_000_000),
    ]
    assert on_balance(bank, loan_id, "DISBURSEMENT_CANCELLED") == [
        ("2011.01", "Dr", 1_000_000),
        ("1303.01", "Cr", 1_000_000),
    ]
    touched = ("6011.01", "6011.02", "1132.01", "1132.02", "1132.03", "2221.06", "2221.01.07")
    assert [bank.balance(code) for code in touched] == [0] * len(touched)
    bank.assert_books_agree()
    bank.end_day()
    bank.assert_books_agree()
    assert reason(lambda: cancel(bank, loan_id)) == "LOAN_CLOSED"


def test_a_lender_without_accounts_pays_the_fee_of_a_loan_that_came_back_out_again(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(book=CONSUMER, fees=[fee()], **DEAR)
    loan_id = bank.lend().loan_id
    cancel(bank, loan_id)
    assert [bank.balance(code) for code in ("1002", "2241.04", "1303.04")] == [0, 0, 0]
    bank.end_day()
    bank.assert_books_agree()


def test_a_loan_on_which_something_was_repaid_is_not_cancelled(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    bank.end_day()
    repaid = bank.repay(loan_id, 5_000, "PREPAY_KEEP_TERM").repayment
    assert reason(lambda: cancel(bank, loan_id)) == "LOAN_NOT_UNTOUCHED"
    bank.reverse(loan_id, repaid.repayment_id)
    assert cancel(bank, loan_id).state == RETURNED
    bank.assert_books_agree()
    last = bank.history(loan_id)[-1]
    assert last.kind == "Returned"
    taken_back = {"event_id": last.event_id, "approval": "case-7"}
    assert (
        reason(lambda: bank.change("ReverseLoanChange", loan_id, **taken_back)) == "NOT_REVERSIBLE"
    )


def test_money_worth_an_earlier_day_than_the_return_is_held_for_the_customer(bank: Bank) -> None:
    line = bank.grant()
    loan_id = bank.lend(line.line_id).loan_id
    bank.end_days(START + timedelta(days=3))
    cancel(bank, loan_id)
    with pytest.raises(grpc.RpcError):
        bank.repay(loan_id, 10_000)
    worth = from_date(START + timedelta(days=2))
    bank.repay(loan_id, 10_000, value_date=worth)
    assert bank.owes(loan_id) == {"overpayment": 10_000}
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    bank.assert_books_agree()


def test_a_tranche_that_comes_after_the_loan_was_settled_opens_it_again(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(**TRANCHES)
    line = bank.grant()
    loan_id = bank.lend(line.line_id, "card-again", principal=money(400_000)).loan_id
    bank.script(PAY, "card-again", Behaviour(unknown_answers=1000))
    bank.loans.DisburseTranche(tranche(loan_id))
    bank.end_day()
    bank.repay(loan_id, bank.day_payoff(loan_id), "SETTLE")
    bank.end_day()
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    known(bank, "card-again")
    await_payout(bank, loan_id, "PAID")
    loan = bank.loan(loan_id)
    assert (loan.state, loan.balances.principal_normal) == (NORMAL, 600_000)
    assert bank.line(line.line_id) == (600_000, 0, 1_400_000)
    bank.end_day()
    bank.assert_books_agree()


def test_a_joint_loan_that_comes_back_gives_the_partner_its_part_again(bank: Bank) -> None:
    partner = register(bank, "JOINT_LENDER")
    record(bank, partner, "JOINT_FUNDS_RECEIVED", 700_000)
    line = bank.grant()
    loan = lend_jointly(bank, partner, line_id=line.line_id)
    bank.end_day()
    assert cancel(bank, loan.loan_id).state == RETURNED
    assert bank.balance("2241.05", f"PARTNER:{partner}") == 700_000
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    bank.assert_books_agree()
    assert reason(lambda: lend_jointly(bank, partner, **entrusted("acct-j"))) == "INVALID_FIELD"


def test_a_floating_loan_that_begins_late_bears_the_rate_of_its_first_day(
    new_bank: Callable[..., Bank],
) -> None:
    bank = floating(new_bank, product_pb2.REPRICE_MODE_ANNIVERSARY)
    bank.script(PAY, "card-float", Behaviour(unknown_answers=1000))
    loan_id = bank.lend(card="card-float").loan_id
    publish(bank, START + timedelta(days=1), "0.028")
    bank.end_days(START + timedelta(days=2))
    known(bank, "card-float")
    await_payout(bank, loan_id, "PAID")
    assert bank.loan(loan_id).annual_rate.value == "0.118"
    bank.assert_books_agree()


def test_an_instalment_paid_in_advance_makes_a_tranche_no_dearer(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(**TRANCHES)
    loan_id = bank.lend(principal=money(400_000)).loan_id
    bank.repay(loan_id, 100_000, "PREPAY_NEXT_DUE")
    assert bank.loans.DisburseTranche(tranche(loan_id)).payout.state == loan_pb2.PAYOUT_STATE_PAID
    bank.assert_books_agree()


def test_what_a_quote_refuses_as_never_repaid_is_not_lent_either(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(
        choices=product_pb2.ChoiceTerms(allowed=[product_pb2.LOAN_CHOICE_INSTALMENT]),
    )
    line_id = bank.grant().line_id
    wanted = {"choices": product_pb2.LoanChoices(instalment=9_000)}
    quote = loan_pb2.QuoteScheduleRequest(
        product_code=bank.product, principal=money(1_000_000), periods=12, **wanted
    )
    with pytest.raises(grpc.RpcError) as quoted:
        bank.loans.QuoteSchedule(quote)
    with pytest.raises(grpc.RpcError) as lent:
        bank.lend(line_id, **wanted)
    assert list(violations(quoted.value)) == list(violations(lent.value)) == ["choices.instalment"]
    assert bank.line(line_id) == (0, 0, 2_000_000)
