"""The contracts' comments by full name, from a descriptor image made with source info."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2

Path = tuple[int, ...]
Named = tuple[str, Path]

# Field numbers of google/protobuf/descriptor.proto, of which source locations' paths are made.
FILE_MESSAGE, FILE_SERVICE = 4, 6
MESSAGE_FIELD, MESSAGE_NESTED = 2, 3
SERVICE_METHOD = 2


def comments(image: bytes) -> dict[str, str]:
    """{"tael.ledger.v1.Book": "A set of books.", …} of messages, fields, services and rpcs."""
    found = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(image).file:
        texts = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
        for name, path in (
            *_messages(file.message_type, file.package, (FILE_MESSAGE,)),
            *_services(file),
        ):
            if text := texts.get(path, "").strip():
                found[name] = " ".join(line.strip() for line in text.splitlines())
    return found


def _messages(
    messages: Iterable[descriptor_pb2.DescriptorProto], prefix: str, path: Path
) -> Iterator[Named]:
    for index, message in enumerate(messages):
        name, here = f"{prefix}.{message.name}", (*path, index)
        yield name, here
        for number, field in enumerate(message.field):
            yield f"{name}.{field.name}", (*here, MESSAGE_FIELD, number)
        yield from _messages(message.nested_type, name, (*here, MESSAGE_NESTED))


def _services(file: descriptor_pb2.FileDescriptorProto) -> Iterator[Named]:
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield name, (FILE_SERVICE, index)
        for number, method in enumerate(service.method):
            yield f"{name}.{method.name}", (FILE_SERVICE, index, SERVICE_METHOD, number)
