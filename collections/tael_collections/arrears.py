"""What a loan is to a case: what is due of it, in which bucket, and whether it keeps a case open. Pure.

Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tael.servicing.v1 import event_pb2, loan_pb2
from tael_collections.buckets import Bucket, bucket_of


@dataclass(frozen=True)
class CaseLoan:
    """A loan that keeps a case open."""

    loan_id: str
    dpd: int
    amount_past_due: int
    principal: int
    """On balance."""
    written_off: bool


@dataclass(frozen=True)
class Standing:
    """How a loan stands, of whichever message says so."""

    customer_id: str
    book_id: str
    currency: str
    past_life: bool
    """Nothing can be past due of it."""
    loan: CaseLoan


PAST_LIFE = frozenset(
    {
        loan_pb2.LOAN_STATE_PAYING,
        loan_pb2.LOAN_STATE_CLOSED_NORMAL,
        loan_pb2.LOAN_STATE_CLOSED_EARLY,
        loan_pb2.LOAN_STATE_CLOSED_OVERDUE,
        loan_pb2.LOAN_STATE_CANCELLED,
    }
)
"""States in which nothing can be past due."""


def standing_of(loan: loan_pb2.Loan) -> Standing:
    """As the loan's own message says."""
    return Standing(
        loan.customer_id,
        loan.book_id,
        loan.principal.currency_code,
        loan.state in PAST_LIFE,
        seen(loan),
    )


def past_due(told: event_pb2.LoansOverdue, loan: event_pb2.LoanStanding) -> Standing:
    """As it is told of one of many that run and are past due."""
    kept = CaseLoan(loan.loan_id, loan.dpd, loan.amount_past_due, loan.principal, written_off=False)
    return Standing(loan.customer_id, told.book_id, told.currency_code, past_life=False, loan=kept)


@dataclass(frozen=True)
class Worst:
    """A case's measure over its loans."""

    bucket: Bucket
    amount_past_due: int


def measure(loans: Sequence[CaseLoan]) -> Worst:
    """The worst bucket and the sum of what is past due."""
    worst = max((loan.dpd for loan in loans), default=0)
    return Worst(bucket_of(worst), sum(loan.amount_past_due for loan in loans))


def seen(loan: loan_pb2.Loan) -> CaseLoan:
    """What a case keeps of a loan; a written-off loan is due as a whole (账销案存)."""
    held = loan.balances
    written_off = loan.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    claim = held.written_off_principal + held.written_off_interest
    return CaseLoan(
        loan.loan_id,
        loan.dpd,
        claim if written_off else loan.amount_past_due,
        held.principal_normal + held.principal_overdue + held.principal_impaired,
        written_off,
    )


def is_case(told: Standing, tolerance: int) -> bool:
    """Whether a loan keeps a case open: past due by more than the tolerance, or a live claim."""
    if told.past_life:
        return False
    kept = told.loan
    if kept.written_off:
        return kept.amount_past_due > 0
    return kept.dpd >= 1 and kept.amount_past_due > tolerance
