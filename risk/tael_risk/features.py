"""Features: named, typed, versioned facts that policies are written over.

A name is `entity.window.metric`: `device.30d.identities`. Amounts are integers in minor units.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from importlib.resources import files

from tael_risk.documents import DocumentInvalid, Fault, Node, parse_json

Value = int | Decimal | bool | str
FeatureValues = Mapping[str, Value | None]

NAME = re.compile(r"[a-z][a-z_]*\.[a-z0-9_]+\.[a-z][a-z_]*")


class FeatureType(StrEnum):
    """What kind of value a feature has."""

    INTEGER = "INTEGER"
    DECIMAL = "DECIMAL"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"


class Source(StrEnum):
    """Where a feature's facts come from. DECISION: worked out by the decision itself."""

    APPLICATION = "APPLICATION"
    IDENTITY = "IDENTITY"
    DEVICE = "DEVICE"
    INTERNAL = "INTERNAL"
    EXTERNAL = "EXTERNAL"
    BUREAU = "BUREAU"
    DECISION = "DECISION"


class Sensitivity(StrEnum):
    """Field class of JR/T 0171-2020: C2 identifies the person or his finances, C1 is internal."""

    C1 = "C1"
    C2 = "C2"


class Operation(StrEnum):
    """How a feature is made of observations; see `observations`."""

    LATEST = "LATEST"
    AGE = "AGE"
    DAYS_UNTIL = "DAYS_UNTIL"
    COUNT = "COUNT"
    MAXIMUM = "MAXIMUM"
    IDENTITIES = "IDENTITIES"
    LATEST_SUM = "LATEST_SUM"
    LATEST_COUNT = "LATEST_COUNT"


@dataclass(frozen=True)
class Derivation:
    """A feature's recipe over observations of one kind."""

    operation: Operation
    kind: str
    fact: str
    """The fact read; empty for COUNT."""
    key: str
    """LATEST_SUM and LATEST_COUNT: the fact that tells one thing (a loan) from another."""
    values: frozenset[str]
    """LATEST_COUNT: the values of the fact that count."""
    within_days: int | None
    """Only observations of the last so many days, the day itself counted; None = all."""
    plus_months: str
    """AGE: the feature that says how many months later; empty = today."""


@dataclass(frozen=True)
class FeatureDefinition:
    """One feature of the registry."""

    name: str
    type: FeatureType
    source: Source
    version: int
    sensitivity: Sensitivity
    description: str
    default: Value | None
    """Value where no fact is known; None = missing."""
    derivation: Derivation | None
    """None: given with the request, or worked out by the decision."""


Registry = Mapping[str, FeatureDefinition]


def parse_value(kind: FeatureType, text: str) -> Value:
    """A feature's value from its text. Raises ValueError, saying what would be right."""
    match kind:
        case FeatureType.TEXT:
            return text
        case FeatureType.BOOLEAN:
            if text in {"true", "false"}:
                return text == "true"
            raise ValueError(f'"{text}" is neither true nor false')
        case FeatureType.INTEGER:
            if re.fullmatch(r"-?[0-9]{1,18}", text):
                return int(text)
            raise ValueError(f'"{text}" is not an integer of at most 18 digits')
        case FeatureType.DECIMAL:
            try:
                number = Decimal(text)
            except InvalidOperation:
                number = Decimal("NaN")
            if number.is_finite():
                return number
            raise ValueError(f'"{text}" is not a decimal')


def format_value(value: Value | None) -> str | None:
    """The one text of a value, the same for equal values; None stays None."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value.normalize(), "f")
        case _:
            return str(value)


def read_registry(text: str) -> Registry:
    """The registry from its JSON document. Raises DocumentInvalid with every fault."""
    faults: list[Fault] = []
    root = Node({"features": parse_json(text, faults)}, "", faults)
    definitions: dict[str, FeatureDefinition] = {}
    for node in root.nodes("features"):
        definition = _definition(node)
        if definition.name in definitions:
            node.fault("name", f"{definition.name} is defined twice")
        definitions[definition.name] = definition
    if faults:
        raise DocumentInvalid(faults)
    return definitions


@cache
def shipped_registry() -> Registry:
    """The registry that ships with the package."""
    return read_registry((files("tael_risk") / "data" / "features.json").read_text("utf-8"))


def _definition(node: Node) -> FeatureDefinition:
    name, kind = node.text("name"), node.choice("type", FeatureType)
    if not NAME.fullmatch(name):
        node.fault("name", f'"{name}" is not entity.window.metric')
    default: Value | None = None
    if node.has("default"):
        try:
            default = parse_value(kind, node.text("default"))
        except ValueError as error:
            node.fault("default", str(error))
    definition = FeatureDefinition(
        name=name,
        type=kind,
        source=node.choice("source", Source),
        version=node.integer("version"),
        sensitivity=node.choice("sensitivity", Sensitivity),
        description=node.text("description"),
        default=default,
        derivation=_derivation(node.node("from")) if node.has("from") else None,
    )
    node.done()
    return definition


def _derivation(node: Node) -> Derivation:
    derivation = Derivation(
        operation=node.choice("operation", Operation),
        kind=node.text("kind"),
        fact=node.text("fact") if node.has("fact") else "",
        key=node.text("key") if node.has("key") else "",
        values=frozenset(str(v) for v in node.items("values"))
        if node.has("values")
        else frozenset(),
        within_days=node.integer("within_days") if node.has("within_days") else None,
        plus_months=node.text("plus_months") if node.has("plus_months") else "",
    )
    if not derivation.fact and derivation.operation is not Operation.COUNT:
        node.fault("fact", f"{derivation.operation} reads a fact; name it")
    if not derivation.key and derivation.operation in {
        Operation.LATEST_SUM,
        Operation.LATEST_COUNT,
    }:
        node.fault("key", f"{derivation.operation} needs the fact that tells things apart")
    node.done()
    return derivation
