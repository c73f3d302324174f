"""python -m tael_origination: this service alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tael_runtime.main import run

if TYPE_CHECKING:
    from tael_runtime.server import Service


def load() -> Service:
    """The service; imported only in the process that serves."""
    from tael_origination.assembly import SERVICE  # noqa: PLC0415  after the workers are spawned

    return SERVICE


if __name__ == "__main__":
    run(load)
