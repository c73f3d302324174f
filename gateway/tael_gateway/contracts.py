"""The contracts that the bridge serves, by the service that implements them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files

from google.protobuf.descriptor import ServiceDescriptor

TARGETS = ("ledger", "servicing", "risk", "origination", "collections")
IMAGE = "contracts.binpb"
"""The descriptor image with comments that a build puts beside this module."""


def services(target: str) -> Iterator[ServiceDescriptor]:
    """Every gRPC service of tael.<target>.v1."""
    package = import_module(f"tael.{target}.v1")
    for found in pkgutil.iter_modules(package.__path__):
        if found.name.endswith("_pb2"):
            module = import_module(f"{package.__name__}.{found.name}")
            yield from module.DESCRIPTOR.services_by_name.values()


def image() -> bytes:
    """The image; empty where the package was built without one."""
    path = files("tael_gateway") / IMAGE
    return path.read_bytes() if path.is_file() else b""
