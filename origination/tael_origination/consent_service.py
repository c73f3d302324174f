"""ConsentService: given, withdrawn, asked after."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import customer_pb2 as pb
from tael.origination.v1 import customer_pb2_grpc
from tael_origination import consents, customers
from tael_origination.today import shanghai_day
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_date
from tael_runtime.idempotency import once
from tael_runtime.server import Runtime


class Consents(customer_pb2_grpc.ConsentServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.database
        self._clock = runtime.clock

    def GrantConsent(
        self, request: pb.GrantConsentRequest, context: grpc.ServicerContext
    ) -> pb.GrantConsentResponse:
        """Records a consent."""
        del context
        valid_to = read_date("valid_to", request.valid_to)

        def work(transaction: Connection) -> pb.GrantConsentResponse:
            today = shanghai_day(self._clock)
            if valid_to < today:
                raise InvalidArgument("valid_to", f"lies before today, {today}")
            given = consents.grant(transaction, request, valid_to, self._clock.now())
            return pb.GrantConsentResponse(consent=given.message())

        return once(self._db, "GrantConsent", request, pb.GrantConsentResponse, work)

    def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, context: grpc.ServicerContext
    ) -> pb.WithdrawConsentResponse:
        """Ends a consent's use."""
        del context

        def work(transaction: Connection) -> pb.WithdrawConsentResponse:
            withdrawn = consents.withdraw(transaction, request.consent_id, self._clock.now())
            return pb.WithdrawConsentResponse(consent=withdrawn.message())

        return once(self._db, "WithdrawConsent", request, pb.WithdrawConsentResponse, work)

    def CheckConsent(
        self, request: pb.CheckConsentRequest, context: grpc.ServicerContext
    ) -> pb.CheckConsentResponse:
        """The live consent of a type."""
        del context
        kind = consents.type_name(request.type)
        with self._db.read() as snapshot:
            customers.require(snapshot, request.customer_id)
            found = consents.live(snapshot, request.customer_id, kind, shanghai_day(self._clock))
        return pb.CheckConsentResponse(consent=found.message() if found else None)

    def ListConsents(
        self, request: pb.ListConsentsRequest, context: grpc.ServicerContext
    ) -> pb.ListConsentsResponse:
        """A customer's consents."""
        del context
        with self._db.read() as snapshot:
            customers.require(snapshot, request.customer_id)
            given = consents.of_customer(snapshot, request.customer_id)
        return pb.ListConsentsResponse(consents=[one.message() for one in given])
