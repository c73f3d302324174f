"""What the oracle says stands in the book, now and as of any day: by adding up lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from ledger.simulation.state import Entry, Line, State

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date

EVER = date.max
ONE_DAY = timedelta(days=1)
RESULT = (pb.ACCOUNT_CLASS_INCOME, pb.ACCOUNT_CLASS_EXPENSE)


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


def totals(state: State, booked_by: date = EVER, worth_by: date = EVER) -> dict[str, list[int]]:
    """[debits, credits] of each account that was used by then."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for _, line in lines_until(state, booked_by, worth_by):
        sums[line.number][0] += line.debit
        sums[line.number][1] += line.credit
    return sums


def balances(
    state: State, numbers: Iterable[str], booked_by: date = EVER, worth_by: date = EVER
) -> list[pb.Balance]:
    """The balances of some accounts, pending amounts told of now only."""
    sums = totals(state, booked_by, worth_by)
    now = booked_by == worth_by == EVER
    found = []
    for number in numbers:
        debits, credits_ = sums[number]
        account = state.accounts.get(number) if now else None
        found.append(
            pb.Balance(
                account_number=number,
                debits_posted=debits,
                credits_posted=credits_,
                balance=state.on_normal_side(number, debits, credits_),
                debits_pending=account.debits_pending if account else 0,
                credits_pending=account.credits_pending if account else 0,
            )
        )
    return found


def trial_balance(
    state: State, booked_by: date = EVER, worth_by: date = EVER
) -> ac.TrialBalanceResponse:
    """Totals a GL code that was used by then."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for number, (debits, credits_) in totals(state, booked_by, worth_by).items():
        sums[code_of(number)][0] += debits
        sums[code_of(number)][1] += credits_
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


def statements(state: State, numbers: Iterable[str]) -> dict[str, list[pb.StatementLine]]:
    """The lines of some accounts with the running balance."""
    found: dict[str, list[pb.StatementLine]] = {number: [] for number in numbers}
    running = dict.fromkeys(found, 0)
    for entry, line in lines_until(state):
        if line.number not in found:
            continue
        running[line.number] += state.on_normal_side(line.number, line.debit, line.credit)
        found[line.number].append(
            pb.StatementLine(
                sequence=entry.sequence,
                event=entry.event,
                value_date=from_date(entry.value_date),
                booking_date=from_date(entry.booking_date),
                side=pb.SIDE_DEBIT if line.debit else pb.SIDE_CREDIT,
                amount=line.debit or line.credit,
                balance_after=running[line.number],
                narrative=entry.narrative,
                source=entry.source,
            )
        )
    return found


def is_result(state: State, code: str) -> bool:
    """Whether a code is of income or expense."""
    return state.chart[code].account_class in RESULT


def general_ledger(state: State, gl_code: str, first: date, last: date) -> ac.GeneralLedgerResponse:
    """Opening, a row a day, closing; of one code, of those with a prefix, of all."""
    before = {row.account.code: row.balance for row in _rows(state, first - ONE_DAY)}
    moved = _days(state, first, last)
    answer = ac.GeneralLedgerResponse()
    for row in _rows(state, last):
        code = row.account.code
        if gl_code and code != gl_code and not (gl_code.endswith(".") and code.startswith(gl_code)):
            continue
        account = answer.accounts.add(
            account=row.account,
            opening_balance=before.get(code, 0),
            closing_balance=row.balance,
        )
        running = account.opening_balance
        for day, (lines, debits, credits_) in sorted(moved[code].items()):
            running += state.on_normal_side(code, debits, credits_)
            account.days.add(
                booking_date=from_date(day),
                lines=lines,
                debits=debits,
                credits=credits_,
                balance=running,
            )
        account.debits = sum(day.debits for day in account.days)
        account.credits = sum(day.credits for day in account.days)
    return answer


def _rows(state: State, booked_by: date) -> list[ac.TrialBalanceRow]:
    return list(trial_balance(state, booked_by).rows)


def _days(state: State, first: date, last: date) -> dict[str, dict[date, list[int]]]:
    """[lines, debits, credits] by code and day."""
    days: dict[str, dict[date, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for entry, line in lines_until(state, last):
        if entry.booking_date >= first:
            day = days[code_of(line.number)][entry.booking_date]
            day[:] = day[0] + 1, day[1] + line.debit, day[2] + line.credit
    return days


def section(rows: dict[str, int], state: State) -> ac.StatementSection:
    """Rows by code without zeros, and their sum."""
    return ac.StatementSection(
        rows=[
            ac.StatementRow(account=state.chart[code], amount=amount)
            for code, amount in sorted(rows.items())
            if amount
        ],
        total=sum(rows.values()),
    )


def balance_sheet(state: State, booked_by: date) -> ac.BalanceSheetResponse:
    """Assets, clearing among them, equal liabilities and equity with the profit not yet carried."""
    net: dict[int, dict[str, int]] = defaultdict(dict)
    for row in _rows(state, booked_by):
        net[row.account.account_class][row.account.code] = row.debits - row.credits
    credit = {
        kind: {code: -amount for code, amount in net[kind].items()}
        for kind in (pb.ACCOUNT_CLASS_LIABILITY, pb.ACCOUNT_CLASS_EQUITY)
    }
    memo = {
        code: state.on_normal_side(code, amount, 0)
        for code, amount in net[pb.ACCOUNT_CLASS_MEMO].items()
        if code != "7999"
    }
    profit = -sum(sum(net[kind].values()) for kind in RESULT)
    answer = ac.BalanceSheetResponse(
        assets=section(net[pb.ACCOUNT_CLASS_ASSET] | net[pb.ACCOUNT_CLASS_CLEARING], state),
        liabilities=section(credit[pb.ACCOUNT_CLASS_LIABILITY], state),
        equity=section(credit[pb.ACCOUNT_CLASS_EQUITY], state),
        profit=profit,
        memo=section(memo, state),
        booking_date=from_date(min(booked_by, state.business_date)),
    )
    answer.liabilities_and_equity = answer.liabilities.total + answer.equity.total + profit
    assert answer.assets.total == answer.liabilities_and_equity
    return answer


def income_statement(state: State, first: date, last: date) -> ac.IncomeStatementResponse:
    """Income and expense booked over some days, what carries them left out."""
    net: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry, line in lines_until(state, last):
        if entry.booking_date >= first and not entry.carries:
            code = code_of(line.number)
            net[state.chart[code].account_class][code] += line.credit - line.debit
    income = section(net[pb.ACCOUNT_CLASS_INCOME], state)
    expense = section(
        {code: -amount for code, amount in net[pb.ACCOUNT_CLASS_EXPENSE].items()}, state
    )
    return ac.IncomeStatementResponse(
        income=income, expense=expense, profit=income.total - expense.total
    )


def daily_summary(state: State, day: date) -> ac.DailySummaryResponse:
    """Lines and turnover of a day by code."""
    answer = ac.DailySummaryResponse(
        entries=sum(entry.booking_date == day for entry in state.entries.values()),
        closed=state.first_day <= day < state.business_date,
    )
    for account in general_ledger(state, "", day, day).accounts:
        if account.days:
            answer.rows.add(
                account=account.account,
                lines=account.days[0].lines,
                opening_balance=account.opening_balance,
                debits=account.debits,
                credits=account.credits,
                closing_balance=account.closing_balance,
            )
    answer.total_debits = sum(row.debits for row in answer.rows)
    answer.total_credits = sum(row.credits for row in answer.rows)
    return answer
