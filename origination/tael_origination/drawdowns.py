"""Drawdowns: money asked for under a signed contract."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tael.origination.v1 import contract_pb2 as pb
from tael.servicing.v1 import loan_pb2
from tael_client.values import from_decimal, money, to_date
from tael_origination import events
from tael_origination.reasons import Reason
from tael_origination.tables import card, drawdown
from tael_runtime.errors import FailedPrecondition, NotFound

UNDER_WAY = ("REQUESTED", "SIGNED", "PAYING")
"""States in which risk or servicing must still be asked."""


@dataclass(frozen=True)
class Drawdown:
    """A drawdown as stored."""

    drawdown_id: str
    contract_id: str
    customer_id: str
    currency: str
    amount: int
    periods: int
    repay_day: int
    """1–31; the day of disbursement where 0."""
    card_token: str
    consent_id: str
    bounds: dict[str, Any]
    """The product's, as risk is told: min, max, cost_cap."""
    requested_on: date
    """Business date."""
    apr: Decimal
    """All-in annual rate, IRR × 12."""
    schedule: list[dict[str, Any]]
    """Rows as shown: number, due_date, principal, interest."""
    state: str = "REQUESTED"
    decision_id: str = ""
    customer_reasons: list[str] = field(default_factory=list)
    assented_at: datetime | None = None
    assent_code_id: str | None = None
    loan_id: str = ""

    def message(self) -> pb.Drawdown:
        """The contract's form."""
        first = self.schedule[0]
        return pb.Drawdown(
            drawdown_id=self.drawdown_id,
            contract_id=self.contract_id,
            customer_id=self.customer_id,
            amount=money(self.amount, self.currency),
            periods=self.periods,
            state=pb.DrawdownState.Value(f"DRAWDOWN_STATE_{self.state}"),
            decision_id=self.decision_id,
            customer_reasons=self.customer_reasons,
            loan_id=self.loan_id,
            apr=from_decimal(self.apr),
            first_instalment=first["principal"] + first["interest"],
        )


def schedule_rows(quote: loan_pb2.QuoteScheduleResponse) -> list[dict[str, Any]]:
    """A quoted schedule as rows."""
    return [
        {
            "number": row.number,
            "due_date": to_date(row.due_date).isoformat(),
            "principal": row.principal,
            "interest": row.interest,
        }
        for row in quote.instalments
    ]


def state_of(loan: loan_pb2.Loan) -> str:
    """How a drawdown stands when its loan stands so."""
    if loan.state == loan_pb2.LOAN_STATE_PAYING:
        return "PAYING"
    return "FAILED" if loan.state == loan_pb2.LOAN_STATE_CANCELLED else "PAID"


def request(transaction: Connection, asked: Drawdown) -> str:
    """Stores a drawdown; its id."""
    transaction.execute(insert(drawdown).values(asdict(asked)))
    events.drawdown_changed(transaction, asked.message())
    return asked.drawdown_id


def require_card(transaction: Connection, customer_id: str, card_token: str) -> None:
    """Guard: the card is one this customer bound (CARD_NOT_BOUND)."""
    query = select(card.c.card_token).where(
        card.c.customer_id == customer_id, card.c.card_token == card_token
    )
    if transaction.execute(query).scalar() is None:
        raise FailedPrecondition(
            Reason.CARD_NOT_BOUND, "the customer has bound no such card", card_token
        )


def require_open(current: Drawdown) -> None:
    """Guard of a signature: FailedPrecondition DRAWDOWN_NOT_OPEN."""
    if current.state != "RISK_OK":
        raise FailedPrecondition(
            Reason.DRAWDOWN_NOT_OPEN, f"the drawdown is {current.state}", current.drawdown_id
        )


def get(transaction: Connection, drawdown_id: str, *, lock: bool = False) -> Drawdown:
    """One drawdown, held where asked; NotFound."""
    query = select(drawdown).where(drawdown.c.drawdown_id == drawdown_id)
    row = transaction.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound("drawdown", drawdown_id)
    return Drawdown(**row)


def under_way(transaction: Connection) -> list[str]:
    """Drawdowns that must go on, oldest first."""
    query = (
        select(drawdown.c.drawdown_id)
        .where(drawdown.c.state.in_(UNDER_WAY))
        .order_by(drawdown.c.drawdown_id)
    )
    return list(transaction.execute(query).scalars())


def move(
    transaction: Connection, drawdown_id: str, before: tuple[str, ...], **values: Any
) -> Drawdown:
    """Writes values where the state is still one of `before`, tells of it; the drawdown as it is."""
    row = (
        transaction.execute(
            update(drawdown)
            .where(drawdown.c.drawdown_id == drawdown_id, drawdown.c.state.in_(before))
            .values(values)
            .returning(drawdown)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return get(transaction, drawdown_id)
    moved = Drawdown(**row)
    events.drawdown_changed(transaction, moved.message())
    return moved


def follow(transaction: Connection, loan: loan_pb2.Loan) -> None:
    """What servicing tells of a loan: its drawdown is paid, or failed."""
    query = select(drawdown.c.drawdown_id).where(
        drawdown.c.loan_id == loan.loan_id, drawdown.c.state == "PAYING"
    )
    found = transaction.execute(query).scalar()
    if found and state_of(loan) != "PAYING":
        move(transaction, found, ("PAYING",), state=state_of(loan))
