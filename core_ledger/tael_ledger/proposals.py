"""What people do to a book by hand, by two of them: an operation proposed, then decided, once.

Proposals and decisions are requests of the group commit. Each goes alone, so that its batch is its own
and what it decides on is still so when it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, insert, select, update

from tael_ledger import guards
from tael_ledger.reasons import Reason
from tael_ledger.requests import Desk, Plan, PostingRequest, Record, Written
from tael_ledger.tables import posting_batch, proposal
from tael_runtime.errors import FailedPrecondition, NotFound, PermissionDenied
from tael_runtime.four_eyes import check_named, check_second_person, is_same_person

APPROVING = "Approve"
"""The rpc by which entries are posted that were proposed."""
PROPOSED, APPROVED, DECLINED, WITHDRAWN = "PROPOSED", "APPROVED", "DECLINED", "WITHDRAWN"
RECORDED = {
    APPROVED: "PROPOSAL_APPROVED",
    DECLINED: "PROPOSAL_DECLINED",
    WITHDRAWN: "PROPOSAL_WITHDRAWN",
}
"""The kind of the record, by what was decided."""
LISTED_BYTES = 1 << 16
"""Of an operation that a page of proposals tells, at most."""


@dataclass(frozen=True)
class Proposal:
    """An operation that waits for a second person, or what became of it."""

    book_id: str
    proposal_id: int
    """The number of the batch that proposed it."""
    operation: bytes
    """tael.ledger.v1.Operation, whole."""
    reason: str
    maker: str
    proposed_at: datetime
    """By the store's clock, like `decided_at`."""
    state: str = PROPOSED
    decided_by: str = ""
    decision_reason: str = ""
    sequence: int = 0
    """The first entry that it posted; 0 = none."""
    decided_at: datetime | None = None

    def as_proposed(self) -> Proposal:
        """Before anybody decided."""
        facts = (self.book_id, self.proposal_id, self.operation, self.reason, self.maker)
        return Proposal(*facts, self.proposed_at)

    def check(self, to: str, caller: str) -> None:
        """Whether the caller may decide so.

        Raises FailedPrecondition PROPOSAL_NOT_OPEN; PermissionDenied CALLER_UNNAMED, MAKER_IS_CHECKER
        or NOT_THE_MAKER.
        """
        if self.state != PROPOSED:
            raise FailedPrecondition(
                Reason.PROPOSAL_NOT_OPEN,
                f"{self.decided_by} has decided: it is {self.state.lower()}",
                str(self.proposal_id),
            )
        if to != WITHDRAWN:
            check_second_person(self.maker, caller)
        elif not is_same_person(self.maker, caller):
            raise PermissionDenied(
                Reason.NOT_THE_MAKER, f"{self.maker} proposed it; others decline it"
            )


@dataclass(frozen=True)
class Proposing(PostingRequest):
    """Propose."""

    operation: PostingRequest
    content: bytes
    """The operation as it is kept."""
    reason: str

    def plan(self, desk: Desk) -> Plan:
        """Keeps what can be done as the book stands.

        Raises PermissionDenied CALLER_UNNAMED; what the operation would be refused for.
        """
        maker = self.key.caller
        check_named(maker)
        guards.check(desk.transaction, desk.book.book_id, self.operation.plan(desk).drafts)
        row = {
            "book_id": desk.book.book_id,
            "proposal_id": desk.book.last_batch + 1,
            "operation": self.content,
            "reason": self.reason,
            "maker": maker,
        }
        told = {
            "maker": maker,
            "operation": hashlib.sha256(self.content).hexdigest(),
            "reason": self.reason,
        }
        proposal_id = str(row["proposal_id"])
        return Plan(
            records=[Record(PROPOSED, proposal_id, told)],
            outcome=proposal_id,
            then=lambda transaction, _: _insert(transaction, row),
        )


@dataclass(frozen=True)
class Decision(PostingRequest):
    """Approve, with the operation; Decline and Withdraw, without."""

    proposal_id: int
    to: str
    """APPROVED, DECLINED or WITHDRAWN."""
    reason: str = ""
    operation: PostingRequest | None = None

    def plan(self, desk: Desk) -> Plan:
        """What the operation writes, with the word for it; or the word against it.

        Raises NotFound; what `Proposal.check` does; what the operation is refused for.
        """
        found = get(desk.transaction, desk.book.book_id, self.proposal_id)
        found.check(self.to, self.key.caller)
        done = self.operation.plan(desk) if self.operation else Plan()
        decided = {"decided_by": self.key.caller, "decision_reason": self.reason}
        told = {**decided, "maker": found.maker, "reason": found.reason}
        record = Record(RECORDED[self.to], str(self.proposal_id), told, posts=True)

        def then(transaction: Connection, place: Written) -> None:
            if done.then is not None:
                done.then(transaction, place)
            _decide(transaction, found, place, {**decided, "state": self.to})

        return replace(
            done, records=[*done.records, record], outcome=str(self.proposal_id), then=then
        )


def get(connection: Connection, book_id: str, proposal_id: int) -> Proposal:
    """One proposal. Raises NotFound."""
    row = connection.execute(
        _proposals(proposal.c.operation).where(
            proposal.c.book_id == book_id, proposal.c.proposal_id == proposal_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound("proposal", f"{book_id}/{proposal_id}")
    return Proposal(**row._asdict())


def page(connection: Connection, book_id: str, state: str, after: int, size: int) -> list[Proposal]:
    """Proposals by id, after one; an empty state matches all. A large operation is left out: empty."""
    small = case(
        (func.length(proposal.c.operation) <= LISTED_BYTES, proposal.c.operation), else_=b""
    )
    query = _proposals(small).where(proposal.c.book_id == book_id, proposal.c.proposal_id > after)
    if state:
        query = query.where(proposal.c.state == state)
    rows = connection.execute(query.order_by(proposal.c.proposal_id).limit(size))
    return [Proposal(**row._asdict()) for row in rows]


def _proposals(operation: ColumnElement[bytes]) -> Select[Any]:
    """Of every proposal, with when its batches were committed."""
    proposing, deciding = posting_batch.alias("proposing"), posting_batch.alias("deciding")
    own = [column for column in proposal.c if column.name not in ("operation", "decided_in")]
    return (
        select(
            *own,
            operation.label("operation"),
            proposing.c.committed_at.label("proposed_at"),
            deciding.c.committed_at.label("decided_at"),
        )
        .join(
            proposing,
            (proposing.c.book_id == proposal.c.book_id)
            & (proposing.c.batch_number == proposal.c.proposal_id),
        )
        .outerjoin(
            deciding,
            (deciding.c.book_id == proposal.c.book_id)
            & (deciding.c.batch_number == proposal.c.decided_in),
        )
    )


def _insert(transaction: Connection, row: Mapping[str, Any]) -> None:
    transaction.execute(insert(proposal).values(row))


def _decide(
    transaction: Connection, found: Proposal, place: Written, decided: Mapping[str, str]
) -> None:
    transaction.execute(
        update(proposal)
        .where(
            proposal.c.book_id == found.book_id,
            proposal.c.proposal_id == found.proposal_id,
        )
        .values(**decided, decided_in=place.batch_number, sequence=place.first_sequence)
    )
