"""What reaches a debtor: texts and calls through the gate, outcomes, reminders; all services real."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from collections_support import Debtor, Lender

from support import refusal, rid, violations, wait_until
from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc as rpc
from tael_client.values import to_date

PLACE_CALL = "MessageProviderService/PlaceCall"
SHARED = "13900000001"


class Desk:
    """A collector at work on one debtor's case."""

    def __init__(self, lender: Lender, debtor: Debtor) -> None:
        self.lender = lender
        self.debtor = debtor
        self.contacts = lender.house.client("collections", rpc.ContactServiceStub, "ann")

    def permit(self, channel: pb.Channel.ValueType) -> pb.PermitContactResponse:
        case_id = self.lender.case(self.debtor).case_id
        return self.contacts.PermitContact(
            pb.PermitContactRequest(request_id=rid(), case_id=case_id, channel=channel)
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
def debtors(lender: Lender) -> list[Debtor]:
    """Debtors on the first day past due; the first two share a number."""
    made = [lender.debtor(SHARED), lender.debtor(SHARED), *(lender.debtor() for _ in range(6))]
    lender.end_days_before("2026-03-16")
    return made


@pytest.fixture
def desk(lender: Lender, debtors: list[Debtor], request: Any) -> Desk:
    lender.at("10:00")
    return Desk(lender, debtors[request.param])


def code(caught: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    return refusal(caught.value)[1]


@pytest.mark.parametrize("desk", [2], indirect=True)
def test_a_text_goes_out_once_however_often_it_is_asked_for(desk: Desk) -> None:
    lender, debtor = desk.lender, desk.debtor
    wait_until(lambda: len(lender.texts(debtor.mobile)) == 4, what="the reminders")
    request = desk.sending(pb.CHANNEL_SMS)
    sent = desk.contacts.SendContact(request)
    assert sent.contact.result == pb.RESULT_CODE_SENT
    assert sent.contact.actor == "ann"
    assert desk.contacts.SendContact(request) == sent
    assert lender.texts(debtor.mobile)[4:] == ["请尽快还款。"]
    request.request_id = rid()
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "TOKEN_USED"
    assert desk.permit(pb.CHANNEL_SMS).denied_reason == "DAILY_TEXT_LIMIT"
    assert lender.case(debtor).status == pb.CASE_STATUS_WORKING


@pytest.mark.parametrize("desk", [2], indirect=True)
def test_the_debtor_is_reminded_before_on_and_after_the_day(desk: Desk) -> None:
    texts = wait_until(lambda: desk.lender.texts(desk.debtor.mobile)[:4])
    assert ["将于2026年3月15日到期" in text for text in texts] == [True, True, True, False]
    assert "已逾期1天" in texts[3]


@pytest.mark.parametrize("desk", [3], indirect=True)
def test_calls_that_nobody_answers_use_dials_and_not_connections(desk: Desk) -> None:
    mobile = desk.debtor.mobile
    for outcome in ("NO_ANSWER", "BUSY", "NO_ANSWER"):
        desk.lender.script(PLACE_CALL, mobile, 1, outcome=outcome)
    results = [desk.send(pb.CHANNEL_AI_CALL).result for _ in range(3)]
    assert results == [
        pb.RESULT_CODE_NO_ANSWER,
        pb.RESULT_CODE_BUSY,
        pb.RESULT_CODE_NO_ANSWER,
    ]
    before = desk.lender.case(desk.debtor).limitation_date
    for _ in range(3):
        assert desk.send(pb.CHANNEL_IVR).result == pb.RESULT_CODE_CONNECTED_DEBTOR
    assert desk.permit(pb.CHANNEL_HUMAN_CALL).denied_reason == "DAILY_CALL_LIMIT"
    after = desk.lender.case(desk.debtor).limitation_date
    assert (to_date(before).isoformat(), to_date(after).isoformat()) == ("2029-03-15", "2029-03-16")


@pytest.mark.parametrize("desk", [0], indirect=True)
def test_a_number_that_two_debtors_share_is_dialled_six_times_in_all(
    desk: Desk, lender: Lender, debtors: list[Debtor]
) -> None:
    lender.script(PLACE_CALL, SHARED, 6, outcome="NO_ANSWER")
    other = Desk(lender, debtors[1])
    for _ in range(3):
        desk.send(pb.CHANNEL_AI_CALL)
        other.send(pb.CHANNEL_AI_CALL)
    assert desk.permit(pb.CHANNEL_AI_CALL).denied_reason == "DAILY_DIAL_LIMIT"
    assert other.permit(pb.CHANNEL_AI_CALL).denied_reason == "DAILY_DIAL_LIMIT"


@pytest.mark.parametrize("desk", [4], indirect=True)
def test_a_permit_is_over_after_five_minutes_and_at_ten_at_night(desk: Desk) -> None:
    desk.lender.at("21:56")
    request = desk.sending(pb.CHANNEL_HUMAN_CALL)
    desk.lender.at("22:00")
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "QUIET_HOURS"
    desk.lender.at("22:01")
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "TOKEN_EXPIRED"
    request.token = "no-such-token"
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert code(caught) == "TOKEN_UNKNOWN"


@pytest.mark.parametrize("desk", [5], indirect=True)
def test_a_provider_that_does_not_answer_leaves_the_slot_taken_and_the_call_repeatable(
    desk: Desk,
) -> None:
    request = desk.sending(pb.CHANNEL_HUMAN_CALL)
    desk.lender.script(PLACE_CALL, desk.debtor.mobile, 1, status_code=14)
    with pytest.raises(grpc.RpcError) as caught:
        desk.contacts.SendContact(request)
    assert refusal(caught.value) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    placed = desk.contacts.SendContact(request).contact
    assert placed.result == pb.RESULT_CODE_UNSPECIFIED
    assert placed.recording
    told = desk.outcome(placed, pb.RESULT_CODE_DISPUTE)
    assert told.result == pb.RESULT_CODE_DISPUTE
    case = desk.lender.case(desk.debtor)
    assert (case.hold_reason, to_date(case.hold_until).isoformat()) == ("dispute", "2026-03-31")
    assert desk.permit(pb.CHANNEL_HUMAN_CALL).denied_reason == "ON_HOLD"
    with pytest.raises(grpc.RpcError) as caught:
        desk.outcome(placed, pb.RESULT_CODE_REFUSES)
    assert code(caught) == "OUTCOME_RECORDED"


@pytest.mark.parametrize("desk", [6], indirect=True)
def test_what_nobody_heard_cannot_be_reported_as_a_conversation(desk: Desk) -> None:
    desk.lender.script(PLACE_CALL, desk.debtor.mobile, 1, outcome="NO_ANSWER")
    placed = desk.send(pb.CHANNEL_HUMAN_CALL)
    with pytest.raises(grpc.RpcError) as caught:
        desk.outcome(placed, pb.RESULT_CODE_PROMISE)
    assert code(caught) == "OUTCOME_CONTRADICTED"
    with pytest.raises(grpc.RpcError) as caught:
        desk.outcome(placed, pb.RESULT_CODE_SENT)
    assert "result" in violations(caught.value)
    spoken = desk.send(pb.CHANNEL_HUMAN_CALL)
    desk.outcome(spoken, pb.RESULT_CODE_PROMISE)
    kept = desk.contacts.ListContacts(
        pb.ListContactsRequest(case_id=desk.lender.case(desk.debtor).case_id)
    ).contacts
    assert [one.result for one in kept] == [pb.RESULT_CODE_NO_ANSWER, pb.RESULT_CODE_PROMISE]


@pytest.mark.parametrize("desk", [7], indirect=True)
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
