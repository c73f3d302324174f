"""Floating loans take the loan prime rate of the day on the days their product says (LPR, 银行业务
惯例 of five modes); the spread is the one they were signed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Connection, extract, select, true

from tael.servicing.v1 import product_pb2 as pb
from tael_servicing import products, rates
from tael_servicing.arithmetic.events import Repriced
from tael_servicing.arithmetic.terms import Keep
from tael_servicing.loans import Contract, Held
from tael_servicing.rates import Lpr
from tael_servicing.tables import RUNNING, instalment, loan_state
from tael_servicing.tables import loan as loans
from tael_servicing.tables import product as versions

DAY = timedelta(days=1)


def candidates(transaction: Connection, book_id: str, day: date) -> list[str]:
    """Loans that take another rate on a day, if there is another."""
    lprs = rates.known(transaction)
    found: set[str] = set()
    for version in _floating(transaction, book_id):
        terms = products.get(transaction, version.code, version.version).terms
        whose = turn(terms.floating_rate.reprice, lprs, day)
        if whose is Turn.NONE:
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


def turn(mode: int, lprs: Sequence[Lpr], day: date) -> Turn:
    """Whose turn it is on a day, by the mode of the product; a prime rate's day where it has none."""
    if mode == pb.REPRICE_MODE_ANNIVERSARY:
        return Turn.ANNIVERSARIES
    if mode == pb.REPRICE_MODE_NEXT_DUE_DATE:
        return Turn.DUE
    if mode == pb.REPRICE_MODE_NEXT_JANUARY:
        return Turn.ALL if (day.month, day.day) == (1, 1) else Turn.NONE
    if mode == pb.REPRICE_MODE_MONTHLY:
        return Turn.ALL if day.day == 1 else Turn.NONE
    return Turn.ALL if any(each.published == day for each in lprs) else Turn.NONE


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


def repriced(lprs: Sequence[Lpr], held: Held, terms: pb.ProductTerms, day: date) -> Repriced | None:
    """The event by which a loan takes the rate of the day; None where it has it already."""
    rate = rate_on(lprs, held.contract, terms, day)
    if rate == held.loan.annual_rate:
        return None
    kept = terms.floating_rate.keep == pb.PREPAYMENT_RULE_KEEP_INSTALMENT
    return Repriced(day, held.next_event_id, rate, Keep.INSTALMENT if kept else Keep.TERM)


def rate_on(lprs: Sequence[Lpr], contract: Contract, terms: pb.ProductTerms, day: date) -> Decimal:
    """The prime rate of the day with the spread the loan was signed with."""
    months = rates.months_of(terms, contract.periods)
    floating = terms.floating_rate
    signed = rates.floating(lprs, floating, contract.start_date, months)
    now = rates.floating(lprs, floating, day, months)
    return max(contract.annual_rate + now - signed, Decimal(0))


def last_published(lprs: Sequence[Lpr], day: date) -> date:
    """The day of the prime rate that holds on a day."""
    return rates.on(lprs, day).published
