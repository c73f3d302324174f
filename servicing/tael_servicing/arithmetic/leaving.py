"""How a loan leaves the books: written off, recovered, sold, taken over, forgiven."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tael_servicing.arithmetic.balances import balances, interest_accrued, principal_on_books
from tael_servicing.arithmetic.changing import ask_at_once, lend_on_a_claim, reopen
from tael_servicing.arithmetic.day import enter_nonaccrual
from tael_servicing.arithmetic.loan import NO_ALLOWANCE, Allowance, Claim, Closure, Loan, Owed
from tael_servicing.arithmetic.paying import (
    after_early,
    close,
    close_if_repaid,
    earned_now,
    matured_falls_due,
    pay_part,
    receive,
    show_recovered,
    skip_settled,
)
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.replanning import bearing_also, earned, replan
from tael_servicing.arithmetic.rounding import Rounding, rounded
from tael_servicing.arithmetic.terms import ClaimInterest, Method, Part, Terms


def adjust_allowance(loan: Loan, journal: Journal, target: Allowance) -> None:
    """Sets the allowance by stage."""
    change = Allowance(*(new - old for new, old in zip(target, loan.allowance, strict=True)))
    journal.post("ALLOWANCE_ADJUSTED", loan, **change._asdict())
    loan.allowance = target


def release_allowance(loan: Loan, journal: Journal) -> None:
    """A loan that is repaid needs no allowance."""
    if loan.closure is not None and any(loan.allowance):
        adjust_allowance(loan, journal, NO_ALLOWANCE)


def true_up(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Interest recognised before the loan was impaired that a new plan does not ask after all: what the
    memo would have below zero is taken back (INTEREST_TRUED_UP).
    """
    stays = loan.recognised
    if stays is None:
        return
    over = -min(balances(terms, loan).offbalance_interest, 0) if loan.running else stays.interest
    due = max(over - stays.interest_accrued, 0)
    stays.interest_due -= due
    stays.interest_accrued -= over - due
    journal.post("INTEREST_DUE", loan, interest=-due)
    journal.post("INTEREST_TRUED_UP", loan, interest=-over)
    journal.post("INTEREST_ACCRUED", loan, interest=over)
    if not loan.running:
        loan.recognised = None


def accrue_impaired(loan: Loan, journal: Journal, rate: Decimal, deferred: int) -> None:
    """A month's interest by the effective rate on amortised cost, principal less fees deferred and
    allowance; the allowance bears it, as far as it goes (IMPAIRED_INTEREST_ACCRUED).
    """
    numerator, denominator = rate.as_integer_ratio()
    cost = principal_on_books(loan) - deferred - loan.allowance.stage3
    earned = rounded(max(cost, 0) * numerator, denominator, Rounding.HALF_UP)
    interest = min(earned, loan.allowance.stage3)
    journal.post("IMPAIRED_INTEREST_ACCRUED", loan, interest=interest)
    loan.allowance = loan.allowance._replace(stage3=loan.allowance.stage3 - interest)


def write_off(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Allowance to stage 3 and to 100 % of principal; principal, interest and fees to the claim. Costs
    advanced stand as they did, to be recovered with it.

    A loan that still accrues goes off balance first. Its rows ask what the claim is from then on.
    """
    if not loan.running:
        return
    if loan.nonaccrual_since is None:
        enter_nonaccrual(terms, loan, journal)
    held, loan.recognised = balances(terms, loan), None
    more = _ask_the_claim(terms, loan)
    journal.post("INTEREST_ACCRUED", loan, interest=more)
    adjust_allowance(loan, journal, Allowance(stage3=held.allowance))
    claimed = {
        "interest_due": held.interest_due,
        "interest_accrued": held.interest_accrued,
        "penalty_due": held.penalty,
        "compound_due": held.compound,
        "interest": held.offbalance_interest + more,
        "penalty": held.offbalance_penalty,
        "compound": held.offbalance_compound,
        "fee": held.fee,
    }
    journal.post(
        "LOAN_WRITTEN_OFF",
        loan,
        allowance_top_up=held.principal_impaired - held.allowance,
        principal=held.principal_impaired,
        claimed_principal=held.claimed_principal,
        **claimed,
    )
    loan.claim = Claim(held.principal_impaired + held.claimed_principal, sum(claimed.values()))
    loan.allowance = NO_ALLOWANCE


def _ask_the_claim(terms: Terms, loan: Loan) -> int:
    """Rows not yet due ask no fee of their own and, where only interest to date is claimed, no other
    interest; the interest that is claimed beyond what was earned.
    """
    ahead = loan.rows[loan.due_count :]
    if not ahead:
        return 0
    for row in ahead:
        row.due[Part.FEE] = max(row.due[Part.FEE] - row.instalment.fee, row.paid[Part.FEE])
    earned_by_now = interest_accrued(terms, loan) + ahead[0].carried
    if terms.claim_interest is ClaimInterest.WHOLE:
        return sum(row.interest_unpaid for row in ahead) - earned_by_now
    for row in ahead:
        row.due[Part.INTEREST] = row.paid[Part.INTEREST]
    ahead[0].due[Part.INTEREST] += max(earned_by_now, 0)
    return 0


def recover(terms: Terms, loan: Loan, journal: Journal, amount: int) -> None:
    """Money after the write-off: costs advanced, then principal and interest in the order of a loan
    that does not accrue; more is held for the customer. A claim of which nothing is left is closed as
    paid late.

    A loan that is on the books takes it as a repayment.
    """
    if loan.closure is not None:
        park(loan, journal, amount)
        return
    if loan.claim is None:
        receive(terms, loan, journal, amount)
        return
    costs = min(amount, loan.legal_costs)
    principal, interest = _of_the_claim(terms, loan.claim, amount - costs)
    left = amount - costs - principal - interest
    loan.legal_costs -= costs
    loan.claim = Claim(loan.claim.principal - principal, loan.claim.interest - interest)
    show_recovered(loan, principal, interest)
    journal.post(
        "RECOVERY_RECEIVED", loan, principal=principal, interest=interest, legal_costs=costs
    )
    _close_claim(loan)
    park(loan, journal, left)


def _close_claim(loan: Loan) -> None:
    """A claim of which nothing is left ends the loan."""
    if loan.claim == Claim() and not loan.legal_costs:
        loan.claim = None
        close(loan, Closure.PAID_OVERDUE)


def waive_claim(
    terms: Terms, loan: Loan, journal: Journal, principal: int, interest: int, costs: int
) -> None:
    """Gives up of a claim its principal (PRINCIPAL_WAIVED), its interest (INTEREST_WAIVED), and costs
    advanced, which are lost as what else a write-off loses (LOAN_WRITTEN_OFF).

    Of a loan that another past has on the books it gives up what is due.
    """
    if loan.claim is None:
        if loan.running:
            parts = {Part.PRINCIPAL: principal, Part.INTEREST: interest}
            waive(terms, loan, journal, {part: parts.get(part, 0) for part in Part})
        return
    principal = min(principal, loan.claim.principal)
    interest = min(interest, loan.claim.interest)
    costs = min(costs, loan.legal_costs)
    loan.claim = Claim(loan.claim.principal - principal, loan.claim.interest - interest)
    loan.legal_costs -= costs
    show_recovered(loan, principal, interest, _give_up)
    journal.post("PRINCIPAL_WAIVED", loan, written_off_principal=principal)
    journal.post("INTEREST_WAIVED", loan, written_off_interest=interest)
    journal.post("LOAN_WRITTEN_OFF", loan, legal_costs=costs)
    _close_claim(loan)


def _of_the_claim(terms: Terms, claim: Claim, amount: int) -> Claim:
    """What an amount pays of a claim, of which charges and fees stand where interest does."""
    order = terms.repay_order_nonaccrual
    if order.index(Part.PRINCIPAL) < order.index(Part.INTEREST):
        principal = min(amount, claim.principal)
        return Claim(principal, min(amount - principal, claim.interest))
    interest = min(amount, claim.interest)
    return Claim(min(amount - interest, claim.principal), interest)


def take_back(terms: Terms, loan: Loan, journal: Journal, amount: int) -> None:
    """What was paid out came back: what the loan earned and is not paid is taken back in red ink.

    What another past shows as repaid is held for the customer; a loan that it shows off balance, or
    with more lent, takes the amount as a repayment.
    """
    held = balances(terms, loan)
    if not loan.accruing or loan.legal_costs or amount < held.principal:
        recover(terms, loan, journal, amount)
        return
    earned = held.interest_accrued + held.interest_due
    journal.post("PRINCIPAL_OVERDUE", loan, principal=-held.principal_overdue)
    journal.post("INTEREST_DUE", loan, interest=-held.interest_due)
    journal.post(
        "INTEREST_ACCRUED",
        loan,
        interest=-earned,
        penalty=-held.penalty,
        compound=-held.compound,
    )
    journal.post("FEE_DUE", loan, fee=-held.fee)
    journal.post("DISBURSEMENT_RETURNED", loan, principal=held.principal)
    journal.post("DISBURSEMENT_CANCELLED", loan, principal=held.principal)
    loan.closure = Closure.RETURNED
    park(loan, journal, amount - held.principal)


def park(loan: Loan, journal: Journal, amount: int) -> None:
    """Money that pays nothing now is held for the customer."""
    loan.overpayment += amount
    journal.post("REPAYMENT_RECEIVED", loan, overpayment=amount)


def refund_overpayment(terms: Terms, loan: Loan, journal: Journal, amount: int, funds: str) -> None:
    """What is held goes back to the customer. What another past leaves uncovered was lent: it is
    principal of the next instalment; where none follows, due at once; of a claim, its principal.
    """
    covered = min(amount, loan.overpayment)
    loan.overpayment -= covered
    journal.post("OVERPAYMENT_REFUNDED", loan, **{funds: amount})
    lent = amount - covered
    if not lent:
        return
    reopen(loan)
    to_date = earned(terms, loan)
    impaired = loan.nonaccrual_since is not None and loan.claim is None
    stands = "principal_impaired" if impaired else "principal_normal"
    journal.post("REPAYMENT_RECEIVED", loan, **{stands: -lent}, overpayment=lent)
    if loan.claim is not None:
        lend_on_a_claim(loan, journal, lent)
        return
    if loan.current is None:
        ask_at_once(loan, principal=lent)
        return
    loan.current.due[Part.PRINCIPAL] += lent
    loan.current.lent += lent
    if terms.method is not Method.FLAT:
        replan(terms, loan, journal, fixed_share=loan.share, cut=True, stands=to_date)


def waive(terms: Terms, loan: Loan, journal: Journal, amounts: Mapping[Part, int]) -> None:
    """Gives up what is due, oldest first: interest, penalty, compound and fees (INTEREST_WAIVED), and
    principal, for which a loan that another past has accrue goes off balance (PRINCIPAL_WAIVED).
    """
    matured_falls_due(loan, journal)
    if amounts[Part.PRINCIPAL] and loan.nonaccrual_since is None:
        enter_nonaccrual(terms, loan, journal)
    on_books, stands = principal_on_books(loan), earned_now(terms, loan)
    bore = bearing_also(terms, loan)
    waived = dict.fromkeys(Part, 0)
    for part, amount in amounts.items():
        left = amount
        for row in loan.arrears:
            here = min(left, row.unpaid(part))
            if here:
                _give_up(loan, row, part, here)
            waived[part] += here
            left -= here
    skip_settled(loan)
    if loan.nonaccrual_since is None:
        named = {"interest_due": Part.INTEREST, "penalty": Part.PENALTY, "compound": Part.COMPOUND}
    else:
        named = {
            "offbalance_interest": Part.INTEREST,
            "offbalance_penalty": Part.PENALTY,
            "offbalance_compound": Part.COMPOUND,
        }
    given_up = {name: waived[part] for name, part in named.items()}
    journal.post("INTEREST_WAIVED", loan, **given_up, fee=waived[Part.FEE])
    _lose(loan, journal, waived[Part.PRINCIPAL], on_books)
    if bearing_also(terms, loan) < bore:
        after_early(terms, loan, journal, stands, at_once=False)
    close_if_repaid(loan)


def _lose(loan: Loan, journal: Journal, principal: int, on_books: int) -> None:
    """Principal is given up against the allowance, which is brought to as much; of a loan that was
    bought first what its price did not pay for.
    """
    if not principal:
        return
    owed = loan.overdue_principal + loan.undue_principal + principal
    claimed = min(principal, owed - on_books)
    lost = principal - claimed
    adjust_allowance(loan, journal, Allowance(stage3=sum(loan.allowance)))
    more = max(lost - loan.allowance.stage3, 0)
    journal.post(
        "PRINCIPAL_WAIVED",
        loan,
        allowance_top_up=more,
        principal_impaired=lost,
        claimed_principal=claimed,
    )
    loan.allowance = Allowance(stage3=loan.allowance.stage3 + more - lost)


def _give_up(loan: Loan, row: Owed, part: Part, amount: int) -> None:
    """Out of what a row asks, and out of what a charge has grown by: no night brings it back."""
    row.due[part] -= amount
    if part is Part.PENALTY:
        row.penalty_exact -= amount * loan.charge[1]
    elif part is Part.COMPOUND:
        row.compound_exact -= amount * loan.charge[1]
    pay_part(loan, row, part, 0)


def sell(terms: Terms, loan: Loan, journal: Journal, price: int) -> None:
    """A true sale: everything the loan owes is given up for the price (LOAN_SOLD)."""
    held, loan.recognised = balances(terms, loan), None
    journal.post(
        "LOAN_SOLD",
        loan,
        price=price,
        allowance_stage1=loan.allowance.stage1,
        allowance_stage2=loan.allowance.stage2,
        allowance_stage3=loan.allowance.stage3,
        principal_normal=held.principal_normal,
        principal_overdue=held.principal_overdue,
        principal_impaired=held.principal_impaired,
        claimed_principal=held.claimed_principal,
        interest_due=held.interest_due,
        interest_accrued=held.interest_accrued,
        penalty=held.penalty,
        compound=held.compound,
        fee=held.fee,
        legal_costs=held.legal_costs,
        offbalance_interest=held.offbalance_interest,
        offbalance_penalty=held.offbalance_penalty,
        offbalance_compound=held.offbalance_compound,
        written_off_principal=held.written_off_principal,
        written_off_interest=held.written_off_interest,
    )
    loan.allowance, loan.claim, loan.legal_costs = NO_ALLOWANCE, None, 0
    loan.closure = loan.closure or Closure.TRANSFERRED
