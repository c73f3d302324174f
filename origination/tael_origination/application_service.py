"""ApplicationService and ReviewService: asking for credit, and people who decide."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import application_pb2 as pb
from tael.origination.v1 import application_pb2_grpc
from tael_origination import applications, customers, reviews
from tael_origination.approval import Approval
from tael_origination.requests import made_before, made_once
from tael_origination.upstream import Servicing
from tael_runtime.idempotency import current_caller, once
from tael_runtime.paging import number_key, token
from tael_runtime.server import Runtime

DEFAULT_PAGE = 50


class Applications(application_pb2_grpc.ApplicationServiceServicer):
    """The rpcs of an applicant."""

    def __init__(self, runtime: Runtime, approval: Approval, servicing: Servicing) -> None:
        self._db = runtime.database
        self._approval = approval
        self._servicing = servicing

    def SubmitApplication(
        self, request: pb.SubmitApplicationRequest, context: grpc.ServicerContext
    ) -> pb.SubmitApplicationResponse:
        """Takes it in, then goes on as far as machines go."""
        del context
        application_id = made_before(self._db, "SubmitApplication", request) or self._submit(
            request
        )
        reached = self._approval.advance(application_id)
        return pb.SubmitApplicationResponse(application=reached.message())

    def _submit(self, request: pb.SubmitApplicationRequest) -> str:
        product = self._servicing.product(request.product_code)
        return made_once(
            self._db,
            "SubmitApplication",
            request,
            lambda transaction: applications.submit(transaction, request, product),
        )

    def GetApplication(
        self, request: pb.GetApplicationRequest, context: grpc.ServicerContext
    ) -> pb.GetApplicationResponse:
        """One application."""
        del context
        with self._db.read() as snapshot:
            found = applications.get(snapshot, request.application_id)
        return pb.GetApplicationResponse(application=found.message())

    def ListApplications(
        self, request: pb.ListApplicationsRequest, context: grpc.ServicerContext
    ) -> pb.ListApplicationsResponse:
        """A customer's."""
        del context
        with self._db.read() as snapshot:
            customers.require(snapshot, request.customer_id)
            found = applications.of_customer(snapshot, request.customer_id)
        return pb.ListApplicationsResponse(applications=[one.message() for one in found])


class Reviews(application_pb2_grpc.ReviewServiceServicer):
    """The rpcs of reviewers."""

    def __init__(self, runtime: Runtime, approval: Approval, servicing: Servicing) -> None:
        self._db = runtime.database
        self._approval = approval
        self._servicing = servicing

    def ListReviews(
        self, request: pb.ListReviewsRequest, context: grpc.ServicerContext
    ) -> pb.ListReviewsResponse:
        """A page in order of arrival."""
        del context
        size = request.page_size or DEFAULT_PAGE
        state = ""
        if request.state:
            state = pb.ReviewState.Name(request.state).removeprefix("REVIEW_STATE_")
        with self._db.read() as snapshot:
            found = reviews.page(snapshot, state, number_key(request.page_token), size + 1)
            messages = [reviews.message(snapshot, one) for one in found[:size]]
        more = len(found) > size
        return pb.ListReviewsResponse(
            reviews=messages, next_page_token=token(found[size - 1].number) if more else ""
        )

    def ClaimReview(
        self, request: pb.ClaimReviewRequest, context: grpc.ServicerContext
    ) -> pb.ClaimReviewResponse:
        """The caller takes it."""
        del context

        def work(transaction: Connection) -> pb.ClaimReviewResponse:
            taken = reviews.claim(transaction, request.application_id, current_caller())
            return pb.ClaimReviewResponse(review=reviews.message(transaction, taken))

        return once(self._db, "ClaimReview", request, pb.ClaimReviewResponse, work)

    def ProposeReview(
        self, request: pb.ProposeReviewRequest, context: grpc.ServicerContext
    ) -> pb.ProposeReviewResponse:
        """The caller proposes."""
        del context

        def work(transaction: Connection) -> pb.ProposeReviewResponse:
            proposed = reviews.propose(transaction, request, current_caller())
            return pb.ProposeReviewResponse(review=reviews.message(transaction, proposed))

        return once(self._db, "ProposeReview", request, pb.ProposeReviewResponse, work)

    def ConfirmReview(
        self, request: pb.ConfirmReviewRequest, context: grpc.ServicerContext
    ) -> pb.ConfirmReviewResponse:
        """The caller is the second person; confirmed, the line is granted or the no is told."""
        del context
        application_id = request.application_id
        with self._db.read() as snapshot:
            code = applications.get(snapshot, application_id).product_code
        today = self._servicing.product(code).business_date

        def work(transaction: Connection) -> str:
            reviews.confirm(
                transaction,
                application_id,
                current_caller(),
                yes=request.confirm,
                today=today,
            )
            return application_id

        made_once(self._db, "ConfirmReview", request, work)
        self._approval.advance(application_id)
        with self._db.read() as snapshot:
            review = reviews.message(snapshot, reviews.get(snapshot, application_id))
        return pb.ConfirmReviewResponse(review=review)
