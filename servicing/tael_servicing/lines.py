"""Credit lines in the store: every movement under the locks of the line and of those above it.

Locks are taken root first, so that drawdowns on lines of one tree wait for one another and never
in a circle. What the arithmetic must not allow, checks of the store refuse once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    any_,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tael.servicing.v1 import credit_line_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime import later
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_servicing import line_tree
from tael_servicing.line_tree import CreditLine
from tael_servicing.reasons import Reason
from tael_servicing.tables import SORTED, credit_line, line_movement

COLUMNS = tuple(column.name for column in credit_line.c)
OPEN = ("PENDING", "ACTIVE", "FROZEN")


@dataclass(frozen=True)
class Movement:
    """What happens to a line, and to those above it that move with it."""

    kind: str
    amount: int
    date: date
    loan_id: str = ""
    drawn_line_id: str = ""
    reason: str = ""
    approval: str = ""


def grant(transaction: Connection, line: CreditLine, day: date) -> CreditLine:
    """Opens a line, or has it wait for its first day."""
    granted = replace(line, movements=1)
    transaction.execute(insert(credit_line).values(_values(granted)))
    _note(transaction, [granted], Movement("GRANTED", line.granted, day))
    return granted


def open_up(transaction: Connection, line: CreditLine, day: date) -> CreditLine:
    """The first day of a line that waited for it."""
    line.check_state("PENDING")
    opened = replace(line, state="ACTIVE")
    return _move(transaction, line, opened, Movement("OPENED", line.granted, day))


def reserve(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """Holds principal for a drawdown under way."""
    movement = Movement("RESERVED", principal, day, loan_id, line.line_id)
    return _move(transaction, line, line_tree.reserve(line, principal), movement)


def occupy(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """The hold becomes use."""
    movement = Movement("OCCUPIED", principal, day, loan_id, line.line_id)
    return _move(transaction, line, line_tree.occupy(line, principal), movement)


def release(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """The hold is given back: the payout failed."""
    movement = Movement("RELEASED", principal, day, loan_id, line.line_id)
    return _move(transaction, line, line_tree.release(line, principal), movement)


def restore(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """Principal came back; negative where it is taken away again."""
    movement = Movement("RESTORED", principal, day, loan_id, line.line_id)
    return _move(transaction, line, line_tree.restore(line, principal), movement)


def unuse(
    transaction: Connection, line: CreditLine, principal: int, loan_id: str, day: date
) -> CreditLine:
    """What was drawn was never lent, whether the line revolves or not."""
    movement = Movement("RESTORED", principal, day, loan_id, line.line_id)
    return _move(transaction, line, line_tree.unuse(line, principal), movement)


def adjust(
    transaction: Connection,
    line: CreditLine,
    after: CreditLine,
    day: date,
    reason: str,
    approval: str = "",
) -> CreditLine:
    """The line on other terms. Raises FailedPrecondition LINE_STATE on a closed one."""
    line.check_state(*OPEN)
    grown = after.target - line.target
    movement = Movement("ADJUSTED", grown, day, reason=reason, approval=approval)
    return _move(transaction, line, after, movement)


def freeze(transaction: Connection, line: CreditLine, reason: str, day: date) -> CreditLine:
    """No more drawdowns. Raises FailedPrecondition LINE_STATE on a line that is not active."""
    line.check_state("ACTIVE")
    frozen = replace(line, state="FROZEN", freeze_reason=reason)
    return _move(transaction, line, frozen, Movement("FROZEN", 0, day, reason=reason))


def unfreeze(transaction: Connection, line: CreditLine, reason: str, day: date) -> CreditLine:
    """Drawdowns again. Raises FailedPrecondition LINE_STATE on a line that is not frozen."""
    line.check_state("FROZEN")
    active = replace(line, state="ACTIVE", freeze_reason="")
    return _move(transaction, line, active, Movement("UNFROZEN", 0, day, reason=reason))


def close(
    transaction: Connection, line: CreditLine, day: date, reason: str, approval: str = ""
) -> CreditLine:
    """Nothing can be drawn any more.

    Raises FailedPrecondition LINE_STATE on a closed line, LINE_RESERVED with a payout under way.
    """
    line.check_state(*OPEN)
    if line.reserved:
        raise FailedPrecondition(
            Reason.LINE_RESERVED, f"{line.reserved} is on its way to a borrower", line.line_id
        )
    movement = Movement("CLOSED", line.undrawn, day, reason=reason, approval=approval)
    return _move(transaction, line, replace(line, state="CLOSED"), movement)


def _move(
    transaction: Connection, before: CreditLine, after: CreditLine, movement: Movement
) -> CreditLine:
    """Writes each line of the branch that changed; the branch as it is then."""
    branch, moved = [], []
    for was, now in zip((*before.above, before), (*after.above, after), strict=True):
        if _values(was) == _values(now):
            branch.append(now)
            continue
        branch.append(replace(now, movements=now.movements + 1))
        moved.append(branch[-1])
    for each in moved:
        later.write(transaction, CHANGE, {**_values(each), "moved": each.line_id})
    _note(transaction, moved, movement)
    return replace(branch[-1], above=tuple(branch[:-1]))


CHANGE = update(credit_line).where(credit_line.c.line_id == bindparam("moved"))
NOTE = insert(line_movement)


def _note(transaction: Connection, moved: Iterable[CreditLine], movement: Movement) -> None:
    rows = [
        {
            **vars(movement),
            "line_id": each.line_id,
            "number": each.movements,
            "limit_after": each.credit_limit,
            "used_after": each.used,
            "reserved_after": each.reserved,
            "valid_to": each.valid_to,
        }
        for each in moved
    ]
    later.write(transaction, NOTE, *rows)


WANTED = select(func.unnest(credit_line.c.path)).where(
    credit_line.c.line_id == func.any(bindparam("ids", type_=ARRAY(SORTED)))
)
BRANCHES = (
    select(credit_line)
    .where(credit_line.c.line_id.in_(WANTED))
    .order_by(func.cardinality(credit_line.c.path), credit_line.c.line_id)
)
"""The lines and all above them, those nearer to a root first."""
LOCKED = BRANCHES.with_for_update()


def get(transaction: Connection, line_id: str) -> CreditLine:
    """One line. Raises NotFound."""
    return _one(transaction, BRANCHES, line_id)


def lock(transaction: Connection, line_id: str) -> CreditLine:
    """One line, which nobody else moves before this transaction ends. Raises NotFound."""
    return _one(transaction, LOCKED, line_id)


def hold(transaction: Connection, line_ids: Iterable[str]) -> None:
    """Locks many lines in the one order, for a transaction that goes on to move several of them."""
    ids = sorted(set(line_ids))
    if ids:
        transaction.execute(LOCKED, {"ids": ids})


def _one(transaction: Connection, query: Select[Any], line_id: str) -> CreditLine:
    found = _lines(transaction.execute(query, {"ids": [line_id]}).all())
    if not found:
        raise NotFound("credit line", line_id)
    return replace(found[-1], above=tuple(found[:-1]))


def of_customer(
    transaction: Connection, customer_id: str, after: str, size: int
) -> list[CreditLine]:
    """A page of a customer's lines, oldest first."""
    query = (
        select(credit_line.c.line_id)
        .where(credit_line.c.customer_id == customer_id, credit_line.c.line_id > after)
        .order_by(credit_line.c.line_id)
        .limit(size)
    )
    ids = list(transaction.execute(query).scalars())
    found = {
        line.line_id: line for line in _lines(transaction.execute(BRANCHES, {"ids": ids}).all())
    }
    return [
        replace(found[line_id], above=tuple(found[each] for each in found[line_id].path[:-1]))
        for line_id in ids
    ]


def below(transaction: Connection, line: CreditLine) -> list[str]:
    """The lines below a line that are not closed, the lowest first."""
    rows = transaction.execute(
        select(credit_line.c.line_id)
        .where(
            credit_line.c.customer_id == line.customer_id,
            literal(line.line_id) == any_(credit_line.c.path),
            credit_line.c.line_id != line.line_id,
            credit_line.c.state != "CLOSED",
        )
        .order_by(func.cardinality(credit_line.c.path).desc(), credit_line.c.line_id)
    )
    return list(rows.scalars())


def turning(transaction: Connection, book_id: str, day: date) -> list[str]:
    """Lines to which the opening of `day` does something.

    They open, their temporary limit has run out, or their last day has passed: one with a payout
    under way waits for it.
    """
    line = credit_line.c
    rows = transaction.execute(
        select(line.line_id)
        .where(
            line.book_id == book_id,
            line.state != "CLOSED",
            or_(
                and_(line.state == "PENDING", line.valid_from <= day),
                and_(line.temporary_to.is_not(None), line.temporary_to < day),
                and_(line.valid_to < day, line.reserved == 0),
            ),
        )
        .order_by(line.line_id)
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
    currency = line.currency_code
    return [
        pb.LineMovement(
            number=row.number,
            kind=pb.LineMovementKind.Value(f"LINE_MOVEMENT_KIND_{row.kind}"),
            amount=money(row.amount, currency),
            loan_id=row.loan_id,
            date=from_date(row.date),
            used_after=money(row.used_after, currency),
            reserved_after=money(row.reserved_after, currency),
            limit_after=money(row.limit_after, currency),
            drawn_line_id=row.drawn_line_id,
            reason=row.reason,
            approval=row.approval,
        )
        for row in rows
    ]


def _lines(rows: Sequence[Row[Any]]) -> list[CreditLine]:
    return [CreditLine(**{**row._asdict(), "path": tuple(row.path)}) for row in rows]


def _values(line: CreditLine) -> dict[str, Any]:
    return {**{name: getattr(line, name) for name in COLUMNS}, "path": list(line.path)}
