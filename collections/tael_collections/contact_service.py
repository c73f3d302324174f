"""ContactService: the gate, what goes through it, and what came of it."""

from __future__ import annotations

from datetime import date, timedelta

import grpc
from sqlalchemy import Connection

from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc
from tael_client.values import from_instant
from tael_collections import cases, contacts, days, holds
from tael_collections.cases import DebtCase
from tael_collections.contact_rules import Channel, Deny
from tael_collections.contacts import Contact
from tael_collections.messages import contact_message
from tael_collections.outcomes import Result
from tael_collections.parameters import house_parameters
from tael_collections.reasons import Reason
from tael_collections.sending import Sender
from tael_collections.tables import contact
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.idempotency import once
from tael_runtime.server import Runtime


class Contacts(collections_pb2_grpc.ContactServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime, sender: Sender) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._sender = sender

    def PermitContact(
        self, request: pb.PermitContactRequest, context: grpc.ServicerContext
    ) -> pb.PermitContactResponse:
        """Counts and takes slots under the debtor's lock; a denial is an answer, not an error."""
        channel = Channel(request.channel)

        def ask(transaction: Connection) -> pb.PermitContactResponse:
            case = cases.lock(transaction, request.case_id)
            _agency_has_it(case, channel)
            made, answer = contacts.permit(
                transaction, case.customer_id, case, case.book_id, channel, self._clock.now()
            )
            if isinstance(answer, Deny):
                return pb.PermitContactResponse(
                    denied_reason=answer.reason.name, denied_detail=answer.detail
                )
            return pb.PermitContactResponse(
                allowed=True, token=made.token or "", expires_at=from_instant(answer.expires_at)
            )

        return once(self._db, "PermitContact", request, pb.PermitContactResponse, ask)

    def SendContact(
        self, request: pb.SendContactRequest, context: grpc.ServicerContext
    ) -> pb.SendContactResponse:
        """Spends the permit, asks the gate once more, sends, and writes how it ended.

        Where the provider does not answer, the slots stay taken and the same request may come again:
        the provider knows the contact's id and sends once.
        """
        with self._db.read() as snapshot:
            held = contacts.by_token(snapshot, request.token)
        mobile = "" if held.ended else self._reveal(held)

        def spend(transaction: Connection) -> pb.SendContactResponse:
            cases.lock_debtor(transaction, held.customer_id)
            used_at = contacts.get(transaction, held.contact_id).used_at
            if used_at is not None:
                raise FailedPrecondition(Reason.TOKEN_USED, f"used at {used_at}")
            self._authorise(transaction, held, mobile)
            contacts.mark_used(transaction, held.contact_id, request.content, self._clock.now())
            return pb.SendContactResponse(contact=pb.Contact(contact_id=held.contact_id))

        once(self._db, "SendContact", request, pb.SendContactResponse, spend)
        return pb.SendContactResponse(contact=contact_message(self._deliver(held, mobile)))

    def RecordOutcome(
        self, request: pb.RecordOutcomeRequest, context: grpc.ServicerContext
    ) -> pb.RecordOutcomeResponse:
        """What the debtor said; a dispute or a hardship stops all contact for a while."""
        result = Result[pb.ResultCode.Name(request.result).removeprefix("RESULT_CODE_")]
        if result is Result.SENT:
            raise InvalidArgument("result", "SENT is a text's; an outcome is a call's")

        def record(transaction: Connection) -> pb.RecordOutcomeResponse:
            made = contacts.get(transaction, request.contact_id)
            if made.case_id is None or not made.channel.is_call:
                raise FailedPrecondition(
                    Reason.CONTACT_NOT_MADE, "only a call has an outcome", made.contact_id
                )
            case = cases.lock(transaction, made.case_id)
            told = contacts.record_outcome(transaction, made.contact_id, result)
            today = days.business_date(transaction, case.book_id)
            note = f"{told.channel.name}: {result.name} {request.note}".rstrip()
            cases.record(transaction, case.case_id, "OUTCOME", today, note)
            cases.change(transaction, case.case_id, contacted=True)
            self._follow_up(transaction, case, result, today)
            return pb.RecordOutcomeResponse(contact=contact_message(told))

        return once(self._db, "RecordOutcome", request, pb.RecordOutcomeResponse, record)

    def ListContacts(
        self, request: pb.ListContactsRequest, context: grpc.ServicerContext
    ) -> pb.ListContactsResponse:
        """Every answer of the gate for a case."""
        with self._db.read() as snapshot:
            cases.get(snapshot, request.case_id)
            found = contacts.listed(snapshot, contact.c.case_id == request.case_id)
        return pb.ListContactsResponse(contacts=[contact_message(one) for one in found])

    def _reveal(self, held: Contact) -> str:
        return self._sender.reveal(held.customer_id, f"contact {held.contact_id} permitted")

    def _authorise(self, transaction: Connection, permitted: Contact, mobile: str) -> None:
        assert permitted.case_id is not None, "reminders present no token"
        case = cases.lock(transaction, permitted.case_id)
        _agency_has_it(case, permitted.channel)
        contacts.authorise(
            transaction,
            permitted,
            case,
            case.book_id,
            self._sender.number_index(mobile),
            self._clock.now(),
        )

    def _deliver(self, held: Contact, mobile: str) -> Contact:
        with self._db.begin() as transaction:
            permitted = contacts.get(transaction, held.contact_id)
            if permitted.ended:
                return permitted
            self._authorise(transaction, permitted, mobile)
        delivery = self._sender.send(
            permitted.channel, permitted.contact_id, mobile, permitted.content
        )
        with self._db.begin() as transaction:
            assert permitted.case_id is not None
            case = cases.lock(transaction, permitted.case_id)
            current = contacts.get(transaction, permitted.contact_id)
            if current.ended:
                return current
            told = contacts.report(
                transaction,
                permitted.contact_id,
                delivery.result,
                delivery.connected,
                delivery.recording,
            )
            today = days.business_date(transaction, case.book_id)
            ending = delivery.result.name if delivery.result else "CONNECTED"
            note = f"{told.channel.name}: {ending}"
            cases.record(transaction, case.case_id, "CONTACTED", today, note)
            cases.change(transaction, case.case_id, contacted=True)
            self._follow_up(transaction, case, delivery.result, today)
            return told

    def _follow_up(
        self, transaction: Connection, case: DebtCase, result: Result, today: date
    ) -> None:
        parameters = house_parameters()
        if result.proves_demand:
            cases.demand_proven(transaction, case, today, parameters)
        if result.stops_contact and case.closed_on is None:
            until = today + timedelta(days=parameters.on("hold.dispute_days", today).number)
            if case.hold_until is None or case.hold_until < until:
                holds.hold(transaction, case, until, result.name.lower(), today)


def _agency_has_it(case: DebtCase, channel: Channel) -> None:
    if channel is Channel.AGENCY_CALL and not case.agency_id and case.closed_on is None:
        raise FailedPrecondition(
            Reason.NOT_PLACED, "an agency calls only where it has the case", case.case_id
        )
