"""What a loan booked, in the order of its booking: the postings kept with it, and its nights.

A night's accrual is not kept: it is reckoned from the line it grew on, and is the last of its day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, text, union_all

from tael_servicing.growth import ACCRUED_TO, standing
from tael_servicing.positions import Position, night_of
from tael_servicing.tables import (
    SORTED,
    accrual_history,
    accrual_position,
    loan_posting,
)

DAY = timedelta(days=1)
LINE = tuple(Position.__dataclass_fields__)


@dataclass(frozen=True)
class Booked:
    """One booking of a loan, minor units."""

    number: int
    """1, 2, … on the loan; 0 for a night's accrual."""
    event: str
    booked_on: date
    value_date: date
    amounts: Mapping[str, int]
    accruing: bool = True
    cause: str = ""
    request_id: str = ""
    """Of the outgoing posting that carries it; a night's is found by `carriers`."""
    source: str = ""

    @property
    def place(self) -> tuple[date, bool, int]:
        """Where it comes among the loan's bookings."""
        return self.booked_on, self.number == 0, self.number


def after(
    connection: Connection, loan_id: str, night: date, number: int, size: int
) -> list[Booked]:
    """At most so many bookings: nights after one, postings after a number."""
    kept = _postings(loan_id, number + 1).limit(size)
    nights = islice(_nights(connection, loan_id, night + DAY, date.max), size)
    return _merged(connection, kept, nights)[:size]


def between(
    connection: Connection, loan_id: str, numbers: range, first: date, last: date
) -> list[Booked]:
    """All bookings of a period, whose postings have these numbers."""
    kept = _postings(loan_id, numbers.start).where(loan_posting.c.number < numbers.stop)
    return _merged(connection, kept, _nights(connection, loan_id, first, last))


def _postings(loan_id: str, first: int) -> Select[Any]:
    posting = loan_posting.c
    names = ("number", "event", "booked_on", "value_date", "amounts", *CARRIED)
    return (
        select(*(posting[name] for name in names))
        .where(posting.loan_id == loan_id, posting.number >= first)
        .order_by(posting.number)
    )


CARRIED = ("cause", "request_id", "source")


def _merged(connection: Connection, kept: Select[Any], nights: Iterator[Booked]) -> list[Booked]:
    postings = [Booked(**row._asdict()) for row in connection.execute(kept)]
    return sorted([*postings, *nights], key=lambda each: each.place)


def _nights(connection: Connection, loan_id: str, first: date, last: date) -> Iterator[Booked]:
    """The nights of a period on which something grew, in order."""
    rows = connection.execute(STRETCHES, {"loan": loan_id, "first": first, "last": last})
    for until, group in groupby(rows, key=lambda row: row.until):
        lines = [Position(*row[: len(LINE)]) for row in group]
        night = max(first, lines[0].since)
        while night < until and night <= last:
            posting = night_of(lines, night)
            if posting is not None:
                yield Booked(0, posting.event, night, night, posting.amounts, posting.accruing)
            night += DAY


def _stretches() -> Select[Any]:
    """The lines of a loan that ran between two dates, those that began together with the first
    night that is no more theirs.
    """
    running = (
        select(*(accrual_position.c[name] for name in LINE), ACCRUED_TO.label("until"))
        .select_from(standing(accrual_position))
        .where(accrual_position.c.loan_id == LOAN)
    )
    ended = select(*(accrual_history.c[name] for name in LINE), accrual_history.c.until)
    both = union_all(ended.where(accrual_history.c.loan_id == LOAN), running).subquery("line")
    return (
        select(both)
        .where(both.c.until > bindparam("first"), both.c.since <= bindparam("last"))
        .order_by(both.c.until)
    )


LOAN = bindparam("loan", type_=SORTED)
STRETCHES = _stretches()

# A loan that was set aside has one of its own inside the range of its chunk.
CARRIERS = text(
    """
    SELECT night, carrier.request_id
    FROM loan
    CROSS JOIN unnest(CAST(:nights AS date[]), CAST(:on_balance AS boolean[]))
        AS wanted (night, on_balance)
    CROSS JOIN LATERAL (
        SELECT request_id FROM night_posting
        WHERE night_posting.book_id = loan.book_id
          AND night_posting.product_code = loan.product_code
          AND night_posting.on_balance = wanted.on_balance
          AND night_posting.night = wanted.night
          AND night_posting.last_loan_id >= loan.loan_id
          AND night_posting.first_loan_id <= loan.loan_id
        ORDER BY last_loan_id LIMIT 1
    ) AS carrier
    WHERE loan.loan_id = :loan
    """
)


def carriers(connection: Connection, loan_id: str, found: Sequence[Booked]) -> dict[date, str]:
    """The outgoing postings that carry nights of a loan."""
    nights = [each for each in found if each.number == 0]
    values = {
        "loan": loan_id,
        "nights": [each.booked_on for each in nights],
        "on_balance": [each.accruing for each in nights],
    }
    rows = connection.execute(CARRIERS, values)
    return {row.night: row.request_id for row in rows}
