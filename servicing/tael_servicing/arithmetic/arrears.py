"""What is due and unpaid: how money pays it, and when nothing is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tael_servicing.arithmetic.allocation import allocate
from tael_servicing.arithmetic.loan import Closure, Loan
from tael_servicing.arithmetic.terms import Part, Sweep, Terms


def pay(terms: Terms, loan: Loan, amount: int) -> tuple[Loan, Mapping[str, int], int]:
    """The loan after `amount` paid its arrears, what was paid by account, and what is left over.

    The loan is closed where that repaid it; what is left over is the caller's to keep.
    """
    arrears = loan.arrears
    owed = [row.unpaid for row in arrears]
    if loan.memo is None:
        taken, left = allocate(amount, owed, terms.repay_order, terms.repay_sweep)
        memo = None
    else:
        # Principal of every instalment before any interest: always vertical off balance.
        taken, left = allocate(
            amount, [*owed, loan.memo.unpaid], terms.repay_order_nonaccrual, Sweep.VERTICAL
        )
        memo = loan.memo.paid_with(terms, taken[-1])
    paid = (row.paid_with(terms, parts) for row, parts in zip(arrears, taken, strict=False))
    after = replace(
        loan,
        rows=(*loan.rows[: loan.settled_count], *paid, *loan.rows[loan.due_count :]),
        memo=memo,
    )
    return closed_if_repaid(skip_settled(after)), by_account(loan, taken), left


def by_account(loan: Loan, taken: list[dict[Part, int]]) -> Mapping[str, int]:
    """Parts taken from the arrears, oldest first and then the memo, by the account they stand on."""
    total = {part: sum(parts.get(part, 0) for parts in taken) for part in Part}
    if not loan.accruing:
        return {
            "principal_impaired": total[Part.PRINCIPAL],
            "offbalance_interest": total[Part.INTEREST],
            "offbalance_penalty": total[Part.PENALTY],
            "offbalance_compound": total[Part.COMPOUND],
        }
    overdue = sum(
        parts.get(Part.PRINCIPAL, 0)
        for row, parts in zip(loan.arrears, taken, strict=True)
        if row.overdue
    )
    return {
        "principal_normal": total[Part.PRINCIPAL] - overdue,
        "principal_overdue": overdue,
        "interest_due": total[Part.INTEREST],
        "penalty": total[Part.PENALTY],
        "compound": total[Part.COMPOUND],
    }


def closed_if_repaid(loan: Loan) -> Loan:
    """The loan, closed where nothing is owed of it any more."""
    if loan.settled_count < len(loan.rows) or (loan.memo and any(loan.memo.unpaid.values())):
        return loan
    late = any(row.overdue for row in loan.rows)
    return replace(loan, closure=Closure.PAID_OVERDUE if late else Closure.PAID_NORMAL)


def skip_settled(loan: Loan) -> Loan:
    """The loan with its count of settled instalments brought up to date."""
    settled = loan.settled_count
    while settled < loan.due_count and loan.rows[settled].settled:
        settled += 1
    return loan if settled == loan.settled_count else replace(loan, settled_count=settled)
