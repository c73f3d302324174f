"""The difference queue: what we, the channel and the bank disagree on, until it is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.ids import new_id
from tael_servicing.books import BookDay
from tael_servicing.reasons import Reason
from tael_servicing.tables import difference as differences


@dataclass(frozen=True)
class Found:
    """A difference where it is found, minor units."""

    kind: str
    """A DifferenceKind without its prefix."""
    subject: str
    """The payment, settlement or bank line it is about."""
    ours: int
    theirs: int
    detail: str
    source: str = ""
    """Tells one cause of a kind and subject from another."""
    settlement_id: str = ""


@dataclass(frozen=True)
class Difference:
    """A difference in the queue, minor units."""

    difference_id: str
    book_id: str
    kind: str
    subject: str
    settlement_id: str
    currency_code: str
    ours: int
    theirs: int
    detail: str
    found_on: date
    state: str
    resolution: str
    reason: str
    maker: str
    checker: str
    resolved_on: date | None

    def check_state(self, wanted: str) -> None:
        """Raises FailedPrecondition DIFFERENCE_STATE."""
        if self.state != wanted:
            raise FailedPrecondition(
                Reason.DIFFERENCE_STATE, f"it is {self.state}, not {wanted}", self.difference_id
            )

    def message(self, today: date) -> pb.Difference:
        """In the contract's words."""
        return pb.Difference(
            difference_id=self.difference_id,
            book_id=self.book_id,
            kind=pb.DifferenceKind.Value(f"DIFFERENCE_KIND_{self.kind}"),
            subject=self.subject,
            settlement_id=self.settlement_id,
            ours=money(self.ours, self.currency_code),
            theirs=money(self.theirs, self.currency_code),
            detail=self.detail,
            found_on=from_date(self.found_on),
            age_days=((self.resolved_on or today) - self.found_on).days,
            state=pb.DifferenceState.Value(f"DIFFERENCE_STATE_{self.state}"),
            resolution=pb.Resolution.Value(f"RESOLUTION_{self.resolution or 'UNSPECIFIED'}"),
            reason=self.reason,
            maker=self.maker,
            checker=self.checker,
        )


COLUMNS = [differences.c[name] for name in Difference.__dataclass_fields__]


def queue(transaction: Connection, book: BookDay, found: Sequence[Found]) -> int:
    """Puts differences in the queue: how many are new. One that was found before stays as it is."""
    if not found:
        return 0
    rows = [
        {
            "difference_id": new_id("df"),
            "book_id": book.book_id,
            "currency_code": book.currency_code,
            "found_on": book.business_date,
            **vars(each),
        }
        for each in found
    ]
    made = insert(differences).values(rows).on_conflict_do_nothing()
    return len(transaction.execute(made.returning(differences.c.difference_id)).all())


def cure(
    transaction: Connection,
    book: BookDay,
    kinds: Sequence[str],
    subjects: Sequence[str],
    why: str,
    theirs: int | None = None,
) -> None:
    """Resolves differences whose cause has gone by what arrived; `theirs`: those of it alone."""
    of_amount = () if theirs is None else (differences.c.theirs == theirs,)
    transaction.execute(
        update(differences)
        .where(
            *of_amount,
            differences.c.book_id == book.book_id,
            differences.c.kind.in_(kinds),
            differences.c.subject == func.any(list(subjects)),
            differences.c.state != "RESOLVED",
        )
        .values(
            state="RESOLVED",
            resolution="EXPLAINED",
            reason=why,
            maker="",
            checker="",
            resolved_on=book.business_date,
        )
    )


def get(transaction: Connection, difference_id: str) -> Difference:
    """One difference. Raises NotFound."""
    return _one(transaction, difference_id, lock=False)


def lock(transaction: Connection, difference_id: str) -> Difference:
    """One difference, which nobody else changes before this transaction ends. Raises NotFound."""
    return _one(transaction, difference_id, lock=True)


def _one(transaction: Connection, difference_id: str, *, lock: bool) -> Difference:
    query = select(*COLUMNS).where(differences.c.difference_id == difference_id)
    row = transaction.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound("difference", difference_id)
    return Difference(*row)


def save(transaction: Connection, changed: Difference) -> None:
    """Writes a locked difference as it stands now."""
    transaction.execute(
        update(differences)
        .where(differences.c.difference_id == changed.difference_id)
        .values(
            state=changed.state,
            resolution=changed.resolution,
            reason=changed.reason,
            maker=changed.maker,
            checker=changed.checker,
            resolved_on=changed.resolved_on,
        )
    )


def page(
    transaction: Connection, request: pb.ListDifferencesRequest, after: str, size: int
) -> list[Difference]:
    """A page of a book's differences, the oldest first."""
    query = select(*COLUMNS).where(
        differences.c.book_id == request.book_id, differences.c.difference_id > after
    )
    if request.state:
        state = pb.DifferenceState.Name(request.state).removeprefix("DIFFERENCE_STATE_")
        query = query.where(differences.c.state == state)
    if request.kind:
        kind = pb.DifferenceKind.Name(request.kind).removeprefix("DIFFERENCE_KIND_")
        query = query.where(differences.c.kind == kind)
    rows = transaction.execute(query.order_by(differences.c.difference_id).limit(size))
    return [Difference(*row) for row in rows]
