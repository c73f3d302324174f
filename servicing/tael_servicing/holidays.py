"""The days on which a book's loans do not fall due, where their product shifts due dates."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection

from tael.servicing.v1 import product_pb2
from tael_runtime.calendar import read_calendar
from tael_servicing import rates
from tael_servicing.arithmetic.dates import LONG_EXTENSION_MONTHS
from tael_servicing.terms import shifts

NONE: frozenset[date] = frozenset()
SLACK = timedelta(days=93)
"""A first period may begin late and a due date move on."""
LONGEST_MONTH = 31


def of_loan(
    transaction: Connection, terms: product_pb2.ProductTerms, start: date, periods: int
) -> frozenset[date]:
    """Every day of a loan's life, extended by as much as the law lets it be (贷款通则 §12), that is no
    business day; none where its product does not ask.
    """
    if not shifts(terms):
        return NONE
    calendar = read_calendar(transaction)
    months = rates.months_of(terms, periods)
    days = (months + min(months, LONG_EXTENSION_MONTHS)) * LONGEST_MONTH + SLACK.days
    life = (start + timedelta(days=each) for each in range(days))
    return frozenset(day for day in life if not calendar.is_business_day(day))
