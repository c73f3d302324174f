"""Observations stored once and never changed, and the features they make at a date."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from risk.applications import Applicant, Desk

from support import House, day, rid, violations
from tael.risk.v1 import feature_pb2
from tael_risk.features import shipped_registry


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    return Desk(open_house("risk"))


def _observation(who: Applicant, kind: str, **facts: str) -> feature_pb2.Observation:
    return feature_pb2.Observation(
        observation_id=rid(),
        customer_id=who.customer_id,
        kind=kind,
        date=day("2026-03-10"),
        facts=facts,
    )


def _record(desk: Desk, *observations: feature_pb2.Observation, request_id: str = "") -> int:
    request = feature_pb2.RecordObservationsRequest(
        request_id=request_id or rid(), observations=observations
    )
    recorded: int = desk.features.RecordObservations(request).recorded
    return recorded


def test_an_observation_is_stored_once_whoever_sends_it_again(desk: Desk) -> None:
    who = Applicant()
    income = _observation(who, "INCOME", monthly_income_minor_units="800000")
    request_id = rid()
    assert _record(desk, income, request_id=request_id) == 1
    assert _record(desk, income, request_id=request_id) == 1
    assert _record(desk, income) == 0
    query = "SELECT count(*) FROM observation WHERE customer_id = :id"
    assert desk.house.sql(query, "risk", id=who.customer_id)[0][0] == 1


def test_an_observation_never_changes(desk: Desk) -> None:
    who = Applicant()
    income = _observation(who, "INCOME", monthly_income_minor_units="800000")
    _record(desk, income)
    income.facts["monthly_income_minor_units"] = "900000"
    device = _observation(who, "DEVICE", device_id="d")
    assert _record(desk, income, device) == 1
    assert desk.feature(who, "applicant.now.monthly_income", "2026-03-10").value == "800000"
    with pytest.raises(Exception, match="never changed"):
        desk.house.sql("DELETE FROM observation", "risk", write=True)


def test_facts_that_no_feature_can_read_are_refused_by_name(desk: Desk) -> None:
    who = Applicant()
    fine = _observation(who, "INCOME", monthly_income_minor_units="1")
    wrong = _observation(who, "IDENTITY_CHECK", face_score="high", face_live="yes", note="n" * 201)
    wrong.facts["holder"] = who.id_number
    with pytest.raises(grpc.RpcError) as error:
        _record(desk, fine, wrong)
    assert set(violations(error.value)) == {
        "observations[1].facts[face_score]",
        "observations[1].facts[face_live]",
        "observations[1].facts[note]",
        "observations[1].facts[holder]",
    }
    assert desk.feature(who, "applicant.now.monthly_income", "2026-03-10").default_used


def test_a_date_that_is_none_is_refused(desk: Desk) -> None:
    observation = _observation(Applicant(), "DEVICE", device_id="d")
    observation.date.day = 32
    with pytest.raises(grpc.RpcError) as error:
        _record(desk, observation)
    assert "observations[0].date" in violations(error.value)


def test_a_feature_is_what_was_known_by_its_date(desk: Desk) -> None:
    who = Applicant()
    name = "applicant.now.monthly_income"
    for on, income in (("2026-03-01", "100"), ("2026-03-05", "200"), ("2026-03-03", "150")):
        desk.observe(who.customer_id, "INCOME", on, monthly_income_minor_units=income)
    at = {on: desk.feature(who, name, on) for on in ("2026-02-28", "2026-03-02", "2026-03-04")}
    assert [each.value for each in at.values()] == ["", "100", "150"]
    before, known = at["2026-02-28"], at["2026-03-02"]
    assert before.default_used
    assert not before.HasField("source_time")
    assert not known.default_used
    assert known.version == 1
    assert known.source_time.seconds > 0
    assert desk.feature(who, name, "2026-03-05").value == "200"


def test_of_one_day_the_fact_recorded_last_counts(desk: Desk) -> None:
    who = Applicant()
    for level in ("1", "4", "2"):
        desk.observe(who.customer_id, "WARNING", "2026-03-05", level=level)
    assert desk.feature(who, "warning.now.level", "2026-03-05").value == "2"


def test_of_facts_recorded_together_the_last_one_counts(desk: Desk) -> None:
    who = Applicant()
    warnings = [_observation(who, "WARNING", level=str(level % 5)) for level in range(999)]
    assert _record(desk, *warnings, warnings[0]) == 999
    assert desk.feature(who, "warning.now.level", "2026-03-10").value == "3"


def test_customers_who_share_a_device_are_counted_across_customers(desk: Desk) -> None:
    first, second, stranger = Applicant(), Applicant(), Applicant()
    for who, device, on in (
        (first, "shared", "2026-03-01"),
        (second, "shared", "2026-03-02"),
        (stranger, "own", "2026-03-02"),
    ):
        desk.observe(who.customer_id, "DEVICE", on, device_id=device)
    name = "device.30d.identities"
    assert desk.feature(first, name, "2026-03-01").value == "1"
    assert desk.feature(first, name, "2026-03-02").value == "2"
    assert desk.feature(stranger, name, "2026-03-02").value == "1"
    # Thirty days on, the first one's own sight of it is out of the window.
    assert desk.feature(first, name, "2026-03-31").value == "0"


def test_all_features_come_by_name_and_an_unknown_one_is_refused(desk: Desk) -> None:
    request = feature_pb2.GetFeaturesRequest(customer_id="cu_nobody", as_of=day("2026-03-01"))
    names = [each.name for each in desk.features.GetFeatures(request).features]
    assert names == sorted(shipped_registry())
    request.names.extend(["device.30d.identities", "device.30d.colour"])
    with pytest.raises(grpc.RpcError) as error:
        desk.features.GetFeatures(request)
    assert "names[1]" in violations(error.value)


def test_the_registry_tells_every_definition(desk: Desk) -> None:
    answer = desk.features.ListFeatureDefinitions(feature_pb2.ListFeatureDefinitionsRequest())
    listed = {each.name: each for each in answer.definitions}
    assert list(listed) == sorted(shipped_registry())
    identities = listed["device.30d.identities"]
    assert (identities.type, identities.source, identities.version) == ("INTEGER", "DEVICE", 1)
    assert identities.default_value == "0"
    assert identities.description
