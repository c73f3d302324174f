"""python -m tael_runtime.migrations <service> "<message>": writes the next revision."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sqlalchemy import create_engine

from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.migrations import FLOOR, revise, upgrade


def main(service: str, message: str) -> None:
    """Migrates a scratch schema as far as the revisions go and writes what is missing."""
    package = FLOOR if service == "floor" else f"tael_{service}"
    with tempfile.TemporaryDirectory() as folder:
        cluster = EmbeddedPostgres(Path(folder))
        cluster.start()
        try:
            options = {"options": f"-c search_path={service}"}
            owner = create_engine(cluster.url("postgres", "tael"), connect_args=options)
            upgrade(owner, service, package)
            revise(package, message, owner, service)
            owner.dispose()
        finally:
            cluster.destroy()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
