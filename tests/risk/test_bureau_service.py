"""The bureau front end: consent, reuse within validity, every query on record."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from risk.applications import BUREAU, TODAY, Applicant, Desk

from support import House, day, refusal, rid, violations
from tael.provider.v1 import simulator_pb2
from tael.risk.v1 import bureau_pb2

INTERNAL = 13


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    desk = Desk(open_house("simulators", "risk"))
    desk.publish()
    return desk


def _queries(desk: Desk, who: Applicant) -> list[bureau_pb2.BureauQuery]:
    request = bureau_pb2.ListBureauQueriesRequest(customer_id=who.customer_id)
    return list(desk.bureau.ListBureauQueries(request).queries)


def _consented(desk: Desk) -> Applicant:
    who = Applicant()
    desk.consent(who)
    return who


def test_a_report_has_the_bureaus_figures_and_makes_features(desk: Desk) -> None:
    who = _consented(desk)
    desk.script(BUREAU, who, queries_3m=6, balance=1_234_567)
    answer = desk.query_bureau(who, reason_code="01")
    assert answer.figures["queries_3m"] == 6
    assert answer.figures["balance"] == 1_234_567
    assert not answer.query.reused
    assert answer.query.report_number
    assert (answer.query.operator, answer.query.reason_code) == ("tester", "01")
    assert desk.feature(who, "bureau.3m.queries", TODAY).value == "6"


@pytest.mark.parametrize("flaw", ["none given", "withdrawn"])
def test_without_a_live_consent_the_bureau_is_not_asked_and_nothing_is_on_record(
    desk: Desk, flaw: str
) -> None:
    who = Applicant()
    desk.consent(who, withdrawn=True)
    desk.script(BUREAU, who)
    request_consent = "" if flaw == "none given" else f"cs_{who.number}"
    request = bureau_pb2.QueryBureauRequest(
        request_id=rid(),
        customer_id=who.customer_id,
        person=who.message,
        consent_id=request_consent,
        reason_code="02",
        business_date=day(TODAY),
    )
    with pytest.raises(grpc.RpcError) as error:
        desk.bureau.QueryBureau(request)
    assert refusal(error.value) == ("FAILED_PRECONDITION", "CONSENT_MISSING")
    assert desk.unused(who) == 1
    assert _queries(desk, who) == []


def test_a_report_is_reused_for_thirty_days_and_then_asked_for_again(desk: Desk) -> None:
    who = _consented(desk)
    desk.script(BUREAU, who, accounts=1)
    desk.script(BUREAU, who, accounts=2)
    first = desk.query_bureau(who, business_date=day("2026-03-01"))
    last_day = desk.query_bureau(who, business_date=day("2026-03-30"))
    assert last_day.query.reused
    assert last_day.query.report_number == first.query.report_number
    assert last_day.figures["accounts"] == 1
    after = desk.query_bureau(who, business_date=day("2026-03-31"))
    assert not after.query.reused
    assert after.figures["accounts"] == 2
    assert [(each.reused, each.query_id) for each in _queries(desk, who)] == [
        (False, after.query.query_id),
        (True, last_day.query.query_id),
        (False, first.query.query_id),
    ]


def test_a_report_on_one_identity_number_serves_no_other(desk: Desk) -> None:
    who = _consented(desk)
    desk.query_bureau(who)
    other = Applicant()
    answer = desk.query_bureau(who, person=other.message)
    assert not answer.query.reused


def test_a_decision_reuses_a_report_and_its_use_is_on_record(desk: Desk) -> None:
    who = desk.good()
    asked = desk.query_bureau(who)
    desk.script(BUREAU, who, queries_3m=9)
    decision = desk.decide(who)
    assert decision.score == 613
    assert decision.bureau_used
    assert desk.unused(who) == 1
    newest, oldest = _queries(desk, who)
    assert (newest.reused, newest.report_number) == (True, asked.query.report_number)
    assert not oldest.reused


def test_a_repeated_request_is_one_query(desk: Desk) -> None:
    who = _consented(desk)
    request_id = rid()
    first = desk.query_bureau(who, request_id=request_id)
    desk.consent(who, withdrawn=True)
    assert desk.query_bureau(who, request_id=request_id) == first
    assert len(_queries(desk, who)) == 1


def test_a_bureau_that_failed_is_asked_again_by_a_repetition_of_the_same_query(
    desk: Desk,
) -> None:
    who = _consented(desk)
    request_id = rid()
    desk.behave(BUREAU, who, simulator_pb2.Behaviour(status_code=INTERNAL))
    with pytest.raises(grpc.RpcError):
        desk.query_bureau(who, request_id=request_id)
    (failed,) = _queries(desk, who)
    assert failed.report_number == ""
    answer = desk.query_bureau(who, request_id=request_id)
    assert answer.query.query_id == failed.query_id
    assert answer.query.report_number
    assert len(_queries(desk, who)) == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"reason_code": "03"}, "reason_code"),
        ({"business_date": {"month": 2, "day": 30}}, "business_date"),
    ],
)
def test_a_wrong_field_is_named(desk: Desk, changed: dict[str, object], field: str) -> None:
    who = _consented(desk)
    with pytest.raises(grpc.RpcError) as error:
        desk.query_bureau(who, **changed)
    assert field in violations(error.value)
    assert _queries(desk, who) == []
