"""Strict reading of JSON documents: every fault found, each with its path."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

Choice = TypeVar("Choice", bound=StrEnum)
Instead = TypeVar("Instead")


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a document: where it is, what is wrong and what would be right."""

    path: str
    message: str


class DocumentInvalid(ValueError):
    """A document has faults; nothing was made of it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


def canonical(value: object) -> str:
    """The one spelling of a JSON value: sorted keys, no blanks, UTF-8. What hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse_json(text: str, faults: list[Fault]) -> object:
    """A JSON text's value; binary fractions and repeated keys are faults, never read."""

    def refuse_fraction(literal: str) -> str:
        faults.append(Fault("$", f'{literal} is a binary fraction; write "{literal}" in quotes'))
        return literal

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = sorted({name for name in names if names.count(name) > 1})
            faults.append(Fault("$", f"given twice in one object: {', '.join(twice)}"))
        return found

    try:
        value: object = json.loads(
            text,
            parse_float=refuse_fraction,
            parse_constant=refuse_fraction,
            object_pairs_hook=unique,
        )
    except (ValueError, RecursionError) as error:
        faults.append(Fault("$", f"not JSON: {error}"))
        return None
    return value


@dataclass
class Node:
    """One object of a document being read. Faults are collected, and reading goes on."""

    value: object
    path: str
    faults: list[Fault]
    seen: set[str] = field(default_factory=set)

    def fault(self, key: str, message: str) -> None:
        """Notes what is wrong at a key of this object, or at the object itself where it is empty."""
        self.faults.append(Fault(self._at(key), message))

    def has(self, key: str) -> bool:
        """Whether the key is given and is not null."""
        self.seen.add(key)
        return isinstance(self.value, Mapping) and self.value.get(key) is not None

    def text(self, key: str) -> str:
        """A text, at least one character."""
        found = self._take(key)
        if isinstance(found, str) and found:
            return found
        return self._wrong(key, found, "a text", "")

    def integer(self, key: str) -> int:
        """An integer."""
        found = self._take(key)
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        return self._wrong(key, found, "an integer", 0)

    def decimal(self, key: str) -> Decimal:
        """A decimal written as text, such as "0.12"."""
        found = self._take(key)
        if isinstance(found, str):
            try:
                number = Decimal(found)
            except InvalidOperation:
                number = Decimal("NaN")
            if number.is_finite():
                return number
        return self._wrong(key, found, 'a decimal in quotes, such as "0.12"', Decimal(0))

    def day(self, key: str) -> date:
        """A date, YYYY-MM-DD."""
        found = self._take(key)
        if isinstance(found, str):
            try:
                return date.fromisoformat(found)
            except ValueError:
                pass
        return self._wrong(key, found, "a date, YYYY-MM-DD", date.min)

    def choice(self, key: str, choices: type[Choice]) -> Choice:
        """One word of an enumeration."""
        found = self._take(key)
        words = [str(choice) for choice in choices]
        if isinstance(found, str) and found in words:
            return choices(found)
        return self._wrong(key, found, f"one of {', '.join(words)}", next(iter(choices)))

    def items(self, key: str) -> Sequence[object]:
        """A list of any values."""
        found = self._take(key)
        if isinstance(found, list):
            return found
        return self._wrong(key, found, "a list", [])

    def node(self, key: str) -> "Node":
        """An object."""
        return Node(self._take(key), self._at(key), self.faults).checked()

    def nodes(self, key: str) -> Iterator["Node"]:
        """A list of objects."""
        for index, item in enumerate(self.items(key)):
            yield Node(item, f"{self._at(key)}[{index}]", self.faults).checked()

    def entries(self, key: str) -> Mapping[str, object]:
        """An object whose keys are the document's own, such as amounts by segment."""
        found = self._take(key)
        if isinstance(found, dict):
            return found
        return self._wrong(key, found, "an object", {})

    def entries_of(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are given as keys of this object, in the names' order."""
        return [name for name in names if self.has(name)]

    def entry(self, key: str) -> object:
        """A value of whatever type; None where it is not given."""
        return self._take(key)

    def done(self) -> None:
        """Notes every key that nobody asked for: a misspelt rule must not be silently left out."""
        if isinstance(self.value, Mapping):
            for key in self.value:
                if key not in self.seen:
                    expected = ", ".join(sorted(self.seen))
                    self.fault(key, f"unknown; this object takes {expected}")

    def checked(self) -> "Node":
        """Itself, with a fault noted where it is no object."""
        if self.value is not None and not isinstance(self.value, Mapping):
            self.fault("", f"is {canonical(self.value)}; must be an object")
            self.value = None
        return self

    def _take(self, key: str) -> object:
        self.seen.add(key)
        return self.value.get(key) if isinstance(self.value, Mapping) else None

    def _wrong(self, key: str, found: object, expected: str, instead: Instead) -> Instead:
        given = "is missing" if found is None else f"is {canonical(found)}"
        self.fault(key, f"{given}; must be {expected}")
        return instead

    def _at(self, key: str) -> str:
        return ".".join(part for part in (self.path, key) if part) or "$"
