"""Decisions over the real simulators, store and wire."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from risk.applications import (
    BUREAU,
    COURT_LIST,
    MULTI_LENDER,
    Applicant,
    Desk,
    outcome_of,
    steps_of,
)

from support import House, refusal, violations
from tael.origination.v1 import application_pb2
from tael.provider.v1 import simulator_pb2
from tael.risk.v1 import decision_pb2, decision_pb2_grpc
from tael.servicing.v1 import credit_line_pb2
from tael_client.values import money

INTERNAL = 13
"""A status that no client repeats."""
DRAWDOWN = decision_pb2.STAGE_DRAWDOWN


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    desk = Desk(open_house("simulators", "risk"))
    desk.publish()
    return desk


def test_a_good_applicant_is_approved_with_the_worked_limit_and_rate(desk: Desk) -> None:
    decision = desk.decide(desk.good())
    assert outcome_of(decision) == "APPROVED"
    assert (decision.score, decision.grade) == (613, "C")
    assert decision.limit == money(3_370_000)
    assert decision.annual_rate.value == "0.12"
    assert decision.policy_version == "default@1"
    assert decision.bureau_used
    order = ["ADMISSION", "ANTI_FRAUD", "INTERNAL", "EXTERNAL", "SCORE", "LIMIT", "PRICE"]
    assert steps_of(decision) == {step: ("PASS", []) for step in order}
    assert [step.step for step in decision.steps] == order
    assert all(len(step.inputs_hash) == 64 for step in decision.steps)
    assert sum(step.micros for step in decision.steps) > 0


def test_a_bad_applicant_is_declined_for_queries_elsewhere_and_the_bureau_is_not_asked(
    desk: Desk,
) -> None:
    who = desk.good()
    desk.script(MULTI_LENDER, who, queries_7d=6, queries_30d=12, queries_90d=20)
    desk.script(BUREAU, who)
    decision = desk.decide(who)
    assert outcome_of(decision) == "DECLINED"
    assert list(decision.reason_codes) == ["E002"]
    assert list(decision.customer_reasons) == ["OUTSIDE_RECORD"]
    assert not decision.HasField("limit")
    assert not decision.bureau_used
    assert desk.unused(who) == 1


def test_a_middling_applicant_is_for_a_person_to_look_at_with_limit_and_rate_proposed(
    desk: Desk,
) -> None:
    who = desk.good()
    desk.script(BUREAU, who, queries_3m=7, monthly_due=300_000)
    decision = desk.decide(who)
    assert outcome_of(decision) == "REVIEW"
    assert (decision.score, decision.grade) == (577, "E")
    assert steps_of(decision)["SCORE"] == ("REVIEW", ["S002", "A001", "A004", "A003", "A005"])
    assert decision.limit.minor_units > 0
    assert decision.annual_rate.value == "0.22"


def _young(desk: Desk) -> Applicant:
    return desk.good(PERSON={"birth_date": "2005-01-01"})


def _unconsenting(desk: Desk) -> Applicant:
    who = desk.good()
    desk.consent(who, withdrawn=True)
    return who


def _card_mismatch(desk: Desk) -> Applicant:
    return desk.good(IDENTITY_CHECK={"four_elements": "MISMATCH"})


def _shared_device(desk: Desk) -> Applicant:
    who = desk.good()
    for _ in range(2):
        desk.observe(Applicant().customer_id, "DEVICE", device_id=f"device-{who.number}")
    return who


def _overdue_with_us(desk: Desk) -> Applicant:
    who = desk.good()
    desk.loan_changed(who, overdue=88_849, dpd=5)
    return who


def _much_asked_elsewhere(desk: Desk) -> Applicant:
    who = desk.good()
    desk.script(MULTI_LENDER, who, queries_30d=10)
    return who


FLIPS: list[tuple[str, str, Callable[[Desk], Applicant]]] = [
    ("ADMISSION", "P001", _young),
    ("ADMISSION", "P010", _unconsenting),
    ("ADMISSION", "K003", _card_mismatch),
    ("ANTI_FRAUD", "F001", _shared_device),
    ("INTERNAL", "I002", _overdue_with_us),
    ("EXTERNAL", "E002", _much_asked_elsewhere),
]


@pytest.mark.parametrize(("step", "code", "flip"), FLIPS, ids=[code for _, code, _ in FLIPS])
def test_one_fact_flipped_changes_exactly_its_step_and_its_reason(
    desk: Desk, step: str, code: str, flip: Callable[[Desk], Applicant]
) -> None:
    good = steps_of(desk.decide(desk.good()))
    bent = desk.decide(flip(desk))
    assert outcome_of(bent) == "DECLINED"
    assert list(bent.reason_codes) == [code]
    earlier = list(good)[: list(good).index(step)]
    assert steps_of(bent) == {name: good[name] for name in earlier} | {step: ("REJECT", [code])}


def test_a_score_below_the_cut_off_by_one_fact_changes_the_score_step_alone(desk: Desk) -> None:
    fair, poor = desk.good(), desk.good()
    for who, queries in ((fair, 2), (poor, 7)):
        desk.script(MULTI_LENDER, who, queries_30d=9)
        desk.script(BUREAU, who, queries_3m=queries)
    approved, declined = desk.decide(fair), desk.decide(poor)
    assert (outcome_of(approved), approved.score, approved.grade) == ("APPROVED", 583, "D")
    assert (outcome_of(declined), declined.score, declined.grade) == ("DECLINED", 547, "F")
    assert declined.reason_codes[0] == "S001"
    before = [name for name in steps_of(approved) if name not in {"SCORE", "LIMIT", "PRICE"}]
    assert list(steps_of(declined)) == [*before, "SCORE"]


def test_without_a_consent_nobody_outside_is_asked(desk: Desk) -> None:
    who = Applicant()
    desk.introduce(who)
    for method in (MULTI_LENDER, COURT_LIST, BUREAU):
        desk.script(method, who)
    request = desk.request(who)
    request.consent_id = ""
    decision = desk.decisions.Decide(request).decision
    assert list(decision.reason_codes) == ["P010"]
    assert desk.unused(who) == 3


def test_a_consent_that_risk_has_not_heard_of_decides_nothing_until_it_has(desk: Desk) -> None:
    who = Applicant()
    desk.introduce(who)
    request = desk.request(who)
    # A channel of ours would ask again by itself.
    with grpc.insecure_channel(desk.house.settings.target("risk")) as plain:
        decide = decision_pb2_grpc.DecisionServiceStub(plain).Decide
        with pytest.raises(grpc.RpcError) as late:
            decide(request, metadata=[("tael-caller", "tester")])
    assert refusal(late.value) == ("UNAVAILABLE", "CONSENT_UNHEARD")
    assert _count(desk, "decision", who) == 0
    desk.consent(who)
    assert outcome_of(desk.decisions.Decide(request).decision) == "APPROVED"


@pytest.mark.parametrize("flaw", ["of another customer", "expired", "withdrawn"])
def test_a_consent_that_is_not_live_is_none(desk: Desk, flaw: str) -> None:
    who, other = Applicant(), desk.good()
    desk.introduce(who)
    desk.consent(
        who,
        withdrawn=flaw == "withdrawn",
        valid_to="2026-03-14" if flaw == "expired" else "2027-01-01",
    )
    owner = other if flaw == "of another customer" else who
    consent_id = f"cs_{owner.number}"
    decision = desk.decide(who, consent_id=consent_id)
    assert list(decision.reason_codes) == ["P010"]


def test_a_consent_whose_event_comes_a_moment_late_is_waited_for(desk: Desk) -> None:
    who = Applicant()
    desk.introduce(who)
    late = threading.Timer(0.5, desk.consent, [who])
    late.start()
    assert outcome_of(desk.decide(who)) == "APPROVED"
    late.join()


def test_a_source_that_does_not_answer_is_for_review_and_the_rest_goes_on(desk: Desk) -> None:
    who = desk.good()
    desk.behave(MULTI_LENDER, who, simulator_pb2.Behaviour(status_code=INTERNAL))
    decision = desk.decide(who)
    assert outcome_of(decision) == "REVIEW"
    # What is not known calls for a person too: the court list and the queries.
    assert steps_of(decision)["EXTERNAL"] == ("REVIEW", ["E001", "E002", "E005"])
    assert decision.bureau_used
    assert desk.replay(decision).same


def test_a_silent_bureau_is_for_review_and_is_on_record_as_asked(desk: Desk) -> None:
    who = desk.good()
    desk.behave(BUREAU, who, simulator_pb2.Behaviour(status_code=INTERNAL))
    decision = desk.decide(who)
    assert outcome_of(decision) == "REVIEW"
    assert "B008" in decision.reason_codes
    assert not decision.bureau_used
    asked = desk.house.sql(
        "SELECT operator, reason_code, consent_id FROM bureau_query WHERE customer_id = :id",
        "risk",
        id=who.customer_id,
    )
    assert [tuple(row) for row in asked] == [("tester", "02", f"cs_{who.number}")]
    assert desk.replay(decision).same


def test_a_drawdown_within_the_line_passes_and_a_frozen_line_refuses_it(desk: Desk) -> None:
    who = desk.good()
    desk.line_changed(who, credit_line_pb2.LINE_STATE_ACTIVE)
    passed = desk.decide(who, stage=DRAWDOWN, subject_id="dd_1")
    assert outcome_of(passed) == "APPROVED"
    assert [step.step for step in passed.steps][-1] == "SCORE"
    over = desk.decide(who, stage=DRAWDOWN, subject_id="dd_2", loan={"amount": money(1_685_001)})
    assert list(over.reason_codes) == ["D002"]
    desk.line_changed(who, credit_line_pb2.LINE_STATE_FROZEN)
    frozen = desk.decide(who, stage=DRAWDOWN, subject_id="dd_3")
    assert list(frozen.reason_codes) == ["D001"]


def test_a_closed_line_exposes_to_what_is_owed_on_it_and_an_open_one_to_its_limit(
    desk: Desk,
) -> None:
    who = desk.good()
    desk.line_changed(who, credit_line_pb2.LINE_STATE_ACTIVE)
    open_line = desk.explain(desk.decide(who))
    assert "regulator 166,300.00" in open_line.limit_terms
    desk.line_changed(who, credit_line_pb2.LINE_STATE_CLOSED)
    closed_line = desk.explain(desk.decide(who))
    assert "regulator 183,150.00" in closed_line.limit_terms


def test_another_open_application_is_in_the_way_and_the_application_itself_is_not(
    desk: Desk,
) -> None:
    who = desk.good()
    submitted = application_pb2.APPLICATION_STATE_SUBMITTED
    desk.application_changed(who, f"ap_{who.number}", submitted)
    assert outcome_of(desk.decide(who)) == "APPROVED"
    desk.application_changed(who, "ap_other", submitted)
    assert list(desk.decide(who).reason_codes) == ["I003"]
    desk.application_changed(who, "ap_other", application_pb2.APPLICATION_STATE_REJECTED)
    assert list(desk.decide(who).reason_codes) == ["P009"]


@pytest.mark.parametrize(
    ("decided_on", "codes"),
    [("2026-02-20", ["P009"]), ("2026-02-01", [])],
    ids=["near", "long ago"],
)
def test_the_days_after_a_rejection_run_from_the_rejection(
    desk: Desk, decided_on: str, codes: list[str]
) -> None:
    who = desk.good()
    rejected = application_pb2.APPLICATION_STATE_REJECTED
    desk.application_changed(who, "ap_other", rejected, "2026-01-30", decided_on)
    reasons = desk.decide(who).reason_codes
    assert [code for code in reasons if code == "P009"] == codes


def test_nobody_waits_after_a_line_that_was_not_granted_for_the_products_sake(desk: Desk) -> None:
    who = desk.good()
    rejected = application_pb2.APPLICATION_STATE_REJECTED
    desk.application_changed(
        who, "ap_other", rejected, "2026-02-27", "2026-02-28", not_granted=True
    )
    assert outcome_of(desk.decide(who)) == "APPROVED"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"business_date": {"month": 13}}, "business_date"),
    ({"loan": {"amount": {"currency_code": "USD"}}}, "loan.amount.currency_code"),
    ({"loan": {"amount": {"minor_units": -1}}}, "loan.amount.minor_units"),
    ({"loan": {"product_min": 30_000_000}}, "loan.product_min"),
    ({"loan": {"cost_cap": {"value": "24 %"}}}, "loan.cost_cap"),
    ({"loan": {"cost_cap": {"value": "-0.24"}}}, "loan.cost_cap"),
    ({"loan": {"periods": 361}}, "loan.periods"),
    ({"applicant": {"id_number": "1101"}}, "applicant.id_number"),
]


@pytest.mark.parametrize(("changed", "field"), BAD, ids=[field for _, field in BAD])
def test_a_wrong_field_is_named_and_nothing_is_decided(
    desk: Desk, changed: dict[str, Any], field: str
) -> None:
    who = desk.good()
    with pytest.raises(grpc.RpcError) as error:
        desk.decide(who, **changed)
    assert field in violations(error.value)
    assert _count(desk, "decision", who) == 0


def _count(desk: Desk, table: str, who: Applicant) -> int:
    query = f"SELECT count(*) FROM {table} WHERE customer_id = :id"
    number: int = desk.house.sql(query, "risk", id=who.customer_id)[0][0]
    return number
