"""An application on its way: facts to risk, its decision, the line. Resumable at every step.

Every state is stored before the next call, and every call downstream carries an id made of the
application's: whoever goes on, after a crash or at the same time, does nothing twice.
"""

from __future__ import annotations

from typing import Any

import grpc
from sqlalchemy import Connection

from tael.risk.v1 import decision_pb2
from tael_client.values import from_date, to_decimal
from tael_origination import (
    applications,
    archive,
    contract_pdf,
    events,
    facts,
    reviews,
)
from tael_origination.applications import Application, Approved
from tael_origination.contract_pdf import ApprovalTerms
from tael_origination.customers import CustomerFile
from tael_origination.upstream import Risk, Servicing, loan_request, refusal_to_grant
from tael_runtime.server import Runtime

NO_LINE = "CREDIT_LINE"
"""What a customer is told whose line is refused: one of risk's words for that."""


class Approval:
    """Moves applications on."""

    def __init__(
        self, runtime: Runtime, file: CustomerFile, risk: Risk, servicing: Servicing
    ) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._file = file
        self._risk = risk
        self._servicing = servicing

    def advance(self, application_id: str) -> Application:
        """As far as it goes without a person: decided, and the line granted where approved."""
        with self._db.read() as snapshot:
            application = applications.get(snapshot, application_id)
        if application.state == "SUBMITTED" and not application.decision_id:
            application = self._decided(application)
        if application.approved and not application.line_id:
            application = self._granted(application, application.approved)
        return application

    def _decided(self, application: Application) -> Application:
        with self._db.read() as snapshot:
            person = self._file.person(snapshot, application.customer_id)
            known = facts.of_application(snapshot, self._cipher, application, person)
        self._risk.observe(
            application.application_id, person.customer_id, application.submitted_on, known
        )
        decision = self._risk.decide(
            decision_pb2.DecideRequest(
                request_id=f"decide:{application.application_id}",
                stage=decision_pb2.STAGE_APPLICATION,
                customer_id=person.customer_id,
                subject_id=application.application_id,
                applicant=decision_pb2.Applicant(name=person.name, id_number=person.id_number),
                loan=loan_request(
                    application.product_code,
                    application.bounds,
                    application.currency,
                    application.amount,
                    application.periods,
                ),
                consent_id=application.consent_id,
                business_date=from_date(application.submitted_on),
            )
        )
        with self._db.begin() as transaction:
            current = applications.get(transaction, application.application_id, lock=True)
            return current if current.decision_id else self._decide(transaction, current, decision)

    def _decide(
        self, transaction: Connection, application: Application, decision: decision_pb2.Decision
    ) -> Application:
        has_limit = decision.HasField("limit") and decision.HasField("annual_rate")
        values: dict[str, Any] = {
            "decision_id": decision.decision_id,
            "reason_codes": list(decision.reason_codes),
            "customer_reasons": list(decision.customer_reasons),
            "machine_limit": decision.limit.minor_units if has_limit else None,
            "rate": to_decimal(decision.annual_rate) if has_limit else None,
        }
        if decision.outcome == decision_pb2.OUTCOME_APPROVED:
            values["approved_limit"] = values["machine_limit"]
            values["decided_on"] = application.submitted_on
        elif decision.outcome == decision_pb2.OUTCOME_REVIEW:
            values["state"] = "REVIEW"
            reviews.open_review(transaction, application.application_id, self._clock.now())
        else:
            values |= {"state": "REJECTED", "decided_on": application.submitted_on}
        decided = applications.change(transaction, application.application_id, **values)
        if not decided.awaits_line:
            events.application_changed(transaction, decided.message())
        return decided

    def _granted(self, application: Application, approved: Approved) -> Application:
        try:
            line_id = self._servicing.grant(
                application.application_id,
                application.customer_id,
                application.product_code,
                approved.limit,
                application.currency,
                approved.rate,
                approved.valid_to,
            )
        except grpc.RpcError as error:
            reason = refusal_to_grant(error)
            if not reason:
                raise
            return self._not_granted(application.application_id, reason)
        with self._db.begin() as transaction:
            current = applications.get(transaction, application.application_id, lock=True)
            if current.line_id:
                return current
            granted = applications.change(
                transaction, application.application_id, state="APPROVED", line_id=line_id
            )
            self._file_notice(transaction, granted, approved)
            events.application_changed(transaction, granted.message())
            return granted

    def _not_granted(self, application_id: str, reason: str) -> Application:
        """Servicing grants no such line, now or later: the application ends, and another may follow."""
        with self._db.begin() as transaction:
            current = applications.get(transaction, application_id, lock=True)
            if not current.awaits_line:
                return current
            rejected = applications.change(
                transaction,
                application_id,
                state="REJECTED",
                approved_limit=None,
                not_granted=True,
                reason_codes=[*current.reason_codes, reason],
                customer_reasons=[*current.customer_reasons, NO_LINE],
            )
            events.application_changed(transaction, rejected.message())
            return rejected

    def _file_notice(
        self, transaction: Connection, application: Application, approved: Approved
    ) -> None:
        terms = ApprovalTerms(
            application_id=application.application_id,
            limit=approved.limit,
            currency=application.currency,
            rate=approved.rate,
            periods=application.periods,
            purpose=application.purpose,
            approved_on=approved.on,
            line_id=application.line_id,
        )
        person = self._file.person(transaction, application.customer_id)
        pdf = contract_pdf.approval_notice(terms, person.borrower)
        archive.file(
            transaction,
            self._cipher,
            application.customer_id,
            "APPROVAL_NOTICE",
            application.application_id,
            pdf,
            self._clock.now(),
        )
