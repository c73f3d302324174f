"""Features: the registry, and what observations make of a customer at a point in time."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_risk.documents import DocumentInvalid
from tael_risk.features import (
    FeatureType,
    Value,
    format_value,
    parse_value,
    read_registry,
    shipped_registry,
)
from tael_risk.observations import (
    FeatureValue,
    Observation,
    Perspective,
    compute_features,
    fact_faults,
    shared_facts,
    values_of,
)

REGISTRY = shipped_registry()
TODAY = date(2026, 3, 15)
NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def seen(
    kind: str, day: date = TODAY, customer: str = "c1", at: datetime = NOON, **facts: str
) -> Observation:
    name = f"{kind}:{customer}:{day}:{at}:{sorted(facts.items())}"
    return Observation(name, customer, kind, day, facts, at)


def features(
    *observations: Observation, subject: str = "", **given_values: Value
) -> dict[str, FeatureValue]:
    known = {name.replace("__", "."): value for name, value in given_values.items()}
    return compute_features(REGISTRY, observations, Perspective("c1", TODAY, subject), known)


def test_without_facts_every_feature_has_its_default_and_says_so() -> None:
    for name, feature in features().items():
        assert feature == FeatureValue(REGISTRY[name].default, 1, None, default_used=True)


@pytest.mark.parametrize(
    ("born", "age"),
    [("2004-03-15", 22), ("2004-03-16", 21), ("2004-02-29", 22), ("1970-12-31", 55)],
)
def test_age_is_in_whole_years_lived(born: str, age: int) -> None:
    assert features(seen("PERSON", birth_date=born))["applicant.now.age"].value == age


def test_age_at_maturity_counts_the_months_of_the_loan() -> None:
    born = seen("PERSON", birth_date="1961-03-16")
    assert features(born, request__now__periods=12)["applicant.maturity.age"].value == 65
    assert features(born, request__now__periods=13)["applicant.maturity.age"].value == 66


def test_days_left_on_an_identity_card_turn_negative_after_it_expired() -> None:
    made = features(seen("PERSON", id_valid_to="2026-03-10"))
    assert made["applicant.now.id_days_left"].value == -5


def test_the_latest_fact_counts_and_its_time_is_told() -> None:
    early, late = NOON - timedelta(hours=2), NOON - timedelta(hours=1)
    made = features(
        seen("IDENTITY_CHECK", at=late, four_elements="MATCH"),
        seen("IDENTITY_CHECK", at=early, four_elements="MISMATCH"),
        seen("IDENTITY_CHECK", at=NOON, face_score="91"),
    )
    assert made["identity.now.four_elements"] == FeatureValue("MATCH", 1, late, default_used=False)
    assert made["identity.now.face_score"].value == 91
    assert made["identity.now.real_name"].default_used


def test_facts_of_later_days_are_not_known_yet() -> None:
    tomorrow = seen("BLACKLIST", TODAY + timedelta(days=1), listed="true")
    assert features(tomorrow)["list.now.blacklisted"].value is False


def test_identities_on_a_device_count_each_customer_once_within_30_days() -> None:
    made = features(
        seen("DEVICE", device_id="d1"),
        seen("DEVICE", customer="c2", device_id="d1"),
        seen("DEVICE", customer="c2", day=TODAY - timedelta(days=3), device_id="d1"),
        seen("DEVICE", customer="c3", day=TODAY - timedelta(days=29), device_id="d1"),
        seen("DEVICE", customer="c4", day=TODAY - timedelta(days=30), device_id="d1"),
        seen("DEVICE", customer="c5", device_id="d2"),
    )
    assert made["device.30d.identities"].value == 3
    assert ("DEVICE", "device_id") in shared_facts(REGISTRY)


def test_others_facts_are_not_his() -> None:
    made = features(seen("DEVICE", customer="c2", device_id="d1", emulator="true"))
    assert made["device.now.emulator"].value is False
    assert made["device.30d.identities"].value == 0


def test_queries_at_other_lenders_go_stale_after_30_days() -> None:
    answer = {"queries_7d": "1", "queries_30d": "4", "queries_90d": "9"}
    fresh = features(seen("MULTI_LENDER", TODAY - timedelta(days=29), **answer))
    assert [fresh[f"multi_lender.{days}d.queries"].value for days in (7, 30, 90)] == [1, 4, 9]
    stale = features(seen("MULTI_LENDER", TODAY - timedelta(days=30), **answer))
    assert [stale[f"multi_lender.{days}d.queries"].value for days in (7, 30, 90)] == [None] * 3


def test_own_loans_are_summed_as_last_seen() -> None:
    made = features(
        seen("LOAN", date(2026, 1, 1), loan_id="l1", overdue_minor_units="88849", dpd="61"),
        seen("LOAN", date(2026, 2, 1), loan_id="l1", overdue_minor_units="0", dpd="0"),
        seen("LOAN", date(2026, 2, 1), loan_id="l2", overdue_minor_units="500", dpd="3"),
        seen("LOAN", date(2026, 2, 2), loan_id="l3", state="WRITTEN_OFF"),
    )
    assert made["loans.now.overdue"].value == 500
    assert made["loans.24m.max_dpd"].value == 61
    assert made["loans.ever.written_off"].value == 1


def test_an_application_is_no_obstacle_to_itself() -> None:
    states = [
        seen("APPLICATION_STATE", application_id="a1", state="SUBMITTED"),
        seen("APPLICATION_STATE", application_id="a2", state="REVIEW"),
    ]
    assert features(*states)["applications.now.open"].value == 2
    assert features(*states, subject="a1")["applications.now.open"].value == 1
    assert features(*states[:1], subject="a1")["applications.now.open"].value == 0


def test_what_the_request_says_is_taken_as_given() -> None:
    made = features(request__now__amount=1_000_000)["request.now.amount"]
    assert (made.value, made.default_used) == (1_000_000, False)


observed = st.lists(
    st.builds(
        seen,
        st.just("DEVICE"),
        st.dates(date(2026, 1, 1), date(2026, 4, 1)),
        st.sampled_from(["c1", "c2", "c3"]),
        device_id=st.sampled_from(["d1", "d2"]),
        emulator=st.sampled_from(["true", "false"]),
    ),
    max_size=12,
)


@given(observed, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_arrive_does_not_matter(
    facts: list[Observation], chance: random.Random
) -> None:
    shuffled = facts.copy()
    chance.shuffle(shuffled)
    assert values_of(features(*facts)) == values_of(features(*shuffled))


@given(observed)
def test_facts_of_the_future_change_nothing(facts: list[Observation]) -> None:
    assert features(*facts) == features(*(item for item in facts if item.date <= TODAY))


def test_facts_that_no_feature_could_read_are_refused_before_they_are_stored() -> None:
    facts = {"face_score": "high", "face_live": "yes", "real_name": "MATCH", "note": "anything"}
    assert fact_faults(REGISTRY, "IDENTITY_CHECK", facts) == {
        "face_score": '"high" is not an integer of at most 18 digits',
        "face_live": '"yes" is neither true nor false',
    }
    assert set(fact_faults(REGISTRY, "PERSON", {"birth_date": "1.1.1990"})) == {"birth_date"}
    assert fact_faults(REGISTRY, "UNHEARD_OF", {"x": "y"}) == {}


@given(st.integers(-(10**17), 10**17) | st.booleans() | st.text() | st.decimals(-9, 9, places=6))
def test_a_value_survives_its_text(value: Value) -> None:
    kind = {
        int: FeatureType.INTEGER,
        bool: FeatureType.BOOLEAN,
        str: FeatureType.TEXT,
        Decimal: FeatureType.DECIMAL,
    }[type(value)]
    text = format_value(value)
    assert text is not None
    assert parse_value(kind, text) == value


def test_a_faulty_registry_is_told_where_and_why() -> None:
    faulty = """[
        {"name": "age", "type": "INTEGER", "source": "DEVICE", "version": 1,
         "sensitivity": "C1", "description": "x", "default": "old",
         "from": {"operation": "LATEST", "kind": "PERSON"}}
    ]"""
    with pytest.raises(DocumentInvalid) as refused:
        read_registry(faulty)
    assert [(fault.path, fault.message) for fault in refused.value.faults] == [
        ("features[0].name", '"age" is not entity.window.metric'),
        ("features[0].default", '"old" is not an integer of at most 18 digits'),
        ("features[0].from.fact", "LATEST reads a fact; name it"),
    ]
