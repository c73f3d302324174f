"""Published policies: versions in the store, and the newest one ready to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text

from tael_risk.compiled_policies import CompiledPolicy, compile_policy
from tael_risk.documents import Fault
from tael_risk.features import Registry
from tael_risk.policies import document_hash
from tael_risk.policy_documents import policy_faults, read_policy
from tael_risk.reasons import Reason
from tael_risk.tables import policy as policies
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition, InvalidFields, NotFound

DEFAULT = "default"
"""The policy that decides."""


class PolicyInvalid(InvalidFields):
    """A policy document has faults: each is a violation, named by its path in the document."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__([(fault.path, fault.message) for fault in faults])
        self.reason = Reason.POLICY_INVALID


@dataclass(frozen=True)
class Published:
    """A policy as published."""

    name: str
    version: int
    document: str
    hash: str
    publisher: str
    published_at: datetime


def publish(
    transaction: Connection, registry: Registry, name: str, document: str, by: str, at: datetime
) -> Published:
    """The next version of a policy; the newest one where it already says the same.

    Raises PolicyInvalid with every fault, a document of another name among them.
    """
    faults = policy_faults(document, registry)
    if not faults and (own := read_policy(document, registry).name) != name:
        faults = (Fault("name", f'is "{own}"; must be "{name}", under which it is published'),)
    if faults:
        raise PolicyInvalid(faults)
    # Versions have no gaps: publishers of one policy queue up.
    transaction.execute(
        text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": f"tael:risk:policy:{name}"}
    )
    before = newest(transaction, name)
    hash_ = document_hash(document)
    if before is not None and before.hash == hash_:
        return before
    published = Published(name, (before.version if before else 0) + 1, document, hash_, by, at)
    transaction.execute(insert(policies).values(**vars(published)))
    return published


def newest(transaction: Connection, name: str) -> Published | None:
    """The newest version of a policy; None where none is published."""
    query = select(policies).where(policies.c.name == name).order_by(policies.c.version.desc())
    row = transaction.execute(query.limit(1)).one_or_none()
    return _published(row) if row is not None else None


def version_of(transaction: Connection, name: str, version: int) -> Published:
    """One version of a policy; 0 = the newest. Raises NotFound."""
    if not version:
        found = newest(transaction, name)
    else:
        query = select(policies).where(policies.c.name == name, policies.c.version == version)
        row = transaction.execute(query).one_or_none()
        found = _published(row) if row is not None else None
    if found is None:
        raise NotFound("policy", f"{name}@{version}" if version else name)
    return found


def versions(transaction: Connection, name: str) -> list[Published]:
    """Every version of a policy, or of all where the name is empty, newest first."""
    query = select(policies).order_by(policies.c.published_at.desc(), policies.c.version.desc())
    if name:
        query = query.where(policies.c.name == name)
    return [_published(row) for row in transaction.execute(query)]


def _published(row: Row[Any]) -> Published:
    return Published(**row._asdict())


class PolicyBook:
    """Compiled policies by version; a version never changes, so each is compiled once."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry
        self._compiled: dict[tuple[str, int], CompiledPolicy] = {}

    def deciding(self) -> CompiledPolicy:
        """The policy that decides now. Raises FailedPrecondition POLICY_MISSING."""
        with self._database.engine.connect() as connection:
            query = select(policies.c.version).where(policies.c.name == DEFAULT)
            version = connection.execute(
                query.order_by(policies.c.version.desc()).limit(1)
            ).scalar_one_or_none()
        if version is None:
            raise FailedPrecondition(
                Reason.POLICY_MISSING,
                f'no policy "{DEFAULT}" is published; PublishPolicy publishes the one shipped',
                f"policy/{DEFAULT}",
            )
        return self.version(DEFAULT, version)

    def version(self, name: str, version: int) -> CompiledPolicy:
        """One version of a policy, compiled. Raises NotFound."""
        key = (name, version)
        if key not in self._compiled:
            with self._database.engine.connect() as connection:
                document = version_of(connection, name, version).document
            policy = read_policy(document, self._registry)
            self._compiled[key] = compile_policy(policy, version, self._registry)
        return self._compiled[key]
