"""What registries, data sources and phones answer: by the ID number's digits, or as scripted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from simulators.outside import CARD, MOBILE, Outside, fresh_id_number

from support import House, refusal, rid, violations
from tael.provider.v1 import bureau_pb2, identity_pb2, message_pb2, payment_pb2, simulator_pb2
from tael.provider.v1.simulator_pb2 import Behaviour

MATCH = identity_pb2.MATCH_RESULT_MATCH
MISMATCH = identity_pb2.MATCH_RESULT_MISMATCH
UNKNOWN = identity_pb2.MATCH_RESULT_UNKNOWN


@pytest.fixture(scope="module")
def outside(open_house: Callable[..., House]) -> Outside:
    return Outside(open_house("simulators"))


def real_name(outside: Outside, id_number: str) -> int:
    request = identity_pb2.CheckRealNameRequest(name="张伟", id_number=id_number)
    return outside.identity.CheckRealName(request).result


def face(outside: Outside, id_number: str) -> tuple[int, bool]:
    request = identity_pb2.CompareFaceRequest(name="张伟", id_number=id_number, image=b"\x89PNG")
    answer = outside.identity.CompareFace(request)
    return answer.score, answer.live


def four_elements(
    outside: Outside, id_number: str, card_number: str = CARD, holder_id: str = ""
) -> identity_pb2.CheckFourElementsResponse:
    return outside.identity.CheckFourElements(
        identity_pb2.CheckFourElementsRequest(
            name="张伟",
            id_number=id_number,
            card_number=card_number,
            mobile=MOBILE,
            holder_id=holder_id,
        )
    )


def holds(outside: Outside, card_token: str, holder_id: str) -> int:
    request = payment_pb2.VerifyCardHolderRequest(card_token=card_token, holder_id=holder_id)
    return outside.payments.VerifyCardHolder(request).result


def report(outside: Outside, id_number: str) -> bureau_pb2.QueryReportResponse:
    return outside.bureau.QueryReport(
        bureau_pb2.QueryReportRequest(
            name="张伟", id_number=id_number, consent_id="c1", reason_code="02"
        )
    )


def multi_lender(outside: Outside, id_number: str) -> bureau_pb2.QueryMultiLenderResponse:
    return outside.data.QueryMultiLender(
        bureau_pb2.QueryMultiLenderRequest(id_number=id_number, consent_id="c1")
    )


def court(outside: Outside, id_number: str) -> bureau_pb2.QueryCourtListResponse:
    return outside.data.QueryCourtList(
        bureau_pb2.QueryCourtListRequest(name="张伟", id_number=id_number, consent_id="c1")
    )


def call(outside: Outside, mobile: str, call_id: str = "") -> message_pb2.PlaceCallResponse:
    return outside.messages.PlaceCall(
        message_pb2.PlaceCallRequest(
            call_id=call_id or rid(),
            mobile=mobile,
            kind=message_pb2.CALL_KIND_IVR,
            script="您好" * 40,
        )
    )


def text(outside: Outside, mobile: str, words: str, message_id: str = "") -> bool:
    request = message_pb2.SendTextRequest(message_id=message_id or rid(), mobile=mobile, text=words)
    return outside.messages.SendText(request).accepted


def phone(outside: Outside, mobile: str) -> list[str]:
    return list(outside.simulator.ReadTexts(simulator_pb2.ReadTextsRequest(mobile=mobile)).texts)


def test_a_person_in_good_order_agrees_everywhere(outside: Outside) -> None:
    someone = fresh_id_number()
    assert real_name(outside, someone) == MATCH
    assert face(outside, someone) == (95, True)
    assert four_elements(outside, someone).result == MATCH
    assert not court(outside, someone).listed
    answer = report(outside, someone)
    assert (answer.accounts, answer.monthly_due, answer.worst_status_24m) == (4, 300_000, 0)
    assert multi_lender(outside, someone).queries_30d == 2


def test_the_same_question_has_the_same_answer(outside: Outside) -> None:
    someone = fresh_id_number()
    assert four_elements(outside, someone) == four_elements(outside, someone)
    assert report(outside, someone) == report(outside, someone)


def test_a_card_has_one_token_whoever_shows_it(outside: Outside) -> None:
    tokens = {four_elements(outside, fresh_id_number()).card_token for _ in range(2)}
    assert len(tokens) == 1
    assert four_elements(outside, fresh_id_number()).bank == "中国工商银行"


def test_a_card_is_the_person_s_under_whose_id_it_was_checked(outside: Outside) -> None:
    assert holds(outside, "card_of_nobody", "cu-1") == MATCH
    number = "6222021234567890131"
    card = four_elements(outside, fresh_id_number(), number, "cu-1").card_token
    assert [holds(outside, card, who) for who in ("cu-1", "cu-2")] == [MATCH, MISMATCH]
    four_elements(outside, fresh_id_number("94"), number, "cu-2")
    assert holds(outside, card, "cu-2") == MISMATCH, "the elements did not agree"
    script = "PaymentProviderService/VerifyCardHolder"
    outside.script(script, card, Behaviour(outcome="UNKNOWN"))
    assert [holds(outside, card, "cu-1") for _ in range(2)] == [UNKNOWN, MATCH]


def test_digits_15_and_16_of_the_id_number_say_who_differs_and_how(outside: Outside) -> None:
    assert real_name(outside, fresh_id_number("90")) == MISMATCH
    assert real_name(outside, fresh_id_number("91")) == UNKNOWN
    assert face(outside, fresh_id_number("92")) == (40, True)
    assert face(outside, fresh_id_number("93")) == (95, False)
    refused = four_elements(outside, fresh_id_number("94"))
    assert (refused.result, refused.card_token) == (MISMATCH, "")
    assert court(outside, fresh_id_number("95")).case_numbers
    assert multi_lender(outside, fresh_id_number("96")).queries_30d == 12
    assert report(outside, fresh_id_number("97")).queries_3m == 9
    assert report(outside, fresh_id_number("98")).worst_status_24m == 4
    assert report(outside, fresh_id_number("99")).accounts == 0


def test_scripted_outcomes_and_figures_are_shown_once_each_in_order(outside: Outside) -> None:
    someone = fresh_id_number()
    outside.script(
        "IdentityProviderService/CheckRealName",
        someone,
        Behaviour(outcome="UNKNOWN"),
        Behaviour(outcome="MISMATCH"),
    )
    assert [real_name(outside, someone) for _ in range(3)] == [UNKNOWN, MISMATCH, MATCH]
    outside.script(
        "ExternalDataProviderService/QueryMultiLender",
        someone,
        Behaviour(figures={"queries_30d": 12}),
    )
    scripted = multi_lender(outside, someone)
    assert (scripted.queries_30d, scripted.queries_90d) == (12, 4)
    assert multi_lender(outside, someone).queries_30d == 2
    outside.script(
        "ExternalDataProviderService/QueryCourtList", someone, Behaviour(figures={"listed": 1})
    )
    assert court(outside, someone).listed
    outside.script(
        "IdentityProviderService/CompareFace", someone, Behaviour(figures={"score": 70, "live": 0})
    )
    assert face(outside, someone) == (70, False)


def test_a_script_for_one_person_leaves_the_others_alone(outside: Outside) -> None:
    someone, other = fresh_id_number(), fresh_id_number()
    outside.script("IdentityProviderService/CheckRealName", someone, Behaviour(outcome="MISMATCH"))
    assert real_name(outside, other) == MATCH
    assert real_name(outside, someone) == MISMATCH


def test_calls_at_the_same_time_share_a_script_out(outside: Outside) -> None:
    someone = fresh_id_number()
    outside.script(
        "IdentityProviderService/CheckRealName", someone, *[Behaviour(outcome="MISMATCH")] * 10
    )
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: real_name(outside, someone), range(16)))
    assert (results.count(MISMATCH), results.count(MATCH)) == (10, 6)


def test_a_scripted_status_is_answered_instead(outside: Outside) -> None:
    someone = fresh_id_number()
    outside.script("BureauProviderService/QueryReport", someone, Behaviour(status_code=8))
    with pytest.raises(grpc.RpcError) as refused:
        report(outside, someone)
    assert refusal(refused.value) == ("RESOURCE_EXHAUSTED", "SCRIPTED")
    assert report(outside, someone).accounts == 4


@pytest.mark.parametrize(
    ("method", "behaviour", "field"),
    [
        ("PaymentProviderService/Refund", Behaviour(), "method"),
        (
            "IdentityProviderService/CheckRealName",
            Behaviour(outcome="PERHAPS"),
            "behaviours[0].outcome",
        ),
        (
            "BureauProviderService/QueryReport",
            Behaviour(figures={"queries_30d": 1}),
            'behaviours[0].figures["queries_30d"]',
        ),
        (
            "BureauProviderService/QueryReport",
            Behaviour(figures={"accounts": 2**31}),
            'behaviours[0].figures["accounts"]',
        ),
        (
            "MessageProviderService/PlaceCall",
            Behaviour(failure_code="CARD_CLOSED"),
            "behaviours[0].failure_code",
        ),
        (
            "BureauProviderService/QueryReport",
            Behaviour(status_code=14, taken=True),
            "behaviours[0].taken",
        ),
        ("PaymentProviderService/Pay", Behaviour(taken=True), "behaviours[0].taken"),
        (
            "PaymentProviderService/Pay",
            Behaviour(arrives_after=Duration(seconds=1)),
            "behaviours[0].arrives_after",
        ),
    ],
)
def test_a_behaviour_that_a_method_has_not_is_refused_by_field(
    outside: Outside, method: str, behaviour: Behaviour, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        outside.script(method, "", behaviour)
    assert list(violations(refused.value)) == [field]


def test_texts_are_sent_once_an_id_and_readable_on_the_phone(outside: Outside) -> None:
    mobile, message_id = "13900000001", rid()
    assert text(outside, mobile, "first", message_id)
    assert text(outside, mobile, "first", message_id)
    assert text(outside, mobile, "second")
    assert phone(outside, mobile) == ["first", "second"]
    assert phone(outside, "13900000002") == []
    with pytest.raises(grpc.RpcError) as refused:
        text(outside, mobile, "other words", message_id)
    assert "message_id" in violations(refused.value)


def test_a_text_that_is_not_accepted_does_not_reach_the_phone(outside: Outside) -> None:
    mobile = "13900000003"
    outside.script("MessageProviderService/SendText", mobile, Behaviour(figures={"accepted": 0}))
    assert not text(outside, mobile, "refused")
    assert text(outside, mobile, "accepted")
    assert phone(outside, mobile) == ["accepted"]


def test_a_text_whose_answer_was_lost_is_on_the_phone_and_not_sent_twice(outside: Outside) -> None:
    mobile, message_id = "13900000004", rid()
    outside.script("MessageProviderService/SendText", mobile, Behaviour(status_code=14, taken=True))
    with pytest.raises(grpc.RpcError):
        text(outside, mobile, "hello", message_id)
    assert text(outside, mobile, "hello", message_id)
    assert phone(outside, mobile) == ["hello"]


def test_calls_connect_unless_scripted_and_a_call_keeps_its_end(outside: Outside) -> None:
    mobile, call_id = "13900000005", rid()
    ends = ("NO_ANSWER", "BUSY", "DEAD_NUMBER")
    outside.script(
        "MessageProviderService/PlaceCall", mobile, *[Behaviour(outcome=end) for end in ends]
    )
    answers = [call(outside, mobile, call_id), call(outside, mobile), call(outside, mobile)]
    assert [message_pb2.CallOutcome.Name(a.outcome) for a in answers] == [
        f"CALL_OUTCOME_{end}" for end in ends
    ]
    connected = call(outside, mobile)
    assert connected.outcome == message_pb2.CALL_OUTCOME_CONNECTED
    assert (connected.seconds, answers[0].seconds) == (20, 0)
    assert connected.recording
    assert call(outside, mobile, call_id) == answers[0]
