"""Assignment of cases to collectors (分案). Pure and deterministic: same pool, same answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tael_collections.buckets import Bucket


@dataclass(frozen=True)
class PoolCase:
    """A case that waits for a collector."""

    case_id: str
    amount: int
    """Due and unpaid, minor units."""
    bucket: Bucket


@dataclass(frozen=True)
class Collector:
    """Who is on duty."""

    name: str
    capacity: int
    """Cases they can hold."""
    skill: Bucket
    """Highest bucket they may work."""
    load: int = 0
    """Cases they hold."""

    def may_take(self, case: PoolCase) -> bool:
        """Skill reaches and capacity is left."""
        return self.load < self.capacity and case.bucket <= self.skill


@dataclass(frozen=True)
class Assignments:
    """Who gets what."""

    made: tuple[tuple[str, str], ...]
    """(case_id, collector), in the order made."""
    unassigned: tuple[str, ...]
    """Cases nobody could take."""


def assign(cases: Iterable[PoolCase], collectors: Iterable[Collector]) -> Assignments:
    """The largest amount first, each to the able collector with the smallest load; ties by id."""
    on_duty = {collector.name: collector for collector in collectors}
    made: list[tuple[str, str]] = []
    unassigned: list[str] = []
    for case in sorted(cases, key=lambda case: (-case.amount, case.case_id)):
        able = [collector for collector in on_duty.values() if collector.may_take(case)]
        if not able:
            unassigned.append(case.case_id)
            continue
        chosen = min(able, key=lambda collector: (collector.load, collector.name))
        on_duty[chosen.name] = replace(chosen, load=chosen.load + 1)
        made.append((case.case_id, chosen.name))
    return Assignments(tuple(made), tuple(unassigned))
