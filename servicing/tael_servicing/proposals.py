"""What people do by hand, by two of them: who may say what of a proposal, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tael.servicing.v1 import approval_pb2 as pb
from tael_client.values import from_instant
from tael_runtime.crypto import Cipher
from tael_runtime.errors import FailedPrecondition, NotFound, PermissionDenied
from tael_runtime.four_eyes import check_second_person, is_same_person
from tael_servicing.reasons import Reason
from tael_servicing.tables import proposal as proposals


@dataclass(frozen=True)
class Proposal:
    """An operation that waits for a second person, or what became of it."""

    proposal_id: str
    operation: bytes
    """pb.Operation, sealed."""
    reason: str
    maker: str
    proposed_at: datetime
    expires_at: datetime
    loan_id: str
    customer_id: str
    state: str = "OPEN"
    decided_by: str = ""
    decided_at: datetime | None = None
    decision_reason: str = ""

    def check_open(self) -> None:
        """Raises FailedPrecondition PROPOSAL_NOT_OPEN."""
        if self.state != "OPEN":
            raise FailedPrecondition(
                Reason.PROPOSAL_NOT_OPEN,
                f"{self.decided_by} has decided: it is {self.state}",
                self.proposal_id,
            )

    def approved(self, checker: str, now: datetime) -> Proposal:
        """After the second person's word.

        Raises PermissionDenied MAKER_IS_CHECKER, CALLER_UNNAMED; FailedPrecondition
        PROPOSAL_NOT_OPEN, PROPOSAL_EXPIRED.
        """
        self.check_open()
        check_second_person(self.maker, checker)
        if now >= self.expires_at:
            raise FailedPrecondition(
                Reason.PROPOSAL_EXPIRED, f"it could be approved until {self.expires_at}"
            )
        return replace(self, state="APPROVED", decided_by=checker, decided_at=now)

    def declined(self, checker: str, now: datetime, reason: str) -> Proposal:
        """After the second person's word against it. Raises as `approved`, in time or not."""
        self.check_open()
        check_second_person(self.maker, checker)
        return self._ended("DECLINED", checker, now, reason)

    def withdrawn(self, caller: str, now: datetime, reason: str) -> Proposal:
        """After the maker took it back.

        Raises PermissionDenied NOT_THE_MAKER; FailedPrecondition PROPOSAL_NOT_OPEN.
        """
        self.check_open()
        if not is_same_person(self.maker, caller):
            raise PermissionDenied(
                Reason.NOT_THE_MAKER, f"{self.maker} proposed it; others decline it"
            )
        return self._ended("WITHDRAWN", caller, now, reason)

    def _ended(self, state: str, by: str, now: datetime, reason: str) -> Proposal:
        return replace(self, state=state, decided_by=by, decided_at=now, decision_reason=reason)

    def opened(self, cipher: Cipher) -> pb.Operation:
        """What is proposed."""
        return pb.Operation.FromString(cipher.open(self.operation))

    def message(self, cipher: Cipher, now: datetime) -> pb.Proposal:
        """In the contract's words."""
        state = "EXPIRED" if self.state == "OPEN" and now >= self.expires_at else self.state
        return pb.Proposal(
            proposal_id=self.proposal_id,
            state=pb.ProposalState.Value(f"PROPOSAL_STATE_{state}"),
            operation=self.opened(cipher),
            reason=self.reason,
            maker=self.maker,
            proposed_at=from_instant(self.proposed_at),
            expires_at=from_instant(self.expires_at),
            decided_by=self.decided_by,
            decided_at=from_instant(self.decided_at) if self.decided_at else None,
            decision_reason=self.decision_reason,
            loan_id=self.loan_id,
            customer_id=self.customer_id,
        )


COLUMNS = [proposals.c[name] for name in Proposal.__dataclass_fields__]


def add(transaction: Connection, made: Proposal) -> None:
    """Keeps a new proposal."""
    transaction.execute(insert(proposals).values(**vars(made)))


def get(connection: Connection, proposal_id: str) -> Proposal:
    """One proposal. Raises NotFound."""
    return _one(connection, proposal_id, lock=False)


def lock(transaction: Connection, proposal_id: str) -> Proposal:
    """One proposal, which nobody else decides before this transaction ends. Raises NotFound."""
    return _one(transaction, proposal_id, lock=True)


def _one(connection: Connection, proposal_id: str, *, lock: bool) -> Proposal:
    query = select(*COLUMNS).where(proposals.c.proposal_id == proposal_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound("proposal", proposal_id)
    return Proposal(**row._asdict())


def save(transaction: Connection, decided: Proposal) -> None:
    """Writes what was decided of a locked proposal."""
    names = ("state", "decided_by", "decided_at", "decision_reason")
    transaction.execute(
        update(proposals)
        .where(proposals.c.proposal_id == decided.proposal_id)
        .values({name: getattr(decided, name) for name in names})
    )


def page(
    connection: Connection, request: pb.ListProposalsRequest, now: datetime, after: str, size: int
) -> list[Proposal]:
    """A page of those that pass every filter, oldest first."""
    query = select(*COLUMNS).where(proposals.c.proposal_id > after, *_standing(request.state, now))
    for name in ("loan_id", "customer_id"):
        if wanted := getattr(request, name):
            query = query.where(proposals.c[name] == wanted)
    rows = connection.execute(query.order_by(proposals.c.proposal_id).limit(size))
    return [Proposal(**row._asdict()) for row in rows]


def _standing(wanted: pb.ProposalState.ValueType, now: datetime) -> list[Any]:
    """An open proposal that nobody decided in time is expired, without anybody's doing."""
    match wanted:
        case pb.PROPOSAL_STATE_UNSPECIFIED:
            return []
        case pb.PROPOSAL_STATE_OPEN:
            return [proposals.c.state == "OPEN", proposals.c.expires_at > now]
        case pb.PROPOSAL_STATE_EXPIRED:
            return [proposals.c.state == "OPEN", proposals.c.expires_at <= now]
    name = pb.ProposalState.Name(wanted).removeprefix("PROPOSAL_STATE_")
    return [proposals.c.state == name]
