"""python -m tael_servicing: this service alone."""

from __future__ import annotations

from tael_runtime.main import run
from tael_runtime.server import Service


def load() -> Service:
    """Imported late: workers are spawned before grpc is loaded."""
    from tael_servicing.assembly import SERVICE  # noqa: PLC0415  after the workers are spawned

    return SERVICE


if __name__ == "__main__":
    run(load)
