"""What the oracle says stands in the book, now and as of any day: by adding up lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from ledger.simulation.state import Entry, Line, State

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date

EVER = date.max


def lines_until(
    state: State, booked_by: date = EVER, worth_by: date = EVER
) -> Iterator[tuple[Entry, Line]]:
    """Lines booked and worth by some days, in journal order."""
    for entry in state.entries.values():
        if entry.booking_date <= booked_by and entry.value_date <= worth_by:
            for line in entry.lines:
                yield entry, line


def code_of(number: str) -> str:
    """The GL code in an account number."""
    return number.split(":", maxsplit=1)[0]


def balance(state: State, number: str, booked_by: date = EVER, worth_by: date = EVER) -> pb.Balance:
    """One account's balance."""
    found = [ln for _, ln in lines_until(state, booked_by, worth_by) if ln.number == number]
    debits, credits_ = sum(ln.debit for ln in found), sum(ln.credit for ln in found)
    shown = state.on_normal_side(number, debits, credits_)
    answer = pb.Balance(
        account_number=number, debits_posted=debits, credits_posted=credits_, balance=shown
    )
    account = state.accounts.get(number)
    if account is not None and booked_by == worth_by == EVER:
        answer.debits_pending = account.debits_pending
        answer.credits_pending = account.credits_pending
    return answer


def trial_balance(
    state: State, booked_by: date = EVER, worth_by: date = EVER
) -> ac.TrialBalanceResponse:
    """Totals a GL code that was used by then."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for _, line in lines_until(state, booked_by, worth_by):
        sums[code_of(line.number)][0] += line.debit
        sums[code_of(line.number)][1] += line.credit
    rows = [
        ac.TrialBalanceRow(
            account=state.chart[code],
            debits=debits,
            credits=credits_,
            balance=state.on_normal_side(code, debits, credits_),
        )
        for code, (debits, credits_) in sorted(sums.items())
    ]
    return ac.TrialBalanceResponse(
        rows=rows,
        total_debits=sum(row.debits for row in rows),
        total_credits=sum(row.credits for row in rows),
    )


def statement(state: State, number: str) -> list[pb.StatementLine]:
    """An account's lines with the running balance; of lines of one entry, any order."""
    debits = credits_ = 0
    lines = []
    for entry, line in lines_until(state):
        if line.number != number:
            continue
        debits, credits_ = debits + line.debit, credits_ + line.credit
        lines.append(
            pb.StatementLine(
                sequence=entry.sequence,
                event=entry.event,
                value_date=from_date(entry.value_date),
                booking_date=from_date(entry.booking_date),
                side=pb.SIDE_DEBIT if line.debit else pb.SIDE_CREDIT,
                amount=line.debit or line.credit,
                balance_after=state.on_normal_side(number, debits, credits_),
                narrative=entry.narrative,
                source=entry.source,
            )
        )
    return lines
