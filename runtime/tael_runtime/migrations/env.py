"""Alembic's environment: runs on the connection it is given, in the service's schema."""

from typing import Any

from alembic import context

attributes = context.config.attributes
metadata = attributes.get("metadata")


def _ours(_object: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Autogenerate leaves out tables that only the store knows (partitions) and the version table."""
    del name
    return not (kind == "table" and reflected and compare_to is None)


context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    include_object=_ours,
    version_table_schema=attributes["schema"],
    transactional_ddl=True,
)
context.run_migrations()
