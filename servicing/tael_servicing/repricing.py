"""Floating loans take the loan prime rate of the day on the days their product says (LPR, 银行业务
惯例 of five modes); the spread is the one they were signed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Connection, extract, select, true, update

from tael.servicing.v1 import product_pb2 as pb
from tael_servicing import products, rates
from tael_servicing.arithmetic.events import Repriced
from tael_servicing.arithmetic.terms import Keep
from tael_servicing.enacting import enact, standing_on
from tael_servicing.loans import Contract, Held
from tael_servicing.rates import Lpr
from tael_servicing.tables import RUNNING, book_day, instalment, loan_state
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
    """Loans that take another rate on a day, if there is another; `news`: as `take_news` says."""
    found: set[str] = set()
    for version in _floating(transaction, book_id):
        terms = products.get(transaction, version.code, version.version).terms
        whose = turn(terms.floating_rate.reprice, day)
        if (whose is Turn.NEWS and not news) or whose is Turn.NONE:
            continue
        rows = transaction.execute(
            select(loan_state.c.loan_id)
            .join(loans, loans.c.loan_id == loan_state.c.loan_id)
            .where(
                loan_state.c.book_id == book_id,
                loan_state.c.state.in_(RUNNING),
                loan_state.c.next_due.is_not(None),
                loans.c.product_code == version.code,
                loans.c.product_version == version.version,
                _takes(whose, day),
            )
        )
        found.update(rows.scalars())
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
    NEWS = "all, where there is another prime rate than on the last night"


def turn(mode: int, day: date) -> Turn:
    """Whose turn it is on a day, by the mode of the product."""
    if mode == pb.REPRICE_MODE_ANNIVERSARY:
        return Turn.ANNIVERSARIES
    if mode == pb.REPRICE_MODE_NEXT_DUE_DATE:
        return Turn.DUE
    if mode == pb.REPRICE_MODE_NEXT_JANUARY:
        return Turn.ALL if (day.month, day.day) == (1, 1) else Turn.NONE
    if mode == pb.REPRICE_MODE_MONTHLY:
        return Turn.ALL if day.day == 1 else Turn.NONE
    return Turn.NEWS


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


def reprice(transaction: Connection, lprs: Sequence[Lpr], held: Held, day: date) -> Held:
    """A locked loan whose turn a day may be takes the rates it has not taken, each worth the day on
    which it should have, unless all was due by then.
    """
    contract = held.contract
    terms = products.get(transaction, contract.product_code, contract.product_version).terms
    kept = terms.floating_rate.keep == pb.PREPAYMENT_RULE_KEEP_INSTALMENT
    keep = Keep.INSTALMENT if kept else Keep.TERM
    for since in _days(lprs, contract, terms, day):
        rate = rate_on(lprs, contract, terms, since)
        if rate == held.loan.rate_of(since):
            continue
        then = standing_on(transaction, held, since)
        if then.running and then.current is not None:
            event = Repriced(since, held.next_event_id, rate, keep)
            reference = f"LPR {rates.on(lprs, since).published}"
            held = enact(transaction, held, event, day, reference=reference).after
    return held


def _days(
    lprs: Sequence[Lpr], contract: Contract, terms: pb.ProductTerms, day: date
) -> Sequence[date]:
    """Those on which a loan takes a rate, the day of its turn the last: that one, or each on which a
    prime rate came into force, however late it became known.
    """
    if turn(terms.floating_rate.reprice, day) is not Turn.NEWS:
        return (day,)
    first = contract.start_date
    return sorted({max(each.published, first) for each in rates.changes(lprs, day)})


def rate_on(lprs: Sequence[Lpr], contract: Contract, terms: pb.ProductTerms, day: date) -> Decimal:
    """The prime rate of the day with the spread the loan was signed with."""
    assert contract.spread is not None, "the rate of the product floats"
    return rates.floating(lprs, terms, contract.spread, day, contract.periods)
