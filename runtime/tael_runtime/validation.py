"""Requests held against their contract's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from tael_runtime.errors import InvalidArgument, InvalidFields


class Received(NamedTuple):
    """A request as it came off the wire."""

    message: Message | None
    zero: bool = False
    """Whether there is a zero byte in it: without one, no text holds a NUL character."""
    wrong: str = ""
    """Why there is no message."""


def receiver(parse: Callable[[bytes], Message], most: int) -> Callable[[bytes], Received]:
    """A deserializer that keeps what only the bytes tell cheaply, of requests of `most` bytes."""

    def receive(raw: bytes) -> Received:
        if len(raw) > most:
            return Received(None, wrong=f"has {len(raw)} bytes; this rpc takes {most} at most")
        try:
            return Received(parse(raw), b"\0" in raw)
        except DecodeError:
            return Received(None, wrong="the bytes are no message of this rpc's type")

    return receive


def validated(received: Received) -> Any:
    """The message, held against its contract's rules (protovalidate).

    Raises InvalidFields with every violated field, why, and what would be right; InvalidArgument
    where there is no message.
    """
    message = received.message
    if message is None:
        raise InvalidArgument("request", received.wrong)
    found = []
    if received.zero:
        found = [(path, "holds a NUL character") for path in _nul_fields(message, "")]
    for violation in protovalidate.collect_violations(message):
        elements = violation.proto.field.elements if violation.proto.field else ()
        path = ".".join(_element(element) for element in elements)
        found.append((path or "request", violation.proto.message))
    if found:
        raise InvalidFields(found)
    return message


@cache
def _textual(kind: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields of a message in which text may be; numbers come in tens of thousands."""
    text = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE
    return tuple(field for field in kind.fields if field.type in text)


def _nul_fields(message: Message, prefix: str) -> Iterator[str]:
    """Text fields with a NUL character, which PostgreSQL cannot keep."""
    for field in _textual(message.DESCRIPTOR):
        value = getattr(message, field.name)
        path = f"{prefix}{field.name}"
        if field.message_type is None:
            if field.is_repeated:
                yield from [f"{path}[{n}]" for n, item in enumerate(value) if "\0" in item]
            elif "\0" in value:
                yield path
        elif field.message_type.GetOptions().map_entry:
            texts = [text for pair in value.items() for text in pair if isinstance(text, str)]
            yield from [path] * any("\0" in text for text in texts)
        elif field.is_repeated:
            for place, item in enumerate(value):
                yield from _nul_fields(item, f"{path}[{place}].")
        elif message.HasField(field.name):
            yield from _nul_fields(value, f"{path}.")


def _element(element: Any) -> str:
    name: str = element.field_name
    kind = getattr(element, "subscript", None)
    return f"{name}[{kind.value}]" if kind is not None else name
