"""Applications: what was asked for, how it stands, what risk may know of who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from tael.origination.v1 import application_pb2 as pb
from tael_client.values import from_date, from_decimal, money
from tael_origination import checks, consents, customers, events
from tael_origination.checks import Kind, Result
from tael_origination.reasons import Reason
from tael_origination.tables import application, card
from tael_origination.upstream import Product
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.fields import read_amount
from tael_runtime.ids import new_id

OPEN = ("SUBMITTED", "REVIEW")
LINE_DAYS = 365
"""How long a line may be drawn."""


@dataclass(frozen=True)
class Approved:
    """Terms of a line."""

    limit: int
    """Minor units."""
    rate: Decimal
    """Annual."""
    on: date
    """Business date."""

    @property
    def valid_to(self) -> date:
        """Last day to draw."""
        return self.on + timedelta(days=LINE_DAYS)


@dataclass(frozen=True)
class Application:
    """An application as stored."""

    application_id: str
    customer_id: str
    product_code: str
    currency: str
    amount: int
    periods: int
    purpose: str
    device_id: str
    emulator: bool
    ip: str
    province: str
    """Of the device; "" where unknown."""
    consent_id: str
    """The bureau consent it rests on."""
    bounds: dict[str, Any]
    """The product's, as risk is told: min, max, cost_cap."""
    submitted_on: date
    """Business date."""
    state: str
    decision_id: str
    """ "" until risk has decided."""
    reason_codes: list[str]
    customer_reasons: list[str]
    machine_limit: int | None
    rate: Decimal | None
    approved_limit: int | None
    """Set: a line is to be granted, or is."""
    decided_on: date | None
    """Business date of the yes or no."""
    line_id: str
    not_granted: bool
    """Approved, but servicing grants no such line."""

    @property
    def approved(self) -> Approved | None:
        """Terms of the line that is to be granted, or is."""
        if self.approved_limit is None:
            return None
        assert self.rate is not None, "application_limit"
        assert self.decided_on is not None, "application_decided"
        return Approved(self.approved_limit, self.rate, self.decided_on)

    @property
    def awaits_line(self) -> bool:
        """Approved, the line not granted yet."""
        return self.approved is not None and not self.line_id

    def message(self) -> pb.Application:
        """The contract's form."""
        approved = self.approved
        return pb.Application(
            application_id=self.application_id,
            customer_id=self.customer_id,
            product_code=self.product_code,
            amount=money(self.amount, self.currency),
            periods=self.periods,
            purpose=self.purpose,
            state=pb.ApplicationState.Value(f"APPLICATION_STATE_{self.state}"),
            decision_id=self.decision_id,
            customer_reasons=self.customer_reasons,
            approved_limit=money(approved.limit, self.currency) if approved else None,
            approved_rate=from_decimal(approved.rate) if approved else None,
            line_id=self.line_id,
            submitted_on=from_date(self.submitted_on),
            decided_on=from_date(self.decided_on) if self.decided_on else None,
            not_granted=self.not_granted,
        )


def submit(transaction: Connection, request: pb.SubmitApplicationRequest, product: Product) -> str:
    """Takes an application in; its id.

    Guards in order: money and term, the customer, an open application (APPLICATION_OPEN), what must
    be verified (NOT_VERIFIED), live consents (CONSENT_MISSING).
    """
    amount = read_amount("amount", request.amount, product.currency)
    product.require_term(request.periods)
    customer_id = request.customer_id
    customers.lock(transaction, customer_id)
    _require_none_open(transaction, customer_id)
    _require_verified(transaction, customer_id)
    today = product.business_date
    consents.require_live(transaction, customer_id, "EXTERNAL_DATA", today)
    bureau = consents.require_live(transaction, customer_id, "BUREAU_QUERY", today)
    application_id = new_id("ap")
    transaction.execute(
        insert(application).values(
            application_id=application_id,
            customer_id=customer_id,
            product_code=request.product_code,
            currency=product.currency,
            amount=amount,
            periods=request.periods,
            purpose=request.purpose,
            device_id=request.device.device_id,
            emulator=request.device.emulator,
            ip=request.device.ip,
            province=request.device.province,
            consent_id=bureau.consent_id,
            bounds=product.bounds,
            submitted_on=today,
        )
    )
    events.application_changed(transaction, get(transaction, application_id).message())
    return application_id


def get(transaction: Connection, application_id: str, *, lock: bool = False) -> Application:
    """One application, held where asked; NotFound."""
    query = select(application).where(application.c.application_id == application_id)
    row = transaction.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound("application", application_id)
    return Application(**row)


def of_customer(transaction: Connection, customer_id: str) -> list[Application]:
    """A customer's applications, oldest first."""
    return _select(transaction, application.c.customer_id == customer_id)


def under_way(transaction: Connection) -> list[str]:
    """Those that risk or servicing must still be asked about, oldest first."""
    found = _select(
        transaction,
        (application.c.state == "SUBMITTED")
        | ((application.c.state == "REVIEW") & application.c.approved_limit.is_not(None)),
    )
    return [one.application_id for one in found]


def change(transaction: Connection, application_id: str, **values: Any) -> Application:
    """Writes values and returns the application as it then is."""
    row = (
        transaction.execute(
            update(application)
            .where(application.c.application_id == application_id)
            .values(values)
            .returning(application)
        )
        .mappings()
        .one()
    )
    return Application(**row)


def _select(transaction: Connection, condition: ColumnElement[bool]) -> list[Application]:
    query = select(application).where(condition).order_by(application.c.application_id)
    return [Application(**row) for row in transaction.execute(query).mappings()]


def _require_none_open(transaction: Connection, customer_id: str) -> None:
    query = select(application.c.application_id).where(
        application.c.customer_id == customer_id, application.c.state.in_(OPEN)
    )
    found = transaction.execute(query).scalar()
    if found:
        raise FailedPrecondition(
            Reason.APPLICATION_OPEN, f"application {found} is not decided yet", found
        )


def _require_verified(transaction: Connection, customer_id: str) -> None:
    verdicts = checks.last_verdicts(transaction, customer_id)
    missing = [
        kind.lower().replace("_", " ")
        for kind in (Kind.PHONE, Kind.REAL_NAME, Kind.FACE)
        if kind not in verdicts or verdicts[kind].result is not Result.MATCH
    ]
    query = select(card.c.card_token).where(card.c.customer_id == customer_id).limit(1)
    if transaction.execute(query).scalar() is None:
        missing.append("bound card")
    if missing:
        raise FailedPrecondition(
            Reason.NOT_VERIFIED, f"not verified: {', '.join(missing)}", customer_id
        )
