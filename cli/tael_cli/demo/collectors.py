"""The demo's collections: contacts through the gate, a promise, an agency, the write-off."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from tael.collections.v1 import collections_pb2, collections_pb2_grpc
from tael_cli.demo.lender import Lender
from tael_client.values import from_date, money, yuan

CALL = collections_pb2.CHANNEL_HUMAN_CALL


class Collectors:
    """Collectors at work on one case."""

    def __init__(self, lender: Lender, case_id: str) -> None:
        self._lender = lender
        self._case_id = case_id
        self._numbers = count(1)
        stub = lender.services.stub
        self._contacts = stub("collections", collections_pb2_grpc.ContactServiceStub, "chen.xi")
        self._promises = stub("collections", collections_pb2_grpc.PromiseServiceStub, "chen.xi")
        self._agencies = stub("collections", collections_pb2_grpc.AgencyServiceStub, "lead")
        self._maker = stub("collections", collections_pb2_grpc.WriteOffServiceStub, "chen.xi")
        self._checker = stub("collections", collections_pb2_grpc.WriteOffServiceStub, "director")

    def _rid(self) -> str:
        return f"demo:{self._case_id[-24:]}:{next(self._numbers)}"

    def assign(self) -> None:
        """Gives the open cases to who is on duty."""
        duty = [
            collections_pb2.Collector(name=name, capacity=50, skill=collections_pb2.BUCKET_M6_PLUS)
            for name in ("chen.xi", "zhao.lei")
        ]
        answer = self._lender.cases.AssignCases(
            collections_pb2.AssignCasesRequest(request_id=self._rid(), collectors=duty)
        )
        for given in answer.assignments:
            self._lender.stage.call("lead", "collections.AssignCases", given.collector)

    def contact(
        self, channel: collections_pb2.Channel.ValueType, content: str, hour: str = "10:00"
    ) -> collections_pb2.Contact | None:
        """Asks the gate, then sends; None where the gate refuses."""
        self._lender.at(hour)
        name = collections_pb2.Channel.Name(channel).removeprefix("CHANNEL_")
        permit = self._contacts.PermitContact(
            collections_pb2.PermitContactRequest(
                request_id=self._rid(), case_id=self._case_id, channel=channel
            )
        )
        if not permit.allowed:
            self._lender.stage.call(
                "chen.xi",
                f"collections.PermitContact {name} at {hour}",
                f"[red]DENY {permit.denied_reason}[/red]: {permit.denied_detail}",
            )
            return None
        contact = self._contacts.SendContact(
            collections_pb2.SendContactRequest(
                request_id=self._rid(), token=permit.token, content=content
            )
        ).contact
        result = collections_pb2.ResultCode.Name(contact.result).removeprefix("RESULT_CODE_")
        if contact.result == collections_pb2.RESULT_CODE_UNSPECIFIED:
            result = "CONNECTED, recorded"
        self._lender.stage.call(
            "chen.xi", f"collections.SendContact {name} at {hour}", f"ALLOW, {result}"
        )
        return contact

    def outcome(self, contact: collections_pb2.Contact, note: str) -> None:
        """Writes down that the debtor promised to pay."""
        self._lender.stage.call("chen.xi", "collections.RecordOutcome", f"PROMISE: {note}")
        self._contacts.RecordOutcome(
            collections_pb2.RecordOutcomeRequest(
                request_id=self._rid(),
                contact_id=contact.contact_id,
                result=collections_pb2.RESULT_CODE_PROMISE,
                note=note,
            )
        )

    def promise(self, amount: int, days: int) -> None:
        """Records a promise to pay."""
        due = self._lender.today + timedelta(days=days)
        self._promises.RecordPromise(
            collections_pb2.RecordPromiseRequest(
                request_id=self._rid(),
                case_id=self._case_id,
                amount=money(amount),
                due_date=from_date(due),
            )
        )
        self._lender.stage.call("chen.xi", "collections.RecordPromise", f"{yuan(amount)} by {due}")

    def promises(self) -> list[collections_pb2.Promise]:
        """The case's promises."""
        request = collections_pb2.ListPromisesRequest(case_id=self._case_id)
        return list(self._promises.ListPromises(request).promises)

    def place(self) -> None:
        """Places the case with the agency."""
        agency = self._agencies.ListAgencies(collections_pb2.ListAgenciesRequest()).agencies[0]
        self._agencies.PlaceCase(
            collections_pb2.PlaceCaseRequest(
                request_id=self._rid(),
                case_id=self._case_id,
                agency_id=agency.agency_id,
                days=30,
            )
        )
        self._lender.stage.call(
            "lead",
            "collections.PlaceCase",
            f"{agency.name}, 30 days, {agency.commission_basis_points / 100:g} % of what it brings",
        )

    def write_off(self, loan_id: str) -> None:
        """Proposes the write-off and has a second person approve it."""
        proposed = self._maker.ProposeWriteOff(
            collections_pb2.ProposeWriteOffRequest(
                request_id=self._rid(),
                case_id=self._case_id,
                loan_id=loan_id,
                evidence=["pursued 180 days without success", "no property found"],
            )
        ).write_off
        self._lender.stage.call("chen.xi", "collections.ProposeWriteOff", "PROPOSED")
        posted = self._checker.ApproveWriteOff(
            collections_pb2.ApproveWriteOffRequest(
                request_id=self._rid(), write_off_id=proposed.write_off_id, approve=True
            )
        ).write_off
        state = collections_pb2.WriteOffState.Name(posted.state).removeprefix("WRITE_OFF_STATE_")
        self._lender.stage.call("director", "collections.ApproveWriteOff", state)

    def recover(self, loan_id: str, amount: int) -> collections_pb2.RecordRecoveryResponse:
        """Records money that came after the write-off."""
        answer = self._checker.RecordRecovery(
            collections_pb2.RecordRecoveryRequest(
                request_id=self._rid(),
                case_id=self._case_id,
                loan_id=loan_id,
                amount=money(amount),
            )
        )
        self._lender.stage.call(
            "director",
            f"collections.RecordRecovery {yuan(amount)}",
            f"principal {yuan(answer.principal)}, commission {yuan(answer.commission)}",
        )
        return answer
