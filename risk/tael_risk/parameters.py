"""Dated parameters of risk: how long outside data serves before it is asked for again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files

from tael_risk.documents import DocumentInvalid, Fault, Node, parse_json


class Name(StrEnum):
    """The parameters there are; days, the day of the answer itself counted."""

    BUREAU_VALIDITY_DAYS = "bureau_validity_days"
    EXTERNAL_VALIDITY_DAYS = "external_validity_days"


@dataclass(frozen=True)
class Parameter:
    """A value from a day on, with where it comes from."""

    name: Name
    effective_from: date
    value: int
    source: str


def serves_since(name: Name, day: date) -> date:
    """The earliest business date whose outside data still serves on a day.

    Raises LookupError where the parameter has no value yet on that day.
    """
    in_force = [p for p in _shipped() if p.name is name and p.effective_from <= day]
    if not in_force:
        raise LookupError(f"{name} has no value on {day}")
    newest = max(in_force, key=lambda parameter: parameter.effective_from)
    return day - timedelta(days=newest.value - 1)


@cache
def _shipped() -> Sequence[Parameter]:
    text = (files("tael_risk") / "data" / "parameters.json").read_text("utf-8")
    faults: list[Fault] = []
    root = Node({"parameters": parse_json(text, faults)}, "", faults)
    found = tuple(_parameter(node) for node in root.nodes("parameters"))
    if faults:
        raise DocumentInvalid(faults)
    return found


def _parameter(node: Node) -> Parameter:
    parameter = Parameter(
        name=node.choice("name", Name),
        effective_from=node.day("effective_from"),
        value=node.integer("value"),
        source=node.text("source"),
    )
    node.done()
    return parameter
