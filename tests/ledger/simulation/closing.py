"""The oracle on closing: days, months, years."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta

from ledger.simulation.drafting import net_lines
from ledger.simulation.operations import Accepted, Operation
from ledger.simulation.readings import ONE_DAY, code_of, income_statement, is_result, lines_until
from ledger.simulation.reservations import expire
from ledger.simulation.state import Entry, State

from tael.ledger.v1 import accounting_pb2 as ac
from tael_client.values import from_date, to_date

PROFIT, APPROPRIATION = "4103", "4104"


def close_day(state: State, operation: Operation) -> Accepted | set[str]:
    """The next day opens; what was reserved until this one expires."""
    request: ac.CloseDayRequest = operation.parts[0]
    closed = to_date(request.business_date)
    if closed not in state.closed_days:
        if closed != state.business_date:
            return {"NOT_THE_BUSINESS_DATE"}
        expire(state, closed)
        state.put(state.closed_days, closed, len(state.entries))
        state.put(state.dates, "business", closed + ONE_DAY)
    answer = ac.CloseDayResponse(next_business_date=from_date(closed + ONE_DAY))
    answer.head.sequence = state.closed_days[closed]
    return Accepted(answer)


def month_end(first_day: date) -> date:
    """The last day of a month."""
    return (first_day + timedelta(days=31)).replace(day=1) - ONE_DAY


def close_period(state: State, operation: Operation) -> Accepted | set[str]:
    """Income and expense into 4103; at the year's end 4103 into 4104."""
    request: ac.ClosePeriodRequest = operation.parts[0]
    first = to_date(request.period).replace(day=1)
    if first in state.closed_periods:
        return Accepted(ac.ClosePeriodResponse(period=state.closed_periods[first]))
    reasons = set()
    last = month_end(first)
    if last < state.first_day:
        return {"NOT_A_PERIOD"}
    if last >= state.business_date:
        reasons.add("PERIOD_STILL_OPEN")
    before = first - ONE_DAY
    if before >= state.first_day and before.replace(day=1) not in state.closed_periods:
        reasons.add("EARLIER_PERIOD_OPEN")
    if reasons:
        return reasons
    period = ac.Period(
        first_day=from_date(first),
        last_day=from_date(last),
        state=ac.PERIOD_STATE_CLOSED,
        profit=income_statement(state, first, last).profit,
        closed_by=operation.caller,
    )
    period.sequence, refused = _carry(
        state, "PERIOD_CLOSED", last, PROFIT, lambda code: is_result(state, code)
    )
    if last.month == 12:
        period.year_end_sequence, _ = _carry(
            state, "YEAR_CLOSED", last, APPROPRIATION, lambda code: code == PROFIT
        )
    state.put(state.closed_periods, first, period)
    return refused or Accepted(ac.ClosePeriodResponse(period=period))


def periods(state: State) -> list[ac.Period]:
    """Months from the book's first to the open one."""
    found = []
    first = state.first_day.replace(day=1)
    while first <= state.business_date:
        last = month_end(first)
        so_far = ac.Period(
            first_day=from_date(first),
            last_day=from_date(last),
            state=ac.PERIOD_STATE_OPEN,
            profit=income_statement(state, first, last).profit,
        )
        found.append(state.closed_periods.get(first, so_far))
        first = last + ONE_DAY
    return found


def _carry(
    state: State, event: str, last: date, into: str, takes: Callable[[str], bool]
) -> tuple[int, set[str]]:
    """Brings the accounts taken to zero as of a period's end: the entry's sequence or 0, and the
    reasons against it.
    """
    standing: dict[str, int] = defaultdict(int)
    for entry, line in lines_until(state):
        if (entry.booking_date <= last or entry.carries) and takes(code_of(line.number)):
            standing[line.number] += line.debit - line.credit
    sums = {number: (max(-net, 0), max(net, 0)) for number, net in sorted(standing.items()) if net}
    total = sum(standing.values())
    if total:
        sums[into] = (max(total, 0), max(-total, 0))
    lines = net_lines(sums)
    if not lines:
        return 0, set()
    entry, reasons = state.post(Entry(event, last, lines, carries=True))
    reasons |= state.beyond_limits(lines)
    return entry.sequence, reasons - {"ACCOUNT_CLOSED"}  # what it earned before it was closed
