"""Rules with numbers in them, as dated data: value, the day it applies from, and where it comes from.

A rule that changes is one more row of data/parameters.json; nothing in the code knows a number.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Parameter:
    """A value in force from a day on."""

    name: str
    value: str
    effective_from: date
    """The first day on which the house applies it."""
    source: str
    """The regulation, or "house default"."""

    @property
    def number(self) -> int:
        """The value as a count, a percentage or minor units."""
        return int(self.value)

    @property
    def time(self) -> time:
        """The value as a time of day."""
        return time.fromisoformat(self.value)

    @property
    def date(self) -> date:
        """The value as a day."""
        return date.fromisoformat(self.value)


class Parameters:
    """A table of parameters, asked by name and day."""

    def __init__(self, rows: list[Parameter]) -> None:
        self._rows: dict[str, list[Parameter]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row.effective_from):
            self._rows[row.name].append(row)

    def on(self, name: str, day: date) -> Parameter:
        """The row of this name in force on a day; KeyError where none was yet."""
        in_force = [row for row in self._rows[name] if row.effective_from <= day]
        if not in_force:
            raise KeyError(f"no {name} in force on {day}")
        return in_force[-1]


@cache
def house_parameters() -> Parameters:
    """The table shipped with the service."""
    text = resources.files(__package__).joinpath("data/parameters.json").read_text("utf-8")
    return Parameters(
        [
            Parameter(
                row["name"],
                row["value"],
                date.fromisoformat(row["effective_from"]),
                row["source"],
            )
            for row in json.loads(text)
        ]
    )
