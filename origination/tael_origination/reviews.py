"""Manual review: one takes it and proposes, a second person confirms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tael.origination.v1 import application_pb2 as pb
from tael_client.values import from_instant, money
from tael_origination import applications, events
from tael_origination.reasons import Reason
from tael_origination.tables import review
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_runtime.fields import read_amount
from tael_runtime.four_eyes import check_named, check_second_person


@dataclass(frozen=True)
class Review:
    """A review as stored."""

    application_id: str
    number: int
    """Order of arrival."""
    state: str
    reviewer: str
    confirmer: str
    approve: bool
    proposed_limit: int | None
    note: str
    waiting_since: datetime


def open_review(transaction: Connection, application_id: str, at: datetime) -> None:
    """Puts an application into the queue."""
    transaction.execute(insert(review).values(application_id=application_id, waiting_since=at))


def claim(transaction: Connection, application_id: str, reviewer: str) -> Review:
    """Takes a review; taking one's own again changes nothing. Raises REVIEW_CLAIMED, CALLER_UNNAMED."""
    check_named(reviewer)
    current = _held(transaction, application_id)
    if current.state == "WAITING":
        return _change(transaction, application_id, state="CLAIMED", reviewer=reviewer)
    if current.state != "CLAIMED":
        raise FailedPrecondition(
            Reason.NOT_IN_REVIEW, f"the review is {current.state}", application_id
        )
    _require_reviewer(current, reviewer)
    return current


def propose(transaction: Connection, request: pb.ProposeReviewRequest, reviewer: str) -> Review:
    """The reviewer's proposal.

    Raises REVIEW_NOT_CLAIMED, REVIEW_CLAIMED, LIMIT_ABOVE_MACHINE, CALLER_UNNAMED.
    """
    check_named(reviewer)
    current = _held(transaction, request.application_id)
    if current.state == "WAITING":
        raise FailedPrecondition(
            Reason.REVIEW_NOT_CLAIMED, "claim the review first", request.application_id
        )
    _require_reviewer(current, reviewer)
    if current.state != "CLAIMED":
        raise FailedPrecondition(
            Reason.REVIEW_PROPOSED, f"the review is {current.state}", request.application_id
        )
    limit = _proposed_limit(transaction, request) if request.approve else None
    return _change(
        transaction,
        request.application_id,
        state="PROPOSED",
        approve=request.approve,
        proposed_limit=limit,
        note=request.note,
    )


def confirm(
    transaction: Connection, application_id: str, confirmer: str, *, yes: bool, today: date
) -> Review:
    """The second person's word: takes effect, or goes back to the reviewer.

    Raises REVIEW_NOT_PROPOSED, MAKER_IS_CHECKER.
    """
    current = _held(transaction, application_id)
    if current.state != "PROPOSED":
        raise FailedPrecondition(
            Reason.REVIEW_NOT_PROPOSED, f"the review is {current.state}", application_id
        )
    check_second_person(current.reviewer, confirmer)
    if not yes:
        return _change(transaction, application_id, state="CLAIMED")
    if current.approve:
        applications.change(
            transaction,
            application_id,
            approved_limit=current.proposed_limit,
            decided_on=today,
        )
    else:
        rejected = applications.change(
            transaction, application_id, state="REJECTED", decided_on=today
        )
        events.application_changed(transaction, rejected.message())
    return _change(transaction, application_id, state="CONFIRMED", confirmer=confirmer)


def get(transaction: Connection, application_id: str) -> Review:
    """One review. Raises NotFound, NOT_IN_REVIEW."""
    return _select_one(transaction, application_id, lock=False)


def page(transaction: Connection, state: str, after: int, size: int) -> list[Review]:
    """Reviews in order of arrival, only those of a state where one is given."""
    query = select(review).where(review.c.number > after)
    if state:
        query = query.where(review.c.state == state)
    rows = transaction.execute(query.order_by(review.c.number).limit(size)).mappings()
    return [Review(**row) for row in rows]


def message(transaction: Connection, found: Review) -> pb.Review:
    """The contract's form."""
    application = applications.get(transaction, found.application_id)
    limit = found.proposed_limit
    return pb.Review(
        application=application.message(),
        state=pb.ReviewState.Value(f"REVIEW_STATE_{found.state}"),
        reviewer=found.reviewer,
        confirmer=found.confirmer,
        approve=found.approve,
        limit=None if limit is None else money(limit, application.currency),
        note=found.note,
        reason_codes=application.reason_codes,
        waiting_since=from_instant(found.waiting_since),
    )


def _held(transaction: Connection, application_id: str) -> Review:
    return _select_one(transaction, application_id, lock=True)


def _select_one(transaction: Connection, application_id: str, *, lock: bool) -> Review:
    applications.get(transaction, application_id)
    query = select(review).where(review.c.application_id == application_id)
    row = transaction.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise FailedPrecondition(
            Reason.NOT_IN_REVIEW, "the application was not sent to review", application_id
        )
    return Review(**row)


def _change(transaction: Connection, application_id: str, **values: Any) -> Review:
    row = (
        transaction.execute(
            update(review)
            .where(review.c.application_id == application_id)
            .values(values)
            .returning(review)
        )
        .mappings()
        .one()
    )
    return Review(**row)


def _require_reviewer(current: Review, caller: str) -> None:
    if current.reviewer != caller:
        raise FailedPrecondition(
            Reason.REVIEW_CLAIMED, f"{current.reviewer} has it", current.application_id
        )


def _proposed_limit(transaction: Connection, request: pb.ProposeReviewRequest) -> int:
    application = applications.get(transaction, request.application_id)
    if not request.HasField("limit"):
        raise InvalidArgument("limit", "is needed to approve")
    limit = read_amount("limit", request.limit, application.currency)
    most = application.machine_limit or 0
    if limit > most:
        raise FailedPrecondition(
            Reason.LIMIT_ABOVE_MACHINE,
            f"{limit} is above the machine's limit of {most} minor units",
            application.application_id,
        )
    return limit
