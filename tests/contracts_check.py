"""make contracts: buf lint, and buf breaking against the contracts last published.

`python tests/contracts_check.py --publish` makes today's contracts the published ones: a deliberate
act, in a commit of its own, since a breaking change is one that callers notice.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "protos" / "published.binpb"
BUF = Path(sysconfig.get_path("scripts")) / "buf"

sys.path.insert(0, str(ROOT))
from build_stubs import image  # noqa: E402  a script at the root, not a package


def without_comments(raw: bytes) -> bytes:
    """The image without source positions: what breaking changes are judged by."""
    files = descriptor_pb2.FileDescriptorSet.FromString(raw)
    for file in files.file:
        file.ClearField("source_code_info")
    return files.SerializeToString(deterministic=True)


def main() -> int:
    """Exit code 0 when the contracts are in order."""
    with tempfile.TemporaryDirectory() as folder:
        today = Path(folder) / "today.binpb"
        image(ROOT, today)
        if "--publish" in sys.argv:
            PUBLISHED.write_bytes(without_comments(today.read_bytes()))
            return 0
        ours = ["--config", str(ROOT / "buf.yaml"), "--path", "tael"]
        lint = subprocess.run([BUF, "lint", today, *ours], check=False).returncode
        breaking = subprocess.run(
            [BUF, "breaking", today, "--against", PUBLISHED, *ours], check=False
        ).returncode
        return lint or breaking


if __name__ == "__main__":
    raise SystemExit(main())
