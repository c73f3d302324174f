"""Servicing is killed between sending a debit and learning of it; each card is debited once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from servicing.bank import DUE_TOMORROW, START, Bank

from support import House, wait_until
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import end_of_day_pb2
from tael_client.values import from_date

DEBIT_BATCH = "tael.provider.v1.PaymentProviderService/DebitBatch"
INSTALMENT = 87_998


@pytest.fixture
def bank(data_dir: Path) -> Iterator[Bank]:
    """A bank of processes that can be killed."""
    with House(data_dir) as house:
        house.spawn("simulators", "ledger", "servicing")
        yield Bank(house, **DUE_TOMORROW)


def lend(bank: Bank, loans: int) -> list[str]:
    """Loans with something due tomorrow."""
    return [
        bank.lend(card=f"card-{number}", repay_day=START.day + 1).loan_id for number in range(loans)
    ]


def strike(bank: Bank) -> None:
    bank.house.kill("servicing")
    bank.house.spawn("servicing")


def end_day(bank: Bank) -> None:
    """Ends the day, however often that takes."""

    def ended() -> bool:
        try:
            return bank.run_day().state == end_of_day_pb2.RUN_STATE_DONE
        except grpc.RpcError:
            return False

    wait_until(ended, 60, "the day to end")
    bank.day += timedelta(days=1)


def assert_each_was_debited_once(bank: Bank, loan_ids: list[str]) -> None:
    seen = [each for number in range(len(loan_ids)) for each in bank.payments(f"card-{number}")]
    taken = [each for each in seen if each.debit]
    assert [(each.minor_units, each.moved) for each in taken] == [
        (INSTALMENT, True) for _ in loan_ids
    ]
    assert {each.times_sent for each in taken} == {1}, "asked after, and never asked again"
    for loan_id in loan_ids:
        (repaid,) = bank.posted(loan_id, "REPAYMENT_RECEIVED")
        assert repaid["funds_channel"] == INSTALMENT
        assert "overpayment" not in bank.owes(loan_id)
    assert bank.balance("1221.01") == len(loan_ids) * INSTALMENT


def test_killed_between_sending_and_learning_it_learns_and_asks_nobody_again(bank: Bank) -> None:
    loan_ids = lend(bank, 3)
    bank.script(DEBIT_BATCH, "", Behaviour(delay=Duration(seconds=3)))
    end_day(bank)
    arrived = [f"card-{number}" for number in range(3)]
    wait_until(
        lambda: all(any(each.debit for each in bank.payments(card)) for card in arrived),
        what="the channel to have them",
    )
    strike(bank)
    for loan_id in loan_ids:
        bank.await_debit(loan_id, "SUCCESS")
    end_day(bank)
    assert_each_was_debited_once(bank, loan_ids)


def test_killed_at_any_moment_of_sending_and_booking_it_debits_and_books_once(bank: Bank) -> None:
    dice = random.Random(81)
    loan_ids = lend(bank, 4)
    end_day(bank)
    for _ in range(3):
        time.sleep(dice.uniform(0, 0.4))
        strike(bank)
    for loan_id in loan_ids:
        bank.await_debit(loan_id, "SUCCESS")
    bank.day_ends.RunEndOfDay(
        end_of_day_pb2.RunEndOfDayRequest(book_id=bank.book, business_date=from_date(bank.day))
    )
    time.sleep(dice.uniform(0, 0.3))
    strike(bank)
    end_day(bank)
    end_day(bank)
    assert_each_was_debited_once(bank, loan_ids)
