"""The loan ledger and what is summed over it, in the contract's words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import Connection, func, select

from tael.servicing.v1 import loan_pb2
from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_date, from_decimal
from tael_runtime.paging import text_key, token
from tael_servicing import buckets, snapshots
from tael_servicing.arithmetic.impairment import BAD, risk_class
from tael_servicing.ratios import ratio
from tael_servicing.snapshots import Ledger
from tael_servicing.tables import BALANCES, loan_state, payout

ROWS_A_MESSAGE = 1000
ALLOWANCES = ("allowance_stage1", "allowance_stage2", "allowance_stage3")
TOLD_BALANCES = [
    name for name in BALANCES if name in loan_pb2.LoanBalances.DESCRIPTOR.fields_by_name
]


def ledger_rows(connection: Connection, ledger: Ledger) -> Iterator[list[pb.LoanLedgerRow]]:
    """The loan ledger in pages, by loan."""
    after = ""
    while True:
        query = select(ledger.rows).where(ledger.rows.c.loan_id > after)
        query = query.order_by(ledger.rows.c.loan_id).limit(ROWS_A_MESSAGE)
        page = connection.execute(query).all()
        if page:
            yield [_row(row, ledger) for row in page]
        if len(page) < ROWS_A_MESSAGE:
            return
        after = page[-1].loan_id


def _row(row: Any, ledger: Ledger) -> pb.LoanLedgerRow:
    limits = ledger.policy.bucket_limits
    told = pb.LoanLedgerRow(
        loan_id=row.loan_id,
        customer_id=row.customer_id,
        line_id=row.line_id,
        product_code=row.product_code,
        state=loan_pb2.LoanState.Value(f"LOAN_STATE_{row.state}"),
        balances=_balances({name: getattr(row, name) for name in BALANCES}),
        dpd=row.dpd,
        bucket=buckets.buckets(limits)[buckets.place_of(limits, row.dpd)].name,
        risk_class=row.risk_class,
        stage=row.stage,
        credit_limit=row.credit_limit,
        annual_rate=from_decimal(row.annual_rate),
        principal=row.principal,
        start_date=from_date(row.start_date),
        maturity_date=from_date(row.maturity_date),
        next_due_amount=row.next_due_amount,
        overdue_amount=row.overdue_amount,
        **{name: getattr(row, name) for name in ALLOWANCES},
    )
    if row.next_due is not None:
        told.next_due_date.CopyFrom(from_date(row.next_due))
    return told


def _balances(amounts: dict[str, int]) -> loan_pb2.LoanBalances:
    told = {name: amounts[name] for name in TOLD_BALANCES}
    return loan_pb2.LoanBalances(**told, allowance=sum(amounts[name] for name in ALLOWANCES))


def summary(connection: Connection, ledger: Ledger) -> pb.SummaryResponse:
    """The portfolio in figures."""
    rows, principal = ledger.rows.c, ledger.principal
    bad = (rows.risk_class >= BAD) & ledger.runs
    figures: Any = connection.execute(
        select(
            func.count().filter(ledger.runs).label("loans"),
            func.count(rows.customer_id.distinct()).filter(ledger.runs).label("customers"),
            *(snapshots.total(rows[name]).label(name) for name in BALANCES),
            snapshots.total(principal).label("on_balance"),
            snapshots.total(rows.overdue_amount).label("overdue"),
            snapshots.total(principal, rows.dpd > 30).label("over_30"),
            snapshots.total(principal, rows.dpd > 90).label("over_90"),
            snapshots.total(principal, bad).label("bad"),
        )
    ).one()
    balances = _balances({name: getattr(figures, name) for name in BALANCES})
    return pb.SummaryResponse(
        date=from_date(ledger.day),
        currency_code=ledger.book.currency_code,
        loans=figures.loans,
        customers=figures.customers,
        balances=balances,
        principal=figures.on_balance,
        overdue=figures.overdue,
        over_30=figures.over_30,
        over_90=figures.over_90,
        bad=figures.bad,
        overdue_ratio=ratio(figures.overdue, figures.on_balance),
        bad_ratio=ratio(figures.bad, figures.on_balance),
        allowance_ratio=ratio(balances.allowance, figures.on_balance),
        coverage_ratio=ratio(balances.allowance, figures.bad),
        disbursed_in_month=_disbursed(connection, ledger.book.book_id, ledger.day),
    )


def _disbursed(connection: Connection, book_id: str, day: date) -> int:
    """In the month up to the day, tranches by the day each was paid."""
    query = (
        select(snapshots.total(payout.c.principal))
        .join(loan_state, loan_state.c.loan_id == payout.c.loan_id)
        .where(
            loan_state.c.book_id == book_id,
            payout.c.state == "PAID",
            payout.c.known_on.between(day.replace(day=1), day),
            loan_state.c.state != "CANCELLED",
        )
    )
    return int(connection.execute(query).scalar_one())


def classification(
    connection: Connection, ledger: Ledger, request: pb.ClassificationRequest
) -> pb.ClassificationResponse:
    """The five classes, and a page of the loans in them."""
    size = request.page_size or 100
    rows = ledger.rows.c
    query = (
        select(ledger.rows, ledger.principal.label("on_balance"))
        .where(ledger.runs, rows.loan_id > text_key(request.page_token))
        .order_by(rows.loan_id)
        .limit(size + 1)
    )
    if request.risk_class:
        query = query.where(rows.risk_class == request.risk_class)
    page = connection.execute(query).all()
    return pb.ClassificationResponse(
        date=from_date(ledger.day),
        totals=_class_totals(connection, ledger),
        loans=[_classified(row, ledger) for row in page[:size]],
        next_page_token=token(page[size - 1].loan_id) if len(page) > size else "",
    )


def classified(connection: Connection, ledger: Ledger, loan_id: str) -> pb.ClassifiedLoan:
    """One loan's class; it is in the ledger."""
    query = select(ledger.rows, ledger.principal.label("on_balance"))
    row = connection.execute(query.where(ledger.rows.c.loan_id == loan_id)).one()
    return _classified(row, ledger)


def _class_totals(connection: Connection, ledger: Ledger) -> list[pb.ClassTotal]:
    rows = ledger.rows.c
    query = (
        select(
            rows.risk_class,
            func.count().label("loans"),
            snapshots.total(ledger.principal).label("principal"),
            snapshots.total(ledger.allowance).label("allowance"),
        )
        .where(ledger.runs)
        .group_by(rows.risk_class)
    )
    found = {row.risk_class: pb.ClassTotal(**row._asdict()) for row in connection.execute(query)}
    return [found.get(each, pb.ClassTotal(risk_class=each)) for each in pb.RiskClass.values()[1:]]


def _classified(row: Any, ledger: Ledger) -> pb.ClassifiedLoan:
    told = pb.ClassifiedLoan(
        loan_id=row.loan_id,
        customer_id=row.customer_id,
        risk_class=row.risk_class,
        class_by_dpd=pb.RiskClass.ValueType(risk_class(ledger.policy, row.dpd)),
        stage=row.stage,
        dpd=row.dpd,
        principal=row.on_balance,
        cause=row.cause,
    )
    if row.cause:
        told.since.CopyFrom(from_date(row.since))
    return told
