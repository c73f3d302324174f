"""4. Overdue transfer where due date + grace <= d."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, true

from tael_servicing import bookings, loan_store
from tael_servicing.arithmetic.day import transfer_overdue
from tael_servicing.arithmetic.fold import apart
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, LoanStep, Summary, members
from tael_servicing.tables import RUNNING, instalment, loan_state


class Overdue(LoanStep):
    """Principal of an unpaid instalment moves from 1303.01 to 1303.02; its penalty begins."""

    name = "overdue"

    def choose(self, transaction: Connection, closing: Closing) -> Sequence[str]:
        """Loans with a due instalment, from the oldest unpaid one on, that is not marked overdue: what
        is left of it may be penalty alone.
        """
        # By the instalments of each loan that owes one, however many instalments the book has.
        unmarked = (
            select(true())
            .where(
                instalment.c.loan_id == loan_state.c.loan_id,
                instalment.c.due_date.between(loan_state.c.oldest_due, closing.day),
                instalment.c.overdue.is_(False),
            )
            .limit(1)
        )
        rows = transaction.execute(
            select(loan_state.c.loan_id)
            .where(
                loan_state.c.book_id == closing.book_id,
                loan_state.c.oldest_due.is_not(None),
                loan_state.c.state.in_(RUNNING),
                unmarked.scalar_subquery(),
            )
            .order_by(loan_state.c.loan_id)
        )
        return list(rows.scalars())

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Transfers those whose grace ends today."""
        del closing
        summary, changed, made = Summary(), [], []
        for held in loan_store.load(transaction, members(payload)):
            loan, postings = apart(transfer_overdue, held.terms, held.loan)
            if loan != held.loan:
                changed.append(held.now(loan))
            made += [(held.contract, posting) for posting in postings]
            summary.count(postings)
        loan_store.save(transaction, *changed)
        bookings.post_many(transaction, batch, made)
        summary.loans = len(changed)
        return summary
