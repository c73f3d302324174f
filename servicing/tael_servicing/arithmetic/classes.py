"""Classes that more than days past due decide: held bad, restructured, judged by hand.

Days past due are the main basis of a retail loan's class; a system result may be worsened by hand
and improved only with approval; a bad loan is upgraded only once it is cured
(商业银行金融资产风险分类办法, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum

from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.impairment import BAD, ImpairmentPolicy, RiskClass, risk_class, stage

TECHNICAL_DAYS = 7
"""A technical lateness is no longer one."""
CURE_MONTHS = 6
CURE_PERIODS = 2
"""A bad loan is cured after both, all arrears repaid and every instalment paid when it was due."""


class Cause(Enum):
    """Why the class is not that of days past due."""

    NONE = ""
    HELD = "bad until it is cured"
    RESTRUCTURED = "under observation"
    NON_ACCRUAL = "credit-impaired"
    WORSENED = "by hand"
    IMPROVED = "by hand, with approval"
    TECHNICAL = "a payment was on its way"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the books say of a running loan on a day."""

    day: date
    dpd: int = 0
    oldest_due: date | None = None
    non_accrual: bool = False
    periods_paid: int = 0
    """Instalments that fell due since all arrears were repaid, and were paid."""
    restructured: date | None = None
    """When it was last rescheduled."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A loan's class, and what there is to remember of how it came by it."""

    risk_class: RiskClass
    stage: int
    since: date
    """The first day of the class without a break."""
    cause: Cause = Cause.NONE
    clear_since: date | None = None
    """All arrears are repaid since, while it is held bad."""
    worsened: RiskClass | None = None
    improved: RiskClass | None = None
    improved_from: RiskClass | None = None
    """What days past due said when it was improved."""
    observed_until: date | None = None
    restructured: date | None = None
    """The rescheduling that is counted already."""
    technical_due: date | None = None
    """Lateness of what was due on this date is technical."""
    stage_floor: int = 1

    @property
    def plain(self) -> bool:
        """Days past due alone decide, and there is nothing to remember."""
        marks = (self.worsened, self.improved, self.restructured, self.technical_due)
        return (
            self.cause is Cause.NONE
            and self.risk_class < BAD
            and self.stage_floor == 1
            and not any(marks)
        )


def unremembered(policy: ImpairmentPolicy, facts: Facts) -> Standing:
    """The standing of a loan of which nothing is remembered."""
    start = Standing(RiskClass.NORMAL, 1, facts.day)
    return judge(policy, start, facts)


def judge(policy: ImpairmentPolicy, before: Standing, facts: Facts) -> Standing:
    """The standing at the end of a day, from the one at the end of the day before."""
    kept = _still_valid(policy, _observed(policy, before, facts), facts)
    system = RiskClass.NORMAL if kept.technical_due else risk_class(policy, facts.dpd)
    cause = Cause.TECHNICAL if kept.technical_due else Cause.NONE
    floors = _floors(kept, facts)
    for because, floor in floors.items():
        if floor > system:
            system, cause = floor, because
    if kept.improved is not None and kept.improved < system:
        system, cause = kept.improved, Cause.IMPROVED
    doubt = 2 if any(floor > RiskClass.NORMAL for floor in floors.values()) else 1
    at = max(stage(policy, system, facts.dpd, non_accrual=facts.non_accrual), kept.stage_floor)
    if system is RiskClass.SPECIAL_MENTION and cause is not Cause.IMPROVED:
        at = max(at, doubt)
    return replace(
        kept,
        risk_class=system,
        stage=at,
        since=before.since if system is before.risk_class else facts.day,
        cause=cause,
    )


def _observed(policy: ImpairmentPolicy, before: Standing, facts: Facts) -> Standing:
    """A rescheduling not counted before begins an observation period, and ends an improvement."""
    since = facts.restructured
    if since is None or since <= (before.restructured or date.min):
        return before
    until = since + timedelta(days=policy.observation_days)
    if facts.day >= until:
        return before
    return replace(
        before, restructured=since, observed_until=until, improved=None, improved_from=None
    )


def _still_valid(policy: ImpairmentPolicy, before: Standing, facts: Facts) -> Standing:
    """What of the past still counts today."""
    technical = before.technical_due == facts.oldest_due and facts.dpd <= TECHNICAL_DAYS
    observed = before.observed_until is not None and facts.day < before.observed_until
    improved = before.improved if _still_improved(policy, before, facts) else None
    last = facts.day - timedelta(days=policy.observation_days)
    recent = before.restructured is not None and before.restructured > last
    return replace(
        before,
        clear_since=_clear_since(before, facts),
        technical_due=before.technical_due if technical else None,
        observed_until=before.observed_until if observed else None,
        restructured=before.restructured if recent else None,
        improved=improved,
        improved_from=before.improved_from if improved else None,
    )


def _still_improved(policy: ImpairmentPolicy, before: Standing, facts: Facts) -> bool:
    """Until days past due are worse than they were, or say no worse than the improvement."""
    if before.improved is None or before.improved_from is None:
        return False
    by_days = risk_class(policy, facts.dpd)
    worst = max(by_days, BAD) if facts.non_accrual else by_days
    return by_days <= before.improved_from and worst > before.improved


def _clear_since(before: Standing, facts: Facts) -> date | None:
    if before.risk_class < BAD or facts.dpd > 0:
        return None
    return before.clear_since or facts.day


def _floors(kept: Standing, facts: Facts) -> dict[Cause, RiskClass]:
    """The least class by cause, the weightiest first."""
    floors = {}
    if kept.worsened is not None:
        floors[Cause.WORSENED] = kept.worsened
    if facts.non_accrual:
        floors[Cause.NON_ACCRUAL] = BAD
    if kept.risk_class >= BAD and not _cured(kept, facts):
        floors[Cause.HELD] = kept.risk_class
    if kept.observed_until is not None:
        floors[Cause.RESTRUCTURED] = RiskClass.SPECIAL_MENTION
    return floors


def _cured(kept: Standing, facts: Facts) -> bool:
    """Two periods paid and six months gone since all arrears were repaid."""
    if kept.clear_since is None or facts.periods_paid < CURE_PERIODS:
        return False
    return facts.day >= months_after(kept.clear_since, CURE_MONTHS, kept.clear_since.day)


def with_class(policy: ImpairmentPolicy, now: Standing, to: RiskClass, facts: Facts) -> Standing:
    """The standing judged `to` by hand: a floor where it is worse, else an improvement.

    An improvement is approved knowing what stood against it, so that earlier floors end with it.
    """
    if to >= now.risk_class:
        marked = replace(now, worsened=to, improved=None, improved_from=None)
    else:
        marked = replace(
            now,
            risk_class=to,
            clear_since=None,
            worsened=None,
            improved=to,
            improved_from=risk_class(policy, facts.dpd),
            observed_until=None,
        )
    return replace(
        judge(policy, marked, facts), since=facts.day if to != now.risk_class else now.since
    )


def restructured(policy: ImpairmentPolicy, now: Standing, facts: Facts) -> Standing:
    """The standing of a loan restructured on the day: an observation period begins."""
    return judge(policy, now, replace(facts, restructured=facts.day))


def is_technical(facts: Facts) -> bool:
    """Whether lateness can still be technical."""
    return 0 < facts.dpd <= TECHNICAL_DAYS


def technical(policy: ImpairmentPolicy, now: Standing, facts: Facts) -> Standing:
    """The standing where what is past due is late for a technical reason."""
    return judge(policy, replace(now, technical_due=facts.oldest_due), facts)


def with_stage(policy: ImpairmentPolicy, now: Standing, floor: int, facts: Facts) -> Standing:
    """The standing judged to be in that stage at least."""
    return judge(policy, replace(now, stage_floor=floor), facts)
