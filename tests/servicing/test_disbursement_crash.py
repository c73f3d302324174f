"""Servicing is killed between each pair of a payout's steps; each payee is paid once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from servicing.bank import PAY, Bank
from servicing.test_disbursement_kinds import TRANCHES, entrusted, payouts, tranche

from support import House, rid, wait_until
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import loan_pb2
from tael_client.values import money

PATIENT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
)
"""What a caller is told whose server goes away."""
PAID, FAILED = loan_pb2.PAYOUT_STATE_PAID, loan_pb2.PAYOUT_STATE_FAILED


@pytest.fixture(scope="module")
def bank(open_house: Callable[..., House]) -> Bank:
    """A bank whose servicing is a process that can be killed."""
    house = open_house("simulators", "ledger")
    house.spawn("servicing")
    return Bank(house, **TRANCHES)


def strike(bank: Bank) -> None:
    bank.house.kill("servicing")
    bank.house.spawn("servicing")


def asked(call: Callable[[], Any]) -> threading.Thread:
    """Calls, and does not wait for an answer that may never come."""

    def work() -> None:
        try:
            call()
        except grpc.RpcError:
            return

    caller = threading.Thread(target=work)
    caller.start()
    return caller


def insist(call: Callable[[], Any]) -> Any:
    """Repeats a call with its request_id until it is answered."""

    def answered() -> Any:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in PATIENT:
                raise
            return None

    return wait_until(answered, 60, "an answer")


def state_of(bank: Bank, payment_id: str) -> str:
    """The payout of a payment as servicing has it; empty before it is ordered."""
    _, loan_id, *number = payment_id.split(":")
    rows = bank.house.sql(
        "SELECT state FROM payout WHERE loan_id = :loan AND number = :number",
        "servicing",
        loan=loan_id,
        number=int(number[0]) if number else 1,
    )
    return rows[0].state if rows else ""


def assert_books_agree(bank: Bank) -> None:
    """The day's end compares servicing's balances with the ledger's."""
    bank.end_day()


def assert_paid_once(bank: Bank, loan_id: str, account: str, number: int) -> None:
    wait_until(
        lambda: [each.state for each in payouts(bank, loan_id)][number - 1 :] == [PAID],
        30,
        "the payout to be known",
    )
    told = bank.told
    wait_until(lambda: all(each.entry_sequences for each in told(loan_id)), what="its postings")
    (payment,) = bank.payments(account)
    assert (payment.moved, payment.times_sent) == (True, 1)
    assert len(bank.posted(loan_id, "ENTRUSTED_PAYMENT_PAID")) == 1
    assert len(bank.posted(loan_id, "ENTRUSTED_PAYMENT_LOCKED")) == 1
    assert bank.balance("2241.02") == 0


def test_killed_between_sending_a_tranche_and_learning_of_it_pays_once(bank: Bank) -> None:
    line_id = bank.grant().line_id
    loan_id = bank.lend(line_id, "card-k", principal=money(400_000)).loan_id
    bank.script(PAY, "acct-k", Behaviour(delay=Duration(seconds=3)))
    request = tranche(loan_id, **entrusted("acct-k"))
    caller = asked(lambda: bank.loans.DisburseTranche(request))
    wait_until(lambda: bank.payments("acct-k"), what="the provider to have it")
    assert state_of(bank, f"pay:{loan_id}:2") == "SENT"
    strike(bank)
    caller.join()
    assert insist(lambda: bank.loans.DisburseTranche(request)).payout.number == 2
    assert_paid_once(bank, loan_id, "acct-k", 2)
    assert bank.loan(loan_id).disbursed == 1_000_000
    assert bank.line(line_id) == (1_000_000, 0, 1_000_000)
    assert_books_agree(bank)


def test_killed_between_booking_and_sending_an_entrusted_payment_pays_once(bank: Bank) -> None:
    """The ledger is away, so that the payout is ordered and cannot be sent."""
    line_id = bank.grant().line_id
    request = bank.disbursement(line_id, "card-b", **entrusted("acct-b"))
    bank.house.stop_one("ledger")
    caller = asked(lambda: bank.loans.DisburseLoan(request))
    ordered = "SELECT loan_id FROM payout WHERE account_token = 'acct-b' AND state = 'READY'"
    wait_until(lambda: bank.house.sql(ordered, "servicing"), what="the payout to be ordered")
    assert not bank.payments("acct-b"), "nothing is paid that is not booked"
    bank.house.kill("servicing")
    caller.join()
    bank.house.start("ledger")
    bank.house.spawn("servicing")
    loan_id = insist(lambda: bank.loans.DisburseLoan(request)).loan.loan_id
    assert_paid_once(bank, loan_id, "acct-b", 1)
    assert bank.line(line_id) == (1_000_000, 0, 1_000_000)
    assert_books_agree(bank)


def test_killed_after_a_failure_gives_all_back_once(bank: Bank) -> None:
    line_id = bank.grant().line_id
    bank.script(PAY, "acct-f", Behaviour(failure_code="ACCOUNT_CLOSED", delay=Duration(seconds=3)))
    request = bank.disbursement(line_id, "card-f", **entrusted("acct-f"))
    caller = asked(lambda: bank.loans.DisburseLoan(request))
    wait_until(lambda: bank.payments("acct-f"), what="the provider to have it")
    strike(bank)
    caller.join()
    loan_id = insist(lambda: bank.loans.DisburseLoan(request)).loan.loan_id
    wait_until(lambda: payouts(bank, loan_id)[0].state == FAILED, 30, "the failure to be known")
    told = bank.told
    wait_until(lambda: all(each.entry_sequences for each in told(loan_id)), what="its postings")
    locked = [each["principal"] for each in bank.posted(loan_id, "ENTRUSTED_PAYMENT_LOCKED")]
    assert locked == [1_000_000, -1_000_000]
    assert bank.line(line_id) == (0, 0, 2_000_000)
    assert_books_agree(bank)


def test_killed_at_any_moment_each_loan_and_each_tranche_is_paid_once(bank: Bank) -> None:
    dice = random.Random(62)
    line_id = bank.grant(limit=6_000_000).line_id

    def life(number: int) -> str:
        first = bank.disbursement(
            line_id, f"card-{number}", request_id=rid(), principal=money(400_000)
        )
        loan_id = insist(lambda: bank.loans.DisburseLoan(first)).loan.loan_id
        normal = loan_pb2.LOAN_STATE_NORMAL
        insist(lambda: bank.loan(loan_id).state == normal)
        more = tranche(loan_id, **entrusted(f"acct-{number}"))
        insist(lambda: bank.loans.DisburseTranche(more))
        return loan_id

    with ThreadPoolExecutor(4) as pool:
        lives = [pool.submit(life, number) for number in range(6)]
        for _ in range(3):
            time.sleep(dice.uniform(0, 0.6))
            strike(bank)
        loan_ids = [each.result() for each in lives]
    for number, loan_id in enumerate(loan_ids):
        assert_paid_once(bank, loan_id, f"acct-{number}", 2)
        (payment,) = bank.payments(f"card-{number}")
        assert (payment.minor_units, payment.times_sent) == (400_000, 1)
        assert bank.loan(loan_id).disbursed == 1_000_000
    assert bank.line(line_id) == (6_000_000, 0, 0)
    assert_books_agree(bank)
