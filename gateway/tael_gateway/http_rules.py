"""google.api.http annotations as routes (AIP-127), read from the contracts' descriptors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from tael_gateway.errors import MethodNotAllowed
from tael_runtime.errors import NotFound

VARIABLE = re.compile(r"\{([a-z][a-z0-9_.]*)\}")
VERBS = ("get", "put", "post", "delete", "patch")


class HttpRule(Protocol):
    """google.api.HttpRule, which is published without types."""

    body: str
    response_body: str

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802  protobuf's name
        """Which of VERBS is set."""
        ...


@dataclass(frozen=True)
class Binding:
    """One HTTP method and path of one rpc."""

    verb: str
    """"GET"."""
    template: str
    """"/v1/loans/{loan_id}:repay"."""
    body: str
    """The field that the HTTP body is; "*" = the whole request; "" = there is none."""
    method: MethodDescriptor
    variables: tuple[str, ...]
    """Field paths in the order of the template."""
    pattern: re.Pattern[str]


def bindings(service: ServiceDescriptor) -> Iterator[Binding]:
    """Every binding of a service. Raises ValueError for an annotation that cannot be served."""
    for method in service.methods:
        options = method.GetOptions()
        if not options.HasExtension(annotations_pb2.http):
            continue
        rule = options.Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            yield _binding(method, each)


def _binding(method: MethodDescriptor, rule: HttpRule) -> Binding:
    verb = rule.WhichOneof("pattern")
    if verb not in VERBS or rule.response_body:
        raise ValueError(f"{method.full_name}: only {', '.join(VERBS)}, and no response_body")
    template: str = getattr(rule, verb)
    if method.client_streaming:
        raise ValueError(f"{method.full_name}: a stream of requests has no HTTP form here")
    variables = tuple(VARIABLE.findall(template))
    literals = VARIABLE.split(template)[::2]
    if any(set(literal) & set("{}*") for literal in literals):
        raise ValueError(f"{method.full_name}: only whole segments can vary, not {template}")
    for variable in variables:
        field_of(method.input_type, variable)
    if rule.body not in {"", "*"}:
        field_of(method.input_type, rule.body)
    return Binding(verb.upper(), template, rule.body, method, variables, _pattern(literals))


def _pattern(literals: list[str]) -> re.Pattern[str]:
    """Segments between the literals; a colon is part of one, save where a custom verb may follow."""
    first, *rest = literals
    pattern = re.escape(first)
    for literal in rest:
        segment = "([^/]+)" if literal.startswith("/") else "([^/:]+)"
        pattern += segment + re.escape(literal)
    return re.compile(pattern)


def field_of(message: Descriptor, path: str) -> FieldDescriptor:
    """The field at a dotted path of proto or JSON names. Raises KeyError where there is none."""
    inside: Descriptor | None = message
    found: FieldDescriptor | None = None
    for name in path.split("."):
        if inside is None or (found is not None and found.is_repeated):
            raise KeyError(path)
        found = inside.fields_by_name.get(name) or inside.fields_by_camelcase_name.get(name)
        if found is None:
            raise KeyError(path)
        inside = found.message_type
    assert found is not None
    return found


class Routes:
    """Finds the binding of a request."""

    def __init__(self, all_bindings: Iterable[Binding]) -> None:
        literal_first = sorted(all_bindings, key=lambda b: (len(b.variables), b.template))
        self._by_verb: dict[str, list[Binding]] = {}
        taken: dict[tuple[str, str], Binding] = {}
        for binding in literal_first:
            route = (binding.verb, VARIABLE.sub("{}", binding.template))
            other = taken.setdefault(route, binding)
            if other is not binding:
                raise ValueError(
                    f"{binding.verb} {binding.template}: both {other.method.full_name} "
                    f"and {binding.method.full_name}"
                )
            self._by_verb.setdefault(binding.verb, []).append(binding)

    def find(self, verb: str, raw_path: str) -> tuple[Binding, Mapping[str, str]]:
        """The binding and its variables, percent-decoded after the path was split.

        Raises NotFound for an unknown path, MethodNotAllowed for a known one with another verb.
        """
        for binding in self._by_verb.get(verb, ()):
            if match := binding.pattern.fullmatch(raw_path):
                values = (unquote(value) for value in match.groups())
                return binding, dict(zip(binding.variables, values, strict=True))
        allowed = [
            other
            for other, candidates in sorted(self._by_verb.items())
            if any(binding.pattern.fullmatch(raw_path) for binding in candidates)
        ]
        if allowed:
            raise MethodNotAllowed(allowed)
        raise NotFound("route", raw_path)
