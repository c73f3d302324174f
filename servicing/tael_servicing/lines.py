"""Credit lines: limit = used + reserved + available, under a row lock and a check of the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from tael.servicing.v1 import credit_line_pb2 as pb
from tael_client.values import from_date, from_decimal, money
from tael_runtime.errors import Aborted, FailedPrecondition, NotFound
from tael_servicing.reasons import Reason
from tael_servicing.tables import credit_line, line_movement


@dataclass(frozen=True)
class CreditLine:
    """A line as it stands, minor units."""

    line_id: str
    customer_id: str
    product_code: str
    book_id: str
    currency_code: str
    revolving: bool
    credit_limit: int
    used: int
    reserved: int
    annual_rate: Decimal
    valid_to: date
    state: str
    freeze_reason: str
    source: str
    movements: int

    @property
    def available(self) -> int:
        """Left to draw; what stands on 7201 while the line is open."""
        return self.credit_limit - self.used - self.reserved

    def message(self) -> pb.CreditLine:
        """In the contract's words."""
        currency = self.currency_code
        return pb.CreditLine(
            line_id=self.line_id,
            customer_id=self.customer_id,
            product_code=self.product_code,
            revolving=self.revolving,
            limit=money(self.credit_limit, currency),
            used=money(self.used, currency),
            reserved=money(self.reserved, currency),
            available=money(self.available, currency),
            annual_rate=from_decimal(self.annual_rate),
            valid_to=from_date(self.valid_to),
            state=pb.LineState.Value(f"LINE_STATE_{self.state}"),
            freeze_reason=self.freeze_reason,
            etag=self.etag,
        )

    @property
    def etag(self) -> str:
        """Changes with every movement."""
        return str(self.movements)

    def check_etag(self, etag: str) -> None:
        """Raises Aborted STALE_ETAG where the line moved since it was read; an empty one matches."""
        if etag and etag != self.etag:
            raise Aborted(
                Reason.STALE_ETAG, f"the line has moved: its etag is {self.etag!r}, not {etag!r}"
            )

    def check_drawable(self, principal: int, day: date) -> None:
        """Raises FailedPrecondition LINE_EXPIRED, LINE_FROZEN or LINE_EXCEEDED."""
        if self.state == "CLOSED" or day > self.valid_to:
            raise FailedPrecondition(
                Reason.LINE_EXPIRED, f"the line could be drawn until {self.valid_to}", self.line_id
            )
        if self.state == "FROZEN":
            raise FailedPrecondition(Reason.LINE_FROZEN, self.freeze_reason, self.line_id)
        if principal > self.available:
            raise FailedPrecondition(
                Reason.LINE_EXCEEDED, f"{self.available} is left, not {principal}", self.line_id
            )


def grant(transaction: Connection, line: CreditLine, day: date) -> CreditLine:
    """Opens a line."""
    transaction.execute(insert(credit_line).values(vars(line)))
    return _move(transaction, line, line, "GRANTED", line.credit_limit, day)


def reserve(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """Holds principal for a drawdown under way."""
    after = replace(line, reserved=line.reserved + principal)
    return _move(transaction, line, after, "RESERVED", principal, day, loan_id)


def occupy(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """The hold becomes use."""
    after = replace(line, reserved=line.reserved - principal, used=line.used + principal)
    return _move(transaction, line, after, "OCCUPIED", principal, day, loan_id)


def release(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """The hold is given back: the payout failed."""
    after = replace(line, reserved=line.reserved - principal)
    return _move(transaction, line, after, "RELEASED", principal, day, loan_id)


def restore(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """Principal came back; negative where a replayed past takes some of it away again."""
    after = replace(line, used=line.used - principal)
    return _move(transaction, line, after, "RESTORED", principal, day, loan_id)


def freeze(transaction: Connection, line: CreditLine, reason: str, day: date) -> CreditLine:
    """No more drawdowns. Raises FailedPrecondition LINE_STATE on a line that is not active."""
    _check_state(line, "ACTIVE")
    after = replace(line, state="FROZEN", freeze_reason=reason)
    return _move(transaction, line, after, "FROZEN", 0, day)


def unfreeze(transaction: Connection, line: CreditLine, day: date) -> CreditLine:
    """Drawdowns again. Raises FailedPrecondition LINE_STATE on a line that is not frozen."""
    _check_state(line, "FROZEN")
    after = replace(line, state="ACTIVE", freeze_reason="")
    return _move(transaction, line, after, "UNFROZEN", 0, day)


def close(transaction: Connection, line: CreditLine) -> CreditLine:
    """Past its last day to draw."""
    transaction.execute(
        update(credit_line).where(credit_line.c.line_id == line.line_id).values(state="CLOSED")
    )
    return replace(line, state="CLOSED")


def _check_state(line: CreditLine, wanted: str) -> None:
    if line.state != wanted:
        raise FailedPrecondition(
            Reason.LINE_STATE, f"the line is {line.state}, not {wanted}", line.line_id
        )


def _move(
    transaction: Connection,
    before: CreditLine,
    after: CreditLine,
    kind: str,
    amount: int,
    day: date,
    loan_id: str = "",
) -> CreditLine:
    moved = replace(after, movements=before.movements + 1)
    transaction.execute(
        update(credit_line).where(credit_line.c.line_id == moved.line_id).values(vars(moved))
    )
    transaction.execute(
        insert(line_movement).values(
            line_id=moved.line_id,
            number=moved.movements,
            kind=kind,
            amount=amount,
            loan_id=loan_id,
            date=day,
            used_after=moved.used,
            reserved_after=moved.reserved,
        )
    )
    return moved


def get(transaction: Connection, line_id: str) -> CreditLine:
    """One line. Raises NotFound."""
    return _one(transaction, select(credit_line).where(credit_line.c.line_id == line_id), line_id)


def lock(transaction: Connection, line_id: str) -> CreditLine:
    """One line, which nobody else moves before this transaction ends. Raises NotFound."""
    query = select(credit_line).where(credit_line.c.line_id == line_id).with_for_update()
    return _one(transaction, query, line_id)


def _one(transaction: Connection, query: Any, line_id: str) -> CreditLine:
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise NotFound("credit line", line_id)
    return _line(row)


def of_customer(transaction: Connection, customer_id: str) -> list[CreditLine]:
    """A customer's lines, oldest first."""
    rows = transaction.execute(
        select(credit_line)
        .where(credit_line.c.customer_id == customer_id)
        .order_by(credit_line.c.line_id)
    )
    return [_line(row) for row in rows]


def expired_by(transaction: Connection, book_id: str, day: date) -> list[str]:
    """Lines whose last day to draw lies before `day`; one with a payout under way waits for it."""
    rows = transaction.execute(
        select(credit_line.c.line_id)
        .where(
            credit_line.c.book_id == book_id,
            credit_line.c.valid_to < day,
            credit_line.c.state != "CLOSED",
            credit_line.c.reserved == 0,
        )
        .order_by(credit_line.c.line_id)
    )
    return list(rows.scalars())


def movements(
    transaction: Connection, line: CreditLine, after: int, size: int
) -> list[pb.LineMovement]:
    """A page of what moved the line, oldest first."""
    rows = transaction.execute(
        select(line_movement)
        .where(line_movement.c.line_id == line.line_id, line_movement.c.number > after)
        .order_by(line_movement.c.number)
        .limit(size)
    )
    return [
        pb.LineMovement(
            number=row.number,
            kind=pb.LineMovementKind.Value(f"LINE_MOVEMENT_KIND_{row.kind}"),
            amount=money(row.amount, line.currency_code),
            loan_id=row.loan_id,
            date=from_date(row.date),
            used_after=money(row.used_after, line.currency_code),
            reserved_after=money(row.reserved_after, line.currency_code),
        )
        for row in rows
    ]


def _line(row: Row[tuple[Any, ...]]) -> CreditLine:
    return CreditLine(**row._asdict())
