"""Generates the Python stubs beside each .proto; a hatchling build hook and `make protos`.

Runs at every build, editable installs included, so that stubs are never committed.
`validate.proto` is not in protovalidate's wheel: its descriptor is, and stubs are made from that.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _validate_descriptor_set() -> bytes:
    """buf/validate/validate.proto and what it imports, as a FileDescriptorSet."""
    from google.protobuf import (  # noqa: PLC0415  build requirements, absent at import time
        descriptor_pb2,
        duration_pb2,
        field_mask_pb2,
        timestamp_pb2,
    )

    validate = importlib.import_module("protovalidate._gen.buf.validate.validate_pb")
    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, timestamp_pb2, field_mask_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate._DESC.proto.to_binary())  # noqa: SLF001  the only copy in the wheel
    return files.SerializeToString()


def _plugin(name: str) -> list[str]:
    scripts = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    for folder in scripts:
        if (path := Path(folder) / name).exists():
            return [f"--plugin={name}={path}"]
    found = shutil.which(name)
    return [f"--plugin={name}={found}"] if found else []


def include_paths(protos: Path) -> list[str]:
    """-I options: our protos, googleapis, the well-known types."""
    api = Path(importlib.import_module("google.api.annotations_pb2").__file__ or "").parents[2]
    known = Path(importlib.import_module("grpc_tools").__file__ or "").parent / "_proto"
    return [f"-I{protos}", f"-I{api}", f"-I{known}"]


def _protoc(*arguments: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise SystemExit(f"protoc failed:\n{run.stderr}")


def image(root: Path, output: Path) -> None:
    """One descriptor set with source info of every contract: for buf and for OpenAPI."""
    protos = root / "protos"
    names = sorted(str(p.relative_to(protos)) for p in (protos / "tael").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        validate = Path(folder) / "validate.binpb"
        validate.write_bytes(_validate_descriptor_set())
        _protoc(
            f"--descriptor_set_in={validate}",
            *include_paths(protos),
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={output}",
            *names,
        )


def generate(root: Path) -> None:
    """Stubs for messages, services and their types beside the .proto files; the image for OpenAPI."""
    protos = root / "protos"
    names = sorted(str(p.relative_to(protos)) for p in (protos / "tael").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        validate = Path(folder) / "validate.binpb"
        validate.write_bytes(_validate_descriptor_set())
        base = f"--descriptor_set_in={validate}"
        _protoc(
            base,
            f"--python_out={protos}",
            f"--pyi_out={protos}",
            "buf/validate/validate.proto",
        )
        _protoc(
            base,
            *include_paths(protos),
            *_plugin("protoc-gen-mypy"),
            *_plugin("protoc-gen-mypy_grpc"),
            f"--python_out={protos}",
            f"--mypy_out=quiet:{protos}",
            f"--grpc_python_out={protos}",
            f"--mypy_grpc_out=quiet:{protos}",
            *names,
        )
    for package in {(protos / name).parent for name in names}:
        (package / "py.typed").touch()
    image(root, root / "gateway" / "tael_gateway" / "contracts.binpb")


class StubsHook(BuildHookInterface[Any]):
    """Called by hatchling before it collects the files of a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate in place; the wheel takes the results as artifacts."""
        del version, build_data
        generate(Path(self.root))


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    if len(sys.argv) == 3 and sys.argv[1] == "image":
        image(here, Path(sys.argv[2]))
    else:
        generate(here)
