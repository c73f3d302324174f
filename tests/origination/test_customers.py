"""Registration, verification and consents, through the real services and the simulated world."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from origination_support import BUREAU_QUERY, FACE_CONSENT, Applicant, somebody

from support import House, day, refusal, rid, violations, wait_until
from tael.origination.v1 import customer_pb2, customer_pb2_grpc, event_pb2, event_pb2_grpc
from tael.provider.v1 import simulator_pb2


@pytest.fixture(scope="module")
def shared(open_house: Callable[..., House]) -> House:
    return open_house("simulators", "origination")


@pytest.fixture
def open_day(shared: House) -> House:
    shared.set_clock("2026-01-15T10:00")
    return shared


@contextmanager
def impatient(house: House) -> Iterator[customer_pb2_grpc.VerificationServiceStub]:
    """A caller that does not ask again what is UNAVAILABLE."""
    with grpc.insecure_channel(house.settings.target("origination")) as channel:
        yield customer_pb2_grpc.VerificationServiceStub(channel)


@pytest.fixture
def applicant(open_day: House) -> Applicant:
    return Applicant(open_day)


def test_who_registers_is_answered_masked(applicant: Applicant) -> None:
    customer = applicant.register()
    identity = applicant.identity
    assert customer.masked_name == "欧" + "*" * (len(identity.name) - 1)
    assert customer.masked_id_number == f"1{'*' * 16}{identity.id_number[-1]}"
    assert customer.masked_mobile == f"139****{identity.mobile[-4:]}"
    assert customer.birth_date == day("1990-03-07")
    assert customer.monthly_income == 1_200_000
    assert not customer.verified.phone
    request = customer_pb2.GetCustomerRequest(customer_id=customer.customer_id)
    assert applicant.customers.GetCustomer(request).customer == customer


def test_an_identity_number_has_one_customer_and_the_refusal_names_them(
    applicant: Applicant,
) -> None:
    customer = applicant.register()
    with pytest.raises(grpc.RpcError) as refused:
        applicant.register(mobile="13700000001", id_number=applicant.identity.id_number.lower())
    assert refusal(refused.value) == ("ALREADY_EXISTS", "CUSTOMER_EXISTS")
    assert customer.customer_id in str(refused.value)


def test_concurrent_registrations_of_one_person_make_one_customer(open_day: House) -> None:
    identity = somebody()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(Applicant(open_day, identity).register) for _ in range(4)]
    refused = [call.exception() for call in calls if call.exception()]
    assert len(refused) == 3
    for error in refused:
        assert isinstance(error, grpc.RpcError)
        assert refusal(error) == ("ALREADY_EXISTS", "CUSTOMER_EXISTS")


def test_the_same_request_registers_once_and_is_answered_the_same(applicant: Applicant) -> None:
    request_id = rid()
    first = applicant.register(request_id=request_id)
    applicant.verify_phone()
    assert applicant.register(request_id=request_id) == first
    with pytest.raises(grpc.RpcError) as refused:
        applicant.register(request_id=request_id, monthly_income=1)
    assert refusal(refused.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id_number", "110105194912310021"),
        ("id_number", "110105194902310026"),
        ("id_number", "990105199003077896"),
        ("id_number", "1101051949123100"),
        ("mobile", "12345678901"),
        ("name", ""),
        ("monthly_income", -1),
    ],
)
def test_what_is_wrong_with_a_registration_is_named(
    applicant: Applicant, field: str, value: object
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        applicant.register(**{field: value})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert field in violations(refused.value)


def test_customers_are_found_by_identity_number_and_by_phone(open_day: House) -> None:
    first, second = somebody(), somebody()
    shared_phone = somebody().mobile
    one, two = Applicant(open_day, first), Applicant(open_day, second)
    ids = [
        one.register(mobile=shared_phone).customer_id,
        two.register(mobile=shared_phone).customer_id,
    ]

    def search(**by: str) -> list[str]:
        request = customer_pb2.SearchCustomersRequest(**by)
        return [found.customer_id for found in one.customers.SearchCustomers(request).customers]

    assert search(id_number=first.id_number) == ids[:1]
    assert search(mobile=shared_phone) == ids
    assert search(mobile=somebody().mobile) == []


def test_a_revealed_contact_leaves_a_record_nobody_can_change(applicant: Applicant) -> None:
    applicant.register()
    answer = applicant.customers.RevealContact(
        customer_pb2.RevealContactRequest(
            customer_id=applicant.customer_id, reason="call about case c-1"
        )
    )
    assert (answer.name, answer.mobile) == (applicant.identity.name, applicant.identity.mobile)
    rows = applicant.house.sql(
        "SELECT caller, reason FROM contact_access WHERE customer_id = :id",
        "origination",
        id=applicant.customer_id,
    )
    assert [tuple(row) for row in rows] == [("app", "call about case c-1")]
    granted = applicant.house.sql(
        "SELECT privilege_type FROM information_schema.role_table_grants "
        "WHERE table_name = 'contact_access' AND grantee = 'tael_origination'",
        "origination",
    )
    assert {row[0] for row in granted} == {"SELECT", "INSERT"}


def test_the_phone_is_proven_by_the_code_in_the_text(applicant: Applicant) -> None:
    applicant.register()
    assert applicant.verify_phone().phone
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verify_phone(applicant.last_code())
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NO_CODE")


def test_a_code_is_dead_after_ten_minutes(applicant: Applicant) -> None:
    applicant.register()
    code = applicant.send_code()
    applicant.house.set_clock("2026-01-15T10:10:01")
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verify_phone(code)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CODE_EXPIRED")
    applicant.house.set_clock("2026-01-15T10:10:00")
    assert applicant.verify_phone(code).phone


def test_a_code_bears_five_wrong_tries_and_repeating_one_costs_none(applicant: Applicant) -> None:
    applicant.register()
    code = applicant.send_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    request = customer_pb2.VerifyPhoneRequest(
        request_id=rid(), customer_id=applicant.customer_id, code=wrong
    )
    for _ in range(7):
        with pytest.raises(grpc.RpcError) as refused:
            applicant.verification.VerifyPhone(request)
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "WRONG_CODE")
    for _ in range(4):
        with pytest.raises(grpc.RpcError) as refused:
            applicant.verify_phone(wrong)
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "WRONG_CODE")
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verify_phone(code)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CODE_SPENT")


def test_five_codes_a_day_and_a_repeated_request_sends_one_text(applicant: Applicant) -> None:
    applicant.register()
    request = customer_pb2.SendPhoneCodeRequest(request_id=rid(), customer_id=applicant.customer_id)
    for _ in range(3):
        applicant.verification.SendPhoneCode(request)
    assert len(applicant.texts()) == 1
    for _ in range(4):
        applicant.send_code()
    with pytest.raises(grpc.RpcError) as refused:
        applicant.send_code()
    assert refusal(refused.value) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CODES")
    applicant.house.set_clock("2026-01-16T00:00")
    assert applicant.verify_phone().phone


def test_a_text_that_was_not_sent_is_sent_by_the_same_request(applicant: Applicant) -> None:
    applicant.register()
    applicant.script(
        "MessageProviderService/SendText",
        applicant.identity.mobile,
        simulator_pb2.Behaviour(status_code=14),
    )
    request = customer_pb2.SendPhoneCodeRequest(request_id=rid(), customer_id=applicant.customer_id)
    with pytest.raises(grpc.RpcError) as refused, impatient(applicant.house) as stub:
        stub.SendPhoneCode(request)
    assert refusal(refused.value) == ("UNAVAILABLE", "TEXT_NOT_SENT")
    applicant.verification.SendPhoneCode(request)
    assert len(applicant.texts()) == 1
    assert applicant.verify_phone(applicant.last_code()).phone


@pytest.mark.parametrize(("variation", "confirmed"), [("10", True), ("90", False)])
def test_the_registry_says_whose_name_it_is(
    open_day: House, variation: str, confirmed: bool
) -> None:
    applicant = Applicant(open_day, somebody(variation))
    applicant.register()
    assert applicant.verify_name().real_name is confirmed


def test_a_registry_that_cannot_say_changes_nothing_and_may_be_asked_again(
    applicant: Applicant,
) -> None:
    applicant.register()
    applicant.script(
        "IdentityProviderService/CheckRealName",
        applicant.identity.id_number,
        simulator_pb2.Behaviour(outcome="UNKNOWN"),
    )
    request = customer_pb2.VerifyRealNameRequest(
        request_id=rid(), customer_id=applicant.customer_id
    )
    with pytest.raises(grpc.RpcError) as refused, impatient(applicant.house) as stub:
        stub.VerifyRealName(request)
    assert refusal(refused.value) == ("UNAVAILABLE", "REGISTRY_SILENT")
    known = applicant.customers.GetCustomer(
        customer_pb2.GetCustomerRequest(customer_id=applicant.customer_id)
    )
    assert not known.customer.verified.real_name
    assert applicant.verify_name(request.request_id).real_name


def test_a_face_needs_a_consent_and_eighty_points_of_a_living_person(open_day: House) -> None:
    applicant = Applicant(open_day)
    applicant.register()
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verify_face()
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONSENT_MISSING")
    applicant.consent(FACE_CONSENT)
    status = applicant.verify_face()
    assert (status.face, status.face_score) == (True, 95)
    for variation, score in (("92", 40), ("93", 95)):
        other = Applicant(open_day, somebody(variation))
        other.register()
        other.consent(FACE_CONSENT)
        status = other.verify_face()
        assert (status.face, status.face_score) == (False, score)


def test_of_a_face_the_hash_is_kept_and_the_image_is_not(applicant: Applicant) -> None:
    applicant.register()
    applicant.consent(FACE_CONSENT)
    image = b"\xff\xd8" + rid().encode() * 3000
    request_id = rid()
    applicant.verify_face(image, request_id)
    rows = applicant.house.sql(
        "SELECT image_hash FROM identity_check WHERE customer_id = :id AND kind = 'FACE'",
        "origination",
        id=applicant.customer_id,
    )
    assert [bytes(row[0]) for row in rows] == [hashlib.sha256(image).digest()]
    assert applicant.verify_face(image, request_id).face
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verify_face(image + b"x", request_id)
    assert refusal(refused.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


@pytest.mark.parametrize("size", [0, 4 * 1024 * 1024 + 1])
def test_a_face_of_no_or_too_many_bytes_is_refused(applicant: Applicant, size: int) -> None:
    applicant.register()
    applicant.consent(FACE_CONSENT)
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verify_face(b"x" * size)
    assert refusal(refused.value) == ("INVALID_ARGUMENT", "FACE_STREAM")


def test_a_face_begins_with_its_header(applicant: Applicant) -> None:
    applicant.register()
    chunk = customer_pb2.VerifyFaceRequest(chunk=b"x")
    with pytest.raises(grpc.RpcError) as refused:
        applicant.verification.VerifyFace(iter([chunk]))
    assert refusal(refused.value) == ("INVALID_ARGUMENT", "FACE_STREAM")


def test_a_card_is_bound_once_and_shown_masked(applicant: Applicant) -> None:
    applicant.register()
    card = applicant.bind_card()
    assert card.masked_number == f"622202******{applicant.identity.card[-4:]}"
    assert card.card_token
    assert applicant.bind_card() == card
    request = customer_pb2.GetCustomerRequest(customer_id=applicant.customer_id)
    assert list(applicant.customers.GetCustomer(request).customer.cards) == [card]


def test_a_mistyped_card_never_reaches_the_bank(applicant: Applicant) -> None:
    applicant.register()
    right = applicant.identity.card
    with pytest.raises(grpc.RpcError) as refused:
        applicant.bind_card(right[:-1] + str((int(right[-1]) + 1) % 10))
    assert "Luhn" in violations(refused.value)["card_number"]
    assert applicant.bind_card()


def test_a_card_of_another_is_refused_and_three_tries_are_a_days_worth(open_day: House) -> None:
    applicant = Applicant(open_day, somebody("94"))
    applicant.register()
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as refused:
            applicant.bind_card()
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "CARD_MISMATCH")
    with pytest.raises(grpc.RpcError) as refused:
        applicant.bind_card()
    assert refusal(refused.value) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CARD_TRIES")


def test_a_bank_that_cannot_say_costs_no_try(applicant: Applicant) -> None:
    applicant.register()
    unknown = simulator_pb2.Behaviour(outcome="UNKNOWN")
    applicant.script(
        "IdentityProviderService/CheckFourElements", applicant.identity.card, *[unknown] * 4
    )
    with impatient(applicant.house) as stub:
        for _ in range(4):
            request = customer_pb2.BindCardRequest(
                request_id=rid(),
                customer_id=applicant.customer_id,
                card_number=applicant.identity.card,
                mobile=applicant.identity.mobile,
            )
            with pytest.raises(grpc.RpcError) as refused:
                stub.BindCard(request)
            assert refusal(refused.value) == ("UNAVAILABLE", "REGISTRY_SILENT")
    assert applicant.bind_card(request_id=request.request_id).card_token


def test_a_consent_is_kept_by_the_hash_of_its_text_until_withdrawn(applicant: Applicant) -> None:
    applicant.register()
    given = applicant.consent(BUREAU_QUERY, "2026-01-15")
    assert given.text_hash == hashlib.sha256("我同意。I agree.".encode()).hexdigest()
    check = customer_pb2.CheckConsentRequest(customer_id=applicant.customer_id, type=BUREAU_QUERY)
    assert applicant.consents.CheckConsent(check).consent == given
    applicant.house.set_clock("2026-01-16T00:00")
    assert not applicant.consents.CheckConsent(check).HasField("consent")
    later = applicant.consent(BUREAU_QUERY)
    withdraw = customer_pb2.WithdrawConsentRequest(request_id=rid(), consent_id=later.consent_id)
    withdrawn = applicant.consents.WithdrawConsent(withdraw).consent
    assert withdrawn.HasField("withdrawn_at")
    assert applicant.consents.WithdrawConsent(withdraw).consent == withdrawn
    assert not applicant.consents.CheckConsent(check).HasField("consent")
    with pytest.raises(grpc.RpcError) as refused:
        applicant.consents.WithdrawConsent(
            customer_pb2.WithdrawConsentRequest(request_id=rid(), consent_id=later.consent_id)
        )
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONSENT_WITHDRAWN")
    listed = applicant.consents.ListConsents(
        customer_pb2.ListConsentsRequest(customer_id=applicant.customer_id)
    )
    assert list(listed.consents) == [given, withdrawn]


def test_a_consent_cannot_end_before_it_is_given(applicant: Applicant) -> None:
    applicant.register()
    with pytest.raises(grpc.RpcError) as refused:
        applicant.consent(BUREAU_QUERY, "2026-01-14")
    assert "valid_to" in violations(refused.value)


def test_nothing_is_known_of_unknown_ids(applicant: Applicant) -> None:
    applicant.customer_id = "cu_nobody"
    for call in (
        applicant.send_code,
        applicant.verify_name,
        applicant.verify_face,
        applicant.bind_card,
        lambda: applicant.consent(BUREAU_QUERY),
        lambda: applicant.verify_phone("123456"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refusal(refused.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


def test_events_tell_of_the_customer_and_their_consents_without_personal_data(
    applicant: Applicant,
) -> None:
    applicant.register()
    consent = applicant.consent(BUREAU_QUERY)
    applicant.verify_name()
    stub = applicant.house.client("origination", event_pb2_grpc.EventServiceStub)
    stream = stub.Watch(event_pb2.WatchRequest())
    told: list[event_pb2.Event] = []
    for response in stream:
        event = response.event
        if applicant.customer_id in str(event):
            told.append(event)
        if event.customer_changed.customer.customer_id == applicant.customer_id and (
            event.customer_changed.customer.verified.real_name
        ):
            stream.cancel()
            break
    kinds = [event.WhichOneof("payload") for event in told]
    assert kinds == ["customer_changed", "consent_changed", "customer_changed"]
    assert told[1].consent_changed.consent == consent
    everything = "".join(str(event) for event in told)
    for secret in (
        applicant.identity.name,
        applicant.identity.id_number,
        applicant.identity.mobile,
    ):
        assert secret not in everything


def test_no_row_of_the_store_holds_personal_data_in_clear(applicant: Applicant) -> None:
    applicant.verified()
    code = applicant.send_code()
    applicant.verify_phone(code)
    wait_until(
        lambda: (
            not applicant.house.sql("SELECT 1 FROM outbox WHERE position IS NULL", "origination")
        )
    )
    tables = [
        row[0]
        for row in applicant.house.sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'origination'",
            "origination",
        )
    ]
    assert "customer" in tables
    identity = applicant.identity
    secrets = [identity.name, identity.id_number, identity.mobile, identity.card]
    for table in tables:
        for row in applicant.house.sql(f'SELECT t::text FROM "{table}" AS t', "origination"):
            for secret in secrets:
                assert secret not in row[0], table
                assert secret.encode().hex() not in row[0], table
