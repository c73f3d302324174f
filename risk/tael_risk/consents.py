"""Consents to query outside data, as origination's events tell them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from tael.origination.v1 import customer_pb2
from tael_client import context as call_context
from tael_client.values import to_date
from tael_risk.reasons import Reason
from tael_risk.tables import consent as consents
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition, Unavailable

PATIENCE = 3.0
"""Seconds to wait for a consent whose event has not arrived yet."""
PAUSE = 0.05

QUERY_CONSENT = customer_pb2.ConsentType.Name(customer_pb2.CONSENT_TYPE_BUREAU_QUERY)
"""The written consent of 征信业管理条例 article 18; the other outside sources rest on it too."""


@dataclass(frozen=True)
class ConsentClaim:
    """What a caller says allows a query."""

    consent_id: str
    customer_id: str
    business_date: date


def learn(transaction: Connection, consent: customer_pb2.Consent) -> None:
    """Keeps a consent as it is now."""
    values = {
        "customer_id": consent.customer_id,
        "type": customer_pb2.ConsentType.Name(consent.type),
        "valid_to": to_date(consent.valid_to),
        "withdrawn": consent.HasField("withdrawn_at"),
    }
    transaction.execute(
        insert(consents)
        .values(consent_id=consent.consent_id, **values)
        .on_conflict_do_update(index_elements=["consent_id"], set_=values)
    )


def is_live(transaction: Connection, claim: ConsentClaim) -> bool:
    """Whether the consent is this customer's, to such queries, valid on the day, not withdrawn."""
    found = transaction.execute(
        select(consents.c.consent_id).where(
            consents.c.consent_id == claim.consent_id,
            consents.c.customer_id == claim.customer_id,
            consents.c.type == QUERY_CONSENT,
            consents.c.valid_to >= claim.business_date,
            consents.c.withdrawn.is_(False),
        )
    )
    return found.one_or_none() is not None


def require_live(transaction: Connection, claim: ConsentClaim) -> None:
    """Raises FailedPrecondition CONSENT_MISSING where the consent is not live."""
    if not is_live(transaction, claim):
        raise FailedPrecondition(
            Reason.CONSENT_MISSING,
            f"{claim.consent_id or 'no consent'!r} is no live {QUERY_CONSENT} "
            f"of customer {claim.customer_id!r} on {claim.business_date}",
            f"consent/{claim.consent_id}",
        )


def await_known(database: Database, consent_id: str) -> None:
    """Waits until the consent's event has arrived, at most PATIENCE or until the call's deadline.

    Raises Unavailable CONSENT_UNHEARD where it has not: nobody is declined because an event is late.
    Of no consent ("") there is nothing to wait for.
    """
    call = call_context.current()
    left = call.seconds_left() if call else None
    end = time.monotonic() + (PATIENCE if left is None else min(PATIENCE, left))
    while consent_id and not _is_known(database, consent_id):
        if time.monotonic() >= end:
            raise Unavailable(
                Reason.CONSENT_UNHEARD, f"no event has told of consent {consent_id!r} yet"
            )
        time.sleep(PAUSE)


def _is_known(database: Database, consent_id: str) -> bool:
    with database.engine.connect() as connection:
        query = select(consents.c.consent_id).where(consents.c.consent_id == consent_id)
        return connection.execute(query).one_or_none() is not None
