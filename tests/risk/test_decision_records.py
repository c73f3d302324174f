"""The records of decisions: one a request, unchanged, explained, replayed, without personal data."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from risk.applications import BUREAU, MULTI_LENDER, Applicant, Desk, outcome_of

from support import House, refusal, violations
from tael.provider.v1 import simulator_pb2
from tael.risk.v1 import decision_pb2


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    desk = Desk(open_house("simulators", "risk"))
    desk.publish()
    return desk


def test_the_same_request_gets_the_same_decision_for_ever(desk: Desk) -> None:
    who = desk.good()
    request = desk.request(who)
    first = desk.decisions.Decide(request)
    desk.loan_changed(who, overdue=1, dpd=1)
    assert desk.decisions.Decide(request) == first


def test_a_request_id_with_other_content_is_refused(desk: Desk) -> None:
    who = desk.good()
    request = desk.request(who)
    desk.decisions.Decide(request)
    request.loan.amount.minor_units += 1
    with pytest.raises(grpc.RpcError) as error:
        desk.decisions.Decide(request)
    assert refusal(error.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


def test_duplicates_at_the_same_time_are_one_decision_and_one_query(desk: Desk) -> None:
    who = desk.good()
    delay = simulator_pb2.Behaviour(delay={"nanos": 300_000_000})
    desk.behave(BUREAU, who, delay, times=8)
    request = desk.request(who)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(desk.decisions.Decide, [request] * 8))
    assert all(answer == answers[0] for answer in answers)
    assert desk.unused(who) == 7
    assert _count(desk, "decision", who) == _count(desk, "bureau_query", who) == 1


def test_a_request_whose_decider_died_is_taken_over_under_the_same_name(desk: Desk) -> None:
    who = desk.good()
    request = desk.request(who)
    desk.decisions.Decide(request)
    # As a crash between claim and record leaves it: claimed, nothing decided, the lease run out.
    desk.house.sql("ALTER TABLE decision DISABLE TRIGGER ALL", "risk", write=True)
    gone = desk.house.sql(
        "DELETE FROM decision WHERE customer_id = :id RETURNING decision_id",
        "risk",
        id=who.customer_id,
    )
    desk.house.sql("ALTER TABLE decision ENABLE TRIGGER ALL", "risk", write=True)
    desk.house.sql(
        "UPDATE request SET response = NULL WHERE request_id = :id",
        "risk",
        write=True,
        id=request.request_id,
    )
    again = desk.decisions.Decide(request).decision
    assert again.decision_id == gone[0][0]
    assert outcome_of(again) == "APPROVED"
    assert _count(desk, "bureau_query", who) == 1


def test_a_decision_replayed_over_its_inputs_is_the_same_whatever_happened_since(
    desk: Desk,
) -> None:
    who = desk.good()
    decision = desk.decide(who)
    desk.loan_changed(who, overdue=100, dpd=100)
    replay = desk.replay(decision)
    assert replay.same
    for step in decision.steps:
        step.ClearField("micros")
    assert replay.decision == decision


def test_a_decision_whose_inputs_were_tampered_with_replays_differently(desk: Desk) -> None:
    decision = desk.decide(desk.good())
    change = (
        "UPDATE decision SET inputs = jsonb_set(inputs, "
        "'{features,bureau.3m.queries,value}', '\"9\"') WHERE decision_id = :id"
    )
    with pytest.raises(Exception, match="never changed"):
        desk.house.sql(change, "risk", write=True, id=decision.decision_id)
    desk.house.sql("ALTER TABLE decision DISABLE TRIGGER ALL", "risk", write=True)
    desk.house.sql(change, "risk", write=True, id=decision.decision_id)
    desk.house.sql("ALTER TABLE decision ENABLE TRIGGER ALL", "risk", write=True)
    assert not desk.replay(decision).same


def test_an_explanation_has_the_rule_its_inputs_the_points_and_the_terms(desk: Desk) -> None:
    who = desk.good()
    desk.script(MULTI_LENDER, who, queries_30d=12)
    declined = desk.explain(desk.decide(who))
    assert [rule.code for rule in declined.rules] == ["E002"]
    assert declined.rules[0].inputs["multi_lender.30d.queries"] == "12"
    assert not declined.contributions

    approved = desk.explain(desk.decide(desk.good()))
    assert not approved.rules
    points = {each.feature: (each.value, each.points) for each in approved.contributions}
    assert points["bureau.3m.queries"] == ("2", 123)
    assert sum(each.points for each in approved.contributions) == approved.decision.score
    assert list(approved.limit_terms) == [
        "product 200,000.00",
        "income 48,000.00",
        "debt_to_income 33,765.23",
        "grade 100,000.00",
        "regulator 200,000.00",
        "limit 33,700.00",
    ]


def test_decisions_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    who = desk.good()
    made = [desk.decide(who).decision_id for _ in range(3)]
    request = decision_pb2.ListDecisionsRequest(customer_id=who.customer_id, page_size=2)
    first = desk.decisions.ListDecisions(request)
    request.page_token = first.next_page_token
    second = desk.decisions.ListDecisions(request)
    listed = [each.decision_id for page in (first, second) for each in page.decisions]
    assert listed == made[::-1]
    assert second.next_page_token == ""
    kept = desk.decisions.GetDecision(decision_pb2.GetDecisionRequest(decision_id=made[0]))
    assert kept.decision == second.decisions[0]
    request.page_token = "…"
    with pytest.raises(grpc.RpcError) as error:
        desk.decisions.ListDecisions(request)
    assert "page_token" in violations(error.value)


def test_nothing_personal_lies_in_clear_in_the_store(desk: Desk) -> None:
    who = Applicant(name="司马藏名")
    desk.introduce(who)
    desk.consent(who)
    desk.decide(who)
    desk.query_bureau(who)
    tables = desk.house.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'risk'", "risk"
    )
    dump = "\n".join(
        str(row[0])
        for (table,) in tables
        for row in desk.house.sql(f'SELECT t::text FROM risk."{table}" t', "risk")
    )
    assert who.customer_id in dump
    for secret in (who.name, who.id_number):
        assert secret not in dump
        assert secret.encode().hex() not in dump


@pytest.mark.parametrize("rpc", ["GetDecision", "ExplainDecision", "ReplayDecision"])
def test_a_decision_that_is_not_there_is_not_found(desk: Desk, rpc: str) -> None:
    request = getattr(decision_pb2, f"{rpc}Request")(decision_id="dec_none")
    with pytest.raises(grpc.RpcError) as error:
        getattr(desk.decisions, rpc)(request)
    assert refusal(error.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


def _count(desk: Desk, table: str, who: Applicant) -> int:
    query = f"SELECT count(*) FROM {table} WHERE customer_id = :id"
    number: int = desk.house.sql(query, "risk", id=who.customer_id)[0][0]
    return number
