"""What origination tells the others, written with its cause."""

from __future__ import annotations

from sqlalchemy import Connection

from tael.origination.v1 import (
    application_pb2,
    contract_pb2,
    customer_pb2,
    event_pb2,
)
from tael_runtime import outbox


def customer_changed(transaction: Connection, customer: customer_pb2.Customer) -> None:
    """Registered or verified."""
    event = event_pb2.Event(customer_changed=event_pb2.CustomerChanged(customer=customer))
    outbox.append(transaction, "customer", customer.customer_id, event)


def consent_changed(transaction: Connection, consent: customer_pb2.Consent) -> None:
    """Given or withdrawn."""
    event = event_pb2.Event(consent_changed=event_pb2.ConsentChanged(consent=consent))
    outbox.append(transaction, "consent", consent.consent_id, event)


def application_changed(transaction: Connection, application: application_pb2.Application) -> None:
    """Moved."""
    changed = event_pb2.ApplicationChanged(application=application)
    event = event_pb2.Event(application_changed=changed)
    outbox.append(transaction, "application", application.application_id, event)


def contract_changed(transaction: Connection, contract: contract_pb2.Contract) -> None:
    """Prepared or signed."""
    event = event_pb2.Event(contract_changed=event_pb2.ContractChanged(contract=contract))
    outbox.append(transaction, "contract", contract.contract_id, event)


def drawdown_changed(transaction: Connection, drawdown: contract_pb2.Drawdown) -> None:
    """Moved."""
    event = event_pb2.Event(drawdown_changed=event_pb2.DrawdownChanged(drawdown=drawdown))
    outbox.append(transaction, "drawdown", drawdown.drawdown_id, event)
