"""The API page: the OpenAPI document as one HTML page that needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from tael_gateway.schemas import Schema

TEMPLATE = "docs.html"
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page's own style and script, and not one fetch."""

_CODE = re.compile(r"`([^`]+)`")
_REF = "#/components/schemas/"


def page(document: Mapping[str, Any]) -> str:
    """The page: operations by service, then the messages that they speak of."""
    template = Template((files("tael_gateway") / TEMPLATE).read_text(encoding="utf-8"))
    info, messages = document["info"], document["components"]["schemas"]
    return template.substitute(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description="".join(f"<p>{_text(part)}</p>" for part in info["description"].split("\n\n")),
        contents="".join(
            f'<a href="#{escape(tag["name"])}">{escape(tag["name"])}</a>'
            for tag in document["tags"]
        ),
        services="".join(_service(tag, document["paths"]) for tag in document["tags"]),
        messages="".join(_message(name, schema) for name, schema in messages.items()),
    )


def _service(tag: Mapping[str, str], paths: Mapping[str, Mapping[str, Any]]) -> str:
    operations = (
        _operation(verb, path, operation)
        for path, by_verb in paths.items()
        for verb, operation in by_verb.items()
        if tag["name"] in operation["tags"]
    )
    return (
        f'<section id="{escape(tag["name"])}"><h2>{escape(tag["name"])}</h2>'
        f"<p>{_text(tag['description'])}</p>{''.join(operations)}</section>"
    )


def _operation(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    said = _text(operation.get("description", ""))
    name = escape(operation["operationId"])
    return (
        f'<details class="item" id="{name}"><summary><b class="verb {verb}">{verb.upper()}</b>'
        f"<code>{escape(path)}</code><span>{said}</span></summary>"
        f'<div class="inside"><p>{said} <small>{name}</small></p>{"".join(_parts(operation))}</div>'
        "</details>"
    )


def _parts(operation: Mapping[str, Any]) -> Iterator[str]:
    if parameters := operation["parameters"]:
        rows = ((p["name"], p["schema"], p["in"], p["required"]) for p in parameters)
        yield f"<h3>Parameters</h3>{_table(rows)}"
    if body := operation.get("requestBody"):
        yield from _contents("Request", body["content"])
    for code, response in operation["responses"].items():
        yield from _contents(f"Response {code}: {response['description']}", response["content"])


def _contents(heading: str, content: Mapping[str, Any]) -> Iterator[str]:
    for media_type, of in content.items():
        yield f"<h3>{_text(heading)} <small>{escape(media_type)}</small></h3>"
        yield _object(of["schema"]) if "properties" in of["schema"] else _type(of["schema"])


def _message(name: str, schema: Schema) -> str:
    said = _text(schema.get("description", ""))
    return (
        f'<details class="item" id="{escape(name)}"><summary><code>{escape(name)}</code>'
        f'<span>{said}</span></summary><div class="inside"><p>{said}</p>{_object(schema)}</div>'
        "</details>"
    )


def _object(schema: Schema) -> str:
    required = schema.get("required", ())
    properties = schema.get("properties", {})
    if not properties:
        return "<p>No fields.</p>"
    return _table((name, field, "", name in required) for name, field in properties.items())


def _table(rows: Iterable[tuple[str, Schema, str, bool]]) -> str:
    """Rows of (name, schema, where it is given, whether it must be)."""
    return f"<table>{''.join(_row(*row) for row in rows)}</table>"


def _row(name: str, schema: Schema, where: str, required: bool) -> str:
    notes = [note for note in (where, "required" if required else "", *_rules(schema)) if note]
    said = f"{_text(schema.get('description', ''))} <small>{escape(' · '.join(notes))}</small>"
    return f"<tr><td><code>{escape(name)}</code></td><td>{_type(schema)}</td><td>{said}</td></tr>"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_REF))
        return f'<a href="#{name}">{name.rpartition(".")[2]}</a>'
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"map of {_type(values)}"
    if "enum" in schema:
        return "<br>".join(f"<code>{escape(value)}</code>" for value in schema["enum"])
    kind = schema.get("format") or schema.get("contentEncoding")
    return escape(f"{schema['type']} ({kind})" if kind else schema["type"])


def _rules(schema: Schema) -> Iterator[str]:
    yield _between(schema.get("minLength"), schema.get("maxLength"), " characters")
    yield _between(schema.get("minItems"), schema.get("maxItems"), " items")
    yield _between(schema.get("minimum"), schema.get("maximum"), "")
    if pattern := schema.get("pattern"):
        yield f"matches {pattern}"


def _between(least: int | None, most: int | None, unit: str) -> str:
    if least == most is not None:
        return f"{least}{unit}"
    if least is not None and most is not None:
        return f"{least}–{most}{unit}"
    if least is not None:
        return f"at least {least}{unit}"
    return f"at most {most}{unit}" if most is not None else ""


def _text(plain: str) -> str:
    """Plain text as HTML; `backticks` mark code."""
    return _CODE.sub(r"<code>\1</code>", escape(plain))
