"""What reaches a debtor: texts and calls through the gate, outcomes, reminders; real services."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import grpc
import pytest
from collections_support import Feed, case_of, loan, register, script, texts

from support import House, refusal, rid, violations, wait_until
from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc as rpc
from tael_client.values import to_date

PLACE_CALL = "MessageProviderService/PlaceCall"
SHARED = "13900000001"
SERIALS = count(100)


class Desk:
    """A collector at work on one debtor's case."""

    def __init__(self, house: House, customer_id: str, mobile: str) -> None:
        self.house = house
        self.customer_id = customer_id
        self.mobile = mobile
        self.contacts = house.client("collections", rpc.ContactServiceStub, "ann")

    @property
    def case(self) -> pb.Case:
        return case_of(self.house, self.customer_id)

    def answering(self, *outcomes: str) -> None:
        """How the next calls to this debtor end."""
        for outcome in outcomes:
            script(self.house, PLACE_CALL, self.mobile, outcome=outcome)

    def permit(self, channel: pb.Channel.ValueType) -> pb.PermitContactResponse:
        return self.contacts.PermitContact(
            pb.PermitContactRequest(request_id=rid(), case_id=self.case.case_id, channel=channel)
        )

    def sending(self, channel: pb.Channel.ValueType) -> pb.SendContactRequest:
        permit = self.permit(channel)
        assert permit.allowed, permit
        return pb.SendContactRequest(request_id=rid(), token=permit.token, content="请尽快还款。")

    def send(self, channel: pb.Channel.ValueType) -> pb.Contact:
        return self.contacts.SendContact(self.sending(channel)).contact

    def outcome(self, contact: pb.Contact, result: pb.ResultCode.ValueType) -> pb.Contact:
        return self.contacts.RecordOutcome(
            pb.RecordOutcomeRequest(
                request_id=rid(), contact_id=contact.contact_id, result=result, note="noted"
            )
        ).contact


@pytest.fixture(scope="module")
def floor(open_house: Callable[..., House]) -> House:
    house = open_house("simulators", "origination", "collections")
    house.set_clock("2026-03-16T10:00")
    return house


@pytest.fixture
def feed(floor: House) -> Feed:
    floor.set_clock("2026-03-16T10:00")
    return Feed(floor, "2026-03-16")


@pytest.fixture
def new_desk(floor: House, feed: Feed) -> Callable[..., Desk]:
    """Desks, each with a new debtor on the first day past due."""

    def make(mobile: str = "") -> Desk:
        serial = next(SERIALS)
        number = mobile or f"1380000{serial:04d}"
        customer_id = register(floor, serial, number)
        feed.overdue(loan(f"ln-{serial}", customer_id, 1, 88_849))
        return Desk(floor, customer_id, number)

    return make


@pytest.fixture
def desk(new_desk: Callable[..., Desk]) -> Desk:
    return new_desk()


def code(caught: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    return refusal(caught.value)[1]


def test_a_text_goes_out_once_however_often_it_is_asked_for(desk: Desk) -> None:
    request = desk.sending(pb.CHANNEL_SMS)
    sent = desk.contacts.SendContact(request)
    assert sent.contact.result == pb.RESULT_CODE_SENT
    assert sent.contact.actor == "ann"
    assert desk.contacts.SendContact(request) == sent
    assert texts(desk.house, desk.mobile) == ["请尽快还款。"]
    request.request_id = rid()
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "TOKEN_USED"
    assert desk.send(pb.CHANNEL_SMS).allowed
    assert desk.permit(pb.CHANNEL_SMS).denied_reason == "DAILY_TEXT_LIMIT"
    assert desk.case.status == pb.CASE_STATUS_WORKING


def test_a_reminder_goes_out_through_the_gate_and_counts(desk: Desk, feed: Feed) -> None:
    overdue = loan("ln-5678", desk.customer_id, 1, 88_849)
    feed.reminder(overdue, -1)
    (text,) = wait_until(lambda: texts(desk.house, desk.mobile))
    assert "尾号5678的借款已逾期1天，应还888.49元" in text
    desk.send(pb.CHANNEL_SMS)
    assert desk.permit(pb.CHANNEL_SMS).denied_reason == "DAILY_TEXT_LIMIT"


def test_a_reminder_to_nobody_is_dropped_and_the_next_one_goes_out(desk: Desk, feed: Feed) -> None:
    feed.reminder(loan("ln-0000", "cu_nobody", 1, 88_849), -1)
    feed.reminder(loan("ln-5678", desk.customer_id, 1, 88_849), -1)
    wait_until(lambda: texts(desk.house, desk.mobile))
    dropped = "SELECT 1 FROM reminder WHERE customer_id = 'cu_nobody' AND state = 'DROPPED'"
    wait_until(lambda: desk.house.sql(dropped, "collections"))


def test_calls_that_nobody_answers_use_dials_and_not_connections(desk: Desk) -> None:
    desk.answering("NO_ANSWER", "BUSY", "NO_ANSWER")
    results = [desk.send(pb.CHANNEL_AI_CALL).result for _ in range(3)]
    assert results == [
        pb.RESULT_CODE_NO_ANSWER,
        pb.RESULT_CODE_BUSY,
        pb.RESULT_CODE_NO_ANSWER,
    ]
    before = desk.case.limitation_date
    for _ in range(3):
        assert desk.send(pb.CHANNEL_IVR).result == pb.RESULT_CODE_CONNECTED_DEBTOR
    assert desk.permit(pb.CHANNEL_HUMAN_CALL).denied_reason == "DAILY_CALL_LIMIT"
    after = desk.case.limitation_date
    assert (to_date(before).isoformat(), to_date(after).isoformat()) == ("2029-03-15", "2029-03-16")


def test_a_number_that_two_debtors_share_is_dialled_six_times_in_all(
    new_desk: Callable[..., Desk],
) -> None:
    one, other = new_desk(SHARED), new_desk(SHARED)
    one.answering(*["NO_ANSWER"] * 6)
    for _ in range(3):
        one.send(pb.CHANNEL_AI_CALL)
        other.send(pb.CHANNEL_AI_CALL)
    assert one.permit(pb.CHANNEL_AI_CALL).denied_reason == "DAILY_DIAL_LIMIT"
    assert other.permit(pb.CHANNEL_AI_CALL).denied_reason == "DAILY_DIAL_LIMIT"


def test_a_permit_is_over_after_five_minutes_and_at_ten_at_night(desk: Desk) -> None:
    desk.house.set_clock("2026-03-16T21:56")
    request = desk.sending(pb.CHANNEL_HUMAN_CALL)
    desk.house.set_clock("2026-03-16T22:00")
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "QUIET_HOURS"
    desk.house.set_clock("2026-03-16T22:01")
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "TOKEN_EXPIRED"
    request.token = "no-such-token"
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "TOKEN_UNKNOWN"


def test_a_provider_that_does_not_answer_leaves_the_slot_taken_and_the_call_repeatable(
    desk: Desk,
) -> None:
    request = desk.sending(pb.CHANNEL_HUMAN_CALL)
    script(desk.house, PLACE_CALL, desk.mobile, status_code=4)
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert refusal(caught.value) == ("DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT")
    placed = desk.contacts.SendContact(request).contact
    assert placed.result == pb.RESULT_CODE_UNSPECIFIED
    assert placed.recording
    assert desk.permit(pb.CHANNEL_HUMAN_CALL).allowed
    told = desk.outcome(placed, pb.RESULT_CODE_DISPUTE)
    assert told.result == pb.RESULT_CODE_DISPUTE
    case = desk.case
    assert (case.hold_reason, to_date(case.hold_until).isoformat()) == ("dispute", "2026-03-31")
    assert desk.permit(pb.CHANNEL_HUMAN_CALL).denied_reason == "ON_HOLD"
    with pytest.raises(grpc.RpcError) as caught:
        desk.outcome(placed, pb.RESULT_CODE_REFUSES)
    assert code(caught) == "OUTCOME_RECORDED"


def test_what_nobody_heard_cannot_be_reported_as_a_conversation(desk: Desk) -> None:
    desk.answering("NO_ANSWER")
    placed = desk.send(pb.CHANNEL_HUMAN_CALL)
    with pytest.raises(grpc.RpcError) as caught:
        desk.outcome(placed, pb.RESULT_CODE_PROMISE)
    assert code(caught) == "OUTCOME_CONTRADICTED"
    with pytest.raises(grpc.RpcError) as caught:
        desk.outcome(placed, pb.RESULT_CODE_SENT)
    assert "result" in violations(caught.value)
    spoken = desk.send(pb.CHANNEL_HUMAN_CALL)
    desk.outcome(spoken, pb.RESULT_CODE_PROMISE)
    kept = desk.contacts.ListContacts(pb.ListContactsRequest(case_id=desk.case.case_id)).contacts
    assert [one.result for one in kept] == [pb.RESULT_CODE_NO_ANSWER, pb.RESULT_CODE_PROMISE]


def test_of_many_who_hold_one_token_one_calls(desk: Desk) -> None:
    request = desk.sending(pb.CHANNEL_AI_CALL)

    def call(number: int) -> str:
        mine = pb.SendContactRequest(
            request_id=rid(), token=request.token, content=f"Caller {number}"
        )
        try:
            return desk.contacts.SendContact(mine).contact.content
        except grpc.RpcError as error:
            return refusal(error)[1]

    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(call, range(4)))
    assert answers.count("TOKEN_USED") == 3
