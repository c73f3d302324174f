"""Floating loans take the loan prime rate of the day on the days their product says (LPR, 银行业务
惯例 of five modes); the spread is the one they were signed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count, takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, extract, or_, select, true, update

from tael.servicing.v1 import product_pb2 as pb
from tael_servicing import loans as loan_events
from tael_servicing import products, rates
from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.events import LoanEvent, Repriced, Rescheduled, Reversed, standing
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.terms import Keep
from tael_servicing.enacting import enact, standing_on
from tael_servicing.loans import Contract, Held
from tael_servicing.rates import Lpr
from tael_servicing.tables import RUNNING, book_day, instalment, loan_event, loan_state
from tael_servicing.tables import loan as loans
from tael_servicing.tables import product as versions

DAY = timedelta(days=1)


def take_news(transaction: Connection, book_id: str, day: date) -> bool:
    """Whether a prime rate came, was corrected or came into force since the book's last night, which
    from now on is this one.
    """
    now = rates.digest(rates.changes(rates.known(transaction), day))
    taken = transaction.execute(
        update(book_day)
        .where(book_day.c.book_id == book_id, book_day.c.lprs != now)
        .values(lprs=now)
    )
    return taken.rowcount > 0


def candidates(transaction: Connection, book_id: str, day: date, *, news: bool = True) -> list[str]:
    """Loans that take another rate on a day, if there is another: those whose turn it is, and those of
    which the day before told another past, with other turns; where there is news, as `take_news` says,
    all, since it may tell of a turn that is over.
    """
    found: set[str] = set()
    for version in _floating(transaction, book_id):
        terms = products.get(transaction, version.code, version.version).terms
        whose = Turn.ALL if news else turn(terms.floating_rate.reprice, day)
        running = (
            select(loan_state.c.loan_id)
            .join(loans, loans.c.loan_id == loan_state.c.loan_id)
            .where(
                loan_state.c.book_id == book_id,
                loan_state.c.state.in_(RUNNING),
                loans.c.product_code == version.code,
                loans.c.product_version == version.version,
            )
        )
        told = running.where(_told_another_past(day - DAY))
        found.update(transaction.execute(told).scalars())
        if whose is not Turn.NONE:
            found.update(transaction.execute(running.where(_takes(whose, day))).scalars())
    return sorted(found)


def _floating(transaction: Connection, book_id: str) -> Sequence[Any]:
    return transaction.execute(
        select(versions.c.code, versions.c.version).where(
            versions.c.book_id == book_id, versions.c.terms.has_key("floatingRate")
        )
    ).all()


class Turn(Enum):
    """Which loans of a product take the rate of a day."""

    NONE = "none"
    ALL = "all"
    ANNIVERSARIES = "those disbursed on that day of an earlier year"
    DUE = "those of which an instalment falls due"


def turn(mode: int, day: date) -> Turn:
    """Whose turn it is on a day, by the mode of the product; nobody's where news alone make one."""
    if mode == pb.REPRICE_MODE_ANNIVERSARY:
        return Turn.ANNIVERSARIES
    if mode == pb.REPRICE_MODE_NEXT_DUE_DATE:
        return Turn.DUE
    if mode == pb.REPRICE_MODE_NEXT_JANUARY:
        return Turn.ALL if (day.month, day.day) == (1, 1) else Turn.NONE
    if mode == pb.REPRICE_MODE_MONTHLY:
        return Turn.ALL if day.day == 1 else Turn.NONE
    return Turn.NONE


def anniversary_days(day: date) -> list[int]:
    """Days of the month of disbursement whose anniversary a day is: 28 February of a common year is
    that of the 29th too.
    """
    last_of_month = (day + DAY).month != day.month
    return [day.day, *(range(day.day + 1, 32) if last_of_month else ())]


def _takes(whose: Turn, day: date) -> ColumnElement[bool]:
    """Whether it is a loan's turn, in the store."""
    if whose is Turn.ANNIVERSARIES:
        started = loans.c.start_date
        month = extract("month", started) == day.month
        return month & extract("day", started).in_(anniversary_days(day)) & (started < day)
    if whose is Turn.DUE:
        falls_due = select(instalment.c.number).where(
            instalment.c.loan_id == loan_state.c.loan_id, instalment.c.due_date == day
        )
        return falls_due.exists()
    return true()


def _told_another_past(day: date) -> ColumnElement[bool]:
    """Whether something was entered on a day that was worth an earlier one, or taken back."""
    entered = select(loan_event.c.event_id).where(
        loan_event.c.loan_id == loan_state.c.loan_id,
        loan_event.c.booked_on == day,
        or_(loan_event.c.value_date < day, loan_event.c.kind == Reversed.__name__),
    )
    return (loan_state.c.changed_on >= day) & entered.exists()


def reprice(transaction: Connection, lprs: Sequence[Lpr], held: Held, day: date) -> Held:
    """A locked loan takes the rates of the turns it has had up to a day, as far as it has not taken
    them: each worth the day of its turn, however late the prime rate became known, unless all was due
    by then. What it took on a day that is no turn after all is taken back; a rate that was agreed for
    the very day of a turn stays.
    """
    contract = held.contract
    terms = products.get(transaction, contract.product_code, contract.product_version).terms
    kept = terms.floating_rate.keep == pb.PREPAYMENT_RULE_KEEP_INSTALMENT
    keep = Keep.INSTALMENT if kept else Keep.TERM
    mine = turns(lprs, held, terms, day)
    if any(step.since not in mine for step in held.loan.rates[1:]):
        for event in _taken(transaction, held):
            if event.value_date not in mine:
                back = Reversed(day, held.next_event_id, event.event_id)
                held = enact(transaction, held, back, day).after
    for since in mine:
        rate = rate_on(lprs, contract, terms, since)
        if rate == held.loan.rate_of(since) or not _free(transaction, held, terms, since):
            continue
        then = standing_on(transaction, held, since)
        if then.running and then.current is not None:
            event = Repriced(since, held.next_event_id, rate, keep, floats=True)
            reference = f"LPR {rates.on(lprs, since).published}"
            held = enact(transaction, held, event, day, reference=reference).after
    return held


def _taken(transaction: Connection, held: Held) -> list[Repriced]:
    """The prime rates that the loan took."""
    known = standing(loan_events.events_of(transaction, held.contract.loan_id))
    return [each for each in known if isinstance(each, Repriced) and each.floats]


def _free(transaction: Connection, held: Held, terms: pb.ProductTerms, day: date) -> bool:
    """Whether the loan takes the prime rate of a turn: nobody agreed a rate for the day, and, where
    instalments make turns, one fell due on it; one that was paid before its due date did not.
    """
    known = standing(loan_events.events_of(transaction, held.contract.loan_id))
    if any(each.value_date == day and _agrees(each) for each in known):
        return False
    if terms.floating_rate.reprice != pb.REPRICE_MODE_NEXT_DUE_DATE:
        return True
    opened = replay(held.terms, [each for each in known if each.value_date < day], day).loan
    return any(row.number and row.due_date == day for row in opened.rows)


def _agrees(event: LoanEvent) -> bool:
    if isinstance(event, Rescheduled):
        return event.plan.annual_rate is not None
    return isinstance(event, Repriced) and not event.floats


def turns(lprs: Sequence[Lpr], held: Held, terms: pb.ProductTerms, day: date) -> Sequence[date]:
    """The days up to one on which a loan takes a rate, by the mode of its product."""
    first, mode = held.contract.start_date, terms.floating_rate.reprice
    if mode == pb.REPRICE_MODE_NEXT_DUE_DATE:
        numbered = [row for row in held.loan.rows[: held.loan.due_count] if row.number]
        found = {row.due_date for row in numbered if row.due_date > first}
    elif mode == pb.REPRICE_MODE_ANNIVERSARY:
        found = _every(12, first, first.day, day)
    elif mode == pb.REPRICE_MODE_NEXT_JANUARY:
        found = _every(12, date(first.year, 1, 1), 1, day)
    elif mode == pb.REPRICE_MODE_MONTHLY:
        found = _every(1, first, 1, day)
    else:
        found = {max(each.published, first) for each in rates.changes(lprs, day)}
    return sorted(found)


def rate_on(lprs: Sequence[Lpr], contract: Contract, terms: pb.ProductTerms, day: date) -> Decimal:
    """The prime rate of the day with the spread the loan was signed with."""
    assert contract.spread is not None, "the rate of the product floats"
    return rates.floating(lprs, terms, contract.spread, day, contract.periods)


def _every(months: int, start: date, anchor: int, until: date) -> set[date]:
    """The anchor days so many months apart, after the first, up to a day."""
    dates = (months_after(start, months * index, anchor) for index in count(1))
    return set(takewhile(lambda each: each <= until, dates))
