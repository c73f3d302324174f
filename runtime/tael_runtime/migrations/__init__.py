"""Alembic migrations: the floor's and a service's own, run at start under an advisory lock.

New revision of a service, from the difference between its tables.py and its migrations:
`python -m tael_runtime.migrations ledger "what changes"`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, text

FLOOR = "tael_runtime"


class StoreTooOldError(RuntimeError):
    """The store's schema is at a revision that this version does not know."""


def _versions(package: str) -> Path:
    return Path(str(resources.files(package))) / "migrations" / "versions"


def config(package: str) -> Config:
    """Alembic's configuration for one service: two branches, the floor's and its own."""
    options = Config()
    options.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    options.set_main_option("path_separator", "newline")
    options.set_main_option("file_template", "%%(rev)s")
    paths = dict.fromkeys([_versions(FLOOR), _versions(package)])
    options.set_main_option(
        "version_locations", "\n".join(str(path) for path in paths).replace("%", "%%")
    )
    return options


def _next_number(own: Sequence[Path]) -> int:
    return int(own[-1].stem.rpartition("_")[2]) + 1 if own else 1


def upgrade(owner: Engine, schema: str, package: str) -> None:
    """Creates the schema and brings it to the newest revisions; several starters queue up."""
    with owner.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock(hashtext('tael:{schema}'))"))
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        options = config(package)
        options.attributes["connection"] = connection
        options.attributes["schema"] = schema
        try:
            command.upgrade(options, "heads")
        except CommandError as error:
            raise StoreTooOldError(
                f"schema {schema} was made by another version of tael and cannot be brought to this "
                f"one ({error}); begin with an empty store or data folder, or run that version"
            ) from error


def revise(package: str, message: str, owner: Engine, schema: str) -> None:
    """Writes a revision with what tables.py has and the migrated schema has not."""
    tables = importlib.import_module(f"{package}.tables")
    with owner.begin() as connection:
        options = config(package)
        options.attributes["connection"] = connection
        options.attributes["schema"] = schema
        options.attributes["metadata"] = tables.metadata
        own = sorted(_versions(package).glob("*.py"))
        command.revision(
            options,
            message=message,
            autogenerate=True,
            head=f"{schema}@head" if own else "base",
            branch_label=None if own else schema,
            version_path=str(_versions(package)),
            rev_id=f"{schema}_{_next_number(own):03d}",
            splice=False,
        )
