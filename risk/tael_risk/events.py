"""What risk learns from the events of origination and servicing."""

from __future__ import annotations

from sqlalchemy import Connection

from tael.origination.v1 import application_pb2
from tael.origination.v1 import event_pb2 as origination
from tael.servicing.v1 import credit_line_pb2, loan_pb2
from tael.servicing.v1 import event_pb2 as servicing
from tael_client.values import to_date
from tael_risk import consents
from tael_risk.observation_store import NewObservation, record


def apply_origination(transaction: Connection, event: origination.Event) -> None:
    """Consents, and how a customer's applications stand."""
    match event.WhichOneof("payload"):
        case "consent_changed":
            consents.learn(transaction, event.consent_changed.consent)
        case "application_changed":
            record(transaction, [_application(event)])


def apply_servicing(transaction: Connection, event: servicing.Event) -> None:
    """How a customer's loans and lines stand."""
    match event.WhichOneof("payload"):
        case "loan_opened":
            record(transaction, [_loan(event, event.loan_opened.loan)])
        case "loans_overdue":
            loans = event.loans_overdue.loans
            record(transaction, [_loan(event, loan, f":{loan.loan_id}") for loan in loans])
        case "repayment_received":
            record(transaction, [_loan(event, event.repayment_received.loan)])
        case "loan_state_changed":
            record(transaction, [_loan(event, event.loan_state_changed.loan)])
        case "line_changed" if not event.line_changed.line.overall:
            # An overall limit exposes to nothing that the lines below it do not.
            record(transaction, [_line(event, event.line_changed.line)])


def _application(event: origination.Event) -> NewObservation:
    application = event.application_changed.application
    state = application_pb2.ApplicationState.Name(application.state)
    if application.not_granted:
        # No rejection to wait after: the lender's own terms stood in the way.
        state = "NOT_GRANTED"
    decided = application.HasField("decided_on")
    return NewObservation(
        observation_id=event.event_id,
        customer_id=application.customer_id,
        kind="APPLICATION_STATE",
        date=to_date(application.decided_on if decided else application.submitted_on),
        facts={
            "application_id": application.application_id,
            "state": state.removeprefix("APPLICATION_STATE_"),
        },
    )


def _loan(
    event: servicing.Event, loan: loan_pb2.Loan | servicing.LoanStanding, one_of_many: str = ""
) -> NewObservation:
    """One that an event brings; `one_of_many` tells it from the others."""
    return NewObservation(
        observation_id=f"{event.event_id}{one_of_many}",
        customer_id=loan.customer_id,
        kind="LOAN",
        date=to_date(event.business_date),
        facts={
            "loan_id": loan.loan_id,
            "overdue_minor_units": str(loan.amount_past_due),
            "dpd": str(loan.dpd),
            "state": loan_pb2.LoanState.Name(loan.state).removeprefix("LOAN_STATE_"),
        },
    )


def _line(event: servicing.Event, line: credit_line_pb2.CreditLine) -> NewObservation:
    closed = line.state == credit_line_pb2.LINE_STATE_CLOSED
    # A closed line exposes the lender to what is still owed on it, no more.
    granted = line.used if closed else line.limit
    return NewObservation(
        observation_id=event.event_id,
        customer_id=line.customer_id,
        kind="CREDIT_LINE",
        date=to_date(event.business_date),
        facts={
            "line_id": line.line_id,
            "limit_minor_units": str(granted.minor_units),
            "available_minor_units": str(line.available.minor_units),
            "state": credit_line_pb2.LineState.Name(line.state).removeprefix("LINE_STATE_"),
        },
    )
