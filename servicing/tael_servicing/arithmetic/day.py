"""A loan's day: overdue transfer, the night's accrual, the opening of the next day.

The order is the day-end batch's: 4. transfer_overdue, 5. accrue, then, for the next date, 8. open_day.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tael_servicing.arithmetic.accrual import NO_CHARGES
from tael_servicing.arithmetic.arrears import pay, skip_settled
from tael_servicing.arithmetic.loan import Loan, Owed, balances
from tael_servicing.arithmetic.postings import Step, nonzero, posting
from tael_servicing.arithmetic.schedules import accrued_by
from tael_servicing.arithmetic.terms import Terms


def transfer_overdue(terms: Terms, loan: Loan) -> Step:
    """Marks overdue each due instalment whose grace ends today unpaid (PRINCIPAL_OVERDUE).

    Grace that was not kept counts: penalty and compound run from the due date, on what is unpaid
    now. Off balance the principal already stands at impaired, so that nothing is posted.
    """
    late = [
        index
        for index in range(loan.settled_count, loan.due_count)
        if _falls_overdue(terms, loan, loan.rows[index])
    ]
    if not late or not loan.running:
        return Step(loan)
    rows, memo, principal = list(loan.rows), loan.memo, 0
    for index in late:
        row = rows[index]
        owed = row.principal_unpaid, row.interest_unpaid
        nights = (loan.business_date - row.instalment.due_date).days
        principal += row.principal_unpaid
        if memo is None:
            row = replace(row, charges=row.charges.carried(terms, *owed, nights))
        else:
            memo = memo.carried(terms, *owed, nights)
        rows[index] = replace(row, overdue=True)
    after = replace(loan, rows=tuple(rows), memo=memo)
    if not loan.accruing:
        return Step(after)
    return Step(after, nonzero(posting("PRINCIPAL_OVERDUE", loan, principal=principal)))


def _falls_overdue(terms: Terms, loan: Loan, row: Owed) -> bool:
    nights = (loan.business_date - row.instalment.due_date).days
    return not row.overdue and not row.settled and nights >= terms.grace_days


def accrue(terms: Terms, loan: Loan, nights: int = 1) -> Step:
    """Interest, penalty and compound of the nights from the business date on (INTEREST_ACCRUED).

    More than one night at a time only while nothing falls due and no grace ends among them; the
    amounts are then those nights' sum, worth the last of them.
    """
    until = loan.business_date + timedelta(days=nights)
    if not loan.running:
        return Step(replace(loan, business_date=until))
    interest = 0
    if loan.current is not None:
        assert until <= loan.current.instalment.due_date, "the period ends among these nights"
        row = loan.current.instalment
        interest = accrued_by(row, until, terms) - accrued_by(row, loan.business_date, terms)
    after = replace(_charged(terms, loan, nights), business_date=until)
    accrued = posting(
        "INTEREST_ACCRUED",
        loan,
        interest=interest,
        penalty=_accrued_penalty(after) - _accrued_penalty(loan),
        compound=_accrued_compound(after) - _accrued_compound(loan),
    )
    return Step(after, nonzero(replace(accrued, value_date=until - timedelta(days=1))))


def open_day(terms: Terms, loan: Loan) -> Step:
    """Opens the business date: what is due becomes due, then the non-accrual test.

    Money parked earlier pays what became due. Interest due today is settled before the loan goes off
    balance, as the catch-up before non-accrual demands; everything accrued up to last night is
    already in the balances.
    """
    if not loan.running:
        return Step(loan)
    after, due = _due_today(loan)
    after, applied = _apply_overpayment(terms, after)
    due += applied
    if not after.accruing or after.days_past_due <= terms.nonaccrual_dpd:
        return Step(after, due)
    moved = balances(terms, after)
    entered = posting(
        "NON_ACCRUAL_ENTERED",
        after,
        principal_normal=moved.principal_normal,
        principal_overdue=moved.principal_overdue,
        interest_due=moved.interest_due,
        interest_accrued=moved.interest_accrued,
        penalty=moved.penalty,
        compound=moved.compound,
    )
    return Step(
        replace(after, nonaccrual_since=after.business_date, memo=NO_CHARGES), (*due, entered)
    )


def _due_today(loan: Loan) -> Step:
    """Moves the instalment that falls due today among the due ones (INTEREST_DUE)."""
    if loan.current is None or loan.current.instalment.due_date > loan.business_date:
        return Step(loan)
    interest = loan.current.interest_unpaid
    after = skip_settled(replace(loan, due_count=loan.due_count + 1))
    if not loan.accruing:
        return Step(after)
    return Step(after, nonzero(posting("INTEREST_DUE", loan, interest=interest)))


def _apply_overpayment(terms: Terms, loan: Loan) -> Step:
    """Pays the arrears out of what the customer paid too much (OVERPAYMENT_APPLIED)."""
    if not loan.overpayment or not loan.arrears:
        return Step(loan)
    paid, accounts, left = pay(terms, loan, loan.overpayment)
    applied = posting("OVERPAYMENT_APPLIED", loan, **accounts)
    return Step(replace(paid, overpayment=left), (applied,))


def _charged(terms: Terms, loan: Loan, nights: int) -> Loan:
    """Penalty and compound of `nights`: an instalment's own on balance, one memo line off it."""
    if not any(row.overdue for row in loan.arrears):
        return loan
    if loan.memo is not None:
        late = [row for row in loan.arrears if row.overdue]
        principal = sum(row.principal_unpaid for row in late)
        interest = sum(row.interest_unpaid for row in late)
        return replace(loan, memo=loan.memo.grown(terms, principal, interest, nights))
    return replace(
        loan,
        rows=(
            *loan.rows[: loan.settled_count],
            *(_charged_row(terms, row, nights) for row in loan.arrears),
            *loan.rows[loan.due_count :],
        ),
    )


def _charged_row(terms: Terms, row: Owed, nights: int) -> Owed:
    if not row.overdue:
        return row
    return replace(
        row,
        charges=row.charges.grown(terms, row.principal_unpaid, row.interest_unpaid, nights),
    )


def _accrued_penalty(loan: Loan) -> int:
    memo = loan.memo.penalty.accrued if loan.memo else 0
    return memo + sum(row.charges.penalty.accrued for row in loan.arrears)


def _accrued_compound(loan: Loan) -> int:
    memo = loan.memo.compound.accrued if loan.memo else 0
    return memo + sum(row.charges.compound.accrued for row in loan.arrears)
