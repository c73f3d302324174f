"""Consents as origination gives and withdraws them, learnt over the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from risk.applications import Applicant, Desk, outcome_of

from support import House, day, rid, wait_until
from tael.origination.v1 import customer_pb2, customer_pb2_grpc


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    house = open_house("simulators", "risk", "origination")
    house.set_clock("2026-03-15T10:00")
    desk = Desk(house)
    desk.publish()
    return desk


def _registered(desk: Desk, who: Applicant) -> str:
    customers = desk.house.client("origination", customer_pb2_grpc.CustomerServiceStub)
    registered = customers.RegisterPerson(
        customer_pb2.RegisterPersonRequest(
            request_id=rid(),
            name=who.name,
            id_number=who.id_number,
            mobile="13800000001",
            monthly_income=1_200_000,
        )
    )
    customer_id: str = registered.customer.customer_id
    return customer_id


def _grant(
    desk: Desk, customer_id: str, kind: customer_pb2.ConsentType.ValueType
) -> customer_pb2.Consent:
    consents = desk.house.client("origination", customer_pb2_grpc.ConsentServiceStub)
    request = customer_pb2.GrantConsentRequest(
        request_id=rid(),
        customer_id=customer_id,
        type=kind,
        text="I agree to …",
        text_version="1",
        method="sms",
        valid_to=day("2027-03-15"),
    )
    return consents.GrantConsent(request).consent


def _decide(desk: Desk, who: Applicant, customer_id: str, consent_id: str) -> list[str]:
    request = desk.request(who, customer_id=customer_id, consent_id=consent_id)
    decision = desk.decisions.Decide(request).decision
    return [outcome_of(decision), *decision.reason_codes]


def test_a_consent_just_given_allows_the_query_and_one_withdrawn_no_longer(desk: Desk) -> None:
    who = Applicant()
    customer_id = _registered(desk, who)
    for kind, facts in {
        "PERSON": {"birth_date": "1990-03-07"},
        "INCOME": {"monthly_income_minor_units": "1200000"},
        "IDENTITY_CHECK": {
            "real_name": "MATCH",
            "face_score": "95",
            "face_live": "true",
            "four_elements": "MATCH",
        },
    }.items():
        desk.observe(customer_id, kind, **facts)
    consent = _grant(desk, customer_id, customer_pb2.CONSENT_TYPE_BUREAU_QUERY)
    assert _decide(desk, who, customer_id, consent.consent_id) == ["APPROVED"]

    face = _grant(desk, customer_id, customer_pb2.CONSENT_TYPE_FACE)
    assert _decide(desk, who, customer_id, face.consent_id) == ["DECLINED", "P010"]

    desk.house.client("origination", customer_pb2_grpc.ConsentServiceStub).WithdrawConsent(
        customer_pb2.WithdrawConsentRequest(request_id=rid(), consent_id=consent.consent_id)
    )
    withdrawn = "SELECT 1 FROM consent WHERE withdrawn AND consent_id = :id"
    wait_until(lambda: desk.house.sql(withdrawn, "risk", id=consent.consent_id))
    assert _decide(desk, who, customer_id, consent.consent_id) == ["DECLINED", "P010"]
