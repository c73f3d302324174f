"""Policies published as data: every fault told, versions counted, the newest one decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from risk.applications import MULTI_LENDER, Desk, outcome_of

from support import House, refusal, rid, violations
from tael.provider.v1 import simulator_pb2
from tael.risk.v1 import policy_pb2
from tael_risk.policies import document_hash, shipped_policy

INTERNAL = 13


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    return Desk(open_house("simulators", "risk"))


def _changed(change: Callable[[Any], object]) -> str:
    document = json.loads(shipped_policy())
    change(document)
    return json.dumps(document, ensure_ascii=False)


def _rule(document: Any, code: str) -> Any:
    return next(rule for rule in document["rules"] if rule["code"] == code)


def test_without_a_published_policy_nothing_is_decided(house: House) -> None:
    desk = Desk(house.start("simulators", "risk"))
    who = desk.good()
    request = desk.request(who)
    with pytest.raises(grpc.RpcError) as error:
        desk.decisions.Decide(request)
    assert refusal(error.value) == ("FAILED_PRECONDITION", "POLICY_MISSING")
    desk.publish()
    assert outcome_of(desk.decisions.Decide(request).decision) == "APPROVED"


def test_an_empty_document_publishes_the_one_shipped(desk: Desk) -> None:
    policy = desk.publish()
    assert policy.document == shipped_policy()
    assert policy.hash == document_hash(shipped_policy())
    assert policy.publisher == "tester"
    assert policy.published_at.seconds > 0


def test_versions_increase_and_the_same_content_again_changes_nothing(desk: Desk) -> None:
    first = desk.publish()
    assert desk.publish() == first
    # Blanks are no content.
    assert desk.publish(json.dumps(json.loads(shipped_policy()), indent=4)) == first
    second = desk.publish(_changed(lambda p: _rule(p, "D003").update(description="of a day")))
    assert second.version == first.version + 1
    third = desk.publish()
    assert third.version == second.version + 1


def test_a_version_is_kept_for_ever_and_the_list_leaves_documents_out(desk: Desk) -> None:
    old = desk.publish()
    new = desk.publish(_changed(lambda p: _rule(p, "P001").update(description="age")))

    def get(version: int) -> policy_pb2.Policy:
        request = policy_pb2.GetPolicyRequest(name="default", version=version)
        return desk.policies.GetPolicy(request).policy

    assert get(old.version) == old
    assert get(0) == get(new.version) == new
    listed = desk.policies.ListPolicies(policy_pb2.ListPoliciesRequest(name="default")).policies
    assert [each.version for each in listed] == list(range(new.version, 0, -1))
    assert all(each.document == "" and each.hash for each in listed)
    for missing in ({"name": "default", "version": 999}, {"name": "nobody"}):
        with pytest.raises(grpc.RpcError) as error:
            desk.policies.GetPolicy(policy_pb2.GetPolicyRequest(**missing))
        assert refusal(error.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


def test_a_document_with_faults_is_refused_with_every_one_of_them(desk: Desk) -> None:
    before = desk.publish()

    def spoil(document: Any) -> None:
        document["rules"][0]["when"]["any"][0]["feature"] = "applicant.now.weight"
        _rule(document, "F001")["result"] = "REFUSE"

    document = _changed(spoil)
    index = next(i for i, r in enumerate(json.loads(document)["rules"]) if r["code"] == "F001")
    paths = {"rules[0].when.any[0].feature", f"rules[{index}].result"}
    checked = desk.policies.ValidatePolicy(policy_pb2.ValidatePolicyRequest(document=document))
    assert {fault.path for fault in checked.faults} == paths
    with pytest.raises(grpc.RpcError) as error:
        desk.publish(document)
    assert refusal(error.value) == ("INVALID_ARGUMENT", "POLICY_INVALID")
    assert set(violations(error.value)) == paths
    assert desk.publish() == before


def test_a_document_in_good_order_has_no_faults(desk: Desk) -> None:
    request = policy_pb2.ValidatePolicyRequest(document=shipped_policy())
    assert not desk.policies.ValidatePolicy(request).faults


@pytest.mark.parametrize("document", ["not JSON", "[]", "null"])
def test_what_is_no_policy_at_all_is_refused(desk: Desk, document: str) -> None:
    with pytest.raises(grpc.RpcError) as error:
        desk.publish(document)
    assert refusal(error.value) == ("INVALID_ARGUMENT", "POLICY_INVALID")


def test_a_document_is_published_under_its_own_name_only(desk: Desk) -> None:
    with pytest.raises(grpc.RpcError) as error:
        desk.policies.PublishPolicy(
            policy_pb2.PublishPolicyRequest(request_id=rid(), name="challenger")
        )
    assert "name" in violations(error.value)


def test_decisions_use_the_newest_version_from_the_next_one_on(desk: Desk) -> None:
    desk.publish()
    who = desk.good()
    before = desk.decide(who)
    # Of the two rules P001 the first holds against 22 to 55; this applicant is 36.
    stricter = desk.publish(_changed(lambda p: p["rules"][0]["when"]["any"][0].update(value=40)))
    after = desk.decide(who)
    assert (outcome_of(before), outcome_of(after)) == ("APPROVED", "DECLINED")
    assert list(after.reason_codes) == ["P001"]
    assert after.policy_version == f"default@{stricter.version}"
    # Each is replayed over the version that made it.
    assert desk.replay(before).same
    assert desk.replay(before).decision.policy_version == before.policy_version
    assert desk.replay(after).same


def test_a_source_to_be_retried_decides_nothing_until_it_answers(desk: Desk) -> None:
    def retry(document: Any) -> None:
        document["sources"][0].update(fail_mode="RETRY")
        del document["sources"][0]["refusal"]

    desk.publish(_changed(retry))
    who = desk.good()
    desk.behave(MULTI_LENDER, who, simulator_pb2.Behaviour(status_code=INTERNAL), times=50)
    request = desk.request(who)
    with pytest.raises(grpc.RpcError) as error:
        desk.decisions.Decide(request, timeout=0.5)
    assert refusal(error.value)[0] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    query = "SELECT count(*) FROM decision WHERE customer_id = :id"
    assert desk.house.sql(query, "risk", id=who.customer_id)[0][0] == 0
    desk.house.sql("DELETE FROM script", "simulators", write=True)
    assert outcome_of(desk.decisions.Decide(request).decision) == "APPROVED"


def test_a_source_whose_defaults_do_is_left_out_and_the_decision_goes_on(desk: Desk) -> None:
    def tolerate(document: Any) -> None:
        document["sources"][0].update(fail_mode="DEFAULT")
        del document["sources"][0]["refusal"]

    desk.publish(_changed(tolerate))
    who = desk.good()
    desk.behave(MULTI_LENDER, who, simulator_pb2.Behaviour(status_code=INTERNAL))
    decision = desk.decide(who)
    assert "E005" not in decision.reason_codes
    assert decision.score == 613 - 129 + 106
    assert desk.replay(decision).same


def test_a_policy_that_forgets_to_ask_for_consent_still_fetches_nothing_without_one(
    desk: Desk,
) -> None:
    def forget(document: Any) -> None:
        document["rules"].remove(_rule(document, "P010"))

    desk.publish(_changed(forget))
    who = desk.good()
    desk.consent(who, withdrawn=True)
    desk.script(MULTI_LENDER, who)
    with pytest.raises(grpc.RpcError) as error:
        desk.decide(who)
    assert refusal(error.value) == ("FAILED_PRECONDITION", "CONSENT_MISSING")
    assert desk.unused(who) == 1
