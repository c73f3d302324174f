"""Statements (对账单): what a loan owed, what moved on it, what it owes, by booking date.

A page costs the same however old the loan is: balances of closed days are kept with the loan
ledger, and the first posting of the period is found by halving, since postings are numbered in the
order of their booking dates; nights are reckoned for the period alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import Connection, text

from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import from_date
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_date
from tael_runtime.paging import dated_key, token
from tael_servicing import booked, messages, snapshots
from tael_servicing.booked import Booked
from tael_servicing.loans import Held
from tael_servicing.movements import principal_change, totals

LONGEST_DAYS = 366
ONE_DAY = timedelta(days=1)
ALLOWANCES = ("allowance_stage1", "allowance_stage2", "allowance_stage3")

FIRST_POSTING = text(
    """
    WITH RECURSIVE half (low, high) AS (
        SELECT CAST(1 AS bigint), coalesce(max(number), 0) + 1 FROM loan_posting
        WHERE loan_id = :loan_id
        UNION ALL
        SELECT CASE WHEN earlier THEN middle + 1 ELSE low END,
               CASE WHEN earlier THEN high ELSE middle END
        FROM (SELECT low, high, (low + high) / 2 AS middle,
                     (SELECT booked_on < :day FROM loan_posting
                      WHERE loan_id = :loan_id AND number = (low + high) / 2) AS earlier
              FROM half WHERE low < high) AS step
    )
    SELECT low FROM half WHERE low >= high
    """
)


def page(
    connection: Connection, held: Held, request: pb.GetStatementRequest
) -> pb.GetStatementResponse:
    """A page of a loan's statement. Raises InvalidArgument for a period that is none."""
    first = read_date("from_date", request.from_date)
    last = read_date("to_date", request.to_date)
    _check_period(first, last, held.loan.business_date)
    rows = _booked(connection, held.contract.loan_id, first, last)
    begun = first > held.contract.start_date
    opening = _balances(connection, held, first - ONE_DAY) if begun else pb.LoanBalances()
    moved = list(zip(rows, _movements(rows, opening), strict=True))
    size, after = request.page_size or 200, _place(request.page_token)
    shown = [each for each in moved if each[0].place > after]
    return pb.GetStatementResponse(
        opening=opening,
        closing=_balances(connection, held, last),
        totals=totals((row.event, row.amounts) for row in rows),
        movements=[movement for _, movement in shown[:size]],
        next_page_token=_token(shown[size - 1][0]) if len(shown) > size else "",
    )


def _token(last: Booked) -> str:
    return token(str(last.booked_on), last.number)


def _place(page_token: str) -> tuple[date, bool, int]:
    """Where the last page ended."""
    day, number = dated_key(page_token)
    return day, bool(page_token) and number == 0, number


def _check_period(first: date, last: date, today: date) -> None:
    if last > today:
        raise InvalidArgument(
            "to_date", f"is {last}; the business date, {today}, or earlier is right"
        )
    if not first <= last <= first + timedelta(days=LONGEST_DAYS):
        raise InvalidArgument(
            "to_date", f"is {last}; from {first} to {LONGEST_DAYS} days after it is right"
        )


def _booked(connection: Connection, loan_id: str, first: date, last: date) -> list[Booked]:
    numbers = range(*(_first_on(connection, loan_id, day) for day in (first, last + ONE_DAY)))
    return booked.between(connection, loan_id, numbers, first, last)


def _first_on(connection: Connection, loan_id: str, day: date) -> int:
    """The number of the first posting booked on a day or later, or the one that is next."""
    key = {"loan_id": loan_id, "day": day}
    number: int = connection.execute(FIRST_POSTING, key).scalar_one()
    return number


def _balances(connection: Connection, held: Held, day: date) -> pb.LoanBalances:
    """What was owed at the end of a day; on the business date, now.

    A day on which only principal stood, its payout not yet known, is not in the loan ledger, nor is
    one on which nothing did.
    """
    if day >= held.loan.business_date:
        return messages.balances(held)
    if day < held.contract.start_date:
        return pb.LoanBalances()
    owed = snapshots.balances_on(connection, held.contract.loan_id, day)
    if owed is None:
        return pb.LoanBalances(principal_normal=_principal_on(connection, held, day))
    allowance = sum(owed.pop(name) for name in ALLOWANCES)
    return pb.LoanBalances(**owed, allowance=allowance)


def _principal_on(connection: Connection, held: Held, day: date) -> int:
    rows = _booked(connection, held.contract.loan_id, held.contract.start_date, day)
    return sum(principal_change(row.event, row.amounts) for row in rows)


def _movements(rows: Sequence[Booked], opening: pb.LoanBalances) -> list[pb.StatementMovement]:
    principal = opening.principal_normal + opening.principal_overdue + opening.principal_impaired
    made = []
    for row in rows:
        principal += principal_change(row.event, row.amounts)
        made.append(
            pb.StatementMovement(
                number=row.number,
                event=row.event,
                booking_date=from_date(row.booked_on),
                value_date=from_date(row.value_date),
                amounts=row.amounts,
                principal_after=principal,
                event_id=row.cause,
            )
        )
    return made
