"""The OpenAPI 3.1 document of the bindings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from tael_gateway.comments import comments
from tael_gateway.http_rules import Binding, field_of
from tael_gateway.schemas import Schema, Schemas, is_required
from tael_gateway.streams import EVENTS, FILE, NDJSON, chunk_field
from tael_gateway.transcode import WRITTEN_AS_SCALAR

DESCRIPTION = """The services' contracts over HTTP and JSON.

Amounts are whole minor units, written as strings. A message in the query is given field by field
(`bookingDate.year=2026`). A request_id makes a call safe to repeat; it goes into
the body or into the header `Idempotency-Key`. Headers: `authorization`,
`traceparent`, `x-timeout-seconds` (at most 600), and `tael-caller` where the services trust
loopback. Streams answer as newline-delimited JSON, or as server-sent events where `accept` asks for
them; a stream of a file's chunks answers as the file. `GET /docs` is this document as a page,
`GET /healthz` tells each service's health."""

STATUS: Schema = {
    "type": "object",
    "description": "google.rpc.Status: why a call was refused.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "google.rpc.Code."},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "description": "ErrorInfo (reason, domain) and what else fits; see docs/errors.md.",
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {"@type": {"type": "string"}},
                "additionalProperties": True,
            },
        },
    },
}
REFUSED: Schema = {
    "description": "Refused.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/google.rpc.Status"}}},
}


def document(served: Iterable[Binding], image: bytes) -> dict[str, Any]:
    """The document. image: the contracts' descriptor set with comments, or empty."""
    schemas = Schemas(comments(image))
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for binding in served:
        service = binding.method.containing_service
        tags[service.full_name] = schemas.describe(service.full_name)
        operations = paths.setdefault(binding.template, {})
        operations[binding.verb.lower()] = _operation(binding, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tael", "version": "v1", "description": DESCRIPTION},
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in sorted(tags.items())],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**dict(sorted(schemas.by_name.items())), "google.rpc.Status": STATUS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    method = binding.method
    operation: dict[str, Any] = {
        "operationId": method.full_name,
        "tags": [method.containing_service.full_name],
        "parameters": [
            *_path_parameters(binding, schemas),
            *_query_parameters(binding, schemas),
            *_header_parameters(binding, schemas),
        ],
        "responses": {
            "200": {"description": "Done.", "content": _answer(binding, schemas)},
            "default": REFUSED,
        },
    }
    if text := schemas.describe(method.full_name):
        operation["description"] = text
    if binding.body:
        content = {"application/json": {"schema": _body(binding, schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for name in binding.variables:
        schema = schemas.field(field_of(binding.method.input_type, name))
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if binding.body == "*":
        return
    given = frozenset({binding.body, *binding.variables})
    yield from _query_fields(binding.method.input_type, schemas, given, "", ())


def _header_parameters(binding: Binding, schemas: Schemas) -> Iterator[dict[str, Any]]:
    field = binding.method.input_type.fields_by_name.get("request_id")
    if field is not None:
        schema = schemas.field(field)
        yield {"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema}


def _query_fields(
    message: Descriptor,
    schemas: Schemas,
    given: frozenset[str],
    prefix: str,
    above: tuple[str, ...],
) -> Iterator[dict[str, Any]]:
    """Fields of fields by dotted names; what repeats or recurses has no query form."""
    for field in message.fields:
        if field.name in given:
            continue
        name = f"{prefix}{field.json_name}"
        inner = field.message_type
        if inner is None or inner.full_name in WRITTEN_AS_SCALAR:
            required = not prefix and is_required(field)
            schema = schemas.field(field)
            yield {"name": name, "in": "query", "required": required, "schema": schema}
        elif not field.is_repeated and inner.full_name not in above:
            inside = (*above, message.full_name)
            yield from _query_fields(inner, schemas, frozenset(), f"{name}.", inside)


def _body(binding: Binding, schemas: Schemas) -> Schema:
    message = binding.method.input_type
    if binding.body != "*":
        return schemas.field(field_of(message, binding.body))
    if binding.variables:
        return schemas.properties(message, frozenset(binding.variables))
    return schemas.reference(message)


def _answer(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    message = binding.method.output_type
    if not binding.method.server_streaming:
        return {"application/json": {"schema": schemas.reference(message)}}
    if chunk_field(message) is not None:
        return {FILE: {"schema": {"type": "string", "format": "binary"}}}
    line = {
        "type": "object",
        "properties": {
            "result": schemas.reference(message),
            "error": {"$ref": "#/components/schemas/google.rpc.Status"},
        },
    }
    return {NDJSON: {"schema": line}, EVENTS: {"schema": {"type": "string"}}}
