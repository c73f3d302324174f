"""CustomerService: who a customer is, masked."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import customer_pb2 as pb
from tael.origination.v1 import customer_pb2_grpc
from tael_origination import customers, events
from tael_origination.customers import CustomerFile
from tael_origination.identifiers import IdentityNumber, read_identity_number
from tael_origination.today import shanghai_day
from tael_runtime.errors import InvalidArgument
from tael_runtime.idempotency import current_caller, once
from tael_runtime.server import Runtime


class Customers(customer_pb2_grpc.CustomerServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime, file: CustomerFile) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._file = file

    def RegisterPerson(
        self, request: pb.RegisterPersonRequest, context: grpc.ServicerContext
    ) -> pb.RegisterPersonResponse:
        """Checks the identity number, then registers."""
        del context
        identity = self._identity(request.id_number)

        def work(transaction: Connection) -> pb.RegisterPersonResponse:
            now = self._clock.now()
            customer_id = self._file.register(transaction, request, identity, now)
            registered = self._file.masked(transaction, customer_id)
            events.customer_changed(transaction, registered)
            return pb.RegisterPersonResponse(customer=registered)

        return once(self._db, "RegisterPerson", request, pb.RegisterPersonResponse, work, seal=True)

    def GetCustomer(
        self, request: pb.GetCustomerRequest, context: grpc.ServicerContext
    ) -> pb.GetCustomerResponse:
        """One customer."""
        del context
        with self._db.read() as snapshot:
            return pb.GetCustomerResponse(customer=self._file.masked(snapshot, request.customer_id))

    def SearchCustomers(
        self, request: pb.SearchCustomersRequest, context: grpc.ServicerContext
    ) -> pb.SearchCustomersResponse:
        """By identity number or phone, through the keyed indexes."""
        del context
        with self._db.read() as snapshot:
            if request.WhichOneof("by") == "id_number":
                found = self._file.find_by_id_number(snapshot, request.id_number)
            else:
                found = self._file.find_by_mobile(snapshot, request.mobile)
            return pb.SearchCustomersResponse(
                customers=[self._file.masked(snapshot, customer_id) for customer_id in found]
            )

    def RevealContact(
        self, request: pb.RevealContactRequest, context: grpc.ServicerContext
    ) -> pb.RevealContactResponse:
        """Name and mobile in clear; the record of it is committed before they are given."""
        del context
        with self._db.begin() as transaction:
            person = self._file.person(transaction, request.customer_id)
            customers.record_access(
                transaction,
                request.customer_id,
                current_caller(),
                request.reason,
                self._clock.now(),
            )
        return pb.RevealContactResponse(name=person.name, mobile=person.mobile)

    def _identity(self, id_number: str) -> IdentityNumber:
        try:
            return read_identity_number(id_number, shanghai_day(self._clock))
        except ValueError as error:
            raise InvalidArgument("id_number", str(error)) from error
