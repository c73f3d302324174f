"""8. d + 1 opens: what is due becomes due, days past due, non-accrual, reminders, debits prepared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import Connection, and_, or_, select, union

from tael_servicing import bookings, debit_batches, events, lines, loan_store, messages
from tael_servicing.arithmetic.fold import open_apart
from tael_servicing.bookings import Batch
from tael_servicing.enacting import frees, give_back
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.loans import Held
from tael_servicing.tables import RUNNING, loan_balance, loan_state

REMIND_BEFORE = (3, 1)
"""Days before a due date on which a reminder is due; on the day itself another."""
REMIND_AFTER = (1,)
"""Days past due on which one is due."""


class OpenDay(LoanStep):
    """Value-dated d + 1, so that a payment of the morning finds what is due."""

    name = "open_day"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans that the day may bring something (arithmetic.day.stirs), or is told about: something
        due today or soon, or past due; off balance with all paid; costs that money held pays.
        """
        days = [closing.next_day + timedelta(days=ahead) for ahead in (0, *REMIND_BEFORE)]
        paid_up = and_(loan_state.c.state == "NON_ACCRUAL", loan_state.c.oldest_due.is_(None))
        stirring = select(loan_state.c.loan_id).where(
            loan_state.c.book_id == closing.book_id,
            loan_state.c.state.in_(RUNNING),
            or_(loan_state.c.next_due.in_(days), loan_state.c.oldest_due.is_not(None), paid_up),
        )
        holding = select(loan_balance.c.loan_id).where(
            loan_balance.c.book_id == closing.book_id,
            loan_balance.c.overpayment > 0,
            loan_balance.c.legal_costs > 0,
        )
        return sorted(transaction.execute(union(stirring, holding)).scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Opens the chunk's loans."""
        summary, changed, due, made = Summary(), [], [], []
        opening = [
            (before, open_apart(before.terms, before.loan))
            for before in loan_store.load(transaction, members(payload))
        ]
        moving = [before.contract.line_id for before, step in opening if frees(step.postings)]
        lines.hold(transaction, moving)
        for before, (loan, opened) in opening:
            held = before.now(loan)
            postings = give_back(transaction, held.contract, opened, loan.business_date)
            made += [(held.contract, posting) for posting in postings]
            stirred = loan is not before.loan and loan != before.loan
            if stirred or held.state != before.state:
                changed.append(held)
            if loan.due_count > before.loan.due_count or _due_by_itself(held, closing.day):
                due.append(held)
            _tell(transaction, before, held)
            summary.count(postings)
        loan_store.save(transaction, *changed)
        debit_batches.prepare_first(transaction, closing.book_id, closing.next_day, due)
        bookings.post_many(transaction, batch, made)
        summary.loans = len(changed)
        return summary


def _due_by_itself(held: Held, day: date) -> bool:
    """A down payment or a fee fell due at once on the day that ends: no round asked for it."""
    return any(not row.number and row.due_date == day for row in held.loan.arrears)


def _tell(transaction: Connection, before: Held, held: Held) -> None:
    """The day's events of a loan."""
    day, loan = held.loan.business_date, held.loan
    events.state_changed(transaction, day, before.state, held)
    fell_due, days_before = loan.due_count > before.loan.due_count, _days_before(held)
    if not fell_due and held.dpd == 0 and days_before not in REMIND_BEFORE:
        return
    told = messages.loan(held)
    if fell_due:
        row = loan.rows[loan.due_count - 1]
        state = loan.instalment_states[loan.due_count - 1]
        instalment = messages.instalment(loan.due_count, row, state)
        events.instalment_due(transaction, day, told, instalment)
        if loan.arrears:
            events.reminder_due(transaction, day, told, 0)
    if held.dpd > 0:
        events.loan_overdue(transaction, day, told)
        if held.dpd in REMIND_AFTER:
            events.reminder_due(transaction, day, told, -held.dpd)
    elif days_before in REMIND_BEFORE:
        events.reminder_due(transaction, day, told, days_before)


def _days_before(held: Held) -> int:
    """Days until the next due date; 0 where there is none."""
    loan = held.loan
    if not loan.running or loan.current is None:
        return 0
    return (loan.current.instalment.due_date - loan.business_date).days
