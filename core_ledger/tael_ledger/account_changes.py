"""Accounts opened ahead, limited, frozen, unfrozen and closed: requests of the group commit.

Each goes alone, so that what it decides on is still so when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text, update

from tael_ledger import accounts
from tael_ledger.chart import Chart
from tael_ledger.guards import CLOSED, FROZEN, OPEN
from tael_ledger.limits import Bounds, Limits
from tael_ledger.reasons import Reason
from tael_ledger.requests import Desk, Plan, PostingRequest, Record
from tael_ledger.tables import account
from tael_runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument

LIMITS_SET = "ACCOUNT_LIMITS_SET"
RECORDED = {FROZEN: "ACCOUNT_FROZEN", OPEN: "ACCOUNT_UNFROZEN", CLOSED: "ACCOUNT_CLOSED"}
"""The kind of the record, by the state that an account is brought to."""

REFUSED: Mapping[str, Mapping[str, Reason]] = {
    FROZEN: {FROZEN: Reason.ACCOUNT_FROZEN, CLOSED: Reason.ACCOUNT_CLOSED},
    OPEN: {OPEN: Reason.ACCOUNT_NOT_FROZEN, CLOSED: Reason.ACCOUNT_NOT_FROZEN},
    CLOSED: {FROZEN: Reason.ACCOUNT_FROZEN, CLOSED: Reason.ACCOUNT_CLOSED},
}
"""By the state that is wanted: in which state it is refused, and why."""

LIMIT = text(
    "UPDATE account SET lowest = limited.lowest, highest = limited.highest "
    "FROM unnest(CAST(:numbers AS text[]), CAST(:lowest AS bigint[]), CAST(:highest AS bigint[])) "
    "AS limited (number, lowest, highest) "
    "WHERE account.book_id = :book_id AND account.number = limited.number"
)


@dataclass(frozen=True)
class NewAccount:
    """An account to open."""

    gl_code: str
    number: str
    limits: Limits


@dataclass(frozen=True)
class Opening(PostingRequest):
    """CreateAccounts: all of them or none."""

    wanted: Sequence[NewAccount]

    def plan(self, desk: Desk) -> Plan:
        """Opens them with their limits.

        Raises InvalidArgument UNKNOWN_GL_CODE or LIMITS_CONTRADICT; AlreadyExists ACCOUNT_EXISTS;
        FailedPrecondition LIMIT_BROKEN_NOW where a limit does not admit zero.
        """
        book_id = desk.book.book_id
        bounds: dict[str, Bounds] = {}
        for place, new in enumerate(self.wanted):
            if new.number in bounds:
                raise AlreadyExists(
                    Reason.ACCOUNT_EXISTS, f"accounts[{place}]: {new.number} comes twice"
                )
            bounds[new.number] = _bounds(f"accounts[{place}]", new.gl_code, new.limits, desk.chart)
        for number in accounts.find(desk.transaction, book_id, list(bounds)):
            raise AlreadyExists(Reason.ACCOUNT_EXISTS, f"{number} was opened before")
        for number, each in bounds.items():
            _check_within(number, each, 0, 0)
        limited = {number: each for number, each in bounds.items() if each != Bounds()}
        return Plan(
            opens=list(bounds),
            records=[
                _limits_record(number, each, "", self.key.caller)
                for number, each in limited.items()
            ],
            then=lambda transaction, _: _limit(transaction, book_id, limited),
            guards_changed=bool(limited),
        )


@dataclass(frozen=True)
class LimitsChange(PostingRequest):
    """SetAccountLimits."""

    number: str
    limits: Limits
    reason: str

    def plan(self, desk: Desk) -> Plan:
        """Puts the limits in the place of those before.

        Raises NotFound; FailedPrecondition ACCOUNT_CLOSED or LIMIT_BROKEN_NOW; InvalidArgument
        LIMITS_CONTRADICT.
        """
        book_id = desk.book.book_id
        held = accounts.get(desk.transaction, book_id, self.number)
        if held.state == CLOSED:
            raise FailedPrecondition(Reason.ACCOUNT_CLOSED, f"{self.number} is closed", self.number)
        bounds = _bounds("limits", held.gl_code, self.limits, desk.chart)
        _check_within(self.number, bounds, held.least, held.most)
        return Plan(
            records=[_limits_record(self.number, bounds, self.reason, self.key.caller)],
            then=lambda transaction, _: _limit(transaction, book_id, {self.number: bounds}),
            guards_changed=True,
        )


@dataclass(frozen=True)
class StateChange(PostingRequest):
    """FreezeAccount, UnfreezeAccount and CloseAccount."""

    number: str
    to: str
    """FROZEN, OPEN or CLOSED."""
    reason: str

    def plan(self, desk: Desk) -> Plan:
        """Brings the account to the state.

        Raises NotFound; FailedPrecondition for what `REFUSED` has, and ACCOUNT_NOT_ZERO.
        """
        book_id = desk.book.book_id
        held = accounts.get(desk.transaction, book_id, self.number)
        refused = REFUSED[self.to].get(held.state)
        if refused is not None:
            raise FailedPrecondition(refused, f"{self.number} is {held.state.lower()}", self.number)
        if self.to == CLOSED and (held.least or held.most):
            raise FailedPrecondition(
                Reason.ACCOUNT_NOT_ZERO,
                f"debits less credits of {self.number} are "
                f"{held.debits_posted - held.credits_posted}, pending are "
                f"{held.debits_pending} and {held.credits_pending}",
                self.number,
            )
        content = {"reason": self.reason, "by": self.key.caller}
        return Plan(
            records=[Record(RECORDED[self.to], self.number, content)],
            then=lambda transaction, _: self._write(transaction, book_id),
            guards_changed=True,
        )

    def _write(self, transaction: Connection, book_id: str) -> None:
        transaction.execute(
            update(account)
            .where(account.c.book_id == book_id, account.c.number == self.number)
            .values(state=self.to)
        )


def _bounds(field: str, gl_code: str, limits: Limits, chart: Chart) -> Bounds:
    """Raises InvalidArgument UNKNOWN_GL_CODE or LIMITS_CONTRADICT."""
    if gl_code not in chart:
        raise InvalidArgument(
            f"{field}.gl_code", f"{gl_code!r} is no code of the chart", Reason.UNKNOWN_GL_CODE
        )
    bounds = limits.bounds(chart[gl_code].normal_side)
    if bounds.contradict:
        raise InvalidArgument(
            field,
            f"debits less credits would be at least {bounds.lowest} and at most {bounds.highest}",
            Reason.LIMITS_CONTRADICT,
        )
    return bounds


def _check_within(number: str, bounds: Bounds, least: int, most: int) -> None:
    """Raises FailedPrecondition LIMIT_BROKEN_NOW."""
    if not bounds.admit(least, most):
        raise FailedPrecondition(
            Reason.LIMIT_BROKEN_NOW,
            f"debits less credits of {number}, pending counted, are {least} to {most}; "
            f"the limits admit {bounds.lowest} to {bounds.highest}",
            number,
        )


def _limits_record(number: str, bounds: Bounds, reason: str, caller: str) -> Record:
    content: dict[str, Any] = {**bounds._asdict(), "reason": reason, "by": caller}
    return Record(LIMITS_SET, number, content)


def _limit(transaction: Connection, book_id: str, bounds: Mapping[str, Bounds]) -> None:
    if bounds:
        transaction.execute(
            LIMIT,
            {
                "book_id": book_id,
                "numbers": list(bounds),
                "lowest": [each.lowest for each in bounds.values()],
                "highest": [each.highest for each in bounds.values()],
            },
        )
