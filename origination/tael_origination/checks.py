"""Checks of a customer against the outside world, each kept with what the registry said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, func, insert, select, update

from tael.origination.v1 import customer_pb2
from tael_origination.tables import identity_check
from tael_runtime.ids import new_id

LEAST_FACE_SCORE = 80


class Kind(StrEnum):
    """What is checked."""

    PHONE = "PHONE"
    REAL_NAME = "REAL_NAME"
    FACE = "FACE"
    FOUR_ELEMENTS = "FOUR_ELEMENTS"


class Result(StrEnum):
    """What came of it."""

    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"
    """The registry could not say; the same request may ask again."""
    MATCH = "MATCH"
    MISMATCH = "MISMATCH"


ANSWERED = (Result.MATCH, Result.MISMATCH)


@dataclass(frozen=True)
class Finding:
    """What a registry said."""

    result: Result
    reference: str = ""
    """The registry's."""
    score: int | None = None
    """Of a face, 0–100."""
    live: bool | None = None
    """Of a face: a live person was before the camera."""

    @property
    def answered(self) -> bool:
        """Whether there is a verdict."""
        return self.result in ANSWERED


def start(
    transaction: Connection,
    customer_id: str,
    kind: Kind,
    day: date,
    at: datetime,
    image_hash: bytes | None = None,
) -> str:
    """A pending check's id."""
    check_id = new_id("ck")
    transaction.execute(
        insert(identity_check).values(
            check_id=check_id,
            customer_id=customer_id,
            kind=kind,
            result=Result.PENDING,
            day=day,
            checked_at=at,
            image_hash=image_hash,
        )
    )
    return check_id


def settle(transaction: Connection, check_id: str, finding: Finding) -> bool:
    """Writes down what the registry said; False where a verdict stood already."""
    settled = transaction.execute(
        update(identity_check)
        .where(identity_check.c.check_id == check_id, identity_check.c.result.not_in(ANSWERED))
        .values(
            result=finding.result,
            reference=finding.reference,
            score=finding.score,
            live=finding.live,
        )
    )
    return bool(settled.rowcount)


def finding(transaction: Connection, check_id: str) -> tuple[Finding, bytes]:
    """What is known of a check so far, and the hash of the image it was about (b"" = none)."""
    row = transaction.execute(
        select(identity_check).where(identity_check.c.check_id == check_id)
    ).one()
    known = Finding(Result(row.result), row.reference, row.score, row.live)
    return known, bytes(row.image_hash or b"")


def tries_of_day(transaction: Connection, customer_id: str, kind: Kind, day: date) -> int:
    """Checks of a kind made on a day; those the registry could not answer are not counted."""
    query = (
        select(func.count())
        .select_from(identity_check)
        .where(
            identity_check.c.customer_id == customer_id,
            identity_check.c.kind == kind,
            identity_check.c.day == day,
            identity_check.c.result != Result.UNKNOWN,
        )
    )
    return int(transaction.execute(query).scalar_one())


def last_verdicts(transaction: Connection, customer_id: str) -> dict[Kind, Finding]:
    """The newest verdict of each kind there is."""
    rows = transaction.execute(
        select(identity_check)
        .where(identity_check.c.customer_id == customer_id, identity_check.c.result.in_(ANSWERED))
        .order_by(identity_check.c.number)
    )
    return {
        Kind(row.kind): Finding(Result(row.result), row.reference, row.score, row.live)
        for row in rows
    }


def face_result(score: int, *, live: bool) -> Result:
    """A face is the customer's from a score of 80, of a live person (K002)."""
    return Result.MATCH if live and score >= LEAST_FACE_SCORE else Result.MISMATCH


def status(transaction: Connection, customer_id: str) -> customer_pb2.VerificationStatus:
    """What has been verified, by the newest verdict of each kind."""
    verdicts = last_verdicts(transaction, customer_id)
    matched = {kind for kind, found in verdicts.items() if found.result is Result.MATCH}
    face = verdicts.get(Kind.FACE)
    return customer_pb2.VerificationStatus(
        phone=Kind.PHONE in matched,
        real_name=Kind.REAL_NAME in matched,
        face=Kind.FACE in matched,
        face_score=(face.score or 0) if face else 0,
    )
