"""Rounds of debits: what is owed is asked, once, and what came of it is on the loan, once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from servicing.bank import DEBIT, DUE_TOMORROW, Bank

from support import refusal, rid, violations, wait_until
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import direct_debit_pb2 as pb
from tael.servicing.v1 import loan_pb2
from tael_client.values import from_date

DUE = date(2026, 1, 16)
INSTALMENT = 87_998
DEBIT_BATCH = "tael.provider.v1.PaymentProviderService/DebitBatch"


@pytest.fixture
def bank(new_bank: type[Bank]) -> Bank:
    """A bank whose loans have something due on its second day."""
    return new_bank(**DUE_TOMORROW)


def prepare(bank: Bank, minimum: int = 0) -> pb.DebitBatch:
    request = pb.PrepareBatchRequest(
        request_id=rid(),
        book_id=bank.book,
        business_date=from_date(bank.day),
        partial_minimum=minimum,
    )
    return bank.direct_debits.PrepareBatch(request).batch


def submit(bank: Bank, batch: pb.DebitBatch) -> pb.DebitBatch:
    request = pb.SubmitBatchRequest(request_id=rid(), batch_id=batch.batch_id)
    return bank.direct_debits.SubmitBatch(request).batch


def batch_of(bank: Bank, batch_id: str) -> pb.DebitBatch:
    return bank.direct_debits.GetBatch(pb.GetBatchRequest(batch_id=batch_id)).batch


def totals(batch: pb.DebitBatch) -> dict[str, tuple[int, int, int]]:
    """By state: debits, asked, debited."""
    return {
        pb.DebitState.Name(each.state).removeprefix("DEBIT_STATE_"): (
            each.debits,
            each.asked,
            each.debited,
        )
        for each in batch.totals
    }


def record(
    bank: Bank, *results: pb.DebitResult, request_id: str = "", pages: int = 1
) -> pb.RecordResultsResponse:
    """Sends results as a file of so many pages."""

    def file() -> Iterator[pb.RecordResultsRequest]:
        size = -(-len(results) // pages)
        yield pb.RecordResultsRequest(
            request_id=request_id or rid(), book_id=bank.book, results=results[:size]
        )
        for start in range(size, len(results), size):
            yield pb.RecordResultsRequest(results=results[start : start + size])

    return bank.direct_debits.RecordResults(file())


def success(debit: pb.Debit, **choices: Any) -> pb.DebitResult:
    return pb.DebitResult(
        **{
            "payment_id": debit.payment_id,
            "status": pb.RESULT_STATUS_SUCCESS,
            "amount": debit.amount.minor_units,
            **choices,
        }
    )


def failure(debit: pb.Debit, code: str = "INSUFFICIENT_FUNDS") -> pb.DebitResult:
    return pb.DebitResult(
        payment_id=debit.payment_id, status=pb.RESULT_STATUS_FAILED, failure_code=code
    )


def nobody_knows(bank: Bank, card: str) -> None:
    """The channel never says what became of the card's next debit."""
    bank.script(DEBIT, card, Behaviour(unknown_answers=1000))


def lend(bank: Bank, *cards: str) -> list[str]:
    """A loan a card; the date the first instalment is due is open."""
    loan_ids = [bank.lend(card=f"{bank.book}-{card}", repay_day=DUE.day).loan_id for card in cards]
    bank.end_days(DUE)
    return loan_ids


def test_what_falls_due_is_asked_by_itself_and_booked_at_the_days_end(bank: Bank) -> None:
    (loan_id,) = lend(bank, "first")
    debit = bank.await_debit(loan_id, "SUCCESS")
    assert (debit.amount.minor_units, debit.debited.minor_units) == (INSTALMENT, INSTALMENT)
    batch = batch_of(bank, debit.batch_id)
    assert (batch.round, batch.state, totals(batch)) == (
        1,
        pb.BATCH_STATE_SUBMITTED,
        {"SUCCESS": (1, INSTALMENT, INSTALMENT)},
    )
    bank.end_day()
    assert batch_of(bank, debit.batch_id).state == pb.BATCH_STATE_DONE
    assert bank.posted(loan_id, "REPAYMENT_RECEIVED")[0]["funds_channel"] == INSTALMENT
    assert bank.balance("1221.01") == INSTALMENT
    (seen,) = [each for each in bank.payments(f"{bank.book}-first") if each.debit]
    assert (seen.payment_id, seen.times_sent) == (debit.payment_id, 1)
    bank.assert_books_agree()


def test_a_later_round_asks_only_whom_it_may_help(bank: Bank) -> None:
    bank.fails(f"{bank.book}-empty", times=1)
    bank.fails(f"{bank.book}-closed", "CARD_CLOSED", times=1)
    nobody_knows(bank, f"{bank.book}-fog")
    paid, empty, closed, fog = lend(bank, "full", "empty", "closed", "fog")
    bank.await_debit(paid, "SUCCESS")
    assert bank.await_debit(empty, "FAILED").retryable
    assert not bank.await_debit(closed, "FAILED").retryable
    bank.await_debit(fog, "UNKNOWN")
    batch = submit(bank, prepare(bank))
    assert (batch.round, sum(each.debits for each in batch.totals)) == (2, 1)
    assert bank.await_debit(empty, "SUCCESS").batch_id == batch.batch_id
    with pytest.raises(grpc.RpcError) as refused:
        prepare(bank)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOTHING_TO_DEBIT")
    bank.end_day()
    assert [bank.loan(each).dpd for each in (paid, empty, closed, fog)] == [0, 0, 1, 1]
    bank.assert_books_agree()


def test_who_repays_meanwhile_is_asked_for_the_rest_or_for_nothing(bank: Bank) -> None:
    for card in ("part", "all"):
        bank.fails(f"{bank.book}-{card}", times=1)
    part, whole = lend(bank, "part", "all")
    for loan_id in (part, whole):
        bank.await_debit(loan_id, "FAILED")
    batch = prepare(bank)
    bank.repay(part, 50_000)
    bank.repay(whole, INSTALMENT)
    submit(bank, batch)
    assert bank.await_debit(part, "SUCCESS").debited.minor_units == INSTALMENT - 50_000
    assert bank.await_debit(whole, "CANCELLED").debited.minor_units == 0
    bank.end_day()
    assert [bank.owes(each).get("overpayment", 0) for each in (part, whole)] == [0, 0]
    assert batch_of(bank, batch.batch_id).state == pb.BATCH_STATE_DONE
    bank.assert_books_agree()


def test_repayments_that_race_with_the_sending_are_never_asked_twice(bank: Bank) -> None:
    cards = [f"race-{number}" for number in range(6)]
    for card in cards:
        bank.fails(f"{bank.book}-{card}", times=1)
    loan_ids = lend(bank, *cards)
    for loan_id in loan_ids:
        bank.await_debit(loan_id, "FAILED")
    batch = prepare(bank)
    with ThreadPoolExecutor(8) as pool:
        pool.submit(submit, bank, batch)
        repaid = [pool.submit(bank.repay, loan_id, INSTALMENT) for loan_id in loan_ids]
        for each in repaid:
            each.result()
    done = pb.BATCH_STATE_DONE
    bank.end_day()
    wait_until(lambda: batch_of(bank, batch.batch_id).state == done, what="the round")
    for loan_id in loan_ids:
        debit = bank.debits(loan_id)[-1]
        over = bank.owes(loan_id).get("overpayment", 0)
        assert over == debit.debited.minor_units, "what was asked before it was repaid is held"
    bank.assert_books_agree()


def test_a_card_that_has_not_all_gives_the_part_that_the_batch_allows(bank: Bank) -> None:
    for card in ("some", "few"):
        bank.fails(f"{bank.book}-{card}", times=1)
    bank.script(DEBIT, f"{bank.book}-some", Behaviour(funds_minor_units=50_000))
    bank.script(DEBIT, f"{bank.book}-few", Behaviour(funds_minor_units=9_999))
    some, few = lend(bank, "some", "few")
    for loan_id in (some, few):
        bank.await_debit(loan_id, "FAILED")
    submit(bank, prepare(bank, minimum=10_000))
    assert bank.await_debit(some, "SUCCESS").debited.minor_units == 50_000
    assert bank.await_debit(few, "FAILED").failure_code == "INSUFFICIENT_FUNDS"
    second = submit(bank, prepare(bank))
    assert sum(each.asked for each in second.totals) == INSTALMENT - 50_000 + INSTALMENT
    for loan_id in (some, few):
        bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    assert [bank.loan(loan_id).amount_past_due for loan_id in (some, few)] == [0, 0]
    assert len(bank.posted(some, "REPAYMENT_RECEIVED")) == 2
    bank.assert_books_agree()


def test_a_batch_that_nobody_submits_is_over_with_its_day(bank: Bank) -> None:
    bank.fails(f"{bank.book}-idle", times=1)
    (loan_id,) = lend(bank, "idle")
    bank.await_debit(loan_id, "FAILED")
    batch = prepare(bank)
    bank.end_day()
    bank.await_debit(loan_id, "CANCELLED")
    with pytest.raises(grpc.RpcError) as refused:
        submit(bank, batch)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")
    later = submit(bank, prepare(bank))
    assert (later.round, later.business_date) == (1, from_date(bank.day))
    bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    assert bank.loan(loan_id).state == loan_pb2.LOAN_STATE_NORMAL
    bank.assert_books_agree()


def test_results_of_a_file_are_taken_once_and_the_rest_is_queued(bank: Bank) -> None:
    cards = ("a", "b", "c")
    for card in cards:
        nobody_knows(bank, f"{bank.book}-{card}")
    loan_ids = lend(bank, *cards)
    a, b, c = (bank.await_debit(loan_id, "UNKNOWN") for loan_id in loan_ids)
    stranger = success(a, payment_id="debit:nobody:2026-02-15:1")
    file = (success(a, reference="r1"), failure(b), success(c, amount=1), stranger)
    request_id = rid()
    answer = record(bank, *file, request_id=request_id, pages=3)
    assert (answer.taken, answer.late, answer.repeated_results, answer.queued) == (2, 0, 0, 2)
    assert record(bank, *file, request_id=request_id) == answer, "for ever"
    again = record(bank, *file)
    assert (again.taken, again.repeated_results, again.queued) == (0, 2, 2)
    turned = record(bank, failure(a), success(b), success(a, reference="r2"))
    assert (turned.taken, turned.queued) == (0, 3)
    listed = bank.direct_debits.ListDifferences(pb.ListDifferencesRequest(book_id=bank.book))
    assert sorted(
        (pb.DifferenceKind.Name(each.kind).removeprefix("DIFFERENCE_KIND_"), each.subject)
        for each in listed.differences
    ) == sorted(
        [
            ("AMOUNT_DIFFERS", c.payment_id),
            ("MISSING_HERE", stranger.payment_id),
            ("RESULT_CONTRADICTS", a.payment_id),
            ("RESULT_CONTRADICTS", b.payment_id),
            ("DUPLICATE", a.payment_id),
        ]
    )
    bank.end_day()
    assert [len(bank.posted(each, "REPAYMENT_RECEIVED")) for each in loan_ids] == [1, 0, 0]
    bank.assert_books_agree()


def test_a_result_that_comes_after_the_close_is_worth_the_day_it_was_asked(bank: Bank) -> None:
    nobody_knows(bank, f"{bank.book}-late")
    (loan_id,) = lend(bank, "late")
    debit = bank.await_debit(loan_id, "UNKNOWN")
    bank.end_days(DUE + timedelta(days=4))
    assert bank.owes(loan_id)["penalty"] > 0
    answer = record(bank, success(debit))
    assert (answer.taken, answer.late) == (1, 1)
    bank.end_day()
    assert set(bank.owes(loan_id)) - {"allowance"} == {"principal_normal", "interest_accrued"}
    assert bank.balance("6011.02") == 0
    bank.assert_books_agree()


def test_callbacks_at_once_book_one_repayment(bank: Bank) -> None:
    nobody_knows(bank, f"{bank.book}-storm")
    (loan_id,) = lend(bank, "storm")
    debit = bank.await_debit(loan_id, "UNKNOWN")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: record(bank, success(debit)), range(16)))
    assert sum(each.taken for each in answers) == 1
    assert sum(each.repeated_results for each in answers) == 15
    bank.end_day()
    bank.end_day()
    assert len(bank.posted(loan_id, "REPAYMENT_RECEIVED")) == 1
    assert "overpayment" not in bank.owes(loan_id)
    bank.assert_books_agree()


def test_a_channel_that_is_silent_holds_up_no_day(bank: Bank) -> None:
    bank.script(DEBIT_BATCH, "", Behaviour(status_code=14, taken=True, delay=Duration(seconds=60)))
    (loan_id,) = lend(bank, "mute")
    bank.await_debit(loan_id, "SENDING")
    started = time.monotonic()
    bank.end_day()
    assert time.monotonic() - started < 20, "a batch sent moments ago is given two seconds"
    assert bank.loan(loan_id).dpd == 1
    bank.await_debit(loan_id, "SUCCESS")
    bank.end_day()
    assert bank.loan(loan_id).dpd == 0
    (seen,) = [each for each in bank.payments(f"{bank.book}-mute") if each.debit]
    assert seen.times_sent == 1
    bank.assert_books_agree()


def test_a_batch_that_never_arrived_is_sent_again_under_its_ids(bank: Bank) -> None:
    bank.script(DEBIT_BATCH, "", Behaviour(status_code=14))
    (loan_id,) = lend(bank, "lost")
    debit = bank.await_debit(loan_id, "SUCCESS")
    (seen,) = [each for each in bank.payments(f"{bank.book}-lost") if each.debit]
    assert (seen.payment_id, seen.times_sent) == (debit.payment_id, 1)
    bank.end_day()
    assert len(bank.posted(loan_id, "REPAYMENT_RECEIVED")) == 1
    bank.assert_books_agree()


def test_one_debit_that_the_channel_refuses_does_not_keep_the_others(bank: Bank) -> None:
    bank.script(DEBIT_BATCH, "", Behaviour(status_code=3))
    bank.script(DEBIT, f"{bank.book}-bad", Behaviour(status_code=3))
    good, bad = lend(bank, "good", "bad")
    bank.await_debit(good, "SUCCESS")
    refused = bank.await_debit(bad, "FAILED")
    assert (refused.failure_code, refused.retryable) == ("REFUSED", False)


def test_a_refusal_of_what_was_sent_before_waits_for_what_may_still_arrive(bank: Bank) -> None:
    """The first sending is on its way while the second is refused; no round asks a second time."""
    on_its_way = Behaviour(status_code=14, arrives_after=Duration(seconds=8))
    no_more = Behaviour(status_code=3)
    card = f"{bank.book}-slow"
    bank.script(DEBIT, card, on_its_way, no_more, no_more)
    (loan_id,) = lend(bank, "slow")

    def is_refused() -> bool:
        query = "SELECT failure_code FROM direct_debit WHERE loan_id = :id"
        return bank.house.sql(query, "servicing", id=loan_id) == [("REFUSED",)]

    wait_until(is_refused, what="the second sending to be refused")
    (debit,) = bank.debits(loan_id)
    assert (debit.state, debit.failure_code) == (pb.DEBIT_STATE_UNKNOWN, "")
    assert bank.await_debit(loan_id, "SUCCESS").failure_code == ""
    assert [each.moved for each in bank.payments(card) if each.debit] == [True]
    bank.end_day()
    assert bank.loan(loan_id).dpd == 0
    bank.assert_books_agree()


def test_what_is_refused_and_never_arrives_fails_in_the_end(bank: Bank) -> None:
    refused = Behaviour(status_code=3)
    bank.script(DEBIT, f"{bank.book}-never", Behaviour(status_code=14), refused, refused)
    (loan_id,) = lend(bank, "never")
    assert bank.await_debit(loan_id, "FAILED").failure_code == "REFUSED"


def test_batches_and_debits_are_listed_page_by_page(bank: Bank) -> None:
    for card in ("x", "y", "z"):
        bank.fails(f"{bank.book}-{card}", times=9)
    loan_ids = lend(bank, "x", "y", "z")
    for _ in range(2):
        for loan_id in loan_ids:
            bank.await_debit(loan_id, "FAILED")
        batch = submit(bank, prepare(bank))
    token, rounds = "", []
    while True:
        page = bank.direct_debits.ListBatches(
            pb.ListBatchesRequest(book_id=bank.book, page_size=2, page_token=token)
        )
        rounds += [each.round for each in page.batches]
        token = page.next_page_token
        if not token:
            break
    assert rounds == [3, 2, 1]
    token, found = "", []
    while True:
        some = bank.direct_debits.ListDebits(
            pb.ListDebitsRequest(batch_id=batch.batch_id, page_size=2, page_token=token)
        )
        found += [each.loan_id for each in some.debits]
        token = some.next_page_token
        if not token:
            break
    assert found == sorted(loan_ids)


def test_what_is_refused_names_its_field_or_reason(bank: Bank) -> None:
    calls = bank.direct_debits
    tomorrow = pb.PrepareBatchRequest(
        request_id=rid(), book_id=bank.book, business_date=from_date(DUE)
    )
    with pytest.raises(grpc.RpcError) as refused:
        calls.PrepareBatch(tomorrow)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_THE_BUSINESS_DATE")
    with pytest.raises(grpc.RpcError) as refused:
        calls.RecordResults(iter([]))
    assert list(violations(refused.value)) == ["request_id"]
    heads = [
        pb.RecordResultsRequest(request_id=rid(), book_id=bank.book),
        pb.RecordResultsRequest(book_id="another"),
    ]
    with pytest.raises(grpc.RpcError) as refused:
        calls.RecordResults(iter(heads))
    assert list(violations(refused.value)) == ["book_id"]
    with pytest.raises(grpc.RpcError) as refused:
        calls.GetBatch(pb.GetBatchRequest(batch_id="none"))
    assert refusal(refused.value)[0] == "NOT_FOUND"
    with pytest.raises(grpc.RpcError) as refused:
        calls.ListDebits(pb.ListDebitsRequest())
    assert refusal(refused.value)[0] == "INVALID_ARGUMENT"
