"""A day end in the hands of who runs it: set aside, resumed, caught up, rehearsed, listed."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import grpc
import pytest
from servicing.bank import DUE_TOMORROW, START, Bank
from servicing.test_day_reports import report

from support import free_port, load, refusal, rid
from tael.ledger.v1 import ledger_pb2, proof_pb2, proof_pb2_grpc
from tael.servicing.v1 import end_of_day_pb2 as pb
from tael_client.values import from_date
from tael_runtime import work
from tael_runtime.server import RunningService
from tael_runtime.settings import ServiceSettings
from tael_runtime.work import LEASE_SECONDS
from tael_servicing import books, loan_store, repayments
from tael_servicing.desk import open_desk
from tael_servicing.end_of_day import STEPS
from tael_servicing.end_of_day import set_aside as aside
from tael_servicing.end_of_day.step import Closing
from tael_servicing.repayments import Receipt

MOST = 9_223_372_036_854_775_807
"""The store's greatest number."""


def resume(bank: Bank, day: date) -> pb.EndOfDayRun:
    request = pb.ResumeEndOfDayRequest(book_id=bank.book, business_date=from_date(day))
    *_, last = bank.day_ends.ResumeEndOfDay(request)
    return last.run


def set_aside(bank: Bank, day: date | None = None) -> list[pb.LoanSetAside]:
    request = pb.ListLoansSetAsideRequest(
        book_id=bank.book, business_date=from_date(day) if day else None
    )
    return list(bank.day_ends.ListLoansSetAside(request).loans)


def line(bank: Bank, loan_id: str, per_night: int, denominator: int) -> tuple[int, int]:
    """Writes over how a loan's interest grows; returns how it did."""
    read = "SELECT per_night, denominator FROM accrual_position WHERE loan_id = :loan"
    (before,) = bank.house.sql(read, "servicing", loan=loan_id)
    bank.house.sql(
        "UPDATE accrual_position SET per_night = :night, denominator = :denominator"
        " WHERE loan_id = :loan",
        "servicing",
        write=True,
        loan=loan_id,
        night=per_night,
        denominator=denominator,
    )
    return tuple(before)


def test_a_loan_at_fault_is_set_aside_and_the_day_waits_for_it_alone(bank: Bank) -> None:
    first, faulty, last = (bank.lend().loan_id for _ in range(3))
    before = line(bank, faulty, MOST - 1, MOST)
    for _ in range(2):
        run = bank.run_day()
        assert run.state == pb.RUN_STATE_BLOCKED
        assert run.error.startswith(f"LOANS_SET_ASIDE: 1 set aside: {faulty} (accrue: ")
        assert run.loans_set_aside == 1
    assert [step.step for step in run.steps if step.state == pb.RUN_STATE_DONE][-1] == "snapshot"
    (aside,) = set_aside(bank)
    assert (aside.loan_id, aside.step, aside.cured) == (faulty, "accrue", False)
    assert "out of range" in aside.reason
    for loan_id, nights in ((first, 1), (faulty, 0), (last, 1)):
        assert len(bank.posted(loan_id, "INTEREST_ACCRUED")) == nights
    line(bank, faulty, *before)
    assert resume(bank, START).state == pb.RUN_STATE_DONE
    assert set_aside(bank) == []
    assert [each.cured for each in set_aside(bank, START)] == [True]
    nights = [bank.posted(each, "INTEREST_ACCRUED") for each in (first, faulty, last)]
    assert nights == [[{"interest": 323}]] * 3
    ((request_id,),) = bank.house.sql(
        "SELECT request_id FROM night_posting WHERE first_loan_id = :loan AND last_loan_id = :loan",
        "servicing",
        loan=faulty,
    )
    assert "supplement" in request_id
    bank.day += timedelta(days=1)
    bank.assert_books_agree()
    bank.end_day()


def test_a_loan_set_aside_takes_a_back_dated_repayment_on_the_day_that_waits_for_it(
    bank: Bank,
) -> None:
    twin, faulty = bank.lend().loan_id, bank.lend().loan_id
    bank.end_day()
    prepaid = {"kind": "PREPAY_KEEP_TERM", "value_date": from_date(START)}
    bank.repay(twin, 200_000, **prepaid)
    # The night it had came to 323; with the next one the numerator is out of range.
    line(bank, faulty, 323 * (MOST // 600), MOST // 600)
    assert bank.run_day().state == pb.RUN_STATE_BLOCKED
    bank.repay(faulty, 200_000, **prepaid)
    assert resume(bank, bank.day).state == pb.RUN_STATE_DONE
    bank.day += timedelta(days=1)
    assert bank.owes(faulty) == bank.owes(twin)
    assert bank.posted(faulty, "INTEREST_ACCRUED") == bank.posted(twin, "INTEREST_ACCRUED")
    bank.assert_books_agree()


def test_a_loan_that_was_set_aside_is_in_the_report_and_in_the_last_checks(bank: Bank) -> None:
    _, faulty = bank.lend().loan_id, bank.lend().loan_id
    line(bank, faulty, MOST - 1, MOST)
    assert bank.run_day().state == pb.RUN_STATE_BLOCKED
    bank.repay(faulty, 200_000, "PREPAY_KEEP_TERM")  # which writes its lines anew
    assert resume(bank, START).state == pb.RUN_STATE_DONE
    told = report(bank)
    steps = {each.step: each for each in told.run.steps}
    assert (steps["accrue"].loans, steps["snapshot"].loans) == (2, 2)
    assert [(each.event, each.amount_type, each.minor_units) for each in told.events] == [
        ("INTEREST_ACCRUED", "interest", 323 + 259)
    ]
    totals = {each.gl_code: each for each in told.control_totals}
    assert totals["1132.01"].servicing == 323 + 259
    for each in totals.values():
        assert each.servicing == each.ledger
        assert not each.HasField("loan_ledger") or each.loan_ledger == each.servicing


def test_books_that_a_cured_loan_makes_disagree_are_not_closed(bank: Bank) -> None:
    faulty = bank.lend().loan_id
    before = line(bank, faulty, MOST - 1, MOST)
    assert bank.run_day().state == pb.RUN_STATE_BLOCKED
    line(bank, faulty, *before)
    change = "UPDATE loan_balance SET principal_normal = principal_normal + :cents"
    change += " WHERE loan_id = :loan"
    bank.house.sql(change, "servicing", write=True, cents=1, loan=faulty)
    assert (
        resume(bank, START).error == "BOOKS_DISAGREE: 1303.01: 1000001 here, 1000000 in the ledger"
    )
    bank.house.sql(change, "servicing", write=True, cents=-1, loan=faulty)
    assert resume(bank, START).state == pb.RUN_STATE_DONE


def test_what_is_being_booked_on_a_loan_set_aside_is_booked_before_it_is_worked(bank: Bank) -> None:
    faulty = bank.lend().loan_id
    before = line(bank, faulty, MOST - 1, MOST)
    assert bank.run_day().state == pb.RUN_STATE_BLOCKED
    line(bank, faulty, *before)
    database = bank.house.running["servicing"].runtime.database
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as transaction:
            day, held = loan_store.lock_on_open_day(transaction, faulty)
            resumed = pool.submit(resume, bank, START)
            time.sleep(0.5)
            assert not resumed.done()
            repayments.book(transaction, held, Receipt(200_000, "DUE", "OWN_ACCOUNT", ""), day)
        assert resumed.result().state == pb.RUN_STATE_DONE
    bank.day += timedelta(days=1)
    assert bank.owes(faulty)["overpayment"] == 200_000
    bank.assert_books_agree()


def test_a_loan_set_aside_again_has_the_nights_that_it_had_meanwhile(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    database = bank.house.running["servicing"].runtime.database
    closing = Closing(open_desk(bank.house.running["servicing"].runtime), bank.book, START)
    with database.begin() as transaction:
        aside.put(transaction, closing, loan_id, "overdue", ValueError("illegible"))
        (first,) = aside.open_loans(transaction, bank.book)
        aside.cure(transaction, first)
        books.accrued(transaction, bank.book, closing.next_day)
        aside.put(transaction, closing, loan_id, "snapshot", ValueError("illegible"))
        (second,) = aside.open_loans(transaction, bank.book)
        transaction.rollback()
    assert (first.accrued_to, second.accrued_to) == (START, START + timedelta(days=1))


def begun_with(bank: Bank, *names: str) -> None:
    """Begins the day's run as a version with these steps does."""
    database = bank.house.running["servicing"].runtime.database
    with database.begin() as transaction:
        run = work.open_run(transaction, books.DAY_END, f"{bank.book}:{bank.day}", names)
        work.set_run_state(transaction, run.run_id, "BLOCKED", "stopped for another version")


def test_a_run_that_another_version_began_is_ended_with_the_steps_it_was_begun_with(
    bank: Bank,
) -> None:
    bank.lend()
    names = [step.name for step in STEPS if step.name not in ("overdue", "recheck")]
    begun_with(bank, *names)
    run = bank.end_day()
    assert [step.step for step in run.steps] == names
    assert {step.state for step in run.steps} == {pb.RUN_STATE_DONE}
    bank.assert_books_agree()
    begun_with(bank, "cut_off", "dunning")
    assert bank.run_day().error.startswith("STEP_UNKNOWN: ")
    assert bank.run_day().state == pb.RUN_STATE_BLOCKED


def test_a_loan_that_cannot_be_opened_keeps_the_next_day_from_opening(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(**DUE_TOMORROW)
    loan_id = bank.lend(repay_day=16).loan_id
    ((kept,),) = bank.house.sql(
        "SELECT kept FROM loan_state WHERE loan_id = :loan", "servicing", loan=loan_id
    )
    change = "UPDATE loan_state SET kept = :kept WHERE loan_id = :loan"
    bank.house.sql(change, "servicing", write=True, loan=loan_id, kept="{")
    run = bank.run_day()
    assert run.state == pb.RUN_STATE_BLOCKED
    assert [each.step for each in set_aside(bank)] == ["open_day"], run.error
    bank.house.sql(change, "servicing", write=True, loan=loan_id, kept=kept)
    assert resume(bank, START).state == pb.RUN_STATE_DONE
    bank.day += timedelta(days=1)
    assert [sorted(each) for each in bank.posted(loan_id, "INTEREST_DUE")] == [["interest"]]
    bank.assert_books_agree()


def freeze(bank: Bank, number: str) -> Callable[[], None]:
    """Has the ledger refuse what is posted on an account; gives what lets it again."""

    def turn(rpc: str) -> None:
        asked = getattr(ledger_pb2, f"{rpc}AccountRequest")(
            request_id=rid(), book_id=bank.book, account_number=number, reason="court order"
        )
        getattr(bank.ledger, f"{rpc}Account")(asked)

    turn("Freeze")
    return lambda: turn("Unfreeze")


def test_one_night_that_the_ledger_refuses_keeps_the_day_open_until_it_takes_it(bank: Bank) -> None:
    loan_ids = [bank.lend().loan_id for _ in range(3)]
    bank.end_day()
    let_go = freeze(bank, f"1132.01:LOAN:{loan_ids[1]}")
    for run in (bank.run_day(), resume(bank, bank.day)):
        assert run.state == pb.RUN_STATE_BLOCKED
        assert run.error.startswith("POSTING_REFUSED: ")
        assert f"1132.01:LOAN:{loan_ids[1]}" in run.error
        assert [step.step for step in run.steps if step.state == pb.RUN_STATE_DONE][-1] == "accrue"
    let_go()
    assert resume(bank, bank.day).state == pb.RUN_STATE_DONE
    bank.day += timedelta(days=1)
    for loan_id in loan_ids:
        assert len(bank.posted(loan_id, "INTEREST_ACCRUED")) == 2
    bank.assert_books_agree()


def test_a_repayment_that_the_ledger_refuses_stands_and_keeps_the_day_from_its_end(
    bank: Bank,
) -> None:
    loan_id = bank.lend().loan_id
    bank.end_day()
    let_go = freeze(bank, f"1303.01:LOAN:{loan_id}")
    with pytest.raises(grpc.RpcError) as refused:
        bank.repay(loan_id, 200_000, "PREPAY_KEEP_TERM")
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "POSTING_REFUSED")
    run = bank.run_day()
    assert (run.state, run.error.partition(":")[0]) == (pb.RUN_STATE_BLOCKED, "POSTING_REFUSED")
    assert not any(step.state == pb.RUN_STATE_DONE for step in run.steps)
    let_go()
    assert resume(bank, bank.day).state == pb.RUN_STATE_DONE
    bank.day += timedelta(days=1)
    assert len(bank.posted(loan_id, "REPAYMENT_RECEIVED")) == 1
    bank.assert_books_agree()


def test_only_a_day_that_was_begun_is_resumed(bank: Bank) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        resume(bank, START)
    assert refusal(refused.value)[0] == "NOT_FOUND"
    done = bank.end_day()
    assert resume(bank, START) == done


def test_missed_days_are_caught_up_one_after_the_other(bank: Bank) -> None:
    loan_id = bank.lend().loan_id
    request = pb.CatchUpRequest(book_id=bank.book, open_date=from_date(START + timedelta(days=3)))
    runs = [told.run for told in bank.day_ends.CatchUp(request)]
    done = [each for each in runs if each.state == pb.RUN_STATE_DONE]
    assert [each.business_date.day for each in done] == [15, 16, 17]
    assert len(bank.posted(loan_id, "INTEREST_ACCRUED")) == 3
    assert list(bank.day_ends.CatchUp(request)) == []
    bank.day += timedelta(days=3)
    bank.assert_books_agree()


def test_runs_are_listed_the_newest_day_first(bank: Bank) -> None:
    runs = [bank.end_day() for _ in range(3)]
    request = pb.ListEndOfDaysRequest(book_id=bank.book, page_size=2)
    first = bank.day_ends.ListEndOfDays(request)
    request.page_token = first.next_page_token
    rest = bank.day_ends.ListEndOfDays(request)
    assert [*first.runs, *rest.runs] == runs[::-1]
    assert rest.next_page_token == ""
    for step in runs[0].steps:
        assert step.started_at.ToNanoseconds() <= step.finished_at.ToNanoseconds()


def test_a_rehearsal_tells_what_the_day_will_do_and_does_nothing(
    new_bank: Callable[..., Bank],
) -> None:
    bank = new_bank(**DUE_TOMORROW)
    loan_id = bank.lend(repay_day=16).loan_id
    proofs = bank.house.client("ledger", proof_pb2_grpc.ProofServiceStub)
    head = proof_pb2.GetHeadRequest(book_id=bank.book)
    before = proofs.GetHead(head), bank.loan(loan_id)
    request = pb.RehearseEndOfDayRequest(book_id=bank.book, business_date=from_date(START))
    told = bank.day_ends.RehearseEndOfDay(request)
    assert (proofs.GetHead(head), bank.loan(loan_id)) == before
    done = {step.step: step for step in bank.end_day().steps}
    for step in told.steps:
        assert (step.loans, step.amounts) == (done[step.step].loans, done[step.step].amounts)
    assert [step.step for step in told.steps if step.loans] == ["accrue", "open_day"]
    with pytest.raises(grpc.RpcError) as refused:
        bank.day_ends.RehearseEndOfDay(request)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")


@contextmanager
def neighbour(bank: Bank) -> Iterator[None]:
    """Another process's servicing, at work on the same store."""
    listen = ServiceSettings(listen=f"127.0.0.1:{free_port()}")
    settings = bank.house.settings.model_copy(update={"servicing": listen})
    running = RunningService(load("servicing"), settings)
    try:
        yield
    finally:
        running.stop(grace=1)


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Nobody else can write into the folder of a day's reports."""
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def test_a_step_that_takes_longer_than_a_workers_lease_is_done_once(bank: Bank) -> None:
    bank.lend()
    folder = bank.house.settings.reports / bank.book / str(bank.day)
    request = pb.RunEndOfDayRequest(book_id=bank.book, business_date=from_date(bank.day))
    with neighbour(bank):
        with taken(folder):
            told = bank.day_ends.RunEndOfDay(request)
            next(each for each in told if working(each.run) == "report")
            time.sleep(2 * LEASE_SECONDS)
        *_, last = told
        assert last.run.state == pb.RUN_STATE_DONE
        written = (folder / "loan-ledger.parquet").stat()
        time.sleep(LEASE_SECONDS)
        assert (folder / "loan-ledger.parquet").stat() == written
    assert bank.run_day().state == pb.RUN_STATE_DONE


def working(run: pb.EndOfDayRun) -> str:
    """The step that is under way."""
    return next((each.step for each in run.steps if each.state == pb.RUN_STATE_RUNNING), "")
