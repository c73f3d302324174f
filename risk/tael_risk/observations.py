"""Observed facts, and the features they make at a point in time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tael_risk.features import (
    Derivation,
    FeatureDefinition,
    FeatureType,
    Operation,
    Registry,
    Value,
    parse_value,
)


@dataclass(frozen=True)
class Observation:
    """Facts observed together; never changed afterwards."""

    observation_id: str
    customer_id: str
    kind: str
    date: date
    """Business date of the facts."""
    facts: Mapping[str, str]
    recorded_at: datetime


@dataclass(frozen=True)
class FeatureValue:
    """A feature's value with where it came from."""

    value: Value | None
    """None = missing."""
    version: int
    source_time: datetime | None
    """When its newest fact was recorded; None where there was none."""
    default_used: bool


@dataclass(frozen=True)
class Perspective:
    """Whose features, of which day, for which application or drawdown."""

    customer_id: str
    as_of: date
    subject_id: str = ""
    """LATEST_COUNT leaves out what has this key: an application is no obstacle to itself."""


def compute_features(
    registry: Registry,
    observations: Iterable[Observation],
    perspective: Perspective,
    given: Mapping[str, Value] | None = None,
) -> dict[str, FeatureValue]:
    """Every feature of the registry at a date, from the facts known by that date.

    `observations` are the customer's own and, for IDENTITIES, those of others who share a fact with
    him; the order does not matter. `given` holds what the request itself says. Raises ValueError
    where a fact does not have its feature's type (`fact_faults` keeps such facts out).
    """
    known = sorted(
        (item for item in observations if item.date <= perspective.as_of),
        key=lambda item: (item.date, item.recorded_at, item.observation_id),
    )
    stated = given or {}
    return {
        definition.name: _feature(definition, known, perspective, stated)
        for definition in registry.values()
    }


def values_of(features: Mapping[str, FeatureValue]) -> dict[str, Value | None]:
    """The bare values by name, as policies read them."""
    return {name: feature.value for name, feature in features.items()}


def shared_facts(registry: Registry) -> frozenset[tuple[str, str]]:
    """The (kind, fact) pairs in which two customers are compared: `("DEVICE", "device_id")`."""
    return frozenset(
        (definition.derivation.kind, definition.derivation.fact)
        for definition in registry.values()
        if definition.derivation and definition.derivation.operation is Operation.IDENTITIES
    )


def fact_faults(registry: Registry, kind: str, facts: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with facts about to be recorded, by fact: a text its features cannot read."""
    faults: dict[str, str] = {}
    for definition in registry.values():
        derivation = definition.derivation
        if derivation and derivation.kind == kind and derivation.fact in facts:
            try:
                _read(definition, facts[derivation.fact])
            except ValueError as error:
                faults[derivation.fact] = str(error)
    return faults


def _feature(
    definition: FeatureDefinition,
    known: Sequence[Observation],
    perspective: Perspective,
    given: Mapping[str, Value],
) -> FeatureValue:
    if definition.name in given:
        return FeatureValue(given[definition.name], definition.version, None, default_used=False)
    value, newest = None, None
    if definition.derivation:
        used = _relevant(definition.derivation, known, perspective)
        newest = max((item.recorded_at for item in used), default=None)
        value = _derive(definition, used, perspective, given)
    if value is None:
        return FeatureValue(definition.default, definition.version, newest, default_used=True)
    return FeatureValue(value, definition.version, newest, default_used=False)


def _relevant(
    derivation: Derivation, known: Sequence[Observation], perspective: Perspective
) -> list[Observation]:
    """The observations a recipe reads, oldest first."""
    since = (
        perspective.as_of - timedelta(days=derivation.within_days - 1)
        if derivation.within_days
        else date.min
    )
    shared = derivation.operation is Operation.IDENTITIES
    return [
        item
        for item in known
        if item.kind == derivation.kind
        and item.date >= since
        and (not derivation.fact or derivation.fact in item.facts)
        and (shared or item.customer_id == perspective.customer_id)
    ]


def _derive(
    definition: FeatureDefinition,
    used: Sequence[Observation],
    perspective: Perspective,
    given: Mapping[str, Value],
) -> Value | None:
    derivation = definition.derivation
    if derivation is None or not used:
        return None
    fact, newest = derivation.fact, used[-1].facts
    value: Value | None
    match derivation.operation:
        case Operation.LATEST:
            value = parse_value(definition.type, newest[fact])
        case Operation.AGE:
            months = given.get(derivation.plus_months, 0) if derivation.plus_months else 0
            value = _age(date.fromisoformat(newest[fact]), perspective.as_of, int(months))
        case Operation.DAYS_UNTIL:
            value = (date.fromisoformat(newest[fact]) - perspective.as_of).days
        case Operation.COUNT:
            value = len(used)
        case Operation.MAXIMUM:
            value = max(int(item.facts[fact]) for item in used)
        case Operation.IDENTITIES:
            value = _identities(used, fact, perspective.customer_id)
        case Operation.LATEST_SUM:
            value = sum(map(int, _latest_by_key(used, derivation, perspective)))
        case Operation.LATEST_COUNT:
            latest = _latest_by_key(used, derivation, perspective)
            value = sum(text in derivation.values for text in latest)
    return value


def _age(born: date, as_of: date, plus_months: int) -> int:
    """Whole years lived `plus_months` after a date; someone born on 29 February ages on 1 March."""
    years, month_index = divmod(as_of.month - 1 + plus_months, 12)
    reached = (month_index + 1, as_of.day) >= (born.month, born.day)
    return as_of.year + years - born.year - (not reached)


def _identities(used: Sequence[Observation], fact: str, customer_id: str) -> int | None:
    """How many customers share the value that this customer last showed, himself counted."""
    own = [item.facts[fact] for item in used if item.customer_id == customer_id]
    if not own:
        return None
    return len({item.customer_id for item in used if item.facts[fact] == own[-1]})


def _latest_by_key(
    used: Sequence[Observation], derivation: Derivation, perspective: Perspective
) -> Collection[str]:
    """The fact as last seen of each thing, the subject of the decision left out."""
    latest = {
        item.facts[derivation.key]: item.facts[derivation.fact]
        for item in used
        if item.facts.get(derivation.key, perspective.subject_id) != perspective.subject_id
    }
    return latest.values()


def _read(definition: FeatureDefinition, text: str) -> None:
    """Raises ValueError where a fact's text cannot make this feature."""
    derivation = definition.derivation
    match derivation.operation if derivation else None:
        case Operation.LATEST:
            parse_value(definition.type, text)
        case Operation.AGE | Operation.DAYS_UNTIL:
            date.fromisoformat(text)
        case Operation.MAXIMUM | Operation.LATEST_SUM:
            parse_value(FeatureType.INTEGER, text)
        case _:
            pass
