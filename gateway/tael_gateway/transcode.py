"""Between HTTP's path, query and JSON body and the contracts' messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tael_gateway.http_rules import Binding, field_of
from tael_runtime.errors import InvalidArgument

WRITTEN_AS_SCALAR = frozenset(
    f"google.protobuf.{name}"
    for name in ("Timestamp", "Duration", "FieldMask", "StringValue", "Int64Value", "Int32Value")
)
"""Messages whose JSON is one value, so that a query parameter can hold them."""

IDEMPOTENCY_KEY = "idempotency-key"

_INTO = re.compile(r"Failed to parse (\S+) field: ")
_UNKNOWN = re.compile(r'Message type "(\S+)" has no field named "([^"]+)".*', re.DOTALL)


def request_of(
    binding: Binding,
    variables: Mapping[str, str],
    query: Iterable[tuple[str, str]],
    body: bytes,
) -> Message:
    """The rpc's request. Raises InvalidArgument naming the field or parameter and what is right."""
    message = message_factory.GetMessageClass(binding.method.input_type)()
    _read_body(binding, body, message)
    from_body = {name: _value_at(message, name) for name in variables}
    tree: dict[str, Any] = {}
    for name, values in _grouped(query).items():
        _put(tree, _parameter(binding, variables, name), name, values)
    for name, value in variables.items():
        _put(tree, field_of(binding.method.input_type, name), name, [value])
    _parse(tree, message)
    for name, given in from_body.items():
        if given and given != _value_at(message, name):
            raise InvalidArgument(name, "differs from the path's; leave it out of the body")
    return message


def identify(message: Message, key: str | None) -> None:
    """Gives the request its request_id: the header Idempotency-Key says it where the body does not.

    A call without one may be repeated as it is. Raises InvalidArgument where the two differ.
    """
    if key is None or "request_id" not in message.DESCRIPTOR.fields_by_name:
        return
    named: Any = message
    if named.request_id not in {"", key}:
        raise InvalidArgument(
            IDEMPOTENCY_KEY, "differs from the body's requestId; send one of them"
        )
    named.request_id = key


def json_of(message: Message) -> str:
    """A message as proto3 JSON on one line; zeros and empty lists are written."""
    return json_format.MessageToJson(
        message, indent=None, ensure_ascii=False, always_print_fields_with_no_presence=True
    )


def _read_body(binding: Binding, body: bytes, message: Message) -> None:
    if not binding.body:
        if body:
            raise InvalidArgument("body", f"{binding.verb} {binding.template} takes none")
        return
    try:
        data = json.loads(body or b"{}", object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("body", f"is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidArgument("body", "must be a JSON object")
    _parse(data if binding.body == "*" else {binding.body: data}, message)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is given more than once")
    return found


def _parse(data: dict[str, Any], message: Message) -> None:
    try:
        json_format.ParseDict(data, message)
    except json_format.ParseError as error:
        raise _named(str(error)) from error


def _named(text: str) -> InvalidArgument:
    """Protobuf's account of a wrong value, with the field's path before it."""
    path = _INTO.findall(text)
    why = _INTO.sub("", text).rstrip(".")
    if unknown := _UNKNOWN.fullmatch(why):
        return InvalidArgument(".".join([*path, unknown[2]]), f"is no field of {unknown[1]}")
    return InvalidArgument(".".join(path) or "body", why)


def _grouped(query: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in query:
        grouped.setdefault(name, []).append(value)
    return grouped


def _parameter(binding: Binding, variables: Mapping[str, str], name: str) -> FieldDescriptor:
    """The field that a query parameter sets."""
    message = binding.method.input_type
    try:
        field = field_of(message, name)
    except KeyError:
        raise InvalidArgument(name, f"is no field of {message.full_name}") from None
    head = field_of(message, name.partition(".")[0]).name
    if binding.body in {"*", head} or head in variables:
        where = "path" if head in variables else "body"
        raise InvalidArgument(name, f"belongs into the {where}, not into the query")
    return field


def _put(tree: dict[str, Any], field: FieldDescriptor, path: str, texts: list[str]) -> None:
    kind = field.message_type
    if kind is not None and kind.full_name not in WRITTEN_AS_SCALAR:
        raise InvalidArgument(path, f"is a {kind.full_name}; give its fields one by one")
    if len(texts) > 1 and not field.is_repeated:
        raise InvalidArgument(path, "is given more than once")
    values = [_value(field, path, text) for text in texts]
    *parents, leaf = path.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = values if field.is_repeated else values[0]


def _value(field: FieldDescriptor, path: str, text: str) -> str | bool:
    """Proto JSON reads numbers and enums from strings, but not booleans."""
    if field.cpp_type != FieldDescriptor.CPPTYPE_BOOL:
        return text
    if text not in {"true", "false"}:
        raise InvalidArgument(path, f"must be true or false, not {text!r}")
    return text == "true"


def _value_at(message: Message, path: str) -> Any:
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    return value
