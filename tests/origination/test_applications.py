"""Applications decided by risk and by people, through the real services."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import pytest
from origination_support import (
    BUREAU_QUERY,
    EXTERNAL_DATA,
    FACE_CONSENT,
    LONGER_THAN_RISK_WAITS,
    TODAY,
    Applicant,
    open_lender,
    somebody,
    unpublished,
)

from support import House, day, refusal, rid, violations, wait_until
from tael.origination.v1 import application_pb2, application_pb2_grpc, customer_pb2
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
)
from tael_cli.setup import product_terms
from tael_client.values import money, to_decimal

APPROVED = application_pb2.APPLICATION_STATE_APPROVED
REJECTED = application_pb2.APPLICATION_STATE_REJECTED
IN_REVIEW = application_pb2.APPLICATION_STATE_REVIEW
MIDDLING, COURT_LISTED = "97", "95"
"""Digits 15 and 16 of the identity number: many bureau queries; on the court's list."""


@pytest.fixture(scope="module")
def lender(open_house: Callable[..., House]) -> House:
    house = open_house("simulators", "ledger", "servicing", "risk", "origination")
    open_lender(house)
    return house


def lines_of(house: House, customer_id: str) -> list[credit_line_pb2.CreditLine]:
    stub = house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
    request = credit_line_pb2.ListCreditLinesRequest(customer_id=customer_id)
    return list(stub.ListCreditLines(request).lines)


class Reviewer:
    """A person who reviews."""

    def __init__(self, house: House, name: str) -> None:
        self._stub = house.client("origination", application_pb2_grpc.ReviewServiceStub, name)

    def list(self, **filters: object) -> application_pb2.ListReviewsResponse:
        request = application_pb2.ListReviewsRequest()
        for name, value in filters.items():
            setattr(request, name, value)
        return self._stub.ListReviews(request)

    def claim(self, application_id: str) -> application_pb2.Review:
        request = application_pb2.ClaimReviewRequest(
            request_id=rid(), application_id=application_id
        )
        return self._stub.ClaimReview(request).review

    def propose(self, application_id: str, limit: int = 0) -> application_pb2.Review:
        request = application_pb2.ProposeReviewRequest(
            request_id=rid(),
            application_id=application_id,
            approve=bool(limit),
            limit=money(limit) if limit else None,
            note="income seen on paper",
        )
        return self._stub.ProposeReview(request).review

    def confirm(self, application_id: str, *, yes: bool = True) -> application_pb2.Review:
        request = application_pb2.ConfirmReviewRequest(
            request_id=rid(), application_id=application_id, confirm=yes
        )
        return self._stub.ConfirmReview(request).review


def test_a_good_applicant_is_approved_and_has_a_line(lender: House) -> None:
    applicant = Applicant(lender).verified()
    application = applicant.apply()
    assert application.state == APPROVED, application
    assert application.submitted_on == day(TODAY)
    assert application.decided_on == day(TODAY)
    assert application.decision_id
    (line,) = lines_of(lender, applicant.customer_id)
    assert line.line_id == application.line_id
    assert line.limit == application.approved_limit
    assert line.annual_rate == application.approved_rate
    assert line.revolving
    assert line.valid_to == day("2027-01-15")
    get = application_pb2.GetApplicationRequest(application_id=application.application_id)
    assert applicant.applications.GetApplication(get).application == application
    listed = applicant.applications.ListApplications(
        application_pb2.ListApplicationsRequest(customer_id=applicant.customer_id)
    )
    assert list(listed.applications) == [application]


def test_a_bad_applicant_is_declined_and_told_no_rule(lender: House) -> None:
    applicant = Applicant(lender, somebody(COURT_LISTED)).verified()
    application = applicant.apply()
    assert application.state == REJECTED
    assert application.customer_reasons
    assert "E001" not in str(application)
    assert lines_of(lender, applicant.customer_id) == []
    with pytest.raises(grpc.RpcError) as refused:
        applicant.contract(application.application_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "APPLICATION_NOT_APPROVED")


def test_an_application_repeated_is_one_application(lender: House) -> None:
    applicant = Applicant(lender).verified()
    request = applicant.application()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(applicant.applications.SubmitApplication, request) for _ in range(4)]
    answers = {call.result().application.application_id for call in calls}
    assert len(answers) == 1
    again = applicant.applications.SubmitApplication(request).application
    assert again.state == APPROVED
    assert len(lines_of(lender, applicant.customer_id)) == 1
    request.periods = 6
    with pytest.raises(grpc.RpcError) as refused:
        applicant.applications.SubmitApplication(request)
    assert refusal(refused.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


def test_what_is_not_verified_is_named(lender: House) -> None:
    applicant = Applicant(lender)
    applicant.register()
    for kind in (FACE_CONSENT, BUREAU_QUERY, EXTERNAL_DATA):
        applicant.consent(kind)
    steps = (
        ("phone", applicant.verify_phone),
        ("real name", applicant.verify_name),
        ("face", applicant.verify_face),
        ("bound card", applicant.bind_card),
    )
    for missing, step in steps:
        with pytest.raises(grpc.RpcError) as refused:
            applicant.apply()
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_VERIFIED")
        assert missing in str(refused.value)
        step()
    assert applicant.apply().state == APPROVED


def test_without_its_consents_no_application_is_taken(lender: House) -> None:
    applicant = Applicant(lender)
    applicant.register()
    applicant.verify_phone()
    applicant.consent(FACE_CONSENT)
    applicant.verify_name()
    applicant.verify_face()
    applicant.bind_card()
    bureau = applicant.consent(BUREAU_QUERY)
    with pytest.raises(grpc.RpcError) as refused:
        applicant.apply()
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONSENT_MISSING")
    applicant.consent(EXTERNAL_DATA)
    applicant.consents.WithdrawConsent(
        customer_pb2.WithdrawConsentRequest(request_id=rid(), consent_id=bureau.consent_id)
    )
    with pytest.raises(grpc.RpcError) as refused:
        applicant.apply()
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONSENT_MISSING")
    applicant.consent(BUREAU_QUERY)
    assert applicant.apply().state == APPROVED


def test_what_is_wrong_with_an_application_is_named(lender: House) -> None:
    applicant = Applicant(lender).verified()

    def submit(**changes: object) -> grpc.RpcError:
        request = applicant.application()
        for name, value in changes.items():
            field = getattr(request, name)
            if hasattr(field, "CopyFrom"):
                field.CopyFrom(value)
            else:
                setattr(request, name, value)
        with pytest.raises(grpc.RpcError) as refused:
            applicant.applications.SubmitApplication(request)
        return refused.value

    assert "amount.currency_code" in violations(submit(amount=money(1_000_000, "USD")))
    assert "amount.minor_units" in violations(submit(amount=money(-1)))
    assert "amount.minor_units" in violations(submit(amount=money(0)))
    assert "periods" in violations(submit(periods=36))
    assert refusal(submit(product_code="unknown"))[0] == "NOT_FOUND"
    assert refusal(submit(customer_id="cu_nobody"))[0] == "NOT_FOUND"
    assert applicant.apply().state == APPROVED


def test_a_middling_applicant_is_decided_by_two_people(lender: House) -> None:
    applicant = Applicant(lender, somebody(MIDDLING)).verified()
    application = applicant.apply()
    application_id = application.application_id
    assert application.state == IN_REVIEW
    assert lines_of(lender, applicant.customer_id) == []
    with pytest.raises(grpc.RpcError) as refused:
        applicant.apply()
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "APPLICATION_OPEN")
    assert application_id in str(refused.value)

    wang, li = Reviewer(lender, "wang"), Reviewer(lender, "li")
    waiting = wang.list(state=application_pb2.REVIEW_STATE_WAITING).reviews
    (review,) = [one for one in waiting if one.application.application_id == application_id]
    assert "B004" in review.reason_codes
    with pytest.raises(grpc.RpcError) as refused:
        wang.propose(application_id, 500_000)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "REVIEW_NOT_CLAIMED")
    nobody = Reviewer(lender, "")
    for asked in (lambda: nobody.claim(application_id), lambda: nobody.propose(application_id)):
        with pytest.raises(grpc.RpcError) as refused:
            asked()
        assert refusal(refused.value) == ("PERMISSION_DENIED", "CALLER_UNNAMED")
    assert wang.claim(application_id).reviewer == "wang"
    assert wang.claim(application_id).reviewer == "wang"
    for taken in (lambda: li.claim(application_id), lambda: li.propose(application_id, 1)):
        with pytest.raises(grpc.RpcError) as refused:
            taken()
        assert refusal(refused.value) == ("FAILED_PRECONDITION", "REVIEW_CLAIMED")
    with pytest.raises(grpc.RpcError) as refused:
        wang.propose(application_id, 20_000_000)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "LIMIT_ABOVE_MACHINE")
    with pytest.raises(grpc.RpcError) as refused:
        li.confirm(application_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "REVIEW_NOT_PROPOSED")
    wang.propose(application_id, 400_000)
    with pytest.raises(grpc.RpcError) as refused:
        wang.confirm(application_id)
    assert refusal(refused.value) == ("PERMISSION_DENIED", "MAKER_IS_CHECKER")
    assert li.confirm(application_id, yes=False).state == application_pb2.REVIEW_STATE_CLAIMED
    wang.propose(application_id, 500_000)
    confirmed = li.confirm(application_id)
    assert (confirmed.reviewer, confirmed.confirmer) == ("wang", "li")
    assert confirmed.application.state == APPROVED
    (line,) = lines_of(lender, applicant.customer_id)
    assert line.limit.minor_units == 500_000
    assert to_decimal(line.annual_rate) == to_decimal(confirmed.application.approved_rate)
    with pytest.raises(grpc.RpcError) as refused:
        li.confirm(application_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "REVIEW_NOT_PROPOSED")


def test_who_applies_from_another_province_than_declared_is_looked_at(lender: House) -> None:
    assert Applicant(lender).verified(province="11").apply().state == APPROVED
    application = Applicant(lender).verified(province="31").apply()
    assert application.state == IN_REVIEW
    (review,) = [
        one
        for one in Reviewer(lender, "wang").list().reviews
        if one.application.application_id == application.application_id
    ]
    assert list(review.reason_codes) == ["F005"]


def test_the_third_identity_on_a_device_is_declined(lender: House) -> None:
    states = [Applicant(lender).verified().apply(device="device-of-a-ring").state for _ in range(3)]
    assert states == [APPROVED, APPROVED, REJECTED]


def test_a_phone_shared_with_another_customer_is_looked_at(lender: House) -> None:
    first, other = somebody(), somebody()
    assert Applicant(lender, first).verified().apply().state == APPROVED
    sharing = replace(other, mobile=first.mobile)
    assert Applicant(lender, sharing).verified().apply().state == IN_REVIEW


def test_people_may_decline_what_the_machine_could_not_decide(lender: House) -> None:
    applicant = Applicant(lender, somebody(MIDDLING)).verified()
    application_id = applicant.apply().application_id
    Reviewer(lender, "wang").claim(application_id)
    Reviewer(lender, "wang").propose(application_id)
    confirmed = Reviewer(lender, "li").confirm(application_id)
    assert confirmed.application.state == REJECTED
    assert confirmed.application.decided_on == day(TODAY)
    assert lines_of(lender, applicant.customer_id) == []


def test_the_queue_is_paged_in_order_of_arrival(lender: House) -> None:
    arrived = [
        Applicant(lender, somebody(MIDDLING)).verified().apply().application_id for _ in range(3)
    ]
    wang = Reviewer(lender, "wang")
    listed: list[str] = []
    token = ""
    while True:
        page = wang.list(page_size=2, page_token=token)
        listed += [review.application.application_id for review in page.reviews]
        token = page.next_page_token
        if not token:
            break
    assert [application_id for application_id in listed if application_id in arrived] == arrived
    with pytest.raises(grpc.RpcError) as refused:
        wang.list(page_token="yesterday")
    assert "page_token" in violations(refused.value)


def test_nothing_waits_for_review_that_was_decided(lender: House) -> None:
    application_id = Applicant(lender).verified().apply().application_id
    with pytest.raises(grpc.RpcError) as refused:
        Reviewer(lender, "wang").claim(application_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_IN_REVIEW")
    with pytest.raises(grpc.RpcError) as refused:
        Reviewer(lender, "wang").claim("ap_nothing")
    assert refusal(refused.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


def test_an_application_goes_on_by_itself_once_risk_is_back(lender: House) -> None:
    applicant = Applicant(lender).verified()
    lender.stop_one("risk")
    try:
        request = applicant.application()
        with pytest.raises(grpc.RpcError):
            applicant.applications.SubmitApplication(request, timeout=1)
        listed = application_pb2.ListApplicationsRequest(customer_id=applicant.customer_id)
        (waiting,) = applicant.applications.ListApplications(listed).applications
        assert waiting.state == application_pb2.APPLICATION_STATE_SUBMITTED
    finally:
        lender.start("risk")

    def approved() -> bool:
        (found,) = applicant.applications.ListApplications(listed).applications
        return found.state == APPROVED

    wait_until(approved, 20, "the application to be decided")
    again = applicant.applications.SubmitApplication(request).application
    assert again.application_id == waiting.application_id
    assert len(lines_of(lender, applicant.customer_id)) == 1


def test_nobody_is_declined_because_risk_has_not_heard_of_the_consent(lender: House) -> None:
    applicant = Applicant(lender).verified()
    with ThreadPoolExecutor(1) as pool:
        with unpublished(lender):
            applicant.consent(BUREAU_QUERY)
            answer = pool.submit(applicant.apply)
            with pytest.raises(TimeoutError):
                answer.result(LONGER_THAN_RISK_WAITS)
        assert answer.result().state == APPROVED


def test_an_application_for_a_product_that_is_lent_no_more_ends(lender: House) -> None:
    products = lender.client("servicing", product_pb2_grpc.ProductServiceStub)
    products.PublishProduct(
        product_pb2.PublishProductRequest(
            request_id=rid(), code="gone", name="旧贷", terms=product_terms(), book_id="main"
        )
    )
    products.RetireProduct(product_pb2.RetireProductRequest(request_id=rid(), code="gone"))
    applicant = Applicant(lender).verified()
    request = applicant.application()
    request.product_code = "gone"
    application = applicant.applications.SubmitApplication(request).application
    assert (application.state, application.decided_on) == (REJECTED, day(TODAY))
    assert application.not_granted
    assert not lines_of(lender, applicant.customer_id)
    again = applicant.apply()
    assert again.application_id != application.application_id, "none is left open"
