"""Servicing is killed while a repayment of another day is booked; it stands in the books once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import grpc
import pytest
from servicing.bank import START, Bank, every_ten_days

from support import House, rid, wait_until
from tael.ledger.v1 import accounting_pb2
from tael.servicing.v1 import loan_pb2, repayment_pb2
from tael_client.values import from_date, money
from tael_servicing.end_of_day.checks import CODES
from tael_servicing.tables import BALANCES

INSTALMENT = 168_617
ASKED_AGAIN_SECONDS = 60


@pytest.fixture
def bank(data_dir: Path) -> Iterator[Bank]:
    """A bank of processes that can be killed."""
    with House(data_dir) as house:
        house.spawn("simulators", "ledger", "servicing")
        yield Bank(house, **every_ten_days())


def strike(bank: Bank) -> None:
    bank.house.kill("servicing")
    bank.house.spawn("servicing")


def repayment(loan_id: str, value_date: date) -> repayment_pb2.RepayRequest:
    return repayment_pb2.RepayRequest(
        request_id=rid(),
        loan_id=loan_id,
        amount=money(INSTALMENT),
        funding=repayment_pb2.FUNDING_TRANSFER,
        value_date=from_date(value_date),
    )


def answered(bank: Bank, request: repayment_pb2.RepayRequest) -> repayment_pb2.RepayResponse:
    """The answer, however often it takes to ask."""

    def ask() -> repayment_pb2.RepayResponse | None:
        try:
            return bank.repayments.Repay(request)
        except grpc.RpcError:
            return None

    answer: repayment_pb2.RepayResponse = wait_until(ask, ASKED_AGAIN_SECONDS, "an answer")
    return answer


def attempt(bank: Bank, request: repayment_pb2.RepayRequest) -> Future[object]:
    """Asks once, beside the test; what becomes of it does not matter."""
    pool = ThreadPoolExecutor(1)
    asked: Future[object] = pool.submit(bank.repayments.Repay, request, timeout=20)
    pool.shutdown(wait=False)
    return asked


def late(bank: Bank) -> str:
    """A loan whose first instalment is four days past due."""
    bank.fails("card-late", times=60)
    loan_id = bank.lend(card="card-late", periods=6).loan_id
    bank.end_days(START + timedelta(days=14))
    return loan_id


def assert_paid_once(bank: Bank, loan_id: str) -> None:
    assert [each.amount.minor_units for each in bank.repaid(loan_id)] == [INSTALMENT]
    assert bank.loan(loan_id).dpd == 0
    first = bank.schedule(loan_id)[0]
    assert (first.state, first.penalty) == (loan_pb2.INSTALMENT_STATE_PAID, 0)
    assert bank.balance("1303.02", f"LOAN:{loan_id}") == 0
    assert bank.balance("1132.03", f"LOAN:{loan_id}") == 0
    request = accounting_pb2.TrialBalanceRequest(book_id=bank.book)
    books = {row.account.code: row.balance for row in bank.accounting.TrialBalance(request).rows}
    owed = bank.owes(loan_id)
    assert {name: books.get(CODES[name], 0) for name in BALANCES if name in owed} == owed
    assert bank.balance("1003") == INSTALMENT - 1_000_000


def test_killed_between_its_commit_and_the_ledgers_answer_it_is_in_the_books_once(
    bank: Bank,
) -> None:
    loan_id = late(bank)
    request = repayment(loan_id, START + timedelta(days=10))
    bank.house.kill("ledger")
    asked = attempt(bank, request)
    query = "SELECT count(*) FROM outgoing_posting WHERE state = 'PENDING'"
    wait_until(lambda: bank.house.sql(query, "servicing")[0][0] == 1, 20, "it to be committed")
    strike(bank)
    assert asked.exception(timeout=30) is not None
    bank.house.spawn("ledger")

    answer = answered(bank, request)

    assert answer.repayment.entry_sequences
    assert_paid_once(bank, loan_id)
    bank.end_day()
    assert bank.loan(loan_id).dpd == 0


def test_killed_at_any_moment_it_is_in_the_books_once(bank: Bank) -> None:
    dice = random.Random(19)
    loan_id = late(bank)
    request = repayment(loan_id, START + timedelta(days=10))
    for _ in range(4):
        asked = attempt(bank, request)
        time.sleep(dice.uniform(0, 0.08))
        strike(bank)
        asked.exception(timeout=30)
    answered(bank, request)
    assert_paid_once(bank, loan_id)
    bank.end_day()
