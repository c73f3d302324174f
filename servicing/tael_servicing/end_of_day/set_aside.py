"""Loans that a step cannot work: set aside with the reason, so that they stop nobody else's day.

A chunk that fails is halved until the loans at fault stand alone. The day is not closed while one
of them is open; when its cause is cured it is worked in the steps it missed, and what it posts then
is a supplement under a request of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    exists,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from tael_runtime import later
from tael_runtime.errors import FailedPrecondition, TaelError
from tael_servicing import books
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, OverLoans, Summary, payload_of
from tael_servicing.outgoing import passes
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan_set_aside

MOST = 100
"""More loans of one chunk at fault are a fault of the step, which blocks the day instead."""

NAMED = 5
"""So many are named in the error that blocks a day."""


@dataclass(frozen=True)
class Aside:
    """A loan set aside."""

    book_id: str
    business_date: date
    loan_id: str
    step: str
    reason: str
    accrued_to: date
    """Its nights before this date are accrued."""
    cured: bool


class Isolation:
    """A chunk's work without the loans at fault, which are set aside."""

    def __init__(
        self, transaction: Connection, closing: Closing, step: OverLoans, batch: Batch
    ) -> None:
        self._transaction = transaction
        self._closing = closing
        self._step = step
        self._batch = batch
        self._found = 0

    def work(self, loan_ids: list[str], part: str = "") -> Summary:
        """Works some of the loans, halves them where that fails.

        Raises what passes by itself, and the step's error where too many loans are at fault.
        """
        try:
            return self._whole(loan_ids, part)
        except Exception as error:
            if passes(error):
                raise
            if len(loan_ids) == 1:
                self._found += 1
                if self._found > MOST:
                    raise
                put(self._transaction, self._closing, loan_ids[0], self._step.name, error)
                return Summary()
        half = len(loan_ids) // 2
        summary = self.work(loan_ids[:half], f"{part}a")
        summary.add(self.work(loan_ids[half:], f"{part}b"))
        return summary

    def _whole(self, loan_ids: list[str], part: str) -> Summary:
        """Under a savepoint: all of it or nothing."""
        batch = replace(self._batch, request_id=f"{self._batch.request_id}:{part}")
        with self._transaction.begin_nested():
            try:
                summary = self._step.work(
                    self._transaction, self._closing, payload_of(loan_ids), batch
                )
                later.send(self._transaction)
            except BaseException:
                later.forget(self._transaction)
                raise
        return summary


def put(
    transaction: Connection, closing: Closing, loan_id: str, step: str, error: Exception
) -> None:
    """Sets a loan aside, from a step on."""
    why = {"step": step, "reason": reason_of(error), "cured": False}
    statement = insert(loan_set_aside).values(
        book_id=closing.book_id,
        business_date=closing.day,
        loan_id=loan_id,
        accrued_to=books.get(transaction, closing.book_id).accrued_to,
        **why,
    )
    # One that was cured has had the book's nights since.
    was, now = loan_set_aside.c.accrued_to, statement.excluded.accrued_to
    accrued_to = case((loan_set_aside.c.cured, func.greatest(was, now)), else_=was)
    key = list(loan_set_aside.primary_key)
    set_ = {**why, "accrued_to": accrued_to}
    transaction.execute(statement.on_conflict_do_update(index_elements=key, set_=set_))


def reason_of(error: Exception) -> str:
    """What is told of an error: a refusal's reason and words, the first line of a fault."""
    if isinstance(error, TaelError):
        return f"{error.reason.name}: {error.message}"
    first = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"


def open_loans(transaction: Connection, book_id: str) -> list[Aside]:
    """Those of a book that are not cured, by loan."""
    query = _of(book_id).where(loan_set_aside.c.cured.is_(False))
    return [Aside(**row._asdict()) for row in transaction.execute(query)]


def page(
    transaction: Connection, book_id: str, day: date | None, after: str, size: int
) -> Sequence[Aside]:
    """Of a day, or those of any that are not cured; by loan, from beyond `after`."""
    chosen = (
        loan_set_aside.c.cured.is_(False) if day is None else loan_set_aside.c.business_date == day
    )
    query = _of(book_id).where(chosen, loan_set_aside.c.loan_id > after).limit(size)
    return [Aside(**row._asdict()) for row in transaction.execute(query)]


def _of(book_id: str) -> Select[tuple[str, date, str, str, str, date, bool]]:
    return (
        select(loan_set_aside)
        .where(loan_set_aside.c.book_id == book_id)
        .order_by(loan_set_aside.c.loan_id)
    )


def of_day(transaction: Connection, book_id: str, day: date) -> bool:
    """Whether any was set aside on a day, cured or not."""
    found = exists().where(
        loan_set_aside.c.book_id == book_id, loan_set_aside.c.business_date == day
    )
    return bool(transaction.execute(select(found)).scalar())


def count_open(transaction: Connection, book_id: str, day: date) -> int:
    """How many of a day are not cured."""
    query = select(func.count()).where(
        loan_set_aside.c.book_id == book_id,
        loan_set_aside.c.business_date == day,
        loan_set_aside.c.cured.is_(False),
    )
    return transaction.execute(query).scalar_one()


def take(transaction: Connection, aside: Aside) -> bool:
    """For whoever works it in this transaction; False where it is cured."""
    query = select(loan_set_aside.c.loan_id).where(_is(aside), loan_set_aside.c.cured.is_(False))
    return transaction.execute(query.with_for_update()).first() is not None


def accrued(transaction: Connection, aside: Aside, to: date) -> None:
    """The nights before a date are accrued of it too."""
    transaction.execute(update(loan_set_aside).where(_is(aside)).values(accrued_to=to))


def cure(transaction: Connection, aside: Aside) -> None:
    """It is missing no more."""
    transaction.execute(update(loan_set_aside).where(_is(aside)).values(cured=True))


def _is(aside: Aside) -> ColumnElement[bool]:
    key = (aside.book_id, aside.business_date, aside.loan_id)
    return tuple_(*loan_set_aside.primary_key) == key


def missing(closing: Closing, found: Sequence[Aside]) -> FailedPrecondition:
    """LOANS_SET_ASIDE: the loans without which the day is not closed."""
    named = "; ".join(f"{each.loan_id} ({each.step}: {each.reason})" for each in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return FailedPrecondition(
        Reason.LOANS_SET_ASIDE,
        f"{len(found)} set aside: {named}{more}; cure the cause and resume",
        f"{closing.book_id}/{closing.day}",
    )
