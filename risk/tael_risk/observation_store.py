"""Observations in the store: recorded once, read up to a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.dialects.postgresql import insert

from tael_risk.features import Registry
from tael_risk.observations import Observation, shared_facts
from tael_risk.tables import observation as observations


@dataclass(frozen=True)
class NewObservation:
    """Facts about to be recorded."""

    observation_id: str
    customer_id: str
    kind: str
    date: date
    """Business date of the facts."""
    facts: Mapping[str, str]


def record(transaction: Connection, fresh: Sequence[NewObservation]) -> list[Observation]:
    """Stores observations, one at least, in their order, and gives those that were new.

    Of an id already there the first stays as it was: whoever tells a fact again after a crash, on a
    later day perhaps, changes nothing.
    """
    rows = transaction.execute(
        insert(observations).on_conflict_do_nothing().returning(observations),
        [vars(item) for item in fresh],
    )
    return [_observation(row) for row in rows]


def stored(transaction: Connection, observation_id: str) -> Observation:
    """An observation that was recorded."""
    query = select(observations).where(observations.c.observation_id == observation_id)
    return _observation(transaction.execute(query).one())


def load(
    transaction: Connection, registry: Registry, customer_id: str, as_of: date
) -> list[Observation]:
    """What is known of a customer by a day: his own facts, and those of others who share one.

    Others are those who show the device or the contact that he showed last.
    """
    own_query = _known_by(as_of).where(observations.c.customer_id == customer_id)
    own = [_observation(row) for row in transaction.execute(own_query)]
    others: dict[str, Observation] = {}
    for kind, fact in sorted(shared_facts(registry)):
        shown = [item.facts[fact] for item in own if item.kind == kind and fact in item.facts]
        if shown:
            query = _known_by(as_of).where(
                observations.c.kind == kind,
                observations.c.facts.contains({fact: shown[-1]}),
                observations.c.customer_id != customer_id,
            )
            others |= {row.observation_id: _observation(row) for row in transaction.execute(query)}
    return [*own, *others.values()]


def _known_by(as_of: date) -> Select[Any]:
    return (
        select(observations)
        .where(observations.c.date <= as_of)
        .order_by(observations.c.date, observations.c.recorded_at, observations.c.observation_id)
    )


def _observation(row: Row[Any]) -> Observation:
    return Observation(**row._asdict())
