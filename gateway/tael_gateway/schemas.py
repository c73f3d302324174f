"""JSON schemas of the contracts' messages as proto3 JSON writes them, with protovalidate's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

Schema = dict[str, Any]

INT64: Schema = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
UINT64: Schema = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
INT32: Schema = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
UINT32: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}

SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.CPPTYPE_INT32: INT32,
    FieldDescriptor.CPPTYPE_INT64: INT64,
    FieldDescriptor.CPPTYPE_UINT32: UINT32,
    FieldDescriptor.CPPTYPE_UINT64: UINT64,
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {
        "type": "object",
        "required": ["@type"],
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
}


class Schemas:
    """Collects the schemas of messages as they are referred to."""

    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self.by_name: dict[str, Schema] = {}

    def reference(self, message: Descriptor) -> Schema:
        """A reference to a message's schema, which is collected with all that it refers to."""
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        if message.full_name not in self.by_name:
            schema: Schema = {"type": "object"}
            self.by_name[message.full_name] = schema  # before its fields: messages may recurse
            schema |= self.properties(message, frozenset())
            self._describe(schema, message.full_name)
        return {"$ref": f"#/components/schemas/{message.full_name}"}

    def properties(self, message: Descriptor, without: frozenset[str]) -> Schema:
        """An object schema of a message's fields, less some that are given elsewhere."""
        fields = [field for field in message.fields if field.name not in without]
        schema: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in fields},
            "additionalProperties": False,
        }
        if required := [field.json_name for field in fields if is_required(field)]:
            schema["required"] = required
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """One field: a value, a list or a map of them."""
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values = self._value(field.message_type.fields_by_name["value"])
            schema: Schema = {"type": "object", "additionalProperties": values}
        elif field.is_repeated:
            schema = {"type": "array", "items": self._value(field)}
        else:
            schema = self._value(field)
        schema |= _limits(field)
        self._describe(schema, field.full_name)
        return schema

    def describe(self, full_name: str) -> str:
        """What the contract says of it; empty where there is no image."""
        return self._comments.get(full_name, "")

    def _value(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        return dict(SCALARS[field.cpp_type])

    def _describe(self, schema: Schema, full_name: str) -> None:
        if text := self.describe(full_name):
            schema["description"] = text


def is_required(field: FieldDescriptor) -> bool:
    """Whether leaving it out breaks the contract: required, or a text of one character or more.

    A request_id may come in a header instead.
    """
    rules = _rules(field)
    if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE or field.name == "request_id":
        return False
    return bool(rules.required or rules.string.min_len or rules.string.len)


def _rules(field: FieldDescriptor) -> Any:
    """The field's protovalidate rules: buf.validate.FieldRules."""
    extension: Any = validate_pb2.field
    return field.GetOptions().Extensions[extension]


def _limits(field: FieldDescriptor) -> Schema:
    """Those of the rules that JSON Schema can say."""
    rules = _rules(field)
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _text_limits(rules.string)
    if kind == "repeated":
        return _given(rules.repeated, {"min_items": "minItems", "max_items": "maxItems"})
    if kind == "int32":
        return _given(rules.int32, {"gte": "minimum", "lte": "maximum"})
    return {}


def _text_limits(rules: Any) -> Schema:
    schema = _given(rules, {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"})
    return schema | ({"minLength": rules.len, "maxLength": rules.len} if rules.len else {})


def _given(rules: Any, names: Mapping[str, str]) -> Schema:
    return {theirs: getattr(rules, ours) for ours, theirs in names.items() if rules.HasField(ours)}
