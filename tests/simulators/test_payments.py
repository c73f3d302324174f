"""Payments: once an id, whatever the script does to the answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from simulators.outside import Outside

from support import House, day, refusal, rid, violations, wait_until
from tael.provider.v1 import payment_pb2
from tael.provider.v1.simulator_pb2 import Behaviour
from tael_client.values import money

SUCCESS = payment_pb2.PAYMENT_STATUS_SUCCESS
FAILED = payment_pb2.PAYMENT_STATUS_FAILED
UNKNOWN = payment_pb2.PAYMENT_STATUS_UNKNOWN
UNAVAILABLE = 14


@pytest.fixture(scope="module")
def outside(open_house: Callable[..., House]) -> Outside:
    return Outside(open_house("simulators"))


def test_a_payment_succeeds_and_is_on_the_statement(outside: Outside) -> None:
    payment_id = rid()
    paid = outside.pay(payment_id, minor_units=123_456)
    assert (paid.status, paid.amount) == (SUCCESS, money(123_456))
    assert outside.query(payment_id) == paid
    seen = outside.observed(payment_id)
    assert seen is not None
    assert (seen.debit, seen.minor_units, seen.times_sent, seen.moved) == (False, 123_456, 1, True)


def test_the_same_id_sent_again_is_the_same_payment(outside: Outside) -> None:
    payment_id = rid()
    first = outside.debit(payment_id)
    with ThreadPoolExecutor(8) as pool:
        repeated = list(pool.map(outside.debit, [payment_id] * 8))
    assert repeated == [first] * 8
    seen = outside.observed(payment_id)
    assert seen is not None
    assert (seen.debit, seen.times_sent) == (True, 9)


def test_a_payment_id_is_refused_for_anything_else(outside: Outside) -> None:
    payment_id = rid()
    outside.pay(payment_id)
    others: list[Callable[[], object]] = [
        lambda: outside.pay(payment_id, minor_units=100_001),
        lambda: outside.pay(payment_id, card="card_b"),
        lambda: outside.debit(payment_id),
    ]
    for send in others:
        with pytest.raises(grpc.RpcError) as refused:
            send()
        assert refusal(refused.value) == ("INVALID_ARGUMENT", "ID_REUSED")
        assert "payment_id" in violations(refused.value)
    seen = outside.observed(payment_id)
    assert seen is not None
    assert seen.minor_units == 100_000


def test_a_payment_that_never_arrived_is_not_found(outside: Outside) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        outside.query(rid())
    assert refusal(refused.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


def test_unknown_is_answered_so_many_times_before_the_truth(outside: Outside) -> None:
    payment_id, card = rid(), rid()
    outside.script("PaymentProviderService/Pay", card, Behaviour(unknown_answers=3))
    answers = [outside.pay(payment_id, card), *(outside.query(payment_id) for _ in range(4))]
    assert [answer.status for answer in answers] == [UNKNOWN] * 3 + [SUCCESS] * 2


def test_unknown_may_hide_a_failure(outside: Outside) -> None:
    payment_id, card = rid(), rid()
    behaviour = Behaviour(unknown_answers=1, failure_code="CARD_CLOSED")
    outside.script("PaymentProviderService/Pay", card, behaviour)
    first = outside.pay(payment_id, card)
    assert (first.status, first.failure_code) == (UNKNOWN, "")
    then = outside.query(payment_id)
    assert (then.status, then.failure_code) == (FAILED, "CARD_CLOSED")
    seen = outside.observed(payment_id)
    assert seen is not None
    assert not seen.moved


def test_a_failed_debit_stays_failed_and_the_next_one_succeeds(outside: Outside) -> None:
    card, first, second = rid(), rid(), rid()
    outside.script(
        "PaymentProviderService/Debit", card, Behaviour(failure_code="INSUFFICIENT_FUNDS")
    )
    assert outside.debit(first, card).failure_code == "INSUFFICIENT_FUNDS"
    assert outside.debit(second, card).status == SUCCESS
    assert outside.debit(first, card).failure_code == "INSUFFICIENT_FUNDS"


def test_an_answer_lost_after_the_deed_leaves_a_payment_to_be_found(outside: Outside) -> None:
    payment_id, card = rid(), rid()
    lost = Behaviour(status_code=UNAVAILABLE, taken=True)
    outside.script("PaymentProviderService/Pay", card, lost)
    with pytest.raises(grpc.RpcError) as refused:
        outside.pay(payment_id, card)
    assert refusal(refused.value) == ("UNAVAILABLE", "SCRIPTED")
    assert outside.query(payment_id).status == SUCCESS


def test_a_call_lost_before_the_deed_leaves_nothing(outside: Outside) -> None:
    payment_id, card = rid(), rid()
    outside.script("PaymentProviderService/Pay", card, Behaviour(status_code=UNAVAILABLE))
    with pytest.raises(grpc.RpcError):
        outside.pay(payment_id, card)
    assert outside.observed(payment_id) is None
    assert outside.pay(payment_id, card).status == SUCCESS


def test_a_call_on_its_way_when_its_answer_is_lost_arrives_later_and_once(outside: Outside) -> None:
    payment_id, card = rid(), rid()
    late = Behaviour(status_code=UNAVAILABLE, arrives_after=Duration(nanos=600_000_000))
    outside.script("PaymentProviderService/Pay", card, late)
    with pytest.raises(grpc.RpcError):
        outside.pay(payment_id, card)
    assert outside.observed(payment_id) is None
    arrived = wait_until(lambda: outside.observed(payment_id), what="the payment to arrive")
    assert (arrived.moved, arrived.times_sent) == (True, 1)


def test_a_late_answer_is_of_a_payment_already_made(outside: Outside) -> None:
    payment_id, card = rid(), rid()
    outside.script("PaymentProviderService/Pay", card, Behaviour(delay=Duration(seconds=30)))
    request = payment_pb2.PayRequest(
        payment_id=payment_id, card_token=card, amount=money(1), date=day("2026-01-15")
    )
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as refused:
        outside.payments.Pay(request, timeout=0.3)
    assert refusal(refused.value)[0] == "DEADLINE_EXCEEDED"
    assert outside.query(payment_id).status == SUCCESS
    assert time.monotonic() - began < 10


def test_amounts_and_dates_that_are_none_are_refused_by_field(outside: Outside) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        outside.pay(rid(), minor_units=0)
    assert violations(refused.value) == {"amount.minor_units": "must be positive"}
    request = payment_pb2.PayRequest(
        payment_id=rid(),
        card_token="card_a",
        amount=money(1),
        date={"year": 2026, "month": 13, "day": 1},
    )
    with pytest.raises(grpc.RpcError) as refused:
        outside.payments.Pay(request)
    assert "date" in violations(refused.value)


def test_a_killed_provider_forgets_neither_payments_nor_scripts(house: House) -> None:
    outside = Outside(house.spawn("simulators"))
    first, second, card = rid(), rid(), rid()
    outside.script(
        "PaymentProviderService/Pay",
        card,
        Behaviour(unknown_answers=2),
        Behaviour(failure_code="CARD_CLOSED"),
    )
    assert outside.pay(first, card).status == UNKNOWN
    house.kill("simulators")
    house.spawn("simulators")
    assert outside.query(first).status == UNKNOWN
    assert outside.query(first).status == SUCCESS
    assert outside.pay(second, card).failure_code == "CARD_CLOSED"
