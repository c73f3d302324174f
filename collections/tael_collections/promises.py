"""Promises to pay: which may be recorded, what is received towards them, when they are kept. Pure.

Amounts are minor units; days are business dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tael_client.values import yuan
from tael_collections.buckets import Bucket
from tael_collections.parameters import Parameters
from tael_collections.reasons import Reason
from tael_runtime.errors import FailedPrecondition, InvalidArgument

OPEN, KEPT, BROKEN = "OPEN", "KEPT", "BROKEN"


@dataclass(frozen=True)
class Promise:
    """A promise as it stands."""

    promise_id: str
    case_id: str
    amount: int
    currency: str
    due_date: date
    state: str
    received: int
    recorded_on: date


@dataclass(frozen=True)
class Arrears:
    """What a promise is measured against."""

    amount: int
    """Due and unpaid."""
    bucket: Bucket
    open_promises: int


def check(
    amount: int, due_date: date, arrears: Arrears, today: date, parameters: Parameters
) -> None:
    """Refuses a promise that is too small, too late or one too many."""
    if due_date < today:
        raise InvalidArgument("due_date", f"must not lie before the business date {today}")
    percent = parameters.on("promise.least_percent", today).number
    if amount * 100 < arrears.amount * percent:
        raise FailedPrecondition(
            Reason.PROMISE_TOO_SMALL,
            f"{yuan(amount)} is less than {percent} % of the arrears of {yuan(arrears.amount)}",
        )
    name = "promise.days_m1" if arrears.bucket <= Bucket.M1 else "promise.days_m2"
    latest = today + timedelta(days=parameters.on(name, today).number)
    if due_date > latest:
        raise FailedPrecondition(
            Reason.PROMISE_TOO_LATE, f"in {arrears.bucket.name} the latest date is {latest}"
        )
    most = parameters.on("promise.open", today).number
    if arrears.open_promises >= most:
        raise FailedPrecondition(Reason.TOO_MANY_PROMISES, f"{most} promises are open")


def last_day(promise: Promise, parameters: Parameters) -> date:
    """The last day on which money still counts towards a promise."""
    days = parameters.on("promise.days_after", promise.recorded_on).number
    return promise.due_date + timedelta(days=days)


def credit(
    promises: Sequence[Promise], amount: int, value_date: date, parameters: Parameters
) -> dict[str, int]:
    """Spreads money received over open promises, earliest date first: promise_id → added."""
    added: dict[str, int] = {}
    for promise in sorted(promises, key=lambda one: (one.due_date, one.promise_id)):
        if not promise.recorded_on <= value_date <= last_day(promise, parameters):
            continue
        part = min(amount, max(promise.amount - promise.received, 0))
        if part:
            added[promise.promise_id] = part
            amount -= part
    return added


def verdict(promise: Promise, day: date, parameters: Parameters) -> str:
    """The state of an open promise at the end of a day."""
    percent = parameters.on("promise.kept_percent", promise.recorded_on).number
    if promise.received * 100 >= promise.amount * percent:
        return KEPT
    return BROKEN if day >= last_day(promise, parameters) else OPEN
