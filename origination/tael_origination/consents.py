"""Consents (PIPL): the hash of the text shown, until when, and whether it was withdrawn."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, insert, select, update

from tael.origination.v1 import customer_pb2
from tael_client.values import from_date, from_instant
from tael_origination import customers, events
from tael_origination.reasons import Reason
from tael_origination.tables import consent
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.ids import new_id

PREFIX = "CONSENT_TYPE_"


@dataclass(frozen=True)
class Consent:
    """One consent."""

    consent_id: str
    customer_id: str
    type: str
    """"BUREAU_QUERY": the contract's name without its prefix."""
    text_version: str
    text_hash: str
    """SHA-256 of the text shown, hex."""
    method: str
    given_at: datetime
    valid_to: date
    """Last day it holds."""
    withdrawn_at: datetime | None = None

    def is_live(self, day: date) -> bool:
        """Whether it may be relied on that day."""
        return self.withdrawn_at is None and day <= self.valid_to

    def message(self) -> customer_pb2.Consent:
        """The contract's form."""
        return customer_pb2.Consent(
            consent_id=self.consent_id,
            customer_id=self.customer_id,
            type=customer_pb2.ConsentType.Value(PREFIX + self.type),
            text_version=self.text_version,
            text_hash=self.text_hash,
            given_at=from_instant(self.given_at),
            valid_to=from_date(self.valid_to),
            withdrawn_at=from_instant(self.withdrawn_at) if self.withdrawn_at else None,
            method=self.method,
        )


def type_name(value: customer_pb2.ConsentType.ValueType) -> str:
    """ "BUREAU_QUERY"."""
    return customer_pb2.ConsentType.Name(value).removeprefix(PREFIX)


def grant(
    transaction: Connection,
    request: customer_pb2.GrantConsentRequest,
    valid_to: date,
    at: datetime,
) -> Consent:
    """Records a consent and tells of it."""
    customers.require(transaction, request.customer_id)
    given = Consent(
        consent_id=new_id("cs"),
        customer_id=request.customer_id,
        type=type_name(request.type),
        text_version=request.text_version,
        text_hash=hashlib.sha256(request.text.encode()).hexdigest(),
        method=request.method,
        given_at=at,
        valid_to=valid_to,
    )
    transaction.execute(insert(consent).values(asdict(given)))
    events.consent_changed(transaction, given.message())
    return given


def withdraw(transaction: Connection, consent_id: str, at: datetime) -> Consent:
    """Ends a consent's use and tells of it. Raises FailedPrecondition CONSENT_WITHDRAWN."""
    row = (
        transaction.execute(
            update(consent)
            .where(consent.c.consent_id == consent_id, consent.c.withdrawn_at.is_(None))
            .values(withdrawn_at=at)
            .returning(consent)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        get(transaction, consent_id)
        raise FailedPrecondition(Reason.CONSENT_WITHDRAWN, "it was withdrawn before", consent_id)
    withdrawn = Consent(**row)
    events.consent_changed(transaction, withdrawn.message())
    return withdrawn


def get(transaction: Connection, consent_id: str) -> Consent:
    """One consent; NotFound."""
    query = select(consent).where(consent.c.consent_id == consent_id)
    row = transaction.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound("consent", consent_id)
    return Consent(**row)


def of_customer(transaction: Connection, customer_id: str) -> list[Consent]:
    """A customer's consents, oldest first."""
    rows = transaction.execute(
        select(consent).where(consent.c.customer_id == customer_id).order_by(consent.c.consent_id)
    ).mappings()
    return [Consent(**row) for row in rows]


def live(transaction: Connection, customer_id: str, kind: str, day: date) -> Consent | None:
    """The newest consent of a type that holds on a day."""
    found = [
        given
        for given in of_customer(transaction, customer_id)
        if given.type == kind and given.is_live(day)
    ]
    return found[-1] if found else None


def require_live(transaction: Connection, customer_id: str, kind: str, day: date) -> Consent:
    """As `live`; FailedPrecondition CONSENT_MISSING where there is none."""
    found = live(transaction, customer_id, kind, day)
    if found is None:
        raise FailedPrecondition(
            Reason.CONSENT_MISSING, f"no {kind} consent holds on {day}", customer_id
        )
    return found
