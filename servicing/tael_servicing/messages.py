"""Loans, schedules and repayments in the contract's words, and dates and amounts out of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import count

from tael.servicing.v1 import event_pb2
from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import from_date, from_decimal, money
from tael_servicing.arithmetic.balances import Balances, principal_on_books
from tael_servicing.arithmetic.balances import balances as balances_of
from tael_servicing.arithmetic.loan import InstalmentState, Loan, Owed
from tael_servicing.arithmetic.schedules import Instalment
from tael_servicing.booked import Booked
from tael_servicing.loans import UNPAID_OUT, Held

BALANCES = tuple(Balances.__dataclass_fields__)


def loan(held: Held) -> pb.Loan:
    """The loan today."""
    contract, now = held.contract, held.loan
    paid_out = held.state not in UNPAID_OUT
    message = pb.Loan(
        loan_id=contract.loan_id,
        customer_id=contract.customer_id,
        line_id=contract.line_id,
        product_code=contract.product_code,
        product_version=contract.product_version,
        book_id=contract.book_id,
        principal=money(contract.principal, contract.currency_code),
        annual_rate=from_decimal(now.annual_rate),
        periods=contract.periods,
        start_date=from_date(contract.start_date),
        maturity_date=from_date(_maturity(now)),
        state=pb.LoanState.Value(f"LOAN_STATE_{held.state}"),
        dpd=held.dpd,
        payment_id=contract.payment_id,
        card_token=contract.card_token,
        rates=[
            pb.RateStep(since=from_date(step.since), annual_rate=from_decimal(step.annual_rate))
            for step in now.rates
        ],
        disbursed=now.principal if paid_out else 0,
        instalments_paid=now.settled_count,
        restructured_on=from_date(now.restructured) if now.restructured else None,
        nonaccrual_since=from_date(now.nonaccrual_since) if now.nonaccrual_since else None,
    )
    if contract.partner_id:
        message.joint.partner_id = contract.partner_id
        theirs = money(contract.partner_principal, contract.currency_code)
        message.joint.partner_principal.CopyFrom(theirs)
    if held.state != "CANCELLED":
        message.balances.CopyFrom(balances(held))
    if paid_out and now.running:
        message.amount_past_due = now.amount_due
        if now.current is not None:
            message.next_due_date.CopyFrom(from_date(now.current.instalment.due_date))
            message.next_due_amount = now.current.owed
    return message


def standing(held: Held) -> event_pb2.LoanStanding:
    """How a loan that runs stands today, for who is told of many."""
    now = held.loan
    return event_pb2.LoanStanding(
        loan_id=held.contract.loan_id,
        customer_id=held.contract.customer_id,
        state=pb.LoanState.Value(f"LOAN_STATE_{held.state}"),
        dpd=held.dpd,
        amount_past_due=now.amount_due,
        principal=principal_on_books(now),
        next_due_amount=now.current.owed if now.current is not None else 0,
    )


def _maturity(loan: Loan) -> date:
    """When its last instalment is due, whatever fees are charged after."""
    return next(row.due_date for row in reversed(loan.rows) if not row.charged)


def balances(held: Held) -> pb.LoanBalances:
    """What the loan owes today, by account."""
    now = balances_of(held.terms, held.loan)
    return pb.LoanBalances(**{name: getattr(now, name) for name in BALANCES})


def schedule(held: Loan) -> list[pb.Instalment]:
    """Every row with what was paid of it."""
    rows = [
        instalment(number, row, state)
        for number, row, state in zip(count(1), held.rows, held.instalment_states, strict=False)
    ]
    if held.closure is None:
        for place in range(held.settled_count, held.due_count):
            owed = held.rows[place]
            late = 0 if owed.settled else held.age(owed)
            rows[place].days_past_due = late
    return rows


def instalment(number: int, row: Owed, state: InstalmentState) -> pb.Instalment:
    """One row with what was paid of it."""
    period = row.instalment.period
    message = pb.Instalment(
        number=number,
        due_date=from_date(period.end),
        balance_after=row.instalment.balance_after,
        state=pb.InstalmentState.Value(f"INSTALMENT_STATE_{state.name}"),
        start_date=from_date(period.start),
        days=period.days,
        paid_late=row.late,
    )
    message.principal, message.interest, message.penalty, message.compound, message.fee = row.due
    (
        message.principal_paid,
        message.interest_paid,
        message.penalty_paid,
        message.compound_paid,
        message.fee_paid,
    ) = row.paid
    not_due = state is InstalmentState.NOT_DUE
    message.paid_in_advance = sum(row.paid) if not_due else row.in_advance
    if row.settled and row.paid_on is not None:
        message.paid_on.CopyFrom(from_date(row.paid_on))
    return message


def add_plan(answer: pb.QuoteScheduleResponse, rows: Iterable[Instalment]) -> None:
    """Adds a schedule before anything is paid."""
    # Made in its place, each date once: a row begins on the day the one before it falls due.
    start, said = date.min, from_date(date.min)
    add = answer.instalments.add
    for row in rows:
        period = row.period
        if period.start != start:
            said = from_date(period.start)
        start, due_date = period.end, from_date(period.end)
        add(
            number=period.number,
            due_date=due_date,
            principal=row.principal,
            interest=row.interest,
            fee=row.fee,
            balance_after=row.balance_after,
            state=pb.INSTALMENT_STATE_NOT_DUE,
            start_date=said,
            days=period.days,
        )
        said = due_date


def loan_event(row: Booked, sequences: list[int]) -> pb.LoanEvent:
    """One booking of a loan with its vouchers."""
    return pb.LoanEvent(
        number=row.number,
        event=row.event,
        value_date=from_date(row.value_date),
        amounts=row.amounts,
        entry_sequences=sequences,
    )
