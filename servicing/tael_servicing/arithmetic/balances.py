"""What a loan owes, by the account it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tael_servicing.arithmetic.loan import Loan, current_accrual
from tael_servicing.arithmetic.recognised import NOTHING
from tael_servicing.arithmetic.terms import Part, Terms


@dataclass(slots=True)
class Balances:
    """What a loan owes by the account it stands on, minor units."""

    principal_normal: int = 0
    """1303.01."""
    principal_overdue: int = 0
    """1303.02."""
    principal_impaired: int = 0
    """1303.03."""
    interest_accrued: int = 0
    """1132.01."""
    interest_due: int = 0
    """1132.02."""
    penalty: int = 0
    """1132.03."""
    compound: int = 0
    """1132.04."""
    fee: int = 0
    """1132.05."""
    legal_costs: int = 0
    """1221.04."""
    offbalance_interest: int = 0
    """7001."""
    offbalance_penalty: int = 0
    """7002."""
    offbalance_compound: int = 0
    """7003."""
    claimed_principal: int = 0
    """7103: of a loan that was bought, principal beyond what is left of its price."""
    written_off_principal: int = 0
    """7101."""
    written_off_interest: int = 0
    """7102."""
    allowance: int = 0
    """1304."""
    overpayment: int = 0
    """2241.03."""

    @property
    def principal(self) -> int:
        """Principal outstanding on the books."""
        return self.principal_normal + self.principal_overdue + self.principal_impaired


def balances(terms: Terms, loan: Loan) -> Balances:
    """The loan's balances on its business date."""
    held = Balances(
        legal_costs=loan.legal_costs,
        allowance=sum(loan.allowance),
        overpayment=loan.overpayment,
    )
    if loan.claim is not None:
        held.written_off_principal, held.written_off_interest = loan.claim
        return held
    if loan.closure is not None:
        return held
    overdue = due_principal = due = penalty = compound = fee = 0
    for row in loan.arrears:
        unpaid = row.principal_unpaid
        due_principal += unpaid
        overdue += unpaid if row.overdue else 0
        due += row.interest_unpaid
        penalty += row.unpaid(Part.PENALTY)
        compound += row.unpaid(Part.COMPOUND)
        fee += row.unpaid(Part.FEE)
    ahead = loan.current
    if ahead is not None:
        due += ahead.carried
        penalty += ahead.unpaid(Part.PENALTY)
        compound += ahead.unpaid(Part.COMPOUND)
        fee += ahead.unpaid(Part.FEE) - ahead.instalment.fee
    normal = due_principal - overdue + loan.undue_principal
    accrued = interest_accrued(terms, loan) + loan.matured_accrued
    due -= loan.matured_accrued
    held.fee = fee
    if loan.nonaccrual_since is None:
        held.principal_normal, held.principal_overdue = normal, overdue
        held.interest_accrued, held.interest_due = accrued, due
        held.penalty, held.compound = penalty, compound
    else:
        stays = loan.recognised or NOTHING
        held.principal_impaired = principal_on_books(loan)
        held.claimed_principal = normal + overdue - held.principal_impaired
        held.interest_accrued, held.interest_due = stays.interest_accrued, stays.interest_due
        held.penalty, held.compound = stays.penalty, stays.compound
        held.offbalance_interest = due + accrued - stays.interest
        held.offbalance_penalty = penalty - stays.penalty
        held.offbalance_compound = compound - stays.compound
    return held


def principal_on_books(loan: Loan) -> int:
    """All that is owed; of a loan that was bought, what is left of its price."""
    return loan.overdue_principal + loan.undue_principal if loan.cost is None else loan.cost


def interest_accrued(terms: Terms, loan: Loan) -> int:
    """Interest earned by the business date that is neither due nor paid."""
    if loan.closure is not None:
        return 0
    return loan.deferred + current_accrual(terms, loan) - loan.interest_ahead


def by_account(
    loan: Loan, taken: Mapping[Part, int] | Sequence[int], overdue: int
) -> dict[str, int]:
    """Parts paid of what is due, by the account they stand on; `overdue`: of principal, what stands
    as overdue.
    """
    if loan.nonaccrual_since is not None:
        return {
            "principal_impaired": taken[Part.PRINCIPAL],
            "offbalance_interest": taken[Part.INTEREST],
            "offbalance_penalty": taken[Part.PENALTY],
            "offbalance_compound": taken[Part.COMPOUND],
            "fee": taken[Part.FEE],
        }
    return {
        "principal_normal": taken[Part.PRINCIPAL] - overdue,
        "principal_overdue": overdue,
        "interest_due": taken[Part.INTEREST],
        "penalty": taken[Part.PENALTY],
        "compound": taken[Part.COMPOUND],
        "fee": taken[Part.FEE],
    }
