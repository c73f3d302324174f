"""The gate: whether a debtor may be contacted at an instant on a channel. Pure.

Days and times are Asia/Shanghai's. Windows are half-open: opens ≤ t < closes. What is counted is
the debtor's, over all loans, collectors and agencies together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from zoneinfo import ZoneInfo

from tael_collections.parameters import Parameter, Parameters
from tael_collections.reasons import Reason

ZONE = ZoneInfo("Asia/Shanghai")
"""The debtors' local time: hours and days are counted in it."""


class Channel(IntEnum):
    """Numbered as in the contract."""

    SMS = 1
    IVR = 2
    AI_CALL = 3
    HUMAN_CALL = 4
    AGENCY_CALL = 5

    @property
    def is_call(self) -> bool:
        """Interactive voice, whoever or whatever speaks."""
        return self is not Channel.SMS


@dataclass(frozen=True)
class CaseFacts:
    """What the gate needs to know of the case (of no case: the defaults)."""

    business_date: date
    closed: bool = False
    hold_until: date | None = None
    """Exclusive."""
    promise_until: date | None = None
    """The last date of an open promise."""


@dataclass(frozen=True)
class Counts:
    """What was permitted before: today, and texts in the seven days that end today."""

    connected_calls: int = 0
    """Calls not reported as unconnected."""
    dials: int = 0
    texts_today: int = 0
    texts_week: int = 0


@dataclass(frozen=True)
class Allow:
    """Go ahead, until an instant."""

    expires_at: datetime


@dataclass(frozen=True)
class Deny:
    """Not now, and why."""

    reason: Reason
    detail: str
    """In words, with the rule's source."""
    retry_at: datetime | None = None
    """When the rule itself lets go; None where a fact must change first."""


def decide(
    at: datetime, channel: Channel, case: CaseFacts, counts: Counts, parameters: Parameters
) -> Allow | Deny:
    """Asks every rule in a fixed order, limits before the promise; the first that forbids answers.

    at: aware, the service's own clock.
    """
    local = at.astimezone(ZONE)
    return (
        _state(case)
        or _holiday(local, channel, parameters)
        or _hours(local, channel, parameters)
        or _limits(local, channel, counts, parameters)
        or _promise(channel, case)
        or Allow(at + timedelta(minutes=parameters.on("permit.minutes", local.date()).number))
    )


def _state(case: CaseFacts) -> Deny | None:
    if case.closed:
        return Deny(Reason.CASE_CLOSED, "the case is closed")
    if case.hold_until is not None and case.business_date < case.hold_until:
        return Deny(Reason.ON_HOLD, f"no contact before {case.hold_until}")
    return None


def _holiday(local: datetime, channel: Channel, parameters: Parameters) -> Deny | None:
    today = local.date()
    festival = parameters.on("holiday.spring_festival", today)
    if festival.date.year != today.year:
        return Deny(Reason.HOLIDAY, f"the calendar has no Spring Festival of {today.year} yet")
    eves = parameters.on("holiday.eves", today)
    first = festival.date - timedelta(days=eves.number)
    after = festival.date + timedelta(days=parameters.on("holiday.days", today).number)
    if not first <= today < after:
        return None
    detail = f"no contact from {first} to {after - timedelta(days=1)} ({eves.source})"
    return Deny(Reason.HOLIDAY, detail, _opening(after, channel, parameters))


def _hours(local: datetime, channel: Channel, parameters: Parameters) -> Deny | None:
    today = local.date()
    opens, closes = _window(channel, today, parameters)
    now = local.time()
    if opens.time <= now < closes.time:
        return None
    next_day = today if now < opens.time else today + timedelta(days=1)
    detail = (
        f"it is {now.isoformat('seconds')} in Asia/Shanghai; allowed from {opens.value} "
        f"to before {closes.value} ({closes.source})"
    )
    return Deny(Reason.QUIET_HOURS, detail, _opening(next_day, channel, parameters))


def _limits(
    local: datetime, channel: Channel, counts: Counts, parameters: Parameters
) -> Deny | None:
    today = local.date()
    if channel.is_call:
        rules = (
            (Reason.DAILY_CALL_LIMIT, "call.connected_per_day", counts.connected_calls),
            (Reason.DAILY_DIAL_LIMIT, "call.dials_per_day", counts.dials),
        )
    else:
        rules = (
            (Reason.DAILY_TEXT_LIMIT, "text.per_day", counts.texts_today),
            (Reason.WEEKLY_TEXT_LIMIT, "text.per_week", counts.texts_week),
        )
    for reason, name, used in rules:
        limit = parameters.on(name, today)
        if used >= limit.number:
            tomorrow = _opening(today + timedelta(days=1), channel, parameters)
            return Deny(reason, f"{used} of {limit.value} used ({limit.source})", tomorrow)
    return None


def _promise(channel: Channel, case: CaseFacts) -> Deny | None:
    if channel.is_call and case.promise_until and case.business_date <= case.promise_until:
        return Deny(Reason.PROMISE_OPEN, f"a promise is open until {case.promise_until}")
    return None


def _window(channel: Channel, day: date, parameters: Parameters) -> tuple[Parameter, Parameter]:
    kind = "call" if channel.is_call else "text"
    return parameters.on(f"{kind}.opens", day), parameters.on(f"{kind}.closes", day)


def _opening(day: date, channel: Channel, parameters: Parameters) -> datetime:
    opens: time = _window(channel, day, parameters)[0].time
    return datetime.combine(day, opens, ZONE)
