"""The day end: in order, once, whoever starts it, whatever stops it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from servicing.bank import DEBIT, START, Bank

from support import refusal, wait_until
from tael.ledger.v1 import accounting_pb2
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import end_of_day_pb2 as pb
from tael.servicing.v1 import event_pb2, loan_pb2, product_pb2
from tael.servicing.v1.loan_change_pb2 import IMPAIRMENT_CAUSE_BANKRUPTCY
from tael_client.values import from_date, money

QUERY = "tael.provider.v1.PaymentProviderService/QueryPayment"


def test_a_day_end_tells_its_steps_in_order_and_what_they_did(bank: Bank) -> None:
    bank.lend()
    run = bank.end_day()
    assert [step.step for step in run.steps] == [
        "cut_off",
        "allocate_debits",
        "catch_up",
        "overdue",
        "accrue",
        "classify",
        "impaired_interest",
        "month_end",
        "commitments",
        "amortise",
        "checks",
        "snapshot",
        "recheck",
        "close",
        "open_day",
        "tell",
        "reprice",
        "expire_lines",
        "finish",
        "report",
    ]
    assert {step.state for step in run.steps} == {pb.RUN_STATE_DONE}
    accrue = run.steps[4]
    assert (accrue.loans, dict(accrue.amounts)) == (1, {"INTEREST_ACCRUED.interest": 323})
    assert run.next_business_date == from_date(date(2026, 1, 16))
    asked = bank.day_ends.GetEndOfDay(pb.GetEndOfDayRequest(book_id=bank.book)).run
    assert asked == run


def test_a_day_out_of_order_is_refused_with_the_day_that_is_due(bank: Bank) -> None:
    for day in (START + timedelta(days=1), START - timedelta(days=1)):
        with pytest.raises(grpc.RpcError) as refused:
            bank.run_day(day)
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")
        assert str(START) in (refused.value.details() or "")
    bank.end_day()
    assert bank.run_day(START).state == pb.RUN_STATE_DONE
    assert (
        bank.accounting.TrialBalance(
            accounting_pb2.TrialBalanceRequest(book_id=bank.book)
        ).total_debits
        == 0
    )


def test_callers_at_once_get_one_run(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda _: bank.run_day(START), range(6)))
    assert {run.state for run in runs} == {pb.RUN_STATE_DONE}
    assert len({run.started_at.ToNanoseconds() for run in runs}) == 1
    assert bank.posted(loan_id, "INTEREST_ACCRUED") == [{"interest": 323}]


def test_a_client_that_goes_away_stops_nothing(bank: Bank) -> None:
    bank.lend()
    request = pb.RunEndOfDayRequest(book_id=bank.book, business_date=from_date(START))
    bank.day_ends.RunEndOfDay(request).cancel()  # type: ignore[attr-defined]
    asked = pb.GetEndOfDayRequest(book_id=bank.book, business_date=from_date(START))

    def done() -> bool:
        try:
            return bank.day_ends.GetEndOfDay(asked).run.state == pb.RUN_STATE_DONE
        except grpc.RpcError:
            next(iter(bank.day_ends.RunEndOfDay(request)))
            return False

    wait_until(done, what="the day to end")


def test_a_posting_the_ledger_refuses_blocks_the_day_until_its_cause_is_cured(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    rules = "book_id = :book AND event = 'INTEREST_ACCRUED'"
    bank.house.sql("ALTER TABLE posting_rule DISABLE TRIGGER ALL", "ledger", write=True)
    bank.house.sql(
        f"UPDATE posting_rule SET event = 'GONE' WHERE {rules}",
        "ledger",
        write=True,
        book=bank.book,
    )
    forget_rules(bank)
    run = bank.run_day()
    assert run.state == pb.RUN_STATE_BLOCKED
    assert "NO_POSTING_RULE" in run.error
    assert [step.step for step in run.steps if step.state == pb.RUN_STATE_DONE][-1] == "accrue"
    assert bank.run_day().state == pb.RUN_STATE_BLOCKED
    bank.house.sql(
        "UPDATE posting_rule SET event = 'INTEREST_ACCRUED' WHERE book_id = :book AND event = 'GONE'",
        "ledger",
        write=True,
        book=bank.book,
    )
    forget_rules(bank)
    bank.end_day()
    assert bank.posted(loan_id, "INTEREST_ACCRUED") == [{"interest": 323}]
    bank.assert_books_agree()


def forget_rules(bank: Bank) -> None:
    """The ledger caches a version's rules for its life; a new process reads them again."""
    bank.house.stop_one("ledger")
    bank.house.start("ledger")


def test_books_that_disagree_are_not_closed(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    change = "UPDATE loan_balance SET principal_normal = principal_normal + :cents"
    change += " WHERE loan_id = :loan"
    bank.house.sql(change, "servicing", write=True, cents=1, loan=loan_id)
    run = bank.run_day()
    assert run.state == pb.RUN_STATE_BLOCKED
    assert run.error == "BOOKS_DISAGREE: 1303.01: 1000001 here, 1000000 in the ledger"
    bank.house.sql(change, "servicing", write=True, cents=-1, loan=loan_id)
    bank.end_day()


def test_the_day_opens_on_every_loan_it_brings_something(new_bank: type[Bank]) -> None:
    """Off balance with all paid, the loan is cured once that is not so by hand any more; costs are
    paid out of money held.
    """
    bank = new_bank(non_accrual=product_pb2.NonAccrualTerms(cure_periods=0))
    cured, held = bank.lend().loan_id, bank.lend().loan_id
    bank.change("TransferLoanStatus", cured, cause=IMPAIRMENT_CAUSE_BANKRUPTCY)
    bank.repay(held, 20_000)
    bank.end_day()
    bank.change("AdvanceLegalCosts", held, amount=money(15_000))
    assert bank.loan(cured).state == loan_pb2.LOAN_STATE_NON_ACCRUAL
    bank.change("RestoreLoanStatus", cured)
    bank.end_day()
    assert bank.loan(cured).state == loan_pb2.LOAN_STATE_NORMAL
    assert bank.posted(held, "OVERPAYMENT_APPLIED") == [{"legal_costs": 15_000}]
    assert bank.owes(held)["overpayment"] == 5_000
    bank.assert_books_agree()


def test_what_comes_while_a_day_is_ended_is_booked_on_the_next(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    with ThreadPoolExecutor(4) as pool:
        ended = pool.submit(bank.run_day)
        paid = [pool.submit(bank.repay, loan_id, 100 + n) for n in range(12)]
        dates = {future.result().repayment.value_date.day for future in paid}
        assert ended.result().state == pb.RUN_STATE_DONE
    assert dates <= {15, 16}
    bank.day += timedelta(days=1)
    bank.assert_books_agree()
    bank.end_day()


def test_a_debit_without_funds_leaves_the_instalment_due_and_then_overdue(bank: Bank) -> None:
    bank.fails("card-broke")
    loan_id = bank.lend(card="card-broke").loan_id
    bank.end_days(date(2026, 2, 16))
    loan = bank.loan(loan_id)
    assert (loan.state, loan.dpd, loan.amount_past_due) == (
        loan_pb2.LOAN_STATE_OVERDUE,
        1,
        88_849 + 39 + 5,
    )
    assert bank.posted(loan_id, "PRINCIPAL_OVERDUE") == [{"principal": 78_849}]
    bank.assert_books_agree()
    bank.end_days(date(2026, 3, 7))
    answer = bank.repay(loan_id, 89_737)
    assert answer.loan.state == loan_pb2.LOAN_STATE_NORMAL
    allocation = answer.repayment.allocation
    assert (allocation.penalty, allocation.compound) == (788, 100)
    assert bank.schedule(loan_id)[0].state == loan_pb2.INSTALMENT_STATE_PAID
    bank.end_day()
    bank.assert_books_agree()


def test_grace_that_is_not_kept_counts_from_the_due_date(new_bank: type[Bank]) -> None:
    bank = new_bank(grace_days=3)
    bank.fails("card-grace")
    loan_id = bank.lend(card="card-grace").loan_id
    bank.end_days(date(2026, 2, 18))
    assert (bank.loan(loan_id).dpd, bank.posted(loan_id, "PRINCIPAL_OVERDUE")) == (3, [])
    bank.end_day()
    assert bank.owes(loan_id)["penalty"] == 158
    bank.assert_books_agree()


def test_a_debit_known_only_later_is_worth_its_due_date(bank: Bank) -> None:
    bank.script(DEBIT, "card-fog", Behaviour(unknown_answers=1000))
    loan_id = bank.lend(card="card-fog").loan_id
    bank.end_days(date(2026, 2, 20))
    assert bank.loan(loan_id).dpd == 5
    assert bank.owes(loan_id)["penalty"] == 197
    bank.house.sql(
        "UPDATE payment SET unknown_left = 0 WHERE card_token = 'card-fog'",
        "simulators",
        write=True,
    )
    bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    loan = bank.loan(loan_id)
    assert (loan.state, loan.dpd) == (loan_pb2.LOAN_STATE_NORMAL, 0)
    assert set(bank.owes(loan_id)) == {"principal_normal", "interest_accrued"}
    assert bank.balance("6011.02") == 0
    bank.assert_books_agree()
    (debit,) = [payment for payment in bank.payments("card-fog") if payment.debit]
    assert debit.times_sent == 1


def test_a_debit_known_after_the_loan_was_settled_is_held_with_the_penalty_it_spares(
    bank: Bank,
) -> None:
    bank.script(DEBIT, "card-twice", Behaviour(unknown_answers=1000))
    loan_id = bank.lend(card="card-twice").loan_id
    bank.end_days(date(2026, 2, 17))
    owed = bank.loan(loan_id).amount_past_due
    bank.repay(loan_id, owed)
    bank.end_day()
    total = bank.day_payoff(loan_id)
    assert bank.repay(loan_id, total, "SETTLE").loan.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    bank.house.sql(
        "UPDATE payment SET unknown_left = 0 WHERE card_token = 'card-twice'",
        "simulators",
        write=True,
    )
    bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    assert bank.owes(loan_id) == {"overpayment": 88_849 + 79 + 10}
    bank.assert_books_agree()


def test_an_answer_that_comes_after_the_day_ended_does_not_book_a_debit_again(bank: Bank) -> None:
    bank.script(DEBIT, "card-tardy", Behaviour(delay=Duration(seconds=7)))
    loan_id = bank.lend(card="card-tardy").loan_id
    bank.end_days(date(2026, 2, 16))
    assert bank.loan(loan_id).dpd == 1, "nobody waited for it"
    bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    bank.end_day()
    assert [each["funds_channel"] for each in bank.posted(loan_id, "REPAYMENT_RECEIVED")] == [
        88_849
    ]
    assert bank.loan(loan_id).dpd == 0
    assert "overpayment" not in bank.owes(loan_id)
    bank.assert_books_agree()


def loans_of(payload: Any) -> list[str]:
    """Of whom an event tells."""
    if isinstance(payload, event_pb2.InstalmentsDue):
        return [each.loan.loan_id for each in payload.instalments]
    if isinstance(payload, event_pb2.LoansOverdue):
        return [each.loan_id for each in payload.loans]
    return [payload.loan.loan_id]


def test_others_are_told_in_the_order_things_happened(bank: Bank) -> None:
    bank.fails("card-told")
    loan_id = bank.lend(card="card-told").loan_id
    bank.end_days(date(2026, 2, 17))
    told = []
    for event in bank.events():
        kind = event.WhichOneof("payload")
        payload = getattr(event, kind)
        if kind == "day_closed":
            if payload.book_id == bank.book:
                told.append((event.business_date.day, "day_closed"))
        elif kind == "reminders_due":
            told += [
                (event.business_date.day, f"reminder {each.days_before}")
                for each in payload.reminders
                if each.loan.loan_id == loan_id
            ]
        elif kind != "line_changed" and loan_id in loans_of(payload):
            told.append((event.business_date.day, kind))
    last = [each for each in told if each[1] != "day_closed"]
    assert last == [
        (15, "loan_opened"),
        (12, "reminder 3"),
        (14, "reminder 1"),
        (15, "instalments_due"),
        (15, "reminder 0"),
        (16, "loan_state_changed"),
        (16, "loans_overdue"),
        (16, "reminder -1"),
        (17, "loans_overdue"),
    ]
    assert told.count((17, "day_closed")) == 2
