"""Reports of the general ledger and periods as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping

from tael.ledger.v1 import accounting_pb2 as pb
from tael_client.values import from_date
from tael_ledger.chart import Chart
from tael_ledger.messages import gl_account
from tael_ledger.periods import Period
from tael_ledger.reports import (
    BalanceSheet,
    DaySummary,
    IncomeStatement,
    LedgerAccount,
    Section,
    Turnover,
)


def trial_balance(chart: Chart, totals: Mapping[str, Turnover]) -> pb.TrialBalanceResponse:
    """Totals by GL code."""
    return pb.TrialBalanceResponse(
        rows=[
            pb.TrialBalanceRow(
                account=gl_account(chart[code]),
                debits=total.debits,
                credits=total.credits,
                balance=chart[code].balance(total.debits, total.credits),
            )
            for code, total in totals.items()
        ],
        total_debits=sum(total.debits for total in totals.values()),
        total_credits=sum(total.credits for total in totals.values()),
    )


def ledger_account(value: LedgerAccount) -> pb.GeneralLedgerAccount:
    """A GL code over some days."""
    return pb.GeneralLedgerAccount(
        account=gl_account(value.account),
        opening_balance=value.opening_balance,
        days=[
            pb.GeneralLedgerDay(
                booking_date=from_date(day.booking_date),
                lines=day.turnover.lines,
                debits=day.turnover.debits,
                credits=day.turnover.credits,
                balance=day.balance,
            )
            for day in value.days
        ],
        debits=value.turnover.debits,
        credits=value.turnover.credits,
        closing_balance=value.closing_balance,
    )


def balance_sheet(value: BalanceSheet) -> pb.BalanceSheetResponse:
    """Assets, liabilities and equity, without the date."""
    return pb.BalanceSheetResponse(
        assets=_section(value.assets),
        liabilities=_section(value.liabilities),
        equity=_section(value.equity),
        profit=value.profit,
        liabilities_and_equity=value.liabilities_and_equity,
        memo=_section(value.memo),
    )


def income_statement(value: IncomeStatement) -> pb.IncomeStatementResponse:
    """Income and expense."""
    return pb.IncomeStatementResponse(
        income=_section(value.income), expense=_section(value.expense), profit=value.profit
    )


def _section(value: Section) -> pb.StatementSection:
    return pb.StatementSection(
        rows=[
            pb.StatementRow(account=gl_account(account), amount=amount)
            for account, amount in value.rows
        ],
        total=value.total,
    )


def daily_summary(value: DaySummary) -> pb.DailySummaryResponse:
    """科目日结单."""
    return pb.DailySummaryResponse(
        rows=[
            pb.DailySummaryRow(
                account=gl_account(row.account),
                lines=row.turnover.lines,
                opening_balance=row.opening_balance,
                debits=row.turnover.debits,
                credits=row.turnover.credits,
                closing_balance=row.closing_balance,
            )
            for row in value.rows
        ],
        entries=value.entries,
        closed=value.closed,
        total_debits=sum(row.turnover.debits for row in value.rows),
        total_credits=sum(row.turnover.credits for row in value.rows),
    )


def period(value: Period) -> pb.Period:
    """A month of a book."""
    return pb.Period(
        first_day=from_date(value.first_day),
        last_day=from_date(value.last_day),
        state=pb.PERIOD_STATE_CLOSED if value.batch_number else pb.PERIOD_STATE_OPEN,
        profit=value.profit,
        sequence=value.sequence,
        year_end_sequence=value.year_end_sequence,
        closed_by=value.closed_by,
    )
