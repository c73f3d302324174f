"""A credit line below the lines it hangs from: what each movement makes of them.

A drawdown moves the line it is made on and every line above it by the same amount, so that what may
be drawn is the least that any of them has left. Pure: no store, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from tael.servicing.v1 import credit_line_pb2 as pb
from tael_client.values import from_date, from_decimal, money
from tael_runtime.errors import Aborted, FailedPrecondition
from tael_servicing.reasons import Reason

DEEPEST = 4
"""Lines from the root of a tree to a leaf."""


@dataclass(frozen=True)
class CreditLine:
    """A line as it stands, minor units, with the lines above it."""

    line_id: str
    path: tuple[str, ...]
    """The lines above, root first, and itself."""
    customer_id: str
    product_code: str
    book_id: str
    currency_code: str
    overall: bool
    """Drawn only through the lines below it."""
    revolving: bool
    granted: int
    temporary: int
    """Granted instead until the end of `temporary_to`; 0 = nothing."""
    temporary_to: date | None
    credit_limit: int
    """In force: what is granted, or what is used and reserved where that is more."""
    used: int
    reserved: int
    annual_rate: Decimal
    valid_from: date
    valid_to: date
    state: str
    freeze_reason: str
    source: str
    movements: int
    spread: Decimal | None = None
    """Of a product whose rate floats: over the loan prime rate; what is drawn bears that of its day."""
    above: tuple[CreditLine, ...] = ()
    """Root first, each without those above itself: see `branch`."""

    @property
    def branch(self) -> tuple[CreditLine, ...]:
        """The lines above, root first, and itself; each with those above it."""
        above = tuple(
            replace(each, above=self.above[:depth]) for depth, each in enumerate(self.above)
        )
        return (*above, self)

    @property
    def target(self) -> int:
        """What is granted today."""
        return self.temporary or self.granted

    @property
    def undrawn(self) -> int:
        """Left on this line alone."""
        return self.credit_limit - self.used - self.reserved

    @property
    def available(self) -> int:
        """Left to draw, as far as amounts go."""
        return min(each.undrawn for each in (*self.above, self))

    @property
    def commitment(self) -> int:
        """What stands on 7201: promised to the borrower by a line that is drawn itself."""
        return 0 if self.overall or self.state in ("PENDING", "CLOSED") else self.undrawn

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

    def check_state(self, *wanted: str) -> None:
        """Raises FailedPrecondition LINE_STATE in any other state."""
        if self.state not in wanted:
            raise FailedPrecondition(
                Reason.LINE_STATE,
                f"the line is {self.state}, not {' or '.join(wanted)}",
                self.line_id,
            )

    def check_open(self, day: date) -> None:
        """Raises FailedPrecondition LINE_OVERALL, LINE_EXPIRED, LINE_PENDING or LINE_FROZEN."""
        if self.overall:
            raise FailedPrecondition(
                Reason.LINE_OVERALL, "only lines below it are drawn", self.line_id
            )
        for each in (*self.above, self):
            _check_open(each, day)

    def check_room(self, principal: int) -> None:
        """Raises FailedPrecondition LINE_EXCEEDED, naming the line that has too little left."""
        for each in (*self.above, self):
            if principal > each.undrawn:
                raise FailedPrecondition(
                    Reason.LINE_EXCEEDED, f"{each.undrawn} is left, not {principal}", each.line_id
                )

    def message(self) -> pb.CreditLine:
        """In the contract's words."""
        currency = self.currency_code
        message = pb.CreditLine(
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
            parent_line_id=self.path[-2] if self.above else "",
            overall=self.overall,
            granted=money(self.granted, currency),
            valid_from=from_date(self.valid_from),
            undrawn=money(self.undrawn, currency),
        )
        if self.spread is not None:
            message.spread.CopyFrom(from_decimal(self.spread))
        if self.temporary_to:
            message.temporary_limit.CopyFrom(money(self.temporary, currency))
            message.temporary_to.CopyFrom(from_date(self.temporary_to))
        return message


def _check_open(line: CreditLine, day: date) -> None:
    if line.state == "CLOSED" or day > line.valid_to:
        raise FailedPrecondition(
            Reason.LINE_EXPIRED, f"the line could be drawn until {line.valid_to}", line.line_id
        )
    if line.state == "PENDING":
        raise FailedPrecondition(
            Reason.LINE_PENDING, f"the line can be drawn from {line.valid_from} on", line.line_id
        )
    if line.state == "FROZEN":
        raise FailedPrecondition(Reason.LINE_FROZEN, line.freeze_reason, line.line_id)


def reserve(line: CreditLine, principal: int) -> CreditLine:
    """Holds principal for a drawdown under way: never more than there is room for."""
    assert 0 < principal <= line.available
    return _each(line, lambda each: replace(each, reserved=each.reserved + principal))


def occupy(line: CreditLine, principal: int) -> CreditLine:
    """The hold becomes use."""
    return _each(
        line,
        lambda each: replace(each, reserved=each.reserved - principal, used=each.used + principal),
    )


def release(line: CreditLine, principal: int) -> CreditLine:
    """The hold is given back: the payout failed."""
    return _each(line, lambda each: _settled(replace(each, reserved=each.reserved - principal)))


def restore(line: CreditLine, principal: int) -> CreditLine:
    """Principal came back, to the lines that revolve.

    Negative where a repayment is taken back: the loan owes it again, so that the limit in force
    gives way where others have drawn it since.
    """
    return _each(
        line,
        lambda each: (
            _settled(replace(each, used=each.used - principal)) if each.revolving else each
        ),
    )


def unuse(line: CreditLine, principal: int) -> CreditLine:
    """What was drawn was never lent: every line has it again. Negative where it was lent after all."""
    return _each(line, lambda each: _settled(replace(each, used=each.used - principal)))


def regrant(line: CreditLine, granted: int) -> CreditLine:
    """Another limit for good; it ends a temporary one."""
    return _settled(replace(line, granted=granted, temporary=0, temporary_to=None))


def raise_until(line: CreditLine, temporary: int, last_day: date) -> CreditLine:
    """A higher limit to the end of a day."""
    assert temporary > line.granted
    return _settled(replace(line, temporary=temporary, temporary_to=last_day))


def _each(line: CreditLine, change: Callable[[CreditLine], CreditLine]) -> CreditLine:
    return replace(change(line), above=tuple(change(each) for each in line.above))


def _settled(line: CreditLine) -> CreditLine:
    """With the limit as near to what is granted as use allows."""
    return replace(line, credit_limit=max(line.target, line.used + line.reserved))
