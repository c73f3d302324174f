"""Processes are killed at random moments; nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from google.type import decimal_pb2
from rich.console import Console

from support import House, refusal, wait_until
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc, proof_pb2, proof_pb2_grpc
from tael.origination.v1 import contract_pb2
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    end_of_day_pb2,
    end_of_day_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
    repayment_pb2,
    repayment_pb2_grpc,
)
from tael_cli import setup
from tael_cli.audit import compare_subledger
from tael_cli.audit import list_loans as every_loan
from tael_cli.demo.people import App, Person
from tael_cli.demo.show import Stage
from tael_cli.services import Services
from tael_cli.setup import PRODUCT, product_terms
from tael_client.values import from_date, money
from tael_runtime.embedded_postgres import EmbeddedPostgres

T = TypeVar("T")
START = date(2026, 1, 15)
WAVE = 12
VICTIMS = ("servicing", "ledger", "postmaster")
PRINCIPAL = 1_000_000
PATIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN")


def insist(call: Callable[[], T]) -> T:
    """Repeats a call until it is answered, as a caller with a request_id may."""
    end = time.monotonic() + 90
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if refusal(error)[0] not in PATIENT or time.monotonic() > end:
                raise
            time.sleep(0.1)


def strike(house: House, victim: str) -> None:
    """SIGKILL, and a start again; the postmaster is revived by the services."""
    if victim == "postmaster":
        os.kill(postmaster(house.data_dir), signal.SIGKILL)
    else:
        house.kill(victim)
        house.spawn(victim)


@contextmanager
def killings(house: House, dice: random.Random) -> Iterator[list[str]]:
    """Kills the VICTIMS in turn, at random moments, until the block ends.

    Yields the list of the killed as it grows.
    """
    over = threading.Event()
    killed: list[str] = []

    def reap() -> None:
        for victim in cycle(VICTIMS):
            if over.wait(dice.uniform(0.3, 1.2)):
                return
            strike(house, victim)
            killed.append(victim)

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        yield killed
    finally:
        over.set()
        reaper.join()


def postmaster(data_dir: Path) -> int:
    (pid_file,) = data_dir.rglob("postmaster.pid")
    return int(pid_file.read_text().splitlines()[0])


@pytest.fixture
def bank() -> Iterator[House]:
    """Ledger, servicing and the outside world as processes over a cluster of their own."""
    folder = Path(tempfile.mkdtemp(prefix="tael-kills-"))
    folder.chmod(0o755)  # so that the cluster lies in it, whoever PostgreSQL runs as
    with House(folder) as house:
        house.spawn("simulators", "ledger", "servicing")
        house.client("ledger", ledger_pb2_grpc.LedgerServiceStub).CreateBook(
            ledger_pb2.CreateBookRequest(
                request_id="book",
                book_id="main",
                legal_entity="Bank",
                currency_code="CNY",
                business_date=from_date(START),
            )
        )
        house.client("servicing", product_pb2_grpc.ProductServiceStub).PublishProduct(
            product_pb2.PublishProductRequest(
                request_id="product",
                code=PRODUCT,
                name="Cash",
                terms=product_terms(),
                book_id="main",
            )
        )
        yield house
    EmbeddedPostgres(folder).destroy()
    shutil.rmtree(folder)


def grant(house: House, limit: int) -> str:
    lines = house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
    return lines.GrantCreditLine(
        credit_line_pb2.GrantCreditLineRequest(
            request_id="line",
            customer_id="c1",
            product_code=PRODUCT,
            limit=money(limit),
            revolving=True,
            annual_rate=decimal_pb2.Decimal(value="0.12"),
            valid_to=from_date(START + timedelta(days=365)),
        )
    ).line.line_id


def disburse(house: House, line_id: str, number: int) -> loan_pb2.Loan:
    loans = house.client("servicing", loan_pb2_grpc.LoanServiceStub)
    request = loan_pb2.DisburseLoanRequest(
        request_id=f"loan-{number}",
        line_id=line_id,
        principal=money(PRINCIPAL),
        periods=12,
        card_token=f"card-{number}",
    )
    return insist(lambda: loans.DisburseLoan(request).loan)


def end_day(house: House, day: date) -> None:
    stub = house.client("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)
    request = end_of_day_pb2.RunEndOfDayRequest(book_id="main", business_date=from_date(day))

    def to_the_end() -> None:
        last = None
        for progress in stub.RunEndOfDay(request):
            last = progress.run
        assert last is not None
        assert last.state == end_of_day_pb2.RUN_STATE_DONE, last.error

    insist(to_the_end)


def list_loans(house: House) -> list[loan_pb2.Loan]:
    services = Services(house.settings)
    loans = list(every_loan(services, "main"))
    services.close()
    return loans


def assert_sound(house: House) -> None:
    """The books prove themselves, and servicing agrees with them loan by loan."""
    proof = house.client("ledger", proof_pb2_grpc.ProofServiceStub)
    parts = list(proof.Prove(proof_pb2.ProveRequest(book_id="main")))
    assert [part.finding for part in parts if part.HasField("finding")] == []
    services = Services(house.settings)
    wait_until(lambda: not list(compare_subledger(services, "main")), what="the outbox to empty")
    services.close()


def test_killed_servers_and_postmaster_lose_no_loan_and_pay_none_twice(bank: House) -> None:
    line_id = grant(bank, 1_000 * PRINCIPAL)
    repay = bank.client("servicing", repayment_pb2_grpc.RepaymentServiceStub)

    def life(number: int) -> str:
        loan = disburse(bank, line_id, number)
        request = repayment_pb2.RepayRequest(
            request_id=f"repay-{number}", loan_id=loan.loan_id, amount=money(1_000 + number)
        )
        insist(lambda: _paid_out(bank, loan.loan_id))
        insist(lambda: repay.Repay(request))
        return loan.loan_id

    loan_ids: list[str] = []
    with killings(bank, random.Random(7)) as killed, ThreadPoolExecutor(4) as pool:
        while len(killed) < 2 * len(VICTIMS) and len(loan_ids) < 600:
            wave = range(len(loan_ids), len(loan_ids) + WAVE)
            loan_ids += pool.map(life, wave)

    assert set(killed) == set(VICTIMS), killed
    loans_made = len(loan_ids)
    assert len(set(loan_ids)) == loans_made
    listed = list_loans(bank)
    assert {loan.loan_id for loan in listed} == set(loan_ids)
    assert {loan.state for loan in listed} == {loan_pb2.LOAN_STATE_NORMAL}
    assert sum(loan.balances.overpayment for loan in listed) == sum(
        1_000 + number for number in range(loans_made)
    )
    lines = bank.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
    line = lines.GetCreditLine(credit_line_pb2.GetCreditLineRequest(line_id=line_id)).line
    assert (line.used.minor_units, line.reserved.minor_units) == (loans_made * PRINCIPAL, 0)
    outside = bank.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)
    payments = outside.ListPayments(simulator_pb2.ListPaymentsRequest()).payments
    assert sorted(p.card_token for p in payments if p.moved) == sorted(
        f"card-{number}" for number in range(loans_made)
    )
    assert_sound(bank)


def _paid_out(house: House, loan_id: str) -> None:
    """Waits for the payout's outcome of a loan whose call was cut off."""
    loans = house.client("servicing", loan_pb2_grpc.LoanServiceStub)
    request = loan_pb2.GetLoanRequest(loan_id=loan_id)
    wait_until(
        lambda: loans.GetLoan(request).loan.state == loan_pb2.LOAN_STATE_NORMAL, 60, "the payout"
    )


# The same life, undisturbed and struck in the middle of everything ---------------------------------

SERVICES = ("simulators", "ledger", "servicing", "risk", "origination", "collections")
ZHANG = ("张伟", "110101199003077897", "13800138001", "6222021234567890128")
LI = ("李娜", "320501198512123333", "13800138002", "6217001234567890122")

Struck = Callable[[str, Callable[[], T]], T]
"""Calls something; in the disturbed life, while the named service is killed."""


def undisturbed(_victim: str, call: Callable[[], T]) -> T:
    return call()


def disturbed(house: House, dice: random.Random) -> Struck[T]:
    def struck(victim: str, call: Callable[[], T]) -> T:
        with ThreadPoolExecutor(1) as caller:
            under_way = caller.submit(call)
            time.sleep(dice.uniform(0.01, 0.2))
            strike(house, victim)
            return under_way.result()

    return struck


def lead_a_life(house: House, struck: Struck[object]) -> bytes:
    """Six loans, six repayments, six nights: one of each a service. The canonical journal."""
    house.spawn(*SERVICES)
    house.set_clock("2026-01-15T10:00")
    services = Services(house.settings)
    setup.seed(services, "main", START)
    stage = Stage(Console(file=io.StringIO()))
    apps = []
    for facts in (ZHANG, LI):
        apps.append(App(services, stage, Person(*facts), START))
        apps[-1].register()
        apps[-1].apply(2_000_000)
        apps[-1].sign_contract()
    repayments = house.client("servicing", repayment_pb2_grpc.RepaymentServiceStub)
    loans: list[str] = []
    for number, victim in enumerate(SERVICES):
        app = apps[number // 3]
        loan = struck(victim, lambda: app.draw(500_000 + 10_000 * number))  # noqa: B023  called at once
        assert isinstance(loan, contract_pb2.Drawdown)
        assert loan.state == contract_pb2.DRAWDOWN_STATE_PAID
        loans.append(loan.loan_id)
    for number, victim in enumerate(SERVICES):
        request = repayment_pb2.RepayRequest(
            request_id=f"repay-{number}", loan_id=loans[number], amount=money(10_000 + number)
        )
        struck(victim, lambda: insist(lambda: repayments.Repay(request)))  # noqa: B023
    for night, victim in enumerate(SERVICES):
        struck(victim, lambda: end_day(house, START + timedelta(days=night)))  # noqa: B023
    services.close()
    assert_sound(house)
    proof = house.client("ledger", proof_pb2_grpc.ProofServiceStub)
    export = proof_pb2.ExportJournalRequest(
        book_id="main", format=proof_pb2.EXPORT_FORMAT_CANONICAL
    )
    return b"".join(part.chunk for part in proof.ExportJournal(export))


def test_each_service_killed_in_the_middle_of_everything_leaves_the_books_of_a_quiet_life(
    data_dir: Path,
) -> None:
    with House(data_dir) as quiet:
        expected = lead_a_life(quiet, undisturbed)
    with House(data_dir) as struck:
        found = lead_a_life(struck, disturbed(struck, random.Random(11)))
        outside = struck.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)
        payments = outside.ListPayments(simulator_pb2.ListPaymentsRequest()).payments
    assert len([line for line in expected.splitlines() if b"LOAN_DISBURSED" in line]) >= 12
    assert found.decode() == expected.decode()
    assert sorted(p.minor_units for p in payments if p.moved) == [
        500_000 + 10_000 * number for number in range(6)
    ]
