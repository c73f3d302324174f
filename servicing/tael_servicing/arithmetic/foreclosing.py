"""An asset taken for the debt (以物抵债): for all of it, or for principal of its value."""

from __future__ import annotations

from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.day import enter_nonaccrual
from tael_servicing.arithmetic.leaving import adjust_allowance
from tael_servicing.arithmetic.loan import NO_ALLOWANCE, Allowance, Closure, Loan
from tael_servicing.arithmetic.paying import (
    after_early,
    close_if_repaid,
    earned_now,
    pay_ahead,
    pay_part,
    skip_settled,
)
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.terms import Excess, Part, Terms


def take_asset(
    terms: Terms, loan: Loan, journal: Journal, fair_value: int, *, settles: bool
) -> None:
    """The asset stands in the books at its fair value, against principal; a loan that still accrues
    goes off balance first.

    Where it settles, it pays the costs advanced too, all of the allowance is used, what is left is
    impairment loss, and interest, charges and fees are given up (ASSET_TAKEN_FOR_DEBT,
    INTEREST_WAIVED); else costs stay owed. A loan that another past has ended is taken nothing of:
    the value is all gain.
    """
    if not loan.running:
        journal.post("ASSET_TAKEN_FOR_DEBT", loan, fair_value=fair_value)
        return
    if loan.nonaccrual_since is None:
        enter_nonaccrual(terms, loan, journal)
    if settles:
        _settle(terms, loan, journal, fair_value)
    else:
        _reduce(terms, loan, journal, fair_value)


def _settle(terms: Terms, loan: Loan, journal: Journal, fair_value: int) -> None:
    held, loan.recognised = balances(terms, loan), None
    adjust_allowance(loan, journal, Allowance(stage3=held.allowance))
    journal.post(
        "ASSET_TAKEN_FOR_DEBT",
        loan,
        fair_value=fair_value,
        allowance_stage3=held.allowance,
        principal_impaired=held.principal_impaired,
        claimed_principal=held.claimed_principal,
        legal_costs=held.legal_costs,
    )
    journal.post(
        "INTEREST_WAIVED",
        loan,
        interest_due=held.interest_due,
        interest_accrued=held.interest_accrued,
        penalty=held.penalty,
        compound=held.compound,
        offbalance_interest=held.offbalance_interest,
        offbalance_penalty=held.offbalance_penalty,
        offbalance_compound=held.offbalance_compound,
        fee=held.fee,
    )
    loan.legal_costs = 0
    loan.allowance = NO_ALLOWANCE
    loan.closure = Closure.ASSET


def _reduce(terms: Terms, loan: Loan, journal: Journal, fair_value: int) -> None:
    """Pays principal of the oldest arrears, then of what is not yet due."""
    was, left = earned_now(terms, loan), fair_value
    for row in loan.arrears:
        here = min(left, row.principal_unpaid)
        if here:
            pay_part(loan, row, Part.PRINCIPAL, here)
        left -= here
    late = fair_value - left
    skip_settled(loan)
    early = pay_ahead(loan, left, Excess.PRINCIPAL) if left and loan.current is not None else 0
    journal.post(
        "ASSET_TAKEN_FOR_DEBT", loan, fair_value=fair_value, principal_impaired=late + early
    )
    if early or late:
        after_early(terms, loan, journal, was, at_once=early > 0)
    close_if_repaid(loan)
