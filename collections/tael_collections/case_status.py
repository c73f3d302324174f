"""A case's status, told from its facts: no transition can be missed, none undone wrongly. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StatusFacts:
    """What decides the status."""

    closed: bool = False
    written_off: bool = False
    write_off_pending: bool = False
    placed: bool = False
    promise_open: bool = False
    promise_broken: bool = False
    """The newest promise judged was broken."""
    contacted: bool = False
    assigned: bool = False


def status_of(facts: StatusFacts) -> str:
    """The furthest status the facts support, as named in the contract without its prefix."""
    furthest_first = (
        (facts.closed, "CLOSED"),
        (facts.written_off, "RECOVERY"),
        (facts.write_off_pending, "WRITE_OFF_PENDING"),
        (facts.placed, "OUTSOURCED"),
        (facts.promise_open, "PROMISED"),
        (facts.promise_broken, "BROKEN"),
        (facts.contacted, "WORKING"),
        (facts.assigned, "ASSIGNED"),
    )
    return next((status for holds, status in furthest_first if holds), "NEW")
